"""Losses of both players as pairs. D's outputs are unbounded scores, higher for "real"."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus

LossName = Literal["hinge", "non-saturating", "wasserstein", "least-squares"]


class Loss(NamedTuple):
    """One game: what each player minimizes.

    Attributes:
        discriminator: (D(x) `[B]`, D(G(z)) `[B]`) -> scalar.
        generator: D(G(z)) `[B]` -> scalar.
        boundary: the output of D that tells real (above) from generated (below); None where D's outputs have no
            zero, as a Wasserstein critic's.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float | None

    def scores(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Means of D(x) and D(G(z)), both `[B]`, and the shares of them on the right side of the boundary."""
        means = {"score/real": real.mean(), "score/fake": fake.mean()}
        if self.boundary is None:
            return means
        right = {"accuracy/real": real > self.boundary, "accuracy/fake": fake < self.boundary}
        return means | {name: side.float().mean() for name, side in right.items()}


LOSSES: dict[LossName, Loss] = {
    # Eq. 6.
    "hinge": Loss(
        discriminator=lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
        generator=lambda fake: -fake.mean(),
        boundary=0.0,
    ),
    # Goodfellow et al. 2014, Section 3: -log D(G(z)) in place of log(1 - D(G(z))), on logits.
    "non-saturating": Loss(
        discriminator=lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        generator=lambda fake: softplus(-fake).mean(),
        boundary=0.0,
    ),
    # Arjovsky et al. 2017, Eq. 2.
    "wasserstein": Loss(
        discriminator=lambda real, fake: fake.mean() - real.mean(),
        generator=lambda fake: -fake.mean(),
        boundary=None,
    ),
    # Mao et al. 2017, Eq. 9: targets 0 for fake, 1 for real, 1 for the generator.
    "least-squares": Loss(
        discriminator=lambda real, fake: ((real - 1).square().mean() + fake.square().mean()) / 2,
        generator=lambda fake: (fake - 1).square().mean() / 2,
        boundary=0.5,
    ),
}
