"""Forward passes with a state under gradient checkpointing, which repeats them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from srgan.utils.torch_internals import checkpointed_region, is_recomputing

Used = TypeVar("Used")


@dataclass
class _Region:
    """What the parametrizations of one checkpointed region used, in order, and how far a recomputation has come."""

    used: dict[nn.Module, list[Any]] = field(default_factory=dict)
    backward: object = None
    repeated: dict[nn.Module, int] = field(default_factory=dict)


_regions: WeakKeyDictionary[Any, _Region] = WeakKeyDictionary()
_warned = False


def once_per_forward(module: nn.Module, compute: Callable[[], Used]) -> Used:
    """Computes; in the recomputation of a checkpointed region, returns what the region used the first time.

    Otherwise the gradients would be those of another u than the forward pass had.

    Args:
        module: the parametrization that uses its weight.
        compute: called outside recomputations.
    """
    if torch.compiler.is_compiling():
        return compute()
    frame, backward = checkpointed_region()
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


def _warn_of_unknown_recomputation() -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "A checkpointed layer is computed again with a later power vector u than in its forward pass, so its "
            "gradients are slightly off. Call torch.utils.checkpoint.checkpoint(..., use_reentrant=False).",
            stacklevel=2,
        )
