"""Images from a generator, without leaving a trace in it."""

import copy
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from srgan.networks import Generator
from srgan.utils.images import quantize
from srgan.utils.randomness import counter_rows
from srgan.utils.torch_internals import BatchNorm

GeneratorStatistics = Literal["running", "batch"]
SCORED = "scores"
"""The purpose of the latents whose images are scored."""
GRID_SEED, GRID_PURPOSE = 0, "grid"
"""Of the latents of sample grids, the same in every run."""
SMALLEST_THRESHOLD, LARGEST_THRESHOLD = 0.02, 10.0
"""Below, thousands of draws are needed for one that is kept; above, nothing is ever drawn."""


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


def check_threshold(threshold: float) -> None:
    """Raises ValueError for a truncation that is out of range."""
    if not SMALLEST_THRESHOLD <= threshold <= LARGEST_THRESHOLD:
        raise ValueError(
            f"Expected a truncation in {SMALLEST_THRESHOLD:g} ... {LARGEST_THRESHOLD:g} (the largest |z_i| that is "
            f"kept; BigGAN shows 0.04 to 2), found {threshold:g}."
        )


def truncated_latents(
    generator: Generator, rows: range, device: torch.device, seed: int, purpose: str, threshold: float | None
) -> tuple[Tensor, Tensor]:
    """`latents`, truncated if there is a threshold: entries beyond it are drawn again until all are within.

    The truncation trick of BigGAN (Brock, Donahue and Simonyan 2019, section 3.1). Entries within the threshold, the
    largest |z_i|, are those of the untruncated z, and row j is still a function of (seed, purpose, j). ValueError if
    the threshold is out of range.
    """
    z, labels = latents(generator, rows, device, seed, purpose)
    if threshold is None:
        return z, labels
    check_threshold(threshold)
    attempt = 0
    while (beyond := z.abs() > threshold).any():
        attempt += 1
        again = counter_rows(torch.randn, rows, z.shape[1:], device, seed, f"truncation of {purpose}", attempt)
        z = torch.where(beyond, again, z)
    return z, labels


def independent_copy(generator: Generator, statistics: GeneratorStatistics) -> Generator:
    """A copy to draw images from, in test mode, but for batch norms under "batch", which take each batch's statistics.

    ValueError for batch statistics of synchronized batch norms, whose batch is spread over devices.
    """
    copied = copy.deepcopy(generator).eval()
    batch_norms = [module for module in copied.modules() if isinstance(module, BatchNorm)]
    for module in batch_norms:
        module.train(statistics == "batch")
    if statistics == "batch" and any(isinstance(module, nn.SyncBatchNorm) for module in batch_norms):
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
) -> Iterator[tuple[Tensor, Tensor]]:
    """Some images of an endless stream: image j depends on the weights, (seed, purpose, j) and on nothing else.

    With batch statistics it depends on the other images of its batch too. Works on a copy: batch-norm averages and
    training mode of `generator` stay as they are. Yields images `[B, 3, H, W]` and their labels `[B]` int64 (0 without
    classes), up to `batch_size` at a time.

    Args:
        generator: a (conditional) generator.
        rows: which images.
        seed: Random seed of latents and labels.
        purpose: of the stream of latents and labels.
        batch_size: images per forward pass.
        statistics: batch norm by "running" averages (test mode, the authors) or by each "batch".
        label: the class of all images; None draws classes uniformly.
        quantized: as uint8 (`quantize`), as they are scored and looked at; else float32 in [-1, 1], as D sees them.
    """
    copied = independent_copy(generator, statistics)
    device = next(copied.parameters()).device
    for start in range(rows.start, rows.stop, batch_size):
        batch = range(start, min(start + batch_size, rows.stop))
        z, labels = latents(copied, batch, device, seed, purpose)
        if label is not None:
            labels = torch.full_like(labels, label)
        images = copied(z, labels)
        yield quantize(images) if quantized else images, labels
