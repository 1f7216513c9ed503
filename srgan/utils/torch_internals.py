"""What we need of torch beyond its public interface; tests/test_private_interfaces.py says what for."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _functorch as functorch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm as SpectralNormParametrization
from torch.nn.utils.spectral_norm import SpectralNorm as SpectralNormHook
from torch.nn.utils.spectral_norm import SpectralNormLoadStateDictPreHook, remove_spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["BatchNorm", "SpectralNormHook", "SpectralNormParametrization", "TorchDispatchMode"]


# Modules: what parametrizes their weight, and their hooks.


def parametrize_weight(layer: nn.Module, parametrization: nn.Module, raw: nn.Parameter) -> None:
    """`torch.nn.utils.parametrize.register_parametrization`, by way of a stand-in for the Parameter.

    It calls `set_` on what it finds, which would give the Parameter a new node in autograd's graph, while DDP's hooks,
    which average gradients, stay on the old one.
    """
    layer._parameters["weight"] = nn.Parameter(raw.detach(), raw.requires_grad)
    parametrize.register_parametrization(layer, "weight", parametrization, unsafe=True)
    layer.get_submodule("parametrizations.weight")._parameters["original"] = raw


def unparametrize_weight(layer: nn.Module, raw: nn.Parameter) -> None:
    """Takes all parametrizations off a layer's weight and puts the raw Parameter back in its place.

    PyTorch's own removal deletes a property from the layer's class, which deep copies of the layer share.
    """
    remaining: Any = layer.get_submodule("parametrizations")
    own, plain = type(layer), type(layer).__bases__[0]
    del remaining["weight"]
    if len(remaining):
        kept = {name: value for name, value in vars(own).items() if name not in ("weight", "__dict__", "__weakref__")}
        layer.__class__ = type(own.__name__, own.__bases__, kept)
    else:
        del layer.parametrizations
        layer.__class__ = plain
    layer._parameters = {"weight": raw, **layer._parameters}


def remove_torch_spectral_norm(layer: nn.Module, raw: nn.Parameter) -> Tensor | None:
    """Leaves the raw weight, as the Parameter that it was, and returns the power vector; None without such a norm."""
    if parametrize.is_parametrized(layer, "weight"):
        u = layer.get_buffer("parametrizations.weight.0._u")
        unparametrize_weight(layer, raw)
        return u
    if not hasattr(layer, "weight_orig"):
        return None
    u = layer.get_buffer("weight_u")
    remove_spectral_norm(layer)  # leaves the normalized weight in a new Parameter, and a hook
    layer.weight = raw
    remove_load_hooks(layer, lambda hook: isinstance(hook, SpectralNormLoadStateDictPreHook))
    return u


def forward_hooks(module: nn.Module, before: bool) -> dict[int, Any]:
    """Hooks that run before or after a module's forward pass, by key; to be deleted from."""
    return module._forward_pre_hooks if before else module._forward_hooks


def add_load_hook(module: nn.Module, hook: Callable[..., None]) -> None:
    """Calls `hook(module, state_dict, prefix, ...)` before the module loads its state."""
    module._register_load_state_dict_pre_hook(hook, with_module=True)  # torch 2.5 has a public name


def remove_load_hooks(module: nn.Module, which: Callable[[object], bool]) -> None:
    for key, wrapped in list(module._load_state_dict_pre_hooks.items()):
        if which(getattr(wrapped, "hook", wrapped)):
            del module._load_state_dict_pre_hooks[key]


def compiled_module(module: nn.Module) -> nn.Module | None:
    """The module within a wrapper of torch.compile; None for any other."""
    inner: nn.Module | None = getattr(module, "_orig_mod", None)
    return inner


def announces_steps(optimizer: torch.optim.Optimizer) -> bool:
    """Whether hooks of the optimizer run after its steps: not in a wrapper that skips `Optimizer.__init__`."""
    return "_optimizer_step_post_hooks" in vars(optimizer)


def version_of(tensor: Tensor) -> int:
    """How often a tensor was written."""
    return tensor._version


# Gradient checkpointing.


def is_recomputing() -> bool:
    """Whether this forward pass belongs to a running backward pass: then checkpointing repeats an earlier one."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def checkpointed_region() -> tuple[Any, object]:
    """torch.utils.checkpoint's frame of the innermost region, and which backward pass repeats it; None for neither.

    The frame is in the closure of the hook through which the region saves tensors.
    """
    if not hasattr(torch._C._autograd, "_top_saved_tensors_default_hooks"):
        return _region_on_the_stack()
    hooks = torch._C._autograd._top_saved_tensors_default_hooks(True)
    if hooks is None:
        return None, None
    pack = inspect.unwrap(hooks[0])
    closure = getattr(pack, "__closure__", None) or ()
    cells = dict(zip(pack.__code__.co_freevars, closure, strict=True)) if closure else {}
    if "target_frame_ref" in cells and "gid" in cells:
        return cells["target_frame_ref"].cell_contents(), cells["gid"].cell_contents
    if "frame" in cells and hasattr(cells["frame"].cell_contents, "recompute_fn"):
        return cells["frame"].cell_contents, None
    return None, None


def _region_on_the_stack() -> tuple[Any, object]:
    """The same by the calls that are open, where an older torch does not show its hooks."""
    call = sys._getframe().f_back
    while call:
        if call.f_globals.get("__name__") == "torch.utils.checkpoint":
            names = call.f_locals
            if call.f_code.co_name == "unpack_hook" and "gid" in names:
                return names["frame"], names["gid"]
            if call.f_code.co_name == "checkpoint" and "gen" in names:
                return names["gen"].gi_frame.f_locals["new_frame"], None
        call = call.f_back
    return None, None


# torch.func.


def is_transformed(W: Tensor) -> bool:
    """Whether torch.func differentiates or batches W."""
    return not torch.compiler.is_compiling() and functorch.is_functorch_wrapped_tensor(W)


@contextmanager
def outside_transforms(W: Tensor) -> Iterator[Tensor]:
    """W without the wrappers of torch.func, where buffers may be written.

    ValueError if torch.func.vmap runs over several weights at once.
    """
    if not is_transformed(W):
        yield W
        return
    with temporarily_clear_interpreter_stack():
        while functorch.is_functorch_wrapped_tensor(W):
            if functorch.is_batchedtensor(W):
                raise ValueError(
                    "Expected one weight per layer, found torch.func.vmap over several: they would share one power "
                    "vector u. Call them one after the other."
                )
            W = functorch.get_unwrapped(W)
        yield W
