"""What keeps a discriminator Lipschitz, a value for each method, and the one-liners on top."""

from srgan.constraints.base import Combination, Constraint, Unconstrained
from srgan.constraints.batch_normalization import BatchNormalization
from srgan.constraints.export import export, unregularize
from srgan.constraints.handle import Regularization
from srgan.constraints.layers import raw_matrix, raw_weight, spectra, spectral_layers
from srgan.constraints.penalties import DRAGAN, SLOGAN, GradientPenalty, OrthonormalRegularization, R1Penalty
from srgan.constraints.registry import METHODS
from srgan.constraints.regularize import regularize
from srgan.constraints.row_sum import RowSumNormalization
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.constraints.spectral_regularization import Schedule, SpectralRegularization
from srgan.constraints.step import DiscriminatorStep
from srgan.constraints.weight_clipping import WeightClipping
from srgan.constraints.weight_normalization import WeightNormalization
from srgan.spectral import Dynamic, SpectralMap, Static

__all__ = [
    "DRAGAN",
    "METHODS",
    "SLOGAN",
    "BatchNormalization",
    "Combination",
    "Constraint",
    "DiscriminatorStep",
    "Dynamic",
    "GradientPenalty",
    "OrthonormalRegularization",
    "R1Penalty",
    "Regularization",
    "RowSumNormalization",
    "Schedule",
    "SpectralMap",
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
