"""How a parametrization comes onto a layer that may carry another one already, and off it again."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, remove_spectral_norm
from torch.nn.utils.spectral_norm import SpectralNorm as TorchSpectralNormHook
from torch.nn.utils.spectral_norm import SpectralNormLoadStateDictPreHook

from srgan.constraints.layers import check_has_values, constrained, is_sharded, raw_weight, unparametrize_advice
from srgan.constraints.parametrization import RawWeight

# Buffers in which layers of other libraries (BigGAN's, torch-mimicry's, ...) keep a spectral norm's state.
_THIRD_PARTY_SPECTRAL_NORM = ("u0", "sv0", "sn_u", "sn_sigma")


def _parametrization_classes(layer: nn.Module) -> list[type[nn.Module]]:
    """What a layer's weight is parametrized by, from the innermost."""
    if not parametrize.is_parametrized(layer, "weight"):
        return []
    return [type(module) for module in layer.get_submodule("parametrizations.weight").children()]


def check_raw_weight(layer: nn.Module) -> None:
    """Passes raw weights, both spectral norms of PyTorch, and our own parametrizations."""
    classes = _parametrization_classes(layer)
    known = classes == [parametrizations._SpectralNorm] or (len(classes) == 1 and constrained(layer) is not None)
    if classes and not known:
        raise ValueError(f"expected a raw weight: {unparametrize_advice(layer)}")
    hooks = [hook for hook in layer._forward_pre_hooks.values() if getattr(hook, "name", None) == "weight"]
    if hasattr(layer, "weight_orig") and not any(isinstance(hook, TorchSpectralNormHook) for hook in hooks):
        raise ValueError("expected a raw weight, found one under another hook (pruning?). Remove that first.")
    third_party = [name for name in _THIRD_PARTY_SPECTRAL_NORM if name in layer._buffers]
    if third_party:
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

    Args:
        layer: that it goes onto.
        parametrization: made for it.
        draw: m -> a first power vector `[m]`, where none is taken over.
    """
    present = constrained(layer)
    if present is not None:
        if present._parameters.keys() - parametrization._parameters.keys():
            raw = raw_weight(layer)
            raw.data.copy_(present(raw.detach()))  # what the parameters that go have made of the weight
        kept = parametrization.state_dict().keys() & present.state_dict().keys()
        parametrization.load_state_dict({name: present.state_dict()[name] for name in kept}, strict=False)
        for name in parametrization._parameters.keys() & present._parameters.keys():
            parametrization._parameters[name] = present._parameters[name]  # an optimizer has it already
        parametrization.train(present.training)
        cast(nn.ModuleList, layer.get_submodule("parametrizations.weight"))[0] = parametrization
        return
    u = _remove_torch_spectral_norm(layer)
    converged = u is not None and u.shape == parametrization.u.shape
    parametrization.u.copy_(u if u is not None and converged else draw(len(parametrization.u)))
    _register(layer, parametrization)
    accept_third_party_names(layer)


def _register(layer: nn.Module, parametrization: RawWeight) -> None:
    """PyTorch's registration, with a stand-in for the Parameter.

    It calls `set_` on what it finds, which would give the Parameter a new node in autograd's graph, while DDP's hooks,
    which average gradients, stay on the old one.
    """
    raw = raw_weight(layer)
    layer._parameters["weight"] = nn.Parameter(raw.detach(), raw.requires_grad)
    parametrize.register_parametrization(layer, "weight", parametrization, unsafe=True)
    layer.get_submodule("parametrizations.weight")._parameters["original"] = raw


def _remove_torch_spectral_norm(layer: nn.Module) -> Tensor | None:
    """Leaves the raw weight, as the Parameter that it was, and returns the power vector if there was one."""
    if parametrize.is_parametrized(layer, "weight"):
        u = layer.get_buffer("parametrizations.weight.0._u")
        restore_weight(layer)
        return u
    if not hasattr(layer, "weight_orig"):
        return None
    raw, u = raw_weight(layer), layer.get_buffer("weight_u")
    remove_spectral_norm(layer)  # leaves the normalized weight in a new Parameter, and a hook
    layer.weight = raw
    forget_load_hooks(layer, lambda hook: isinstance(hook, SpectralNormLoadStateDictPreHook))
    return u


def restore_weight(layer: nn.Module) -> nn.Parameter:
    """Takes all parametrizations off a layer's weight and puts the raw Parameter back in its place.

    PyTorch's own removal deletes a property from the layer's class, which deep copies of the layer share.
    """
    raw = raw_weight(layer)
    all_parametrizations = cast(nn.ModuleDict, layer.get_submodule("parametrizations"))
    own, plain = type(layer), type(layer).__bases__[0]
    del all_parametrizations["weight"]
    if len(all_parametrizations):
        kept = {name: value for name, value in vars(own).items() if name not in ("weight", "__dict__", "__weakref__")}
        layer.__class__ = type(own.__name__, own.__bases__, kept)
    else:
        del layer.parametrizations
        layer.__class__ = plain
    layer._parameters = {"weight": raw, **layer._parameters}
    return raw


def forget_load_hooks(layer: nn.Module, which: Callable[[object], bool]) -> None:
    """Removes hooks that a layer calls before it loads a state dict."""
    for key, wrapped in list(layer._load_state_dict_pre_hooks.items()):
        if which(getattr(wrapped, "hook", wrapped)):
            del layer._load_state_dict_pre_hooks[key]


def accept_third_party_names(layer: nn.Module) -> None:
    """Lets a constrained layer load the weight of a plain layer, or of one under PyTorch's spectral norm."""
    layer._register_load_state_dict_pre_hook(rename_third_party, with_module=True)  # torch 2.5 has a public name


def rename_third_party(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Rewrites the entries of one layer in a state dict about to be loaded.

    The power vector of a spectral norm is taken over. Nothing is recorded yet for a weight from elsewhere, and no
    update counted.
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
