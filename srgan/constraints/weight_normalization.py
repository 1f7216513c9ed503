"""Weight normalization."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint
from srgan.constraints.layers import check_divisible, raw_parts
from srgan.constraints.parametrization import RawWeight
from srgan.spectral import matricize


@dataclass(frozen=True)
class WeightNormalization(Constraint):
    """`W = g v / ||v||` for each output (Salimans & Kingma 2016, Eq. 2), on every layer with a spectrum.

    g starts as ||v||, so that attaching changes no output. It is a parameter: attach before an optimizer is made, or
    add `parametrizations.weight.0.g` of each layer to it (`srgan.regularize` does). Checkpoints of other constraints
    have no g and do not load.
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
