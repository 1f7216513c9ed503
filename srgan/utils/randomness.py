"""Counter-based randomness: every draw is a pure function of (seed, purpose, counters).

There is no generator with a state, so the draws of iteration t do not depend on evaluation, logging, stopping or
resuming before t, nor on the method.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor


def counter_seed(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit seed for one purpose at one point of a run, from BLAKE2b."""
    words = repr((int(seed), purpose, tuple(int(counter) for counter in counters))).encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest(), "little") >> 1


def counter_generator(device: torch.device | str, seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A fresh generator for one purpose, e.g. `("stacks", iteration)`.

    Streams of different devices differ: PyTorch's CPU and CUDA generators are different algorithms.
    """
    return torch.Generator(device).manual_seed(counter_seed(seed, purpose, *counters))


ROWS_PER_GENERATOR_ON_CPU = 8  # fewer cost time, more waste draws where a batch is no multiple
ROWS_PER_GENERATOR = 64  # elsewhere, where streams differ anyway: draws cost nothing beside their launch


def counter_rows(
    draw: Callable[..., Tensor],
    rows: range,
    shape: tuple[int, ...],
    device: torch.device | str,
    seed: int,
    purpose: str,
    *counters: int,
) -> Tensor:
    """Some rows `[len(rows), *shape]` of an endless random stream, each the same whatever else is drawn.

    So every rank and micro-batch draws its rows of a global batch, and the batch is the same for any split. `draw` is
    `torch.rand`, `torch.randn` or another function of `size`, `generator` and `device`.
    """
    length = ROWS_PER_GENERATOR_ON_CPU if torch.device(device).type == "cpu" else ROWS_PER_GENERATOR
    first, last = rows.start // length, max(-(-rows.stop // length), rows.start // length + 1)
    generators = (counter_generator(device, seed, purpose, *counters, block) for block in range(first, last))
    drawn = [draw((length, *shape), generator=generator, device=device) for generator in generators]
    return torch.cat(drawn)[rows.start - first * length : rows.stop - first * length]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds the global generators of all devices, and restores them afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def epoch_positions(seed: int, start: int, count: int, size: int) -> Tensor:
    """Entries `start ... start + count` of an endless stream of shuffled epochs of `size` examples, `[count]` int64."""
    positions = torch.arange(start, start + count)
    drawn = torch.empty(count, dtype=torch.int64)
    for epoch in positions.div(size, rounding_mode="floor").unique().tolist():
        here = positions.div(size, rounding_mode="floor") == epoch
        drawn[here] = _epoch_permutation(seed, epoch, size)[positions[here] % size]
    return drawn


@lru_cache(maxsize=4)
def _epoch_permutation(seed: int, epoch: int, size: int) -> Tensor:
    """The order of one epoch, cached for consecutive batches."""
    return torch.randperm(size, generator=counter_generator("cpu", seed, "epoch", epoch))
