"""Losses of both players. D's outputs are unbounded scores, higher for "real"."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from srgan.constraints.layers import convolutions, is_judged


class Loss(nn.Module, ABC):
    """The losses of discriminator and generator. A module, so that checkpoints hold its state, if any.

    Attributes:
        decision_threshold: D's outputs above it mean "real"; None if D does not classify, as a Wasserstein critic.
        is_autoencoder: whether D must be an autoencoder, whose outputs are reconstruction losses, lower for "real".
    """

    decision_threshold: float | None = 0.0
    is_autoencoder = False

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """D(x) `[B]`, D(G(z)) `[B]` -> scalar."""

    @abstractmethod
    def generator(self, fake: Tensor) -> Tensor:
        """D(G(z)) `[B]` -> scalar."""

    def after_update(self, means: Mapping[str, Tensor]) -> None:
        """Called after a discriminator update with the means over its global batch (see `scores`)."""

    def report(self) -> Mapping[str, float]:
        """Further numbers for the loggers, by names like "loss/..."."""
        return {}

    def scores(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Means of D(x) and D(G(z)), both `[B]`, and D's accuracies on both, if there is a decision threshold."""
        means = {"logits/real": real.mean(), "logits/fake": fake.mean()}
        if self.decision_threshold is None:
            return means
        right = {"accuracy/real": real > self.decision_threshold, "accuracy/fake": fake < self.decision_threshold}
        return means | {name: side.float().mean() for name, side in right.items()}


class Hinge(Loss):
    """Eq. 6."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return relu(1 - real).mean() + relu(1 + fake).mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.mean()


class Minimax(Loss):
    """Goodfellow et al. 2014, Eq. 1, on logits: G minimizes `log(1 - D(G(z)))`, which saturates for a confident D."""

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

    decision_threshold = None

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor) -> Tensor:
        return -fake.mean()


class LeastSquares(Loss):
    """Mao et al. 2017, Eq. 9: targets 0 for fake, 1 for real, 1 for the generator."""

    decision_threshold = 0.5

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return ((real - 1).square().mean() + fake.square().mean()) / 2

    def generator(self, fake: Tensor) -> Tensor:
        return (fake - 1).square().mean() / 2


class BEGAN(Loss):
    """Berthelot et al. 2017, Section 3.4: D is an autoencoder, its outputs are the reconstruction losses L(v).

    `L_D = L(x) - k_t L(G(z))`, `L_G = L(G(z))`, and after each discriminator update
    `k_{t+1} = k_t + lambda_k (gamma L(x) - L(G(z)))`, clipped to [0, 1]. Here a low output means "real". Departs from
    the paper: L(G(z)) in this update is of D's batch. ValueError if gamma is outside (0, 1], or the gain negative.

    Args:
        gamma: target ratio of E L(G(z)) to E L(x), in (0, 1]; lower is less diverse; 0.3 to 0.7 in the paper.
        proportional_gain: lambda_k; 0.001 in the paper.
    """

    decision_threshold = None
    is_autoencoder = True
    k: Tensor
    convergence: Tensor

    def __init__(self, gamma: float = 0.5, proportional_gain: float = 1e-3) -> None:
        super().__init__()
        if not 0 < gamma <= 1 or not 0 <= proportional_gain < float("inf"):
            found = f"{gamma} and {proportional_gain}"
            raise ValueError(f"Expected gamma in (0, 1] and a proportional_gain of at least 0, found {found}.")
        self.gamma, self.proportional_gain = gamma, proportional_gain
        self.register_buffer("k", torch.zeros(()))
        self.register_buffer("convergence", torch.zeros(()))

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return real.mean() - self.k * fake.mean()

    def generator(self, fake: Tensor) -> Tensor:
        return fake.mean()

    @torch.no_grad()
    def after_update(self, means: Mapping[str, Tensor]) -> None:
        balance = self.gamma * means["logits/real"] - means["logits/fake"]
        self.k.copy_((self.k + self.proportional_gain * balance).clamp(0, 1))
        self.convergence.copy_(means["logits/real"] + balance.abs())

    def report(self) -> Mapping[str, float]:
        """k_t, and the convergence measure `M = L(x) + |gamma L(x) - L(G(z))|`."""
        return {"loss/k": float(self.k), "loss/convergence": float(self.convergence)}


Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class FeatureMatching:
    """`weight ||E f(x) - E f(G(z))||_2^2` on a layer of D (Salimans et al. 2016, Section 3.1).

    It is added to the generator's loss; alone it fails. Expectations are means over a micro-batch on one rank, so that
    the term depends on the split into micro-batches, as batch norm does. ValueError if the weight or the number of
    iterations is not positive.

    Attributes:
        weight: weight of the term at iteration 0.
        decay_iterations: iterations over which the weight decays linearly to 0; None: constant.
        layer: name of the layer of D whose output is f; None: its middle convolution, 1 x 1 shortcuts not counted.
    """

    weight: float = 1.0
    decay_iterations: int | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf") or (self.decay_iterations is not None and self.decay_iterations < 1):
            raise ValueError(
                "Expected a positive weight and decay_iterations of at least 1 (or null), found "
                f"{self.weight} and {self.decay_iterations}."
            )

    def weight_at(self, iteration: int) -> float:
        """The weight in an iteration, from 0."""
        return self.weight * max(0.0, 1 - iteration / self.decay_iterations) if self.decay_iterations else self.weight

    def find_layer(self, discriminator: nn.Module) -> nn.Module:
        """The layer whose output is f; ValueError if no layer has its name, or D has no convolutions."""
        found = convolutions(discriminator)
        named: dict[str | None, nn.Module] = dict(discriminator.named_modules())
        if self.layer in named:
            return named[self.layer]
        if self.layer is not None or not found:
            raise ValueError(
                f"Expected a layer of the discriminator to match features of, found {self.layer!r}. Its convolutions: "
                f"{', '.join(found) or 'none'}."
            )
        wide = [layer for layer in found.values() if is_judged(layer)] or list(found.values())
        return wide[len(wide) // 2]

    def scores_and_term(
        self, discriminator: nn.Module, real: Batch, fake: Batch, iteration: int
    ) -> tuple[Tensor, Tensor]:
        """D's outputs `[B]` for generated images, and the term, a scalar; batches are images and labels."""
        means: list[Tensor] = []  # of f over each batch
        with self.find_layer(discriminator).register_forward_hook(
            lambda layer, inputs, output: means.append(output.float().mean(dim=0))
        ):
            with torch.no_grad():
                discriminator(*real)
            scores: Tensor = discriminator(*fake)
        return scores, self.weight_at(iteration) * (means[0] - means[1]).square().sum()
