"""A small discriminator and images for it, as several test files use them."""

from collections.abc import Callable
from functools import partial

import torch

from srgan.constraints import (
    METHODS,
    Combination,
    Constraint,
    GradientPenalty,
    SpectralNormalization,
)
from srgan.networks import ResNetDiscriminator

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CONSTRAINTS: dict[str, Callable[[], Constraint]] = METHODS | {
    "sr-s reparametrize": partial(METHODS["sr-s"], mode="reparametrization"),
    "sr-d reparametrize": partial(METHODS["sr-d"], mode="reparametrization"),
    "sn + gp": lambda: Combination([SpectralNormalization(), GradientPenalty()]),
}
"""Every constraint of this package, in every form."""


def small_discriminator(constraint: Constraint | None = None) -> ResNetDiscriminator:
    """10 convolutions of 6 x 27, 6 x 54 and 6 x 3 (tall) and a linear layer; the same at each call."""
    torch.manual_seed(0)
    discriminator = ResNetDiscriminator(8, channels=6)
    if constraint is not None:
        constraint.attach(discriminator)
    return discriminator
