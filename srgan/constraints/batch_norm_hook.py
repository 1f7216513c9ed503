"""Batch norm behind a layer, in a forward hook, and its removal."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from srgan.constraints.layers import output_dim
from srgan.utils.torch_internals import BatchNorm, forward_hooks


def normalize_output(layer: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """The forward hook that calls the layer's own `batch_norm`."""
    normalized: Tensor = layer.get_submodule("batch_norm")(output)
    return normalized


def check_no_batch_norm(discriminator: nn.Module, layers: Mapping[str, nn.Module], way_out: str) -> None:
    """ValueError, which ends in `way_out`, for batch norm but that which a constraint has put behind these layers."""
    own = [layer.get_submodule("batch_norm") for layer in layers.values() if _hook_key(layer) is not None]
    for name, module in discriminator.named_modules():
        if isinstance(module, BatchNorm) and module not in own:
            raise ValueError(f"Expected a discriminator without batch norm of its own, found '{name}'. {way_out}")


def _hook_key(layer: nn.Module) -> int | None:
    """The key of the hook that calls a batch norm behind a layer, if a constraint has put one there."""
    return next((key for key, hook in forward_hooks(layer, before=False).items() if hook is normalize_output), None)


@torch.no_grad()
def remove_batch_norm(layer: nn.Module, fold: bool) -> None:
    """Removes a batch norm that a constraint has put behind a layer, if any.

    With `fold` the layer, with a plain weight, takes over its effect in evaluation mode, by a new bias if it has none.
    """
    key = _hook_key(layer)
    if key is None:
        return
    norm = cast(BatchNorm, layer.get_submodule("batch_norm"))
    if fold:
        weight, bias = layer.get_parameter("weight"), cast(nn.Parameter | None, layer.bias)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        new_weight, new_bias = fuse_conv_bn_weights(
            weight, bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias, output_dim(layer) == 1
        )
        weight.copy_(new_weight)
        if bias is None:
            layer.register_parameter("bias", nn.Parameter(new_bias.detach()))
        else:
            bias.copy_(new_bias)
    del forward_hooks(layer, before=False)[key], layer.batch_norm
