"""State dicts that do not name a layer's weight as this package does: plain ones, and both of PyTorch's SN."""

from typing import Any

from torch import Tensor, nn

from srgan.constraints.layers import constrained


def accept_foreign_names(layer: nn.Module) -> None:
    """Lets a constrained layer load the weight of a plain layer, or of one under PyTorch's spectral norm."""
    layer.register_load_state_dict_pre_hook(rename_foreign)


def rename_foreign(layer: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Rewrites the entries of one layer in a state dict about to be loaded.

    The power vector of a spectral norm is taken over. Nothing is recorded yet for a weight from elsewhere, and no
    update counted.
    """
    parametrization = constrained(layer)
    original, own = f"{prefix}parametrizations.weight.original", f"{prefix}parametrizations.weight.0."
    foreign = [name for name in (f"{prefix}weight", f"{prefix}weight_orig") if name in state]
    if parametrization is None or not (foreign or f"{own}_u" in state):
        return
    if foreign:
        state[original] = state.pop(foreign[0])
    for name in (f"{prefix}weight_v", f"{own}_v"):
        state.pop(name, None)
    expected = parametrization.state_for(state[original])
    for name in (f"{prefix}weight_u", f"{own}_u"):
        u = state.pop(name, None)
        if u is not None and u.shape == expected["u"].shape:
            expected["u"] = u
    state.update({own + name: value for name, value in expected.items()})
