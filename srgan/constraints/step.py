"""The part of a discriminator update that penalties are computed from."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.precision import without_autocast
from srgan.utils.randomness import counter_rows


@dataclass(frozen=True)
class DiscriminatorStep:
    """One micro-batch of one discriminator update, on one rank.

    Attributes:
        discriminator: D: images `[B, 3, H, W]` and labels `[B]` -> scores `[B]`.
        real: images `[B, 3, H, W]` float32 in [-1, 1].
        real_labels: `[B]` int64.
        fake: generated images `[B, 3, H, W]`, without a graph.
        fake_labels: `[B]` int64.
        seed: Random seed of the run.
        iteration: t, from 0.
        update: index of the update in its iteration, 0 ... n_dis - 1.
        rows: the rows of the update's global batch in this micro-batch.
        real_of_update: this rank's real images of the whole update, `real` among them.
        ranks: the processes that share the global batch.
    """

    discriminator: nn.Module
    real: Tensor
    real_labels: Tensor
    fake: Tensor
    fake_labels: Tensor
    seed: int
    iteration: int
    update: int
    rows: range
    real_of_update: Tensor
    ranks: ProcessGroup = SINGLE_PROCESS

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Random numbers in [0, 1) `[B, *shape]`, a function of (seed, purpose, iteration, update, row) alone."""
        return counter_rows(
            torch.rand, self.rows, shape, self.real.device, self.seed, purpose, self.iteration, self.update
        )

    def scores(self, images: Tensor, labels: Tensor) -> Tensor:
        """D's outputs `[B]`, in float32 also under autocast."""
        with without_autocast(images.device):
            scores: Tensor = self.discriminator(images.float(), labels)
            return scores.float()

    def gradient_norms(self, images: Tensor, labels: Tensor) -> Tensor:
        """`||grad D(x)||_2` of each image `[B]`, differentiable in D's weights.

        It is the gradient of the sum over the batch, which under batch norm in D mixes the images.
        """
        x = images.detach().float().requires_grad_()
        with without_autocast(x.device):
            (gradient,) = torch.autograd.grad(self.scores(x, labels).sum(), x, create_graph=True)
            norms: Tensor = gradient.flatten(1).norm(dim=1)
            return norms

    @torch.no_grad()
    def standard_deviation_of_real(self) -> Tensor:
        """Standard deviation of all pixels of the global batch's real images, `[]`, for any split into ranks."""
        x = self.real_of_update.double()
        moments = torch.stack([x.mean(), x.square().mean()])
        self.ranks.average_([moments])
        return (moments[1] - moments[0].square()).clamp_min(0).sqrt().float()
