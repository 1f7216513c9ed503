"""The contender "plain": an SN-GAN in one file of plain PyTorch, written as scripts write it.

Nothing of srgan is in here. Real and generated images go through D one after the other, pooling and enlarging are
layers of their own, the generator's step computes D's weight gradients and drops them, and spectral norm is PyTorch's.
"""

import math
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import spectral_norm

from bench.worker import TakesTurns

LATENT_DIM = 128


def conv(inputs: int, outputs: int, size: int, gain: float = math.sqrt(2)) -> Any:
    """Glorot-uniform weights and zero biases."""
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class GeneratorBlock(nn.Module):
    """BN, ReLU, enlarge, conv, BN, ReLU, conv; the shortcut: enlarge, conv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = conv(channels, channels, 3), conv(channels, channels, 3)
        self.shortcut = conv(channels, channels, 1, 1.0)

    def forward(self, x: Tensor) -> Any:
        h = self.conv1(F.interpolate(F.relu(self.bn1(x)), scale_factor=2))
        h = self.conv2(F.relu(self.bn2(h)))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class Generator(nn.Module):
    """z `[B, 128]` -> images `[B, 3, H, W]` in [-1, 1]."""

    def __init__(self, channels: int, image_size: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(LATENT_DIM, 4 * 4 * channels)
        nn.init.xavier_uniform_(self.linear.weight)
        self.blocks = nn.Sequential(*(GeneratorBlock(channels) for _ in range(int(math.log2(image_size // 4)))))
        self.bn = nn.BatchNorm2d(channels)
        self.conv = conv(channels, 3, 3, 1.0)

    def forward(self, z: Tensor) -> Tensor:
        h = self.blocks(self.linear(z).view(-1, self.channels, 4, 4))
        return torch.tanh(self.conv(F.relu(self.bn(h))))


class DiscriminatorBlock(nn.Module):
    """ReLU, conv, ReLU, conv; with `down` pooled, as the shortcut's convolution. The first block sees images."""

    def __init__(self, inputs: int, channels: int, down: bool, first: bool = False) -> None:
        super().__init__()
        self.down, self.first = down, first
        self.conv1, self.conv2 = (spectral_norm(conv(read, channels, 3)) for read in (inputs, channels))
        if down:
            self.shortcut = spectral_norm(conv(inputs, channels, 1, 1.0))

    def forward(self, x: Tensor) -> Any:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if self.first:
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        if self.down:
            return F.avg_pool2d(h, 2) + F.avg_pool2d(self.shortcut(x), 2)
        return h + x


class Discriminator(nn.Module):
    """Images `[B, 3, H, W]` -> scores `[B, 1]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            DiscriminatorBlock(3, channels, down=True, first=True),
            DiscriminatorBlock(channels, channels, down=True),
            DiscriminatorBlock(channels, channels, down=False),
            DiscriminatorBlock(channels, channels, down=False),
        )
        self.linear = spectral_norm(nn.Linear(channels, 1, bias=False))

    def forward(self, x: Tensor) -> Any:
        return self.linear(F.relu(self.blocks(x)).sum(dim=(2, 3)))


class Training:
    """Both nets, their optimizers, and one iteration."""

    def __init__(
        self, discriminator_channels: int, generator_channels: int, image_size: int = 32, n_dis: int = 5
    ) -> None:
        self.netG = Generator(generator_channels, image_size)
        self.netD = Discriminator(discriminator_channels)
        self.optG = torch.optim.Adam(self.netG.parameters(), lr=2e-4, betas=(0.0, 0.9))
        self.optD = torch.optim.Adam(self.netD.parameters(), lr=2e-4, betas=(0.0, 0.9))
        self.n_dis = n_dis

    def update_discriminator(self, real: Tensor) -> float:
        self.optD.zero_grad()
        fake = self.netG(torch.randn(len(real), LATENT_DIM)).detach()
        loss = F.relu(1 - self.netD(real)).mean() + F.relu(1 + self.netD(fake)).mean()
        loss.backward()
        self.optD.step()
        return float(loss.item())

    def update_generator(self, batch_size: int) -> float:
        self.optG.zero_grad()
        loss = -self.netD(self.netG(torch.randn(batch_size, LATENT_DIM))).mean()
        loss.backward()
        self.optG.step()
        return float(loss.item())

    def iterate(self, real: Tensor) -> tuple[float, float]:
        """One iteration on images `[B, 3, H, W]`; both losses."""
        for _ in range(self.n_dis):
            loss_d = self.update_discriminator(real)
        return loss_d, self.update_generator(len(real))


def train(turns: TakesTurns, batch_size: int, image_size: int = 32, **sizes: int) -> None:
    """An iteration at each turn, on images in memory."""
    training = Training(image_size=image_size, **sizes)
    real = torch.rand(batch_size, 3, image_size, image_size) * 2 - 1
    while turns.take():
        training.iterate(real)
