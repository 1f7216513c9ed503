"""A small discriminator and images for it, as several test files use them."""

import torch

from srgan.constraints import Constraint
from srgan.networks import ResNetDiscriminator

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def small_discriminator(constraint: Constraint | None = None) -> ResNetDiscriminator:
    """10 convolutions of 6 x 27, 6 x 54 and 6 x 3 (tall) and a linear layer; the same at each call."""
    torch.manual_seed(0)
    discriminator = ResNetDiscriminator(8, channels=6)
    if constraint is not None:
        constraint.attach(discriminator)
    return discriminator
