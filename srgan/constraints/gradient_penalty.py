"""The gradient penalty of WGAN-GP."""

from dataclasses import dataclass

import torch
from torch import Tensor

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.step import DiscriminatorStep


@dataclass(frozen=True)
class GradientPenalty(Constraint):
    """`lambda E[(||grad D(xhat)||_2 - 1)^2]` between the images (Gulrajani et al. 2017, Eq. 3).

    `xhat = e x + (1 - e) G(z)`, e ~ U(0, 1) per image. A conditional D sees the real image's class.

    Args:
        weight: lambda; 10 in the paper.

    Raises:
        ValueError: the weight is negative.
    """

    weight: float = 10.0

    label = "GP"
    needs_double_backward = needs_per_sample_gradients = True

    def __post_init__(self) -> None:
        check_nonnegative(self.weight)

    @property
    def sentence(self) -> str:
        return f"gradient penalty (WGAN-GP), λ = {self.weight:g}: the slope of D between real and generated images"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        e = step.uniform("gradient penalty", 1, 1, 1)
        xhat = torch.lerp(step.fake.float(), step.real.float(), e)
        return self.weight * (step.gradient_norms(xhat, step.real_labels) - 1).square().mean()
