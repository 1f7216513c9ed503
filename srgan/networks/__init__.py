"""Generators and discriminators."""

from srgan.networks.autoencoder import AutoencoderPair
from srgan.networks.dcgan import DCGANPair
from srgan.networks.pair import Discriminator, Generator, Pair
from srgan.networks.resnet import ResNetDiscriminator, ResNetGenerator, ResNetPair
from srgan.networks.sndcgan import SNDCGANPair

DEFAULT_PAIR: Pair = ResNetPair()
"""The paper's nets for 32 x 32 images."""

__all__ = [
    "DEFAULT_PAIR",
    "AutoencoderPair",
    "DCGANPair",
    "Discriminator",
    "Generator",
    "Pair",
    "ResNetDiscriminator",
    "ResNetGenerator",
    "ResNetPair",
    "SNDCGANPair",
]
