"""What a layer of somebody's own class multiplies its weight by before it uses it."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from srgan.constraints.layers import num_groups, raw_weight

_WEIGHT_OF = {"convolution": 1, "linear": 1, "mm": 1, "bmm": 1, "addmm": 2, "baddbmm": 2}
"""Products of PyTorch -> which argument is the weight."""


def refuse_gain(layer: nn.Module) -> None:
    """Refuses a layer whose weight in use is a multiple of its parameter, as of an equalized learning rate.

    A norm would hold the parameter at 1, and the weight in use at the gain: with 1 / sqrt(fan-in) in each layer nothing
    of the input reaches the score.

    Raises:
        ValueError: one probe of the layer shows that it is so.
    """
    gain = run_time_gain(layer)
    if gain is not None and abs(gain - 1) > 0.01:
        raise ValueError(
            f"expected a layer that uses its weight as it is, found one that multiplies it by {gain:.3g} in its "
            "forward pass (an equalized learning rate?), which would then be the norm in use, not 1. Set that gain to "
            "1 before this call."
        )


def run_time_gain(layer: nn.Module) -> float | None:
    """The factor between `layer.weight` and the weight in use, from one probe; None where that shows nothing.

    Layers with a forward pass of torch.nn or of this package have 1. Of others a copy is called, on ones, and the
    weights of its products are compared with the layer's, number by number from the largest: it may flip them.
    """
    if type(layer).forward.__module__.startswith(("torch.nn.", "srgan.")):
        return 1.0
    W = raw_weight(layer)
    x = torch.ones(1, W.shape[1] * num_groups(layer), *[9] * (W.dim() - 2), device=W.device, dtype=W.dtype)
    with _undisturbed(W):
        try:
            probe = copy.deepcopy(layer).eval()
            expected = _sizes(cast(Tensor, probe.weight))
            with _SeenWeights(W.numel()) as seen:
                probe(x)
        except Exception:  # somebody's code, called as it may not be meant to be
            return None
        for sizes in map(_sizes, seen.weights):
            gain = float(sizes.norm() / expected.norm())
            if torch.allclose(sizes, gain * expected, rtol=0.02, atol=1e-6 * float(sizes.amax())):
                return gain
        return None


def _sizes(weight: Tensor) -> Tensor:
    return weight.detach().double().abs().flatten().sort().values


@contextmanager
def _undisturbed(W: Tensor) -> Iterator[None]:
    """No gradients, and random numbers of W's device as they were."""
    devices = [W.device] if W.device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices):
        yield


class _SeenWeights(TorchDispatchMode):
    """What products in its reach take as a weight of so many numbers."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.weights: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        position = _WEIGHT_OF.get(func.overloadpacket.__name__)
        if position is not None and args[position].numel() == self.size:
            self.weights.append(args[position].clone())
        return func(*args, **(kwargs or {}))
