"""The convolutions of an iteration: which calls it makes, what each takes alone, and how much arithmetic all is."""

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
SHORT = 0.01  # seconds


class TensorLike(NamedTuple):
    """What decides how fast a convolution is, besides its other arguments. A convolution does not read the values."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def make(self) -> Tensor:
        """A tensor of such a layout, of small random numbers; also one whose elements share memory."""
        last = sum((length - 1) * step for length, step in zip(self.shape, self.stride, strict=True))
        values = torch.empty(last + 1, dtype=self.dtype).normal_(std=0.1)
        return values.as_strided(self.shape, self.stride)


class Call(NamedTuple):
    """A convolution or its backward: the operator and its arguments, tensors replaced by their layouts."""

    operator: Any
    arguments: tuple[Any, ...]

    def seconds_alone(self) -> float:
        """Of one such call, in memory that it has touched before; short calls are repeated for their median."""
        arguments = [_plain(argument) for argument in self.arguments]

        def seconds() -> float:
            start = time.perf_counter()
            self.operator(*arguments)
            return time.perf_counter() - start

        repetitions = 9 if seconds() < SHORT else 1
        return statistics.median(seconds() for _ in range(repetitions))


class ConvolutionCalls(TorchDispatchMode):
    """Within it every convolution is noted, those of backward passes too.

    Attributes:
        calls: each distinct call and how often it was made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CONVOLUTIONS:
            self.calls[Call(func, tuple(_hashable(argument) for argument in args))] += 1
        return func(*args, **(kwargs or {}))


def _hashable(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return TensorLike(tuple(argument.shape), argument.stride(), argument.dtype)
    return tuple(argument) if isinstance(argument, list) else argument


def _plain(argument: Any) -> Any:
    if isinstance(argument, TensorLike):
        return argument.make()
    return list(argument) if isinstance(argument, tuple) else argument


class Arithmetic(NamedTuple):
    """Floating-point operations of an iteration; a multiplication and an addition are two.

    Attributes:
        convolutions: of convolutions, forward and backward.
        total: with those of linear layers and of the power steps' products.
    """

    convolutions: int
    total: int


class Counted:
    """Within it, what an iteration really computes is counted: no gradient that nothing asks for.

    Attributes:
        arithmetic: of all that happened so far.
        calls: the distinct convolutions.
    """

    def __init__(self) -> None:
        self.counter, self.noted = FlopCounterMode(display=False), ConvolutionCalls()

    def __enter__(self) -> "Counted":
        self.counter.__enter__()
        self.noted.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.noted.__exit__(*error)
        self.counter.__exit__(*error)

    @property
    def calls(self) -> Counter[Call]:
        return self.noted.calls

    @property
    def arithmetic(self) -> Arithmetic:
        found = self.counter.get_flop_counts().get("Global", {})
        convolutions = sum(int(flops) for operator, flops in found.items() if "convolution" in str(operator))
        return Arithmetic(convolutions, int(self.counter.get_total_flops()))


def seconds_alone(calls: Counter[Call]) -> float:
    """Of all calls, each distinct one measured by itself."""
    return sum(times * call.seconds_alone() for call, times in calls.items())
