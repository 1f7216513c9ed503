"""Generators and discriminators."""

from srgan.networks.resnet import ResNetDiscriminator, ResNetGenerator, ResNetPair

__all__ = ["ResNetDiscriminator", "ResNetGenerator", "ResNetPair"]
