"""Row-sum normalization."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint
from srgan.constraints.gains import check_normalizable
from srgan.constraints.layers import raw_matrix, raw_parts, spectral_layers
from srgan.constraints.parametrization import RawWeight


@dataclass(frozen=True)
class RowSumNormalization(Constraint):
    """`W / max_a sum_b |W_ab|`: every layer has operator norm 1 from l-infinity to l-infinity.

    The rows of the matrix are outputs, so the largest row sum is that norm: each layer maps inputs that differ by at
    most d in every pixel to outputs that differ by at most d. For a convolution it is so whatever the padding; that of
    a strided transposed convolution is at most 1, since no pixel gets the whole row.
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
