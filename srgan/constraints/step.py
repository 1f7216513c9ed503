"""What a penalty sees of one discriminator update."""

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
        discriminator: D, to be called with images `[B, 3, H, W]` and labels `[B]`; -> scores `[B]`.
        real: images `[B, 3, H, W]` float32 in [-1, 1].
        real_labels: `[B]` int64.
        fake: generated images `[B, 3, H, W]`, without a graph.
        fake_labels: `[B]` int64.
        seed: of the run.
        iteration: t, from 0.
        update: of the iteration, in 0 ... n_dis - 1.
        rows: which rows of the update's global batch these are.
        real_of_update: this rank's real images of the whole update, of which `real` are some.
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
        """Numbers in [0, 1) `[B, *shape]`, a function of (seed, purpose, iteration, update, row) alone.

        So they resume bit-identically and do not depend on the split into ranks and micro-batches.
        """
        return counter_rows(
            torch.rand, self.rows, shape, self.real.device, self.seed, purpose, self.iteration, self.update
        )

    def scores(self, images: Tensor, labels: Tensor) -> Tensor:
        """D's outputs `[B]` in float32: a gradient penalty does not go through half precision."""
        with without_autocast(images.device):
            scores: Tensor = self.discriminator(images.float(), labels)
            return scores.float()

    def gradient_norms(self, images: Tensor, labels: Tensor) -> Tensor:
        """`||grad D(x)||_2` of each image `[B]`, differentiable in D's weights.

        The gradient of the sum is taken: where D mixes the images of a batch (batch norm), a norm is one of all.
        """
        x = images.detach().float().requires_grad_()
        with without_autocast(x.device):  # of the backward pass, whose graph is gone through again
            (gradient,) = torch.autograd.grad(self.scores(x, labels).sum(), x, create_graph=True)
            norms: Tensor = gradient.flatten(1).norm(dim=1)
            return norms

    @torch.no_grad()
    def standard_deviation_of_real(self) -> Tensor:
        """Of all pixels of the global batch's real images, `[]`; the same for any split but for rounding."""
        x = self.real_of_update.double()
        moments = torch.stack([x.mean(), x.square().mean()])
        self.ranks.average_([moments])
        return (moments[1] - moments[0].square()).clamp_min(0).sqrt().float()
