"""Images from a generator, without leaving a trace in it."""

import copy
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from srgan.data.images import quantize
from srgan.randomness import counter_generator

GeneratorStatistics = Literal["running", "batch"]


@torch.no_grad()
def generate(
    generator: nn.Module,
    count: int,
    latent_dim: int,
    seed: int,
    purpose: str,
    batch_size: int = 250,
    statistics: GeneratorStatistics = "running",
) -> Iterator[Tensor]:
    """Generated images, the same latents for the same (seed, purpose, batch_size).

    Works on a copy: batch-norm averages and training mode of `generator` stay as they are.

    Args:
        generator: z `[B, latent_dim]` -> `[B, 3, H, W]` in [-1, 1].
        count: how many images.
        latent_dim: length of z.
        seed: of the latents.
        purpose: of the latents.
        batch_size: images per forward pass.
        statistics: batch norm by "running" averages (test mode, the authors) or by each "batch".

    Yields:
        `[<= batch_size, 3, H, W]` uint8, as scored (`quantize`).
    """
    copied = copy.deepcopy(generator).train(statistics == "batch")
    device = next(copied.parameters()).device
    for number, start in enumerate(range(0, count, batch_size)):
        noise = counter_generator(device, seed, purpose, number)
        z = torch.randn(batch_size, latent_dim, generator=noise, device=device)
        yield quantize(copied(z))[: count - start]
