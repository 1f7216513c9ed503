"""A generator, and its discriminator under a constraint, as training builds them and checkpoints hold them."""

import copy

import torch
from torch import nn

from srgan.constraints.base import Constraint
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.networks import Generator, Pair
from srgan.utils.randomness import counter_seed, seeded


class Nets(nn.Module):
    """Both networks, initialized from a seed; arguments as of `AdversarialTraining`.

    Attributes:
        generator: the generator.
        discriminator: the discriminator under the constraint.
        generator_ema: the moving average of the generator, or None.
    """

    def __init__(
        self,
        networks: Pair,
        constraint: Constraint,
        normalize_generator: bool = False,
        ema_decay: float | None = None,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.networks, self.constraint = networks, constraint
        with seeded(counter_seed(seed, "initial weights")):
            self.generator, self.discriminator = networks.build()
            constraint.attach(self.discriminator, seed=seed)
            if normalize_generator:
                SpectralNormalization().attach(
                    self.generator, seed=counter_seed(seed, "power vectors of the generator")
                )
        if channels_last:
            self.generator.memory_format = self.discriminator.memory_format = torch.channels_last
        self.generator_ema: Generator | None = None
        if ema_decay is not None:
            self.generator_ema = copy.deepcopy(self.generator).requires_grad_(False)
