"""A device that is not the CPU, on a machine without a GPU.

Its tensors report the device "meta" and hold their values on the CPU, so everything computes. It refuses what a GPU
refuses, operations that mix its tensors with the CPU's, and counts what a GPU makes slow: places where the host waits,
and launches of kernels, with the line of srgan behind each. It has no autocast and none of CUDA's own kernels.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import srgan

DEVICE = torch.device("meta")  # not the CPU, and autograd asks nothing of it
CPU = torch.device("cpu")
PACKAGE = Path(srgan.__file__).parent
WITHOUT_KERNEL = {
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "lift_fresh", "_unsafe_view",
    "_local_scalar_dense",
}  # fmt: skip
"""Memory and views of it. An item is a copy, counted where the host waits."""
COPIES = {"_to_copy", "copy_"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}  # the index may be on the CPU
WAITING = {
    "_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "bincount", "unique_dim", "_unique2",
    "repeat_interleave", "_linalg_eigh", "_linalg_svd", "_linalg_solve_ex", "linalg_inv_ex",
}  # fmt: skip
"""Operations whose result, or whose check of a result, the host waits for."""
_tensor = torch.tensor


class PretendedTensor(Tensor):
    """A tensor of the pretended device.

    Attributes:
        held: of the same shape, on the CPU.
    """

    held: Tensor
    is_meta = False  # its values are there

    @staticmethod
    def __new__(cls, values: Tensor) -> "PretendedTensor":
        return Tensor._make_wrapper_subclass(
            cls, values.shape, values.stride(), values.storage_offset(), dtype=values.dtype, device=DEVICE
        )

    def __init__(self, values: Tensor) -> None:
        self.held = values

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        raise RuntimeError(f"{func}: expected the pretended device to be switched on where its tensors are used.")

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            copied = self.detach().clone().requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                copied._is_param = True
            memo[id(self)] = copied
        return memo[id(self)]  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A file holds the values: what `torch.load(map_location="cpu")` makes of one that a GPU wrote."""
        return self.held.__reduce_ex__(protocol)


class PretendedGenerator(torch.Generator):
    """A random generator of either device.

    Attributes:
        home: its device.
        homes: seed -> device of the last one so seeded: a dispatcher sees another object of the same state.
    """

    homes: ClassVar[dict[int, torch.device]] = {}

    def __new__(cls, device: torch.device | str = "cpu") -> "PretendedGenerator":
        made: PretendedGenerator = super().__new__(cls, "cpu")  # type: ignore[call-arg]
        return made

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.home = torch.device(device)

    def manual_seed(self, seed: int) -> "PretendedGenerator":
        self.homes[seed] = self.home
        super().manual_seed(seed)
        return self


class PretendedDevice(TorchDispatchMode):
    """Computes on the pretended device while it is entered.

    Attributes:
        launches: name of an operation and line of srgan -> kernels so far.
        waits: the same -> how often the host has waited for the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[tuple[str, str]] = Counter()
        self.waits: Counter[tuple[str, str]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), func._schema.name.removeprefix("aten::")
        tensors = _tensors((args, tuple(kwargs.values())))
        ours = [x for x in tensors if isinstance(x, PretendedTensor)]
        wanted = kwargs.get("device")
        made_here = bool(ours) if wanted is None else torch.device(wanted) == DEVICE
        if name == "copy_":
            made_here = isinstance(args[0], PretendedTensor)
        if not (ours or made_here):
            return func(*args, **kwargs)
        elsewhere = [x for x in tensors if not isinstance(x, PretendedTensor)]
        check_mixing(name, args, ours, [x for x in elsewhere if x.dim()])
        check_generator(name, kwargs.get("generator"), made_here)
        self._count(func, name, args, kwargs, bool(elsewhere) or not made_here)
        if wanted is not None:
            kwargs["device"] = CPU
        known = {id(x.held): x for x in ours}  # what is changed in place stays the same object
        values = [_map(lambda x: getattr(x, "held", x), nested) for nested in (args, tuple(kwargs.values()))]
        results = func(*values[0], **dict(zip(kwargs, values[1], strict=True)))
        wrap: Callable[[Tensor], Tensor] = PretendedTensor if made_here else lambda x: x
        return _map(lambda x: known[id(x)] if id(x) in known else wrap(x), results)

    def _count(self, func: Any, name: str, args: Any, kwargs: Any, crosses: bool) -> None:
        place = name, line_behind()
        masks = name in INDEXING and any(x.dtype == torch.bool for x in _tensors(args[1]))
        non_blocking = kwargs.get("non_blocking") or (name == "copy_" and any(args[2:]))
        if name in WAITING or masks or (crosses and (name in INDEXING or (name in COPIES and not non_blocking))):
            self.waits[place] += 1
        if not (func.is_view or name in WITHOUT_KERNEL):
            self.launches[place] += kernels(name, args)


class CountedCPU(PretendedDevice):
    """Counts what the CPU's own tensors would launch and wait for, where the pretended device has no autocast."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._count(func, func._schema.name.removeprefix("aten::"), args, kwargs or {}, False)
        return func(*args, **(kwargs or {}))


def kernels(name: str, args: Any) -> int:
    """How many an operation launches on CUDA: one, or those that PyTorch's sources add up to.

    cuDNN (aten/src/ATen/native/cudnn/ConvShared.cpp, Convolution.cpp) works in one memory format and copies what comes
    in another; bias and its gradient are kernels of their own, as are the gradients of input and weight, where they are
    wanted. A weight's gradient goes back to the weight's format (AccumulateGrad). `_foreach_copy_` is a copy for each
    pair unless all are dense and of equal strides (ForeachUtils.h).
    """
    if name == "convolution":
        x, weight, bias = args[:3]
        return 1 + copied(x, weight) + copied(weight, x) + (bias is not None)
    if name == "convolution_backward":
        gradient, x, weight = args[:3]
        of_input, of_weight, of_bias = args[-1]  # which are wanted
        of_both = of_input + of_weight
        return int(
            of_both + of_bias + copied(gradient, weight) + copied(weight, x) * of_both + copied(x, weight) * of_weight
        )
    if name == "_foreach_copy_":
        pairs = list(zip(*args[:2], strict=True))
        return 1 if all(a.stride() == b.stride() and is_dense(a) for a, b in pairs) else len(pairs)
    return 1


def copied(tensor: Tensor, other: Tensor) -> bool:
    """Whether cuDNN, which takes channels last if either tensor `[.., .., H, W]` is so, copies the first."""
    formats = [x.is_contiguous() for x in (tensor, other)]
    wanted = torch.contiguous_format if all(formats) else torch.channels_last
    return not tensor.is_contiguous(memory_format=wanted)


def is_dense(tensor: Tensor) -> bool:
    """Whether its entries fill a stretch of memory."""
    sizes = sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1)
    return tensor.numel() == 1 + sum(stride * (size - 1) for stride, size in sizes)


def check_mixing(name: str, args: Any, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    """As CUDA does: numbers, copies, and an index from the CPU may meet its tensors."""
    allowed = name in COPIES or (name in INDEXING and isinstance(args[0], PretendedTensor))
    if ours and theirs and not allowed:
        shapes = [list(x.shape) for x in ours], [list(x.shape) for x in theirs]
        raise RuntimeError(
            f"{name} at {line_behind()}: expected tensors of one device, found {shapes[0]} on the pretended one and "
            f"{shapes[1]} on the CPU."
        )


def check_generator(name: str, generator: Any, made_here: bool) -> None:
    """As CUDA does: a device draws from generators of its own."""
    home = CPU if generator is None else PretendedGenerator.homes.get(generator.initial_seed(), CPU)
    if generator is not None and (home == DEVICE) != made_here:
        raise RuntimeError(f"{name} at {line_behind()}: expected a generator of the device that draws, found {home}'s.")


def line_behind() -> str:
    """The innermost line of srgan that is being executed, e.g. "training.py:190 _update_discriminator"."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(f"{PACKAGE}/"):
            return f"{code.co_filename.removeprefix(f'{PACKAGE}/')}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


def _map(change: Callable[[Tensor], Tensor], nested: Any) -> Any:
    """All tensors in lists and tuples, changed."""
    if isinstance(nested, (list, tuple)):
        return type(nested)([_map(change, x) for x in nested])
    return change(nested) if isinstance(nested, Tensor) else nested


def _tensors(nested: Any) -> list[Tensor]:
    found: list[Tensor] = []
    _map(lambda x: found.append(x) or x, nested)  # type: ignore[func-returns-value]
    return found


class _Autocast(torch.autocast):
    """The pretended device computes in the dtypes that it is given."""

    def __init__(self, device_type: str, *args: Any, **settings: Any) -> None:
        super().__init__("cpu" if device_type == DEVICE.type else device_type, *args, **settings)


def _tensor_on_device(data: Any, *, device: Any = None, **settings: Any) -> Tensor:
    """`torch.tensor`, which would leave a tensor of the device "meta" without values."""
    made = _tensor(data, **settings)
    return made if device is None else made.to(device)


@contextmanager
def pretended_device() -> Iterator[PretendedDevice]:
    """The device switched on: code within finds it under `DEVICE`, and fused optimizers work there."""
    supported = ["cpu", "cuda", DEVICE.type]
    with pytest.MonkeyPatch.context() as patch, PretendedDevice() as device:
        patch.setattr(torch, "Generator", PretendedGenerator)
        patch.setattr(torch, "autocast", _Autocast)
        patch.setattr(torch, "tensor", _tensor_on_device)
        for kernels in ("fused", "foreach"):
            patch.setattr(
                sys.modules["torch.optim.optimizer"], f"_get_{kernels}_kernels_supported_devices", lambda: supported
            )
        yield device


class PretendedAccelerator(CPUAccelerator):
    """Lets Lightning's Trainer work there."""

    def setup_device(self, device: torch.device) -> None:
        assert device == DEVICE


def strategy_there() -> SingleDeviceStrategy:
    """For a Trainer whose root device is the pretended one."""
    return SingleDeviceStrategy(device=DEVICE, accelerator=PretendedAccelerator())
