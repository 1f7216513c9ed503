"""The exponential moving average of a generator (EMA), whose images are often better than those of its last weights."""

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def decay_at(iteration: int, decay: float) -> float:
    """`min(decay, (1 + t) / (10 + t))`, as TensorFlow's ExponentialMovingAverage with `num_updates`.

    A lower decay at first forgets the initial weights sooner. No state, so that a resumed run is the same.
    """
    return min(decay, (1 + iteration) / (10 + iteration))


def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """`average <- decay * average + (1 - decay) * network`, in place.

    Parameters and running statistics of batch norm are averaged; other buffers (counters, power vectors) are copied.
    `average` is a copy of the network, decay in [0, 1).
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
