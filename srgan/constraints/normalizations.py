"""Normalizations of weights beside SN: weight normalization and row-sum normalization."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint
from srgan.constraints.gains import check_normalizable
from srgan.constraints.layers import check_divisible, raw_matrix, raw_parts, spectral_layers
from srgan.constraints.parametrization import RawWeight
from srgan.spectral import matricize


@dataclass(frozen=True)
class WeightNormalization(Constraint):
    """`W = g v / ||v||` for each output (Salimans & Kingma 2016, Eq. 2), on every layer with a spectrum.

    g starts as ||v||, so that D's outputs do not change. It is a parameter, `parametrizations.weight.0.g`, which
    `srgan.regularize` adds to the optimizer. Checkpoints of other constraints have no g and do not load.
    """

    label = "weight norm"
    sentence = "weight normalization: direction and length of each output's weights trained apart"
    adds_parameters = True

    def parametrization(self, layer: nn.Module) -> RawWeight:
        check_divisible(layer)
        return WeightNorm(*raw_parts(layer))


class WeightNorm(RawWeight):
    """`W [out, n] = g v / ||v||` row by row; v is the raw weight."""

    def __init__(self, weight: Tensor, output_dim: int, groups: int) -> None:
        super().__init__(weight, output_dim, groups)
        self.g = nn.Parameter(matricize(weight.detach(), output_dim).norm(dim=1))

    def constrain(self, W: Tensor) -> Tensor:
        norms = W.norm(dim=1).clamp_min(torch.finfo(W.dtype).tiny)
        W_WN: Tensor = W * (self.g / norms).unsqueeze(1)
        return W_WN

    def state_for(self, weight: Tensor) -> dict[str, Tensor]:
        return {**super().state_for(weight), "g": matricize(weight, self.output_dim).norm(dim=1)}


@dataclass(frozen=True)
class RowSumNormalization(Constraint):
    """`W / max_a sum_b |W_ab|`: every layer has operator norm 1 from l-infinity to l-infinity.

    Rows of the matrix are outputs, so the largest row sum is that norm: inputs that differ by at most d in every pixel
    have outputs that differ by at most d, for any padding. A strided transposed convolution has a norm of at most 1,
    since no pixel gets the whole row.
    """

    label = "row sum"
    sentence = "row-sum normalization: each discriminator weight divided by its largest row sum of |W| (l∞ norm)"

    def parametrization(self, layer: nn.Module) -> RawWeight:
        check_normalizable(layer)
        return RowSumNorm(*raw_parts(layer))

    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        sums = [raw_matrix(layer).abs().sum(dim=1).amax() for _, layer in spectral_layers(discriminator)]
        return {"constraint/largest_raw_row_sum": float(torch.stack(sums).amax())}


class RowSumNorm(RawWeight):
    """`W [m, n] / max_a sum_b |W_ab|`, the gradient through the maximum included."""

    def constrain(self, W: Tensor) -> Tensor:
        return W / W.abs().sum(dim=1).amax().clamp_min(torch.finfo(W.dtype).tiny)
