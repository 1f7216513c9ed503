"""SLOGAN."""

from dataclasses import dataclass

import torch
from torch import Tensor

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.step import DiscriminatorStep


@dataclass(frozen=True)
class SLOGAN(Constraint):
    """`lambda E[(|D(x) - D(y)| / ||x - y||_2 - 1)^2]` over pairs of samples.

    Our reading: the method is known to us by its intent alone, a Lipschitz constraint between input and output
    directly, on samples. The pairs are real and generated, real and mixed, generated and mixed images; mixed ones are
    `e x + (1 - e) G(z)`, e ~ U(0, 1) per image. A conditional D sees the real image's class for all three.

    Args:
        weight: lambda.

    Raises:
        ValueError: the weight is negative.
    """

    weight: float = 10.0

    label = "SLOGAN"

    def __post_init__(self) -> None:
        check_nonnegative(self.weight)

    @property
    def sentence(self) -> str:
        return f"penalty on D's slope over pairs of samples (SLOGAN, our reading), λ = {self.weight:g}"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        real, fake = step.real.float(), step.fake.float()
        mixed = torch.lerp(fake, real, step.uniform("slogan", 1, 1, 1))
        images = (real, fake, mixed)
        scores = step.scores(torch.cat(images), step.real_labels.repeat(3)).chunk(3)
        slopes = [
            (scores[a] - scores[b]).abs() / (images[a] - images[b]).flatten(1).norm(dim=1).clamp_min(1e-8)
            for a, b in ((0, 1), (0, 2), (1, 2))
        ]
        return self.weight * (torch.cat(slopes) - 1).square().mean()
