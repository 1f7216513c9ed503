"""A generator, and its discriminator under a constraint, as training builds them and checkpoints hold them."""

import copy

import torch
from torch import nn

from srgan.constraints.base import Constraint
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.networks import Generator, Pair
from srgan.utils.randomness import counter_seed, seeded


class Nets(nn.Module):
    """Both networks, and the moving average of the generator if any; arguments as of `AdversarialTraining`."""

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
                power_seed = counter_seed(seed, "power vectors of the generator")
                SpectralNormalization().attach(self.generator, seed=power_seed)
        if channels_last:
            self.generator.memory_format = self.discriminator.memory_format = torch.channels_last
        average = None if ema_decay is None else copy.deepcopy(self.generator).requires_grad_(False)
        self.generator_ema: Generator | None = average
