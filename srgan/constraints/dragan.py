"""DRAGAN."""

from dataclasses import dataclass

from torch import Tensor

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.step import DiscriminatorStep


@dataclass(frozen=True)
class DRAGAN(Constraint):
    """`lambda E[(||grad D(xhat)||_2 - 1)^2]` near the data (Kodali et al. 2017).

    `xhat = x + 0.5 std(x) U(0, 1)`, with one number for each pixel and the deviation of all pixels of the batch: our
    reading of the authors' code, without the second number per image by which copies of it shrink the step. Their
    discriminator has batch norm, under which the slope at an image is one of all images of its batch: then it depends
    on the split into micro-batches.

    Args:
        weight: lambda; 10 in their code.

    Raises:
        ValueError: the weight is negative.
    """

    weight: float = 10.0

    label = "DRAGAN"
    needs_double_backward = True

    def __post_init__(self) -> None:
        check_nonnegative(self.weight)

    @property
    def sentence(self) -> str:
        return f"gradient penalty near the data (DRAGAN), λ = {self.weight:g}"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        noise = step.uniform("dragan", *step.real.shape[1:])
        xhat = step.real.float() + 0.5 * step.standard_deviation_of_real() * noise
        return self.weight * (step.gradient_norms(xhat, step.real_labels) - 1).square().mean()
