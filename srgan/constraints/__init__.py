"""What keeps a discriminator Lipschitz: values with up to four moments, and the one-liner on top."""

from srgan.constraints.base import Combination, Constraint, Unconstrained
from srgan.constraints.batch_normalization import BatchNormalization
from srgan.constraints.dragan import DRAGAN
from srgan.constraints.export import export, unregularize
from srgan.constraints.gradient_penalty import GradientPenalty
from srgan.constraints.handle import Regularization
from srgan.constraints.layers import raw_matrix, raw_weight, spectra, spectral_layers
from srgan.constraints.orthonormal import OrthonormalRegularization
from srgan.constraints.r1 import R1Penalty
from srgan.constraints.registry import METHODS
from srgan.constraints.regularize import regularize
from srgan.constraints.row_sum import RowSumNormalization
from srgan.constraints.schedule import Schedule
from srgan.constraints.slogan import SLOGAN
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.constraints.spectral_regularization import (
    Compensation,
    Dynamic,
    Form,
    Project,
    Reparametrize,
    SpectralRegularization,
    Static,
)
from srgan.constraints.step import DiscriminatorStep
from srgan.constraints.weight_clipping import WeightClipping
from srgan.constraints.weight_normalization import WeightNormalization

__all__ = [
    "DRAGAN",
    "METHODS",
    "SLOGAN",
    "BatchNormalization",
    "Combination",
    "Compensation",
    "Constraint",
    "DiscriminatorStep",
    "Dynamic",
    "Form",
    "GradientPenalty",
    "OrthonormalRegularization",
    "Project",
    "R1Penalty",
    "Regularization",
    "Reparametrize",
    "RowSumNormalization",
    "Schedule",
    "SpectralNormalization",
    "SpectralRegularization",
    "Static",
    "Unconstrained",
    "WeightClipping",
    "WeightNormalization",
    "export",
    "raw_matrix",
    "raw_weight",
    "regularize",
    "spectra",
    "spectral_layers",
    "unregularize",
]
