"""What an iteration computes: its floating-point operations, and each convolution so that it can be repeated alone."""

import statistics
import time
from collections import Counter
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten
CONVOLUTIONS = (aten.convolution.default, aten.convolution_backward.default)


class TensorLike(NamedTuple):
    """What decides how fast a convolution is, besides its other arguments. A convolution does not read the values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def make(self) -> Tensor:
        """A tensor of such a layout, of small random numbers; also one whose elements share memory."""
        last = sum((length - 1) * step for length, step in zip(self.shape, self.stride, strict=True))
        return torch.empty(last + 1, dtype=self.dtype).normal_(std=0.1).as_strided(self.shape, self.stride)


class Call(NamedTuple):
    """A convolution or its backward: the operator and its arguments, tensors replaced by their layouts."""

    operator: Any
    arguments: tuple[Any, ...]

    def seconds_alone(self) -> float:
        """Of one such call, in memory that it has touched before; short calls are repeated for their median."""
        arguments = [argument.make() if isinstance(argument, TensorLike) else argument for argument in self.arguments]

        def seconds() -> float:
            start = time.perf_counter()
            self.operator(*arguments)
            return time.perf_counter() - start

        repetitions = 9 if seconds() < 0.01 else 1
        return statistics.median(seconds() for _ in range(repetitions))


class Counted(TorchDispatchMode):
    """Within it, what an iteration really computes is counted: no gradient that nothing asks for.

    Attributes:
        calls: each distinct convolution, those of backward passes too, and how often it was made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()
        self._flops = FlopCounterMode(display=False)

    def __enter__(self) -> "Counted":
        self._flops.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._flops.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CONVOLUTIONS:
            self.calls[Call(func, tuple(_layout(argument) for argument in args))] += 1
        return func(*args, **(kwargs or {}))

    @property
    def flops(self) -> int:
        """Of convolutions, linear layers and the power steps; a multiplication and an addition are two."""
        return int(self._flops.get_total_flops())

    @property
    def convolution_flops(self) -> int:
        """Of convolutions, forward and backward."""
        counts = self._flops.get_flop_counts().get("Global", {})
        return sum(int(flops) for operator, flops in counts.items() if "convolution" in str(operator))

    def seconds_alone(self) -> float:
        """Of all convolutions, each distinct one measured by itself."""
        return sum(times * call.seconds_alone() for call, times in self.calls.items())


def _layout(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return TensorLike(tuple(argument.shape), argument.stride(), argument.dtype)
    return tuple(argument) if isinstance(argument, list) else argument
