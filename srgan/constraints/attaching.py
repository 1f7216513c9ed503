"""What is put on a layer in place of what is there: parametrizations, which load state dicts of others; batch norm."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from srgan.constraints.layers import (
    check_has_values,
    constrained,
    is_sharded,
    output_dim,
    raw_weight,
    unparametrize_advice,
    weight_parametrizations,
)
from srgan.constraints.parametrization import RawWeight
from srgan.utils.torch_internals import (
    BatchNorm,
    SpectralNormHook,
    SpectralNormParametrization,
    add_load_hook,
    forward_hooks,
    parametrize_weight,
    remove_torch_spectral_norm,
)

# Buffers in which layers of other libraries (BigGAN's, torch-mimicry's, ...) keep a spectral norm's state.
_THIRD_PARTY_SPECTRAL_NORM = ("u0", "sv0", "sn_u", "sn_sigma")


def check_raw_weight(layer: nn.Module) -> None:
    """ValueError for a weight under anything but a spectral norm of PyTorch's or one parametrization of ours."""
    found, buffers = weight_parametrizations(layer), dict(layer.named_buffers(recurse=False))
    if len(found) > 1 or (found and not isinstance(found[0], SpectralNormParametrization | RawWeight)):
        raise ValueError(f"expected a raw weight: {unparametrize_advice(layer)}")
    hooks = [hook for hook in forward_hooks(layer, before=True).values() if getattr(hook, "name", None) == "weight"]
    if hasattr(layer, "weight_orig") and not any(isinstance(hook, SpectralNormHook) for hook in hooks):
        raise ValueError("expected a raw weight, found one under another hook (pruning?). Remove that first.")
    if third_party := [name for name in _THIRD_PARTY_SPECTRAL_NORM if name in buffers]:
        raise ValueError(
            f"expected a raw weight, found a layer with a spectral norm of its own (buffer '{third_party[0]}'), which "
            "would normalize twice. Build the discriminator with plain torch.nn layers."
        )
    if is_sharded(layer):
        raise ValueError(
            "expected a whole weight, found one that fully_shard has split. Regularize first, then shard, then make "
            "the optimizer; the sharded discriminator can be under 'sn' or SR-s with mode='reparametrization'."
        )
    check_has_values(layer)


def replace_parametrization(layer: nn.Module, parametrization: RawWeight, draw: Callable[[int], Tensor]) -> None:
    """Puts a parametrization on a layer, in place of PyTorch's spectral norm or of one of ours, whose buffers stay.

    If there is no power vector to take over, `draw` makes the first one `[m]` from m.
    """
    present = constrained(layer)
    if present is None:
        u = remove_torch_spectral_norm(layer, raw_weight(layer))
        if u is None or u.shape != parametrization.u.shape:
            u = draw(len(parametrization.u))
        parametrization.u.copy_(u)
        parametrize_weight(layer, parametrization, raw_weight(layer))
        add_load_hook(layer, rename_third_party)
        return
    had, has = dict(present.named_parameters()), dict(parametrization.named_parameters())
    if had.keys() - has.keys():
        raw = raw_weight(layer)
        raw.data.copy_(present(raw.detach()))  # what the parameters that go have made of the weight
    kept = parametrization.state_dict().keys() & present.state_dict().keys()
    parametrization.load_state_dict({name: present.state_dict()[name] for name in kept}, strict=False)
    for name in had.keys() & has.keys():
        setattr(parametrization, name, had[name])  # an optimizer has it already
    parametrization.train(present.training)
    cast(nn.ModuleList, layer.get_submodule("parametrizations.weight"))[0] = parametrization


def rename_third_party(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Lets a constrained layer load the weight of a plain layer, or of one under PyTorch's spectral norm.

    Rewrites the layer's entries of a state dict about to be loaded: the power vector of a spectral norm is taken over;
    recorded ratios and the count of updates start at zero.
    """
    parametrization = constrained(layer)
    original, own = f"{prefix}parametrizations.weight.original", f"{prefix}parametrizations.weight.0."
    third_party = [name for name in (f"{prefix}weight", f"{prefix}weight_orig") if name in state]
    if parametrization is None or not (third_party or f"{own}_u" in state):
        return
    if third_party:
        state[original] = state.pop(third_party[0])
    for name in (f"{prefix}weight_v", f"{own}_v"):
        state.pop(name, None)
    expected = parametrization.state_for(state[original])
    for name in (f"{prefix}weight_u", f"{own}_u"):
        u = state.pop(name, None)
        if u is not None and u.shape == expected["u"].shape:
            expected["u"] = u
    state.update({own + name: value for name, value in expected.items()})


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
