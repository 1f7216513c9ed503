"""Weight clipping."""

from collections.abc import Mapping

import torch
from torch import nn

from srgan.constraints.base import Constraint
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup


class WeightClipping(Constraint):
    """After each D update every weight of D into [-c, c] (WGAN: Arjovsky et al. 2017, Algorithm 1).

    Args:
        c: the bound; 0.01 in the paper.

    Raises:
        ValueError: c is not positive.
    """

    label = "clip"
    has_post_step = True

    def __init__(self, c: float = 0.01) -> None:
        if not 0 < c < float("inf"):
            raise ValueError(f"Expected a positive bound c, found {c}.")
        self.c = c
        self.sentence = f"weight clipping: each weight of D into [-{c:g}, {c:g}] after each update"

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
