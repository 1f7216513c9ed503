"""Normalizations beside SN, of weights (weight norm, row sums) and of outputs (batch norm), and weight clipping."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints.attaching import check_no_batch_norm, normalize_output
from srgan.constraints.base import Constraint
from srgan.constraints.gains import check_normalizable
from srgan.constraints.layers import CONVOLUTIONS, check_divisible, raw_matrix, raw_parts, raw_weight, spectral_layers
from srgan.constraints.parametrization import RawWeight
from srgan.spectral import matricize
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup


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


_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


@dataclass(frozen=True)
class BatchNormalization(Constraint):
    """Batch norm behind each convolution of D but the first and those with a single output channel.

    As in DCGAN's discriminator (Radford et al. 2016). Real and generated images are separate batches. New layers are
    `<convolution>.batch_norm`, whose parameters `srgan.regularize` adds to the optimizer. Checkpoints of other
    constraints have none and do not load.

    Args:
        eps: added to variances.
        momentum: momentum of the running averages.
    """

    eps: float = 1e-5
    momentum: float = 0.1

    adds_batch_norm = True
    adds_parameters = True
    label = "batch norm"
    sentence = "batch normalization behind each convolution of D but the first"

    def check(self, discriminator: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        check_no_batch_norm(discriminator, layers, "Leave out this constraint.")

    def add_layers(self, discriminator: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        first = next((layer for _, layer in spectral_layers(discriminator) if isinstance(layer, CONVOLUTIONS)), None)
        for layer in layers.values():
            if layer is first or not isinstance(layer, CONVOLUTIONS):
                continue
            if layer.out_channels > 1 and not hasattr(layer, "batch_norm"):
                W = raw_weight(layer)
                norm = _NORMS[W.dim() - 2](layer.out_channels, self.eps, self.momentum)
                layer.add_module("batch_norm", norm.to(W.device, W.dtype).train(layer.training))
                layer.register_forward_hook(normalize_output)


@dataclass(frozen=True)
class WeightClipping(Constraint):
    """After each D update every weight of D into [-c, c] (WGAN: Arjovsky et al. 2017, Algorithm 1).

    Args:
        c: the bound, above 0; 0.01 in the paper.
    """

    c: float = 0.01

    label = "clip"

    def __post_init__(self) -> None:
        if not 0 < self.c < float("inf"):
            raise ValueError(f"Expected a positive bound c, found {self.c}.")

    @property
    def sentence(self) -> str:
        return f"weight clipping: each weight of D into [-{self.c:g}, {self.c:g}] after each update"

    @torch.no_grad()
    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        for parameter in discriminator.parameters():
            parameter.clamp_(-self.c, self.c)

    @torch.no_grad()
    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        weights = torch.cat([parameter.reshape(-1) for parameter in discriminator.parameters()])
        return {"constraint/share_at_bound": float((weights.abs() >= self.c).float().mean())}
