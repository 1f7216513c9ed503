"""What a forward pass with a state owes to gradient checkpointing and to torch.func."""

import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch._C import _functorch as functorch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack

Used = TypeVar("Used")


@dataclass
class _Region:
    """What the parametrizations of one checkpointed region used, in order, and how far a recomputation has come."""

    used: dict[nn.Module, list[Any]] = field(default_factory=dict)
    backward: object = None
    repeated: dict[nn.Module, int] = field(default_factory=dict)


_regions: WeakKeyDictionary[Any, _Region] = WeakKeyDictionary()
_warned = False


def is_recomputing() -> bool:
    """Whether this forward pass belongs to a running backward pass: then checkpointing repeats an earlier one."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


def once_per_forward(module: nn.Module, compute: Callable[[], Used]) -> Used:
    """Computes, or within the recomputation of a checkpointed region gives what the region used the first time.

    Otherwise the gradients would be those of another u than the forward pass had.

    Args:
        module: whose use of its weight this is.
        compute: called outside recomputations.
    """
    if torch.compiler.is_compiling():
        return compute()
    frame, backward = _checkpointed_region()
    if frame is None:
        if is_recomputing():
            _warn_of_unknown_recomputation()
        return compute()
    region = _regions.setdefault(frame, _Region())
    if backward is None:
        used = compute()
        region.used.setdefault(module, []).append(used)
        return used
    if region.backward != backward:
        region.backward, region.repeated = backward, {}
    use = region.repeated.get(module, 0)
    region.repeated[module] = use + 1
    repeated: Used = region.used[module][use]
    return repeated


def _checkpointed_region() -> tuple[Any, object]:
    """torch.utils.checkpoint's frame of the innermost region, and which backward pass repeats it; None for neither.

    PyTorch tells nobody. The frame is in the closure of the hook through which the region saves tensors.
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


def _warn_of_unknown_recomputation() -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "A checkpointed layer is computed again with a later power vector u than in its forward pass, so its "
            "gradients are slightly off. Call torch.utils.checkpoint.checkpoint(..., use_reentrant=False).",
            stacklevel=2,
        )


def is_transformed(W: Tensor) -> bool:
    """Whether torch.func differentiates or batches W."""
    return not torch.compiler.is_compiling() and functorch.is_functorch_wrapped_tensor(W)


@contextmanager
def outside_transforms(W: Tensor) -> Iterator[Tensor]:
    """W without the wrappers of torch.func, where u may be written.

    Raises:
        ValueError: torch.func.vmap runs over several weights at once.
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
