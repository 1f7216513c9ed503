"""The numbers that describe one spectrum, and the spectra of a whole file."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from srgan.checkpoints import RunCheckpoint, read_file, run_checkpoint
from srgan.inspection.weights import Weight, find_weights
from srgan.metrics.collapse import effective_rank, stable_rank, tail_mean
from srgan.progress import Progress
from srgan.spectral import matricize, spectrum

MOST_NAMES = 12  # in a message


@dataclass(frozen=True)
class LayerSpectrum:
    """Singular values of one weight, read as the matrix `[out, in * k * k]`.

    Attributes:
        name: of the layer.
        shape: of the weight.
        sigma: `[N]` float64, from the largest; all NaN if the weight holds NaN or infinity.
        behind: see `Weight`.
    """

    name: str
    shape: tuple[int, ...]
    sigma: np.ndarray
    behind: str

    @cached_property
    def ratios(self) -> np.ndarray:
        """sigma_k / sigma_1 `[N]`; zeros for an all-zero weight."""
        ratios: np.ndarray = self.sigma / self.sigma[0] if self.sigma[0] != 0 else self.sigma
        return ratios

    @cached_property
    def numbers(self) -> dict[str, float]:
        """sigma_1, then what describes sigma_k / sigma_1: see `EXPLANATION`."""
        names = ("sigma_1", "tail_mean", "p10", "p50", "effective_rank", "stable_rank", "condition")
        if not self.is_finite:
            return dict.fromkeys(names, np.nan)
        p10, p50 = np.percentile(self.ratios, [10, 50])
        ranks = effective_rank(self.ratios), stable_rank(self.ratios)
        condition = 1 / self.ratios[-1] if self.ratios[-1] > 0 else np.inf
        values = (self.sigma[0], tail_mean(self.ratios), p10, p50, *ranks, condition)
        return {name: float(value) for name, value in zip(names, values, strict=True)}

    @property
    def shape_text(self) -> str:
        return "×".join(str(size) for size in self.shape)

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.sigma[0]))

    def record(self) -> dict[str, Any]:
        """For JSON: absent numbers (of NaN, the condition of a singular matrix) are null."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "N": len(self.sigma),
            "behind": self.behind or None,
            **{name: _finite(value) for name, value in self.numbers.items()},
            "sigma": [_finite(value) for value in self.sigma],
        }


EXPLANATION = (
    "N: number of singular values. tail mean: mean of sigma_k/sigma_1 over k > N/4. p10, p50: percentiles of "
    "sigma_k/sigma_1. effective rank: exp(entropy of sigma/sum sigma). stable rank: sum sigma^2/sigma_1^2. "
    "condition: sigma_1/sigma_N."
)


def layer_spectrum(weight: Weight, transposed: bool) -> LayerSpectrum:
    """Decomposes one weight; one that holds NaN or infinity gets a spectrum of NaN."""
    matrix = matricize(weight.tensor.detach(), int(transposed))
    try:
        sigma = spectrum(matrix).numpy()
    except ValueError:
        sigma = np.full(min(matrix.shape), np.nan)
    return LayerSpectrum(weight.name, tuple(weight.tensor.shape), sigma, weight.behind)


@dataclass(frozen=True)
class LookedInto:
    """A checkpoint file.

    Attributes:
        path: of it.
        weights: all of them.
        others: names of other tensors of two or more dimensions.
        checkpoint: what it is, if `srgan fit` wrote it.
    """

    path: Path
    weights: list[Weight]
    others: list[str]
    checkpoint: RunCheckpoint | None


def look_into(path: Path) -> LookedInto:
    """Reads a checkpoint and finds its weights.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read safely, or holds no weights.
    """
    content = read_file(path)
    weights, others = find_weights(content)
    if not weights:
        keys = list(content)[:MOST_NAMES] if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"Expected weights in '{path}' (floating-point tensors of two or more dimensions, in a state dict or in a "
            f"dict that holds one), found none. It holds: {keys}."
        )
    return LookedInto(path, weights, others, run_checkpoint(path, content))


def chosen_weights(weights: Sequence[Weight], net: str, globs: Sequence[str]) -> list[Weight]:
    """Those of a net ("discriminator", "generator", "all") whose names match one of the globs, if there are any.

    Raises:
        ValueError: there are none.
    """
    kept = [weight for weight in weights if net == "all" or weight.is_of(net)]
    if not kept:
        tops = sorted({weight.name.partition(".")[0] for weight in weights})
        raise ValueError(
            f"Expected layers of a {net} by their names, found names that begin with {_some(tops)}. "
            "Use --net all, and --layers 'GLOB' to choose among them."
        )
    for glob in globs:
        if not matching(kept, glob):
            raise ValueError(no_match("--layers", glob, [weight.name for weight in kept]))
    return [weight for weight in kept if not globs or any(fnmatchcase(weight.name, glob) for glob in globs)]


def matching(weights: Sequence[Weight], glob: str) -> list[Weight]:
    """Those whose names match."""
    return [weight for weight in weights if fnmatchcase(weight.name, glob)]


def no_match(option: str, glob: str, names: Sequence[str]) -> str:
    """What to say of a pattern that fits no name: those that come near, or the first."""
    near = difflib.get_close_matches(glob.strip("*"), names, n=MOST_NAMES, cutoff=0.5)
    return f"Expected {option} '{glob}' to match a layer, found no match. {_some(near or names)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"There are: {', '.join(names[:MOST_NAMES])}{more}."


def spectra_of(weights: Sequence[Weight], transposed: Sequence[str] = ()) -> list[LayerSpectrum]:
    """Decomposes all; large ones take a while.

    Args:
        weights: of a checkpoint.
        transposed: globs of names of transposed convolutions, `[in, out, k, k]`.

    Raises:
        ValueError: a glob matches nothing.
    """
    for glob in transposed:
        if not matching(weights, glob):
            raise ValueError(no_match("--transposed", glob, [weight.name for weight in weights]))
    spectra = []
    with Progress("singular values of layers", len(weights)) as progress:
        for weight in weights:
            spectra.append(layer_spectrum(weight, any(fnmatchcase(weight.name, glob) for glob in transposed)))
            progress.advance(1)
    return spectra


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
