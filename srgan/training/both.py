"""The discriminator's scores of real and of generated images, in one forward pass where possible."""

import torch
from torch import Tensor

from srgan.constraints.together import Together, has_batch_norm, passes_are_alike
from srgan.networks import Discriminator


def scores_of_both(
    D: Discriminator, weights: Together, real: Tensor, labels: Tensor, fake: Tensor, fake_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """D's outputs `[B]` on real and on generated images `[B, 3, H, W]`, each with its labels `[B]`.

    The result of two forward passes, real images first, as in the authors' code: under SN each takes a power step. They
    are one pass wherever that gives the same up to rounding.
    """
    if D.scores_alone and passes_are_alike(D):
        scores = D(torch.cat([real, fake]), torch.cat([labels, fake_labels]))
        return scores[: len(real)], scores[len(real) :]
    with weights.normalized(
        passes=2, side_by_side=D.takes_side_by_side(real) and not has_batch_norm(D)
    ) as side_by_side:
        if side_by_side:
            scores = D(torch.cat([real, fake], dim=1), torch.stack([labels, fake_labels], dim=1))
            return scores[:, 0], scores[:, 1]
        return D(real, labels), D(fake, fake_labels)
