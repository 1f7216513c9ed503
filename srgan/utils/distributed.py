"""The processes (ranks) that train one run together, one device each."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

GRACEFUL_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""Signals from people, closed terminals (SIGHUP) and clusters that stop a job. Windows has the first two."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process (`rank`) among the `world_size` of a run. Several need an initialized torch.distributed."""

    rank: int = 0
    world_size: int = 1

    def share(self, count: int) -> range:
        """This rank's rows of `count`: contiguous, as equal as possible, together all of them."""
        return range(*(count * rank // self.world_size for rank in (self.rank, self.rank + 1)))

    def owners(self, costs: Sequence[float]) -> list[int]:
        """The rank of each of several jobs: the most expensive first, each to the rank with the least work."""
        work = [0.0] * self.world_size
        owners = [0] * len(costs)
        for job in sorted(range(len(costs)), key=lambda job: -costs[job]):
            owners[job] = work.index(min(work))
            work[owners[job]] += costs[job]
        return owners

    @torch.no_grad()
    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the ranks, in place, in one all-reduce; bit-identical on all ranks."""
        if self.world_size > 1 and tensors:
            flat = _flat(tensors)
            dist.all_reduce(flat)
            _unflatten_(tensors, flat / self.world_size)

    @torch.no_grad()
    def broadcast_(self, tensors: Sequence[Tensor], source: int) -> None:
        """Replaces each tensor by that of rank `source`, in place, in one broadcast."""
        if self.world_size > 1 and tensors:
            flat = _flat(tensors)
            dist.broadcast(flat, source)
            _unflatten_(tensors, flat)

    @torch.no_grad()
    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all ranks `[n_r, ...]`, one behind the other, on every rank; the n_r may differ."""
        if self.world_size == 1:
            return tensor
        from torchmetrics.utilities.distributed import gather_all_tensors

        return torch.cat(gather_all_tensors(tensor))


SINGLE_PROCESS = ProcessGroup()

LOST_CONNECTION = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "NCCL communicator was aborted",
)


def is_connection_loss(error: BaseException) -> bool:
    """Whether an error means that another process is gone: a RuntimeError of gloo, or NCCL's own classes."""
    if isinstance(error, dist.DistBackendError | dist.DistNetworkError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in LOST_CONNECTION)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def _unflatten_(tensors: Sequence[Tensor], flat: Tensor) -> None:
    for tensor, values in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(values.view_as(tensor))


def accumulation(batch_size: int, devices: int, micro_batch_size: int | None) -> int:
    """Micro-batches per update, `batch_size = micro_batch_size * accumulation * devices`; else ValueError."""
    if batch_size % devices:
        raise ValueError(
            f"Expected a global batch that divides among the devices, found batch_size {batch_size} on {devices}. "
            f"Possible numbers of devices: {_divisors(batch_size)}."
        )
    share = batch_size // devices
    micro = micro_batch_size or share
    if share % micro:
        raise ValueError(
            "Expected batch_size = micro_batch_size x accumulation x devices, found batch_size "
            f"{batch_size}, micro_batch_size {micro} and {devices} devices. Possible values of micro_batch_size: "
            f"{_divisors(share)}."
        )
    return share // micro


def _divisors(number: int) -> str:
    return ", ".join(str(divisor) for divisor in range(1, number + 1) if number % divisor == 0)
