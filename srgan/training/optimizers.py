"""What steps a player's weights: Adam as the paper sets it, or RMSprop."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimizerSettings:
    """An optimizer; by default Adam as the paper sets it (Appendix B).

    Departs from the authors' Chainer: its Adam adds eps before the bias correction of the second moment, PyTorch's
    after it; visible in the first step only.

    Attributes:
        learning_rate: learning rate at iteration 0.
        betas: decay of the first and second moment; (0, 0.9) in the paper. RMSprop takes the second one alone.
        algorithm: "adam", or "rmsprop" (WGAN: Arjovsky et al. 2017, Algorithm 1).

    Raises:
        ValueError: a negative or infinite learning rate, or betas outside of [0, 1).
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
