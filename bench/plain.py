"""The contender "plain": an SN-GAN in one file of plain PyTorch, written as scripts write it.

Nothing of srgan is in here. Real and generated images go through D one after the other, pooling and enlarging are
layers of their own, the generator's step computes D's weight gradients and drops them, and spectral norm is PyTorch's.
`python -m bench.plain` trains it on scikit-learn's digits for a while.
"""

import argparse
import math
import time
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import spectral_norm

from bench.worker import TakesTurns

LATENT_DIM = 128


def init_weights(module: nn.Module, gain: float = 1.0) -> Any:
    """Glorot-uniform weights and zero biases."""
    nn.init.xavier_uniform_(module.weight, gain)  # type: ignore[arg-type]
    if module.bias is not None:
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return module


def conv(inputs: int, outputs: int, size: int, gain: float = math.sqrt(2)) -> nn.Conv2d:
    layer: nn.Conv2d = init_weights(nn.Conv2d(inputs, outputs, size, padding=size // 2), gain)
    return layer


def sn_conv(inputs: int, outputs: int, size: int, gain: float = math.sqrt(2)) -> nn.Conv2d:
    layer: nn.Conv2d = spectral_norm(conv(inputs, outputs, size, gain))
    return layer


class GeneratorBlock(nn.Module):
    """BN, ReLU, enlarge, conv, BN, ReLU, conv; the shortcut: enlarge, conv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = conv(channels, channels, 3), conv(channels, channels, 3)
        self.shortcut = conv(channels, channels, 1, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.interpolate(F.relu(self.bn1(x)), scale_factor=2))
        h = self.conv2(F.relu(self.bn2(h)))
        result: Tensor = h + self.shortcut(F.interpolate(x, scale_factor=2))
        return result


class Generator(nn.Module):
    """z `[B, 128]` -> images `[B, 3, H, W]` in [-1, 1]."""

    def __init__(self, channels: int, image_size: int = 32) -> None:
        super().__init__()
        self.channels = channels
        self.linear = init_weights(nn.Linear(LATENT_DIM, 4 * 4 * channels))
        self.blocks = nn.Sequential(*(GeneratorBlock(channels) for _ in range(int(math.log2(image_size // 4)))))
        self.bn = nn.BatchNorm2d(channels)
        self.conv = conv(channels, 3, 3, 1.0)

    def forward(self, z: Tensor) -> Tensor:
        h = self.blocks(self.linear(z).view(-1, self.channels, 4, 4))
        return torch.tanh(self.conv(F.relu(self.bn(h))))


class FirstBlock(nn.Module):
    """Conv, ReLU, conv, pool; the shortcut: pool, conv."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = sn_conv(3, channels, 3), sn_conv(channels, channels, 3)
        self.shortcut = sn_conv(3, channels, 1, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.avg_pool2d(self.conv2(F.relu(self.conv1(x))), 2)
        result: Tensor = h + self.shortcut(F.avg_pool2d(x, 2))
        return result


class DiscriminatorBlock(nn.Module):
    """ReLU, conv, ReLU, conv; with `down` pooled, as the shortcut's convolution."""

    def __init__(self, channels: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.conv1, self.conv2 = sn_conv(channels, channels, 3), sn_conv(channels, channels, 3)
        if down:
            self.shortcut = sn_conv(channels, channels, 1, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv2(F.relu(self.conv1(F.relu(x))))
        if self.down:
            return F.avg_pool2d(h, 2) + F.avg_pool2d(self.shortcut(x), 2)
        return h + x


class Discriminator(nn.Module):
    """Images `[B, 3, H, W]` -> scores `[B, 1]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            FirstBlock(channels),
            DiscriminatorBlock(channels, down=True),
            DiscriminatorBlock(channels, down=False),
            DiscriminatorBlock(channels, down=False),
        )
        self.linear = spectral_norm(init_weights(nn.Linear(channels, 1, bias=False)))

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.linear(F.relu(self.blocks(x)).sum(dim=(2, 3)))
        return score


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
        value: float = loss.item()
        return value

    def update_generator(self, batch_size: int) -> float:
        self.optG.zero_grad()
        loss = -self.netD(self.netG(torch.randn(batch_size, LATENT_DIM))).mean()
        loss.backward()
        self.optG.step()
        value: float = loss.item()
        return value

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


def main() -> None:
    """Trains on stacked digits, and says how fast."""
    from sklearn.datasets import load_digits

    parser = argparse.ArgumentParser(prog="python -m bench.plain", description="A plain SN-GAN on digits.")
    for name, default in {"iterations": 100, "batch-size": 16, "D": 16, "G": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    digits = torch.from_numpy(load_digits().images).float()[:, None] / 8 - 1
    digits = F.interpolate(digits, size=32, mode="bilinear")
    training = Training(options.D, options.G)
    for iteration in range(options.iterations):
        started = time.perf_counter()
        real = digits[torch.randint(len(digits), (options.batch_size, 3))].squeeze(2)
        loss_d, loss_g = training.iterate(real)
        print(f"{iteration}: loss of D {loss_d:.3f}, of G {loss_g:.3f}, {time.perf_counter() - started:.3f} s")


if __name__ == "__main__":
    main()
