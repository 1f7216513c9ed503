"""What keeps a discriminator Lipschitz: values with up to three moments, and the one-liner on top."""

from srgan.constraints.layers import raw_matrix, raw_weight, spectra, spectral_layers
from srgan.constraints.regularize import regularize
from srgan.constraints.schedule import Schedule
from srgan.constraints.values import (
    METHODS,
    Constraint,
    DynamicRegularization,
    SpectralNormalization,
    SpectralRegularization,
    StaticRegularization,
    Unconstrained,
)

__all__ = [
    "METHODS",
    "Constraint",
    "DynamicRegularization",
    "Schedule",
    "SpectralNormalization",
    "SpectralRegularization",
    "StaticRegularization",
    "Unconstrained",
    "raw_matrix",
    "raw_weight",
    "regularize",
    "spectra",
    "spectral_layers",
]
