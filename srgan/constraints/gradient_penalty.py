"""The gradient penalty of WGAN-GP."""

import torch
from torch import Tensor

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.step import DiscriminatorStep


class GradientPenalty(Constraint):
    """`lambda E[(||grad D(xhat)||_2 - 1)^2]` between the images (Gulrajani et al. 2017, Eq. 3).

    `xhat = e x + (1 - e) G(z)`, e ~ U(0, 1) per image. A conditional D sees the real image's class.

    Args:
        weight: lambda; 10 in the paper.

    Raises:
        ValueError: the weight is negative.
    """

    label = "GP"
    needs_double_backward = needs_per_sample_gradients = True

    def __init__(self, weight: float = 10.0) -> None:
        self.weight = check_nonnegative(weight)
        self.sentence = f"gradient penalty (WGAN-GP), λ = {weight:g}: the slope of D between real and generated images"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        e = step.uniform("gradient penalty", 1, 1, 1)
        xhat = torch.lerp(step.fake.float(), step.real.float(), e)
        return self.weight * (step.gradient_norms(xhat, step.real_labels) - 1).square().mean()
