"""The module that computes the weight of a layer's forward pass from the raw weight W.

Every constraint puts one on every layer, with the same buffers under the same names, so that a checkpoint written under
one constraint loads under any other that adds no parameters (as weight norm and batch norm do):

- `parametrizations.weight.original`: W, raw, in the layer's own shape;
- `parametrizations.weight.0.u [out]`: the power iteration's left vector;
- `parametrizations.weight.0.recorded_ratios [N]`: SR-d's r_k, 0 where nothing was recorded; of a grouped convolution
  those of all groups, one group after the other;
- `parametrizations.weight.0.updates []`: discriminator updates counted by `srgan.regularize`.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from srgan.spectral import matricize, unmatricize
from srgan.utils.precision import without_autocast
from srgan.utils.randomness import counter_generator
from srgan.utils.torch_internals import checkpointed_region, is_recomputing

if TYPE_CHECKING:
    from srgan.constraints.base import Constraint

_WRITES_NOTHING = {"requires_grad_", "share_memory_", "detach_"}
"""In-place methods of tensors that leave the values as they are."""

RECORDED_RATIOS = "parametrizations.weight.0.recorded_ratios"


class RawWeight(nn.Module):
    """No constraint: the forward pass uses W itself. The arguments are `layers.raw_parts` of a layer."""

    divides_by_sigma_1: bool = False
    """Whether the forward pass does not depend on the scale of W."""
    constraint: "Constraint"
    """The one that put it there."""
    u: Tensor
    recorded_ratios: Tensor
    updates: Tensor

    def __init__(self, weight: Tensor, output_dim: int, groups: int) -> None:
        super().__init__()
        self.output_dim, self.groups = output_dim, groups
        m, n = matricize(weight, output_dim).shape
        ranks = groups * min(m // groups, n)
        self.register_buffer("u", torch.zeros(m, device=weight.device, dtype=weight.dtype))  # until `attach` draws it
        self.register_buffer("recorded_ratios", torch.zeros(ranks, device=weight.device, dtype=weight.dtype))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64, device=weight.device))

    def apply(self, fn: Callable[[nn.Module], None]) -> "RawWeight":
        """`nn.Module.apply`; warns of an initialization that would be lost."""
        names = getattr(getattr(fn, "__code__", None), "co_names", ())
        writing = [name for name in names if name.endswith("_") and not name.startswith("_")]
        if "weight" in names and set(writing) - _WRITES_NOTHING:
            warnings.warn(
                f"{getattr(fn, '__name__', 'This function')} seems to write into weights. This has no effect on "
                "regularized layers, whose weights are computed from raw ones. Initialize before srgan.regularize.",
                stacklevel=2,
            )
        return super().apply(fn)

    def forward(self, weight: Tensor) -> Tensor:
        """`[out, in, ...]` raw -> `[out, in, ...]` as the layer uses it, in the weight's own precision."""
        with without_autocast(weight.device):
            return unmatricize(self.constrain(matricize(weight, self.output_dim)), weight, self.output_dim)

    def constrain(self, W: Tensor) -> Tensor:
        """`W [out, in * k * k]` -> the constrained matrix of the same shape."""
        return W

    def state_for(self, weight: Tensor) -> dict[str, Tensor]:
        """This module's state after loading a state dict with nothing but a weight: u as it is, nothing recorded."""
        return {
            "u": self.u,
            "recorded_ratios": torch.zeros_like(self.recorded_ratios),
            "updates": torch.zeros_like(self.updates),
        }


def power_vector(seed: int, name: str, m: int) -> Tensor:
    """The first u `[m]` of a layer, by its name: N(0, 1), not normalized and not warmed up, as the authors'."""
    return torch.randn(m, generator=counter_generator("cpu", seed, f"power vector of {name}"))


Used = TypeVar("Used")


@dataclass
class _Region:
    """What the parametrizations of one checkpointed region used, in order, and how far a recomputation has come."""

    used: dict[nn.Module, list[Any]] = field(default_factory=lambda: defaultdict(list))
    backward: object = None
    repeated: Counter[nn.Module] = field(default_factory=Counter)


_regions: WeakKeyDictionary[Any, _Region] = WeakKeyDictionary()
_warned = False


def once_per_forward(module: nn.Module, compute: Callable[[], Used]) -> Used:
    """Computes; in the recomputation of a checkpointed region, returns what the region used the first time.

    Otherwise the gradients would be those of another u than the forward pass had. `module` is the parametrization.
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
        region.used[module].append(used := compute())
        return used
    if region.backward != backward:
        region.backward, region.repeated = backward, Counter()
    region.repeated[module] += 1
    repeated: Used = region.used[module][region.repeated[module] - 1]
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
