"""The constraints by name."""

from collections.abc import Callable
from typing import Any

from srgan.constraints.base import Constraint, Unconstrained
from srgan.constraints.batch_normalization import BatchNormalization
from srgan.constraints.dragan import DRAGAN
from srgan.constraints.gradient_penalty import GradientPenalty
from srgan.constraints.orthonormal import OrthonormalRegularization
from srgan.constraints.r1 import R1Penalty
from srgan.constraints.row_sum import RowSumNormalization
from srgan.constraints.slogan import SLOGAN
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.constraints.spectral_regularization import Dynamic, SpectralRegularization, Static
from srgan.constraints.weight_clipping import WeightClipping
from srgan.constraints.weight_normalization import WeightNormalization


def unit_scale(**settings: Any) -> SpectralNormalization:
    """SN with its convolutions' raw weights at sigma_1 = 1; settings are `SpectralNormalization`'s."""
    return SpectralNormalization(**{"scale": "unit", **settings})


def static(compensated_fraction: float = 0.5, **settings: Any) -> SpectralRegularization:
    """SR-s with i = `compensated_fraction` N; further settings are `SpectralRegularization`'s."""
    return SpectralRegularization(Static(compensated_fraction), **settings)


def dynamic(**settings: Any) -> SpectralRegularization:
    """SR-d; settings are `SpectralRegularization`'s."""
    return SpectralRegularization(Dynamic(), **settings)


METHODS: dict[str, Callable[..., Constraint]] = {
    "none": Unconstrained,
    "sn": SpectralNormalization,
    "sn-unit": unit_scale,
    "sr-s": static,
    "sr-d": dynamic,
    "clip": WeightClipping,
    "weight-norm": WeightNormalization,
    "row-sum": RowSumNormalization,
    "orthonormal": OrthonormalRegularization,
    "batch-norm": BatchNormalization,
    "gp": GradientPenalty,
    "dragan": DRAGAN,
    "slogan": SLOGAN,
    "r1": R1Penalty,
}
"""The constraints by the names that `srgan.regularize` and the files in `configs/` have for them."""
