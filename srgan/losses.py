"""Losses of both players as pairs. D's outputs are unbounded scores, higher for "real"."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus


class Loss(nn.Module, ABC):
    """One game: what each player minimizes. A module, so that its state, if it has one, is in checkpoints.

    Attributes:
        boundary: the output of D that tells real (above) from generated (below); None where D's outputs have no
            zero, as a Wasserstein critic's.
        reconstructs: whether D's outputs have to be reconstruction losses, lower for "real", in place of scores.
    """

    boundary: float | None = 0.0
    reconstructs = False

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """D(x) `[B]`, D(G(z)) `[B]` -> scalar."""

    @abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """D(G(z)) `[B]` -> scalar."""

    def after_update(self, means: Mapping[str, Tensor]) -> None:
        """Takes note of the means over the global batch (`scores`) of a discriminator update."""

    def report(self) -> Mapping[str, float]:
        """Numbers of the loss's own for the loggers, by names like "loss/..."."""
        return {}

    def scores(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Means of D(x) and D(G(z)), both `[B]`, and the shares of them on the right side of the boundary."""
        means = {"score/real": real.mean(), "score/fake": fake.mean()}
        if self.boundary is None:
            return means
        right = {"accuracy/real": real > self.boundary, "accuracy/fake": fake < self.boundary}
        return means | {name: side.float().mean() for name, side in right.items()}


class Hinge(Loss):
    """Eq. 6."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.mean()


class Minimax(Loss):
    """Goodfellow et al. 2014, Eq. 1, on logits: G minimizes `log(1 - D(G(z)))`, which saturates where D is sure."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return softplus(-real).mean() + softplus(fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -softplus(fake).mean()


class NonSaturating(Minimax):
    """Goodfellow et al. 2014, Section 3: `-log D(G(z))` in place of `log(1 - D(G(z)))`, on logits."""

    def generator(self, fake: Tensor) -> Tensor:
        return softplus(-fake).mean()


class Wasserstein(Loss):
    """Arjovsky et al. 2017, Eq. 2."""

    boundary = None

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.mean()


class LeastSquares(Loss):
    """Mao et al. 2017, Eq. 9: targets 0 for fake, 1 for real, 1 for the generator."""

    boundary = 0.5

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        return (fake - 1).square().mean() / 2


class BEGAN(Loss):
    """Berthelot et al. 2017, Section 3.4: D is an autoencoder, its outputs are the reconstruction losses L(v).

    `L_D = L(x) - k_t L(G(z))`, `L_G = L(G(z))`, and after each discriminator update
    `k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z)))`, clipped to [0, 1]. Here a low output means "real". The balance
    takes the losses of D's own batch: departs from the paper, which has those of the batch that G trains on.

    Args:
        gamma: the ratio of E L(G(z)) to E L(x) that is held, in (0, 1]: lower is less diverse; 0.3 to 0.7 there.
        proportional_gain: lambda_k; 0.001 there.

    Raises:
        ValueError: gamma is outside (0, 1], or the gain negative.
    """

    boundary = None
    reconstructs = True
    k: Tensor
    convergence: Tensor

    def __init__(self, gamma: float = 0.5, proportional_gain: float = 1e-3) -> None:
        super().__init__()
        if not 0 < gamma <= 1 or not 0 <= proportional_gain < float("inf"):
            raise ValueError(
                "Expected gamma in (0, 1] and a proportional_gain of at least 0, found "
                f"{gamma} and {proportional_gain}."
            )
        self.gamma, self.proportional_gain = gamma, proportional_gain
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("convergence", torch.zeros(()))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - self.k * fake.mean()

    def generator(self, fake: Tensor) -> Tensor:
        return fake.mean()

    @torch.no_grad()
    def after_update(self, means: Mapping[str, Tensor]) -> None:
        balance = self.gamma * means["score/real"] - means["score/fake"]
        self.k.copy_((self.k + self.proportional_gain * balance).clamp(0, 1))
        self.convergence.copy_(means["score/real"] + balance.abs())

    def report(self) -> Mapping[str, float]:
        """k_t, and the convergence measure `M = L(x) + |gamma L(x) - L(G(z))|`."""
        return {"loss/k": float(self.k), "loss/convergence": float(self.convergence)}
