"""Images from a generator, without leaving a trace in it."""

import copy
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from srgan.data.images import quantize
from srgan.networks import Generator
from srgan.randomness import counter_rows

GeneratorStatistics = Literal["running", "batch"]
SCORED = "scores"
"""The purpose of the latents whose images are scored."""


class Generated(NamedTuple):
    """Images `[B, 3, H, W]` and their labels `[B]` int64 (0 without classes)."""

    images: Tensor
    labels: Tensor


def latents(
    generator: Generator, rows: range, device: torch.device, seed: int, purpose: str, *counters: int
) -> tuple[Tensor, Tensor]:
    """What a generator is fed: z `[B, latent_dim]` ~ N(0, I) and classes `[B]` int64, uniform (0 without classes).

    Row j is a function of (seed, purpose, counters, j).
    """
    z = counter_rows(torch.randn, rows, (generator.latent_dim,), device, seed, purpose, *counters)
    if not generator.num_classes:
        return z, torch.zeros(len(rows), dtype=torch.int64, device=device)
    uniform = counter_rows(torch.rand, rows, (), device, seed, f"labels of {purpose}", *counters)
    return z, (uniform.double() * generator.num_classes).long()


def independent_copy(generator: Generator, statistics: GeneratorStatistics) -> Generator:
    """A copy to draw images from, in test mode ("running") or in training mode ("batch").

    Raises:
        ValueError: batch statistics are asked of synchronized batch norms, whose batch is spread over devices.
    """
    copied = copy.deepcopy(generator).train(statistics == "batch")
    if statistics == "batch" and any(isinstance(module, nn.SyncBatchNorm) for module in copied.modules()):
        raise ValueError(
            "Expected generator_statistics 'running' with synchronized batch norm, found 'batch': each device scores "
            "images of its own. Set generator_statistics to 'running', or switch sync_batchnorm off."
        )
    return copied


@torch.no_grad()
def generate(
    generator: Generator,
    rows: range,
    seed: int,
    purpose: str,
    batch_size: int = 250,
    statistics: GeneratorStatistics = "running",
    label: int | None = None,
    quantized: bool = True,
) -> Iterator[Generated]:
    """Some images of an endless stream: image j depends on the weights, (seed, purpose, j) and on nothing else.

    With batch statistics it depends on the other images of its batch too. Works on a copy: batch-norm averages
    and training mode of `generator` stay as they are.

    Args:
        generator: a (conditional) generator.
        rows: which images.
        seed: of latents and labels.
        purpose: of latents and labels.
        batch_size: images per forward pass.
        statistics: batch norm by "running" averages (test mode, the authors) or by each "batch".
        label: the class of all images; None draws classes uniformly.
        quantized: as uint8 (`quantize`), as they are scored and looked at; else float32 in [-1, 1], as D sees them.

    Yields:
        Up to `batch_size` images at a time.

    Raises:
        ValueError: batch statistics are asked of synchronized batch norms, whose batch is spread over devices.
    """
    copied = independent_copy(generator, statistics)
    device = next(copied.parameters()).device
    for start in range(rows.start, rows.stop, batch_size):
        batch = range(start, min(start + batch_size, rows.stop))
        z, labels = latents(copied, batch, device, seed, purpose)
        if label is not None:
            labels = torch.full_like(labels, label)
        images = copied(z, labels)
        yield Generated(quantize(images) if quantized else images, labels)
