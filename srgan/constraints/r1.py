"""The R1 penalty."""

from dataclasses import dataclass

from torch import Tensor

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.step import DiscriminatorStep


@dataclass(frozen=True)
class R1Penalty(Constraint):
    """`gamma / 2 E[||grad D(x)||_2^2]` on real images alone (Mescheder et al. 2018, Eq. 9).

    Args:
        gamma: 10 in the paper.

    Raises:
        ValueError: gamma is negative.
    """

    gamma: float = 10.0

    label = "R1"
    needs_double_backward = needs_per_sample_gradients = True

    def __post_init__(self) -> None:
        check_nonnegative(self.gamma)

    @property
    def sentence(self) -> str:
        return f"R1 penalty, γ = {self.gamma:g}: the slope of D on real images"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        return self.gamma / 2 * step.gradient_norms(step.real, step.real_labels).square().mean()
