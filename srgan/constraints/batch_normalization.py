"""Batch normalization in the discriminator."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from srgan.constraints.base import Constraint
from srgan.constraints.layers import CONVOLUTIONS, spectral_layers
from srgan.constraints.normalized_output import normalize_output

_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class BatchNormalization(Constraint):
    """Batch norm behind each convolution of D but the first and those with a single output channel.

    So DCGAN's discriminator has it (Radford et al. 2016): neither on images nor on scores. Each forward pass of D, of
    real and of generated images, is a batch of its own. The new layers are `<convolution>.batch_norm`, with parameters:
    attach before an optimizer is made (`srgan.regularize` adds them to one). Checkpoints of other constraints have none
    and do not load.

    Args:
        eps: added to variances.
        momentum: of the running averages.
    """

    adds_batch_norm = True
    label = "batch norm"
    sentence = "batch normalization behind each convolution of D but the first"

    def __init__(self, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.eps, self.momentum = eps, momentum

    def refuse(self, discriminator: nn.Module) -> None:
        present = [name for name, module in discriminator.named_modules() if isinstance(module, _BatchNorm)]
        if any(not name.endswith(".batch_norm") for name in present):
            raise ValueError(
                f"Expected a discriminator without batch norm of its own, found '{present[0]}'. Leave out this "
                "constraint."
            )

    def add_layers(self, discriminator: nn.Module) -> None:
        convolutions = [layer for _, layer in spectral_layers(discriminator) if isinstance(layer, CONVOLUTIONS)]
        for layer in convolutions[1:]:
            if layer.out_channels > 1 and not hasattr(layer, "batch_norm"):
                norm = _NORMS[layer.weight.dim() - 2](layer.out_channels, self.eps, self.momentum)
                layer.add_module("batch_norm", norm.to(layer.weight.device))
                layer.register_forward_hook(normalize_output)
