"""Generators and discriminators."""

from srgan.networks.autoencoder import AutoencoderPair as AutoencoderPair
from srgan.networks.dcgan import DCGANPair as DCGANPair
from srgan.networks.dcgan import SNDCGANPair as SNDCGANPair
from srgan.networks.pair import Discriminator as Discriminator
from srgan.networks.pair import Generator as Generator
from srgan.networks.pair import Pair as Pair
from srgan.networks.resnet import ResNetDiscriminator as ResNetDiscriminator
from srgan.networks.resnet import ResNetGenerator as ResNetGenerator
from srgan.networks.resnet import ResNetPair as ResNetPair

DEFAULT_PAIR: Pair = ResNetPair()
"""The paper's nets for 32 x 32 images."""
