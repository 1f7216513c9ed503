"""Batch normalization in the discriminator."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from srgan.constraints.base import Constraint
from srgan.constraints.batch_norm_hook import check_no_batch_norm, normalize_output
from srgan.constraints.layers import CONVOLUTIONS, raw_weight, spectral_layers

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
