"""Weight clipping."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from srgan.constraints.base import Constraint
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup


@dataclass(frozen=True)
class WeightClipping(Constraint):
    """After each D update every weight of D into [-c, c] (WGAN: Arjovsky et al. 2017, Algorithm 1).

    Args:
        c: the bound; 0.01 in the paper.

    Raises:
        ValueError: c is not positive.
    """

    c: float = 0.01

    label = "clip"

    def __post_init__(self) -> None:
        if not 0 < self.c < float("inf"):
            raise ValueError(f"Expected a positive bound c, found {self.c}.")

    @property
    def sentence(self) -> str:
        return f"weight clipping: each weight of D into [-{self.c:g}, {self.c:g}] after each update"

    @torch.no_grad()
    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        for parameter in discriminator.parameters():
            parameter.clamp_(-self.c, self.c)

    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        with torch.no_grad():
            weights = torch.cat([parameter.reshape(-1) for parameter in discriminator.parameters()])
            return {"constraint/share_at_bound": float((weights.abs() >= self.c).float().mean())}
