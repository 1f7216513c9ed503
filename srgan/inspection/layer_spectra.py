"""The spectra of all weights of a checkpoint, by srgan or anybody else."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from srgan.checkpoints.reading import RunCheckpoint, checkpoint_at, run_checkpoint
from srgan.collapse import summarize
from srgan.inspection.find_weights import Weight, find_weights
from srgan.inspection.formats import read_checkpoint
from srgan.runs.folder import normalized
from srgan.spectral import matricize, spectrum
from srgan.utils.progress import Progress

NUMBERS = ("tail_mean", "p10", "p50", "effective_rank", "stable_rank", "condition")
"""Of a spectrum, what a single checkpoint tells: the others compare with what was before."""

MAX_NAMES = 12  # in a message


@dataclass(frozen=True)
class LayerSpectrum:
    """Singular values of a `Weight`, read as the matrix `[out, in * k * k]`."""

    name: str
    shape: tuple[int, ...]
    sigma: np.ndarray  # [N] float64, from the largest; all NaN if the weight holds NaN or infinity
    behind: str

    @cached_property
    def ratios(self) -> np.ndarray:
        """sigma_k / sigma_1 `[N]`; zeros for an all-zero weight."""
        return normalized(self.sigma)

    @cached_property
    def numbers(self) -> dict[str, float]:
        """sigma_1, then `NUMBERS`; NaN where the weight holds NaN or infinity."""
        if not self.is_finite:
            return dict.fromkeys(("sigma_1", *NUMBERS), np.nan)
        summary = summarize(self.ratios[None]).at(0)
        return {"sigma_1": float(self.sigma[0])} | {name: summary[name] for name in NUMBERS}

    @property
    def is_finite(self) -> bool:
        return bool(np.isfinite(self.sigma[0]))

    def record(self) -> dict[str, Any]:
        """For JSON: absent numbers (of NaN, the condition of a singular matrix) are null."""
        found = {"name": self.name, "shape": list(self.shape), "N": len(self.sigma), "behind": self.behind or None}
        found |= {name: _finite(value) for name, value in self.numbers.items()}
        return found | {"sigma": [_finite(value) for value in self.sigma]}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def layer_spectrum(weight: Weight, transposed: bool) -> LayerSpectrum:
    """Decomposes one weight; one that holds NaN or infinity gets a spectrum of NaN."""
    matrix = matricize(weight.values(), int(transposed))
    try:
        sigma = spectrum(matrix).numpy()
    except ValueError:
        sigma = np.full(min(matrix.shape), np.nan)
    return LayerSpectrum(weight.name, tuple(weight.tensor.shape), sigma, weight.behind)


def spectra_of(weights: Sequence[Weight], transposed: Sequence[str] = ()) -> list[LayerSpectrum]:
    """Decomposes all; `transposed`, globs of names, are `[in, out, k, k]`; ValueError if a glob matches nothing."""
    turned = {weight.name for weight in matching(weights, transposed, "--transposed")}
    spectra = []
    with Progress("singular values of layers", len(weights)) as progress:
        for weight in weights:
            spectra.append(layer_spectrum(weight, weight.name in turned))
            progress.update(1)
    return spectra


def matching(weights: Sequence[Weight], globs: Sequence[str], option: str) -> list[Weight]:
    """Those whose names match one of the globs that an option gave; ValueError if a glob matches nothing."""
    names = [weight.name for weight in weights]
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            near = difflib.get_close_matches(glob.strip("*"), names, MAX_NAMES, 0.5) or names[:MAX_NAMES]
            raise ValueError(
                f"Expected {option} '{glob}' to match a layer, found no match. "
                f"There are {len(names)}, among them {', '.join(near)}."
            )
    return [weight for weight in weights if any(fnmatchcase(weight.name, glob) for glob in globs)]


@dataclass(frozen=True)
class InspectedFile:
    """Weights of a file, names of its other tensors of two or more dimensions; a checkpoint if `srgan fit` wrote it."""

    path: Path
    weights: list[Weight]
    others: list[str]
    checkpoint: RunCheckpoint | None


def inspect_file(path: Path) -> InspectedFile:
    """Reads a checkpoint, or the last one of a run's folder, and finds its weights; ValueError if it holds none."""
    path = checkpoint_at(path)
    content = read_checkpoint(path)
    weights, others = find_weights(content)
    if not weights:
        keys = list(content)[:MAX_NAMES] if isinstance(content, dict) else type(content).__name__
        raise ValueError(
            f"Expected weights in '{path}' (floating-point tensors of two or more dimensions, in a state dict at any "
            f"depth), found none. It holds: {keys}."
        )
    return InspectedFile(path, weights, others, run_checkpoint(path, content))
