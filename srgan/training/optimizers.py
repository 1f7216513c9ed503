"""What moves weights: Adam as the paper sets it, or RMSprop, and the moving average of a generator (EMA)."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimizer; by default Adam as the paper sets it (Appendix B).

    Departs from the authors' Chainer: its Adam adds eps before the bias correction of the second moment, PyTorch's
    after it; visible in the first step only. ValueError for a negative or infinite learning rate, or betas outside of
    [0, 1).

    Attributes:
        learning_rate: learning rate at iteration 0.
        betas: decay of the first and second moment; (0, 0.9) in the paper. RMSprop takes the second one alone.
        algorithm: "adam", or "rmsprop" (WGAN: Arjovsky et al. 2017, Algorithm 1).
    """

    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)
    algorithm: Literal["adam", "rmsprop"] = "adam"

    def __post_init__(self) -> None:
        if not 0 <= self.learning_rate < math.inf or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                "Expected a learning rate of at least 0 and betas in [0, 1), found "
                f"{self.learning_rate} and {', '.join(map(str, self.betas))}."
            )

    @property
    def options(self) -> dict[str, Any]:
        """Of the optimizer's class, but for the learning rate."""
        return {"betas": self.betas} if self.algorithm == "adam" else {"alpha": self.betas[1]}

    def build(self, player: nn.Module) -> torch.optim.Optimizer:
        """The optimizer of all parameters of one player."""
        optimizer: torch.optim.Optimizer
        if self.algorithm == "adam":
            optimizer = torch.optim.Adam(player.parameters(), self.learning_rate, fused=True, **self.options)
        else:
            optimizer = torch.optim.RMSprop(player.parameters(), self.learning_rate, **self.options)
        optimizer.register_load_state_dict_post_hook(take_formats_of_parameters)
        return optimizer


def take_formats_of_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Lays a loaded state out in memory as the parameters are, channels last or not: fused Adam goes by memory."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)


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
