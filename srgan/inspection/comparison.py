"""Two sets of weights, layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srgan.inspection.layers import LayerSpectrum, LookedInto, layer_spectrum
from srgan.inspection.weights import Weight
from srgan.progress import Progress
from srgan.spectral import matricize, singular_vectors

LEADING = 4  # singular directions whose span is compared
MOST_NAMES = 8  # in a message


@dataclass(frozen=True)
class LayerComparison:
    """A layer that both checkpoints have.

    Attributes:
        a: its spectrum in A.
        b: its spectrum in B.
        distance: `|A - B| / |A|` (Frobenius) of the weights; None where the shapes differ or A is zero.
        normalized_distance: the same of the weights divided by their sigma_1, which is what spectral normalization
            leaves of them.
        overlap: mean squared cosine of the principal angles between the spans of the `LEADING` right singular vectors:
            1 for the same span, `LEADING / n` by chance in n dimensions.
    """

    a: LayerSpectrum
    b: LayerSpectrum
    distance: float | None
    normalized_distance: float | None
    overlap: float | None

    @property
    def name(self) -> str:
        return self.a.name

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "distance": self.distance,
            "normalized_distance": self.normalized_distance,
            "overlap": self.overlap,
            "a": self.a.record(),
            "b": self.b.record(),
        }


def layers_in_common(a: LookedInto, b: LookedInto) -> list[tuple[Weight, Weight]]:
    """Pairs of weights of the same name, in A's order.

    Raises:
        ValueError: there are none.
    """
    theirs = {weight.name: weight for weight in b.weights}
    pairs = [(weight, theirs[weight.name]) for weight in a.weights if weight.name in theirs]
    if not pairs:
        names = [", ".join(weight.name for weight in looked.weights[:MOST_NAMES]) for looked in (a, b)]
        raise ValueError(
            f"Expected layers of the same names in both checkpoints, found none.\n  {a.path}: {names[0]} ...\n"
            f"  {b.path}: {names[1]} ...\nLook at each by itself: srgan spectra FILE."
        )
    return pairs


def compare_layers(pairs: Sequence[tuple[Weight, Weight]]) -> list[LayerComparison]:
    """Spectra, distances and overlaps of all pairs."""
    compared = []
    with Progress("layers compared", len(pairs)) as progress:
        for a, b in pairs:
            compared.append(_compare(a, b))
            progress.advance(1)
    return compared


def _compare(a: Weight, b: Weight) -> LayerComparison:
    spectrum_a, spectrum_b = layer_spectrum(a, transposed=False), layer_spectrum(b, transposed=False)
    comparable = a.tensor.shape == b.tensor.shape and spectrum_a.is_finite and spectrum_b.is_finite
    if not comparable or spectrum_a.sigma[0] == 0:
        return LayerComparison(spectrum_a, spectrum_b, None, None, None)
    A, B = (matricize(weight.tensor.detach()).double() for weight in (a, b))
    distance = relative_distance(A, B)
    if spectrum_b.sigma[0] == 0:
        return LayerComparison(spectrum_a, spectrum_b, distance, None, None)
    normalized = relative_distance(A / float(spectrum_a.sigma[0]), B / float(spectrum_b.sigma[0]))
    return LayerComparison(spectrum_a, spectrum_b, distance, normalized, leading_overlap(A, B))


def relative_distance(A: Tensor, B: Tensor) -> float:
    """`|A - B| / |A|`, Frobenius."""
    return float((A - B).norm() / A.norm())


def leading_overlap(A: Tensor, B: Tensor, leading: int = LEADING) -> float:
    """Mean squared cosine of the principal angles between the spans of leading right singular vectors, in [0, 1].

    Args:
        A: `[m, n]`, not all zero.
        B: `[m, n]`, not all zero.
        leading: how many directions, or all N if there are fewer.
    """
    V_A, V_B = (singular_vectors(W)[1][:, :leading] for W in (A, B))
    return float(torch.linalg.matrix_norm(V_A.T @ V_B).square() / V_A.shape[1])


def pixel_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of images of bytes, in 0 ... 255."""
    return float(np.abs(a.astype(np.int16) - b.astype(np.int16)).mean())
