"""The constraints by name."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

from srgan.constraints.base import Constraint, Unconstrained
from srgan.constraints.batch_normalization import BatchNormalization
from srgan.constraints.normalizations import RowSumNormalization, WeightNormalization
from srgan.constraints.penalties import DRAGAN, SLOGAN, GradientPenalty, OrthonormalRegularization, R1Penalty
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.constraints.spectral_regularization import SpectralRegularization
from srgan.constraints.weight_clipping import WeightClipping
from srgan.spectral import Dynamic, Static


def static(fraction: float = 0.5, **settings: Any) -> SpectralRegularization:
    """SR-s with i = `fraction` N; further settings are `SpectralRegularization`'s."""
    return SpectralRegularization(Static(fraction), **settings)


METHODS: dict[str, Callable[..., Constraint]] = {
    "none": Unconstrained,
    "sn": SpectralNormalization,
    "sn-unit": partial(SpectralNormalization, scale="unit"),
    "sr-s": static,
    "sr-d": partial(SpectralRegularization, Dynamic()),
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


def options_of(method: str) -> list[str]:
    """Names of a method's options: the settings of its constraint, with `fraction` for the spectral map of SR-s."""
    constraint = METHODS[method]()
    assert is_dataclass(constraint)  # as all of them are
    names = [setting.name for setting in fields(constraint) if setting.init and setting.name != "spectral_map"]
    return ["fraction", *names] if method == "sr-s" else names
