"""How a parametrization is put on a layer, also in place of another one, and what it loads from others' state dicts."""

from collections.abc import Callable
from typing import Any, cast

from torch import Tensor, nn

from srgan.constraints.layers import (
    check_has_values,
    constrained,
    is_sharded,
    raw_weight,
    unparametrize_advice,
    weight_parametrizations,
)
from srgan.constraints.parametrization import RawWeight
from srgan.utils.torch_internals import (
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
    found = weight_parametrizations(layer)
    if len(found) > 1 or (found and not isinstance(found[0], SpectralNormParametrization | RawWeight)):
        raise ValueError(f"expected a raw weight: {unparametrize_advice(layer)}")
    hooks = [hook for hook in forward_hooks(layer, before=True).values() if getattr(hook, "name", None) == "weight"]
    if hasattr(layer, "weight_orig") and not any(isinstance(hook, SpectralNormHook) for hook in hooks):
        raise ValueError("expected a raw weight, found one under another hook (pruning?). Remove that first.")
    buffers = dict(layer.named_buffers(recurse=False))
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

    Args:
        layer: the layer.
        parametrization: one that was made for it.
        draw: m -> the first power vector `[m]`, if there is none to take over.
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
