"""A batch norm behind a layer, on and off again."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from srgan.constraints.layers import output_dim


def normalize_output(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """The forward hook that calls the layer's own `batch_norm`."""
    normalized: Tensor = layer.get_submodule("batch_norm")(output)
    return normalized


def check_no_batch_norm(discriminator: nn.Module, layers: Mapping[str, nn.Module], way_out: str) -> None:
    """Passes batch norm that a constraint has put behind some layers, and refuses any other.

    Raises:
        ValueError: there is one.
    """
    own = {_own_norm(layer) for layer in layers.values()}
    for name, module in discriminator.named_modules():
        if isinstance(module, _BatchNorm) and module not in own:
            raise ValueError(f"Expected a discriminator without batch norm of its own, found '{name}'. {way_out}")


def _own_norm(layer: nn.Module) -> nn.Module | None:
    """The batch norm that a constraint has put behind a layer."""
    added = any(hook is normalize_output for hook in layer._forward_hooks.values())
    return layer._modules["batch_norm"] if added else None


def remove_batch_norm(layer: nn.Module, fold: bool) -> None:
    """Takes such a batch norm away, where there is one.

    Args:
        layer: a convolution.
        fold: put what it does in evaluation mode into the layer's plain weight and its bias, which it may get.
    """
    keys = [key for key, hook in layer._forward_hooks.items() if hook is normalize_output]
    if not keys:
        return
    norm = cast(_BatchNorm, layer.get_submodule("batch_norm"))
    if fold:
        weight, bias = layer.get_parameter("weight"), layer._parameters["bias"]
        transposed = output_dim(layer) == 1
        assert norm.running_mean is not None
        assert norm.running_var is not None
        new_weight, new_bias = fuse_conv_bn_weights(
            weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias, transposed
        )
        with torch.no_grad():
            weight.copy_(new_weight)
            if bias is None:
                layer.register_parameter("bias", nn.Parameter(new_bias.detach()))
            else:
                bias.copy_(new_bias)
    del layer._forward_hooks[keys[0]], layer._modules["batch_norm"]
