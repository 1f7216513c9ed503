"""The exponential moving average of a generator (EMA), whose images are often better than those of its last weights."""

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def decay_at(iteration: int, decay: float) -> float:
    """`min(decay, (1 + t) / (10 + t))`: at first the average follows faster, or it would hold the initial weights long.

    As TensorFlow's ExponentialMovingAverage with `num_updates`; without state, so that a resumed run carries on.
    """
    return min(decay, (1 + iteration) / (10 + iteration))


def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """`average <- decay * average + (1 - decay) * network`, in place.

    Parameters and batch norm's running statistics are averaged, which belong together; the other buffers, counters
    and power vectors, are the network's.

    Args:
        average: a copy of the network.
        network: that was just updated.
        decay: in [0, 1).
    """
    kept: list[Tensor] = [*average.parameters()]
    new: list[Tensor] = [*network.parameters()]
    for (name, own), theirs in zip(average.named_buffers(), network.buffers(), strict=True):
        if ".running_" in f".{name}":
            kept.append(own)
            new.append(theirs)
        else:
            own.copy_(theirs)
    get_ema_multi_avg_fn(decay)(kept, new, 0)
