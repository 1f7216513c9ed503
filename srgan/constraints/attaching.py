"""How a parametrization comes onto a layer that may carry another one already."""

from typing import cast

from torch import nn
from torch.nn.utils import parametrizations, parametrize, remove_spectral_norm
from torch.nn.utils.spectral_norm import SpectralNorm as TorchSpectralNormHook

from srgan.constraints.layers import raw_weight
from srgan.constraints.parametrization import RawWeight


def _parametrization_classes(layer: nn.Module) -> list[type[nn.Module]]:
    """What a layer's weight is parametrized by, from the innermost."""
    if not parametrize.is_parametrized(layer, "weight"):
        return []
    return [type(module) for module in layer.get_submodule("parametrizations.weight").children()]


def refuse_foreign_weight(layer: nn.Module) -> None:
    """Passes raw weights, both spectral norms of PyTorch, and our own parametrizations."""
    classes = _parametrization_classes(layer)
    known = classes == [parametrizations._SpectralNorm] or (len(classes) == 1 and issubclass(classes[0], RawWeight))
    if classes and not known:
        raise ValueError(
            f"expected a raw weight, found one that is already parametrized by "
            f"{', '.join(found.__name__ for found in classes)}. Remove that first: "
            "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight', leave_parametrized=False)."
        )
    hooks = [hook for hook in layer._forward_pre_hooks.values() if getattr(hook, "name", None) == "weight"]
    if hasattr(layer, "weight_orig") and not any(isinstance(hook, TorchSpectralNormHook) for hook in hooks):
        raise ValueError("expected a raw weight, found one under another hook (pruning?). Remove that first.")


def replace_parametrization(layer: nn.Module, parametrization: RawWeight) -> None:
    """Puts a parametrization on a layer, in place of PyTorch's spectral norm or of one of ours, whose buffers stay."""
    if parametrize.is_parametrized(layer, "weight"):
        present = layer.get_submodule("parametrizations.weight.0")
        if isinstance(present, RawWeight):
            parametrization.load_state_dict(present.state_dict())
            cast(nn.ModuleList, layer.get_submodule("parametrizations.weight"))[0] = parametrization
            return
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    elif hasattr(layer, "weight_orig"):
        raw = raw_weight(layer)
        remove_spectral_norm(layer)  # leaves the normalized weight in a new Parameter
        layer.weight = raw
    parametrize.register_parametrization(layer, "weight", parametrization, unsafe=True)
