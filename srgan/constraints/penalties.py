"""Terms of D's loss that bound its gradient at images, its slope between them, or its weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint, DiscriminatorStep
from srgan.constraints.layers import output_dim, raw_weight, spectral_layers
from srgan.spectral import matricize
from srgan.utils.precision import without_autocast


@dataclass(frozen=True)
class Penalty(Constraint):
    """A term with a weight of at least 0; ValueError for another weight."""

    weight: float = 10.0

    def __post_init__(self) -> None:
        check_penalty_weight(self.weight)


def check_penalty_weight(weight: float) -> None:
    if not 0 <= weight < float("inf"):
        raise ValueError(f"Expected a penalty's weight of at least 0, found {weight}.")


@dataclass(frozen=True)
class GradientPenalty(Penalty):
    """`lambda E[(||grad D(xhat)||_2 - 1)^2]` between the images (WGAN-GP: Gulrajani et al. 2017, Eq. 3).

    `xhat = e x + (1 - e) G(z)`, e ~ U(0, 1) per image. A conditional D sees the real image's class.

    Args:
        weight: lambda, at least 0; 10 in the paper.
    """

    label = "GP"
    needs_double_backward = needs_per_sample_gradients = True

    @property
    def sentence(self) -> str:
        return f"gradient penalty (WGAN-GP), λ = {self.weight:g}: the slope of D between real and generated images"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        e = step.uniform("gradient penalty", 1, 1, 1)
        xhat = torch.lerp(step.fake.float(), step.real.float(), e)
        return self.weight * (step.gradient_norms(xhat, step.real_labels) - 1).square().mean()


@dataclass(frozen=True)
class DRAGAN(Penalty):
    """`lambda E[(||grad D(xhat)||_2 - 1)^2]` near the data (Kodali et al. 2017).

    `xhat = x + 0.5 std(x) U(0, 1)`, with one number for each pixel and the deviation of all pixels of the batch: our
    reading of the authors' code, without the second number per image by which copies of it shrink the step. Their
    discriminator has batch norm, under which the gradient at an image depends on all images of its batch: then the
    penalty depends on the split into micro-batches.

    Args:
        weight: lambda, at least 0; 10 in their code.
    """

    label = "DRAGAN"
    needs_double_backward = True

    @property
    def sentence(self) -> str:
        return f"gradient penalty near the data (DRAGAN), λ = {self.weight:g}"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        noise = step.uniform("dragan", *step.real.shape[1:])
        xhat = step.real.float() + 0.5 * step.standard_deviation_of_real() * noise
        return self.weight * (step.gradient_norms(xhat, step.real_labels) - 1).square().mean()


@dataclass(frozen=True)
class R1Penalty(Constraint):
    """`gamma / 2 E[||grad D(x)||_2^2]` on real images alone (Mescheder et al. 2018, Eq. 9).

    Args:
        gamma: at least 0; 10 in the paper.
    """

    gamma: float = 10.0

    label = "R1"
    needs_double_backward = needs_per_sample_gradients = True

    def __post_init__(self) -> None:
        check_penalty_weight(self.gamma)

    @property
    def sentence(self) -> str:
        return f"R1 penalty, γ = {self.gamma:g}: the slope of D on real images"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        return self.gamma / 2 * step.gradient_norms(step.real, step.real_labels).square().mean()


@dataclass(frozen=True)
class SLOGAN(Penalty):
    """`lambda E[(|D(x) - D(y)| / ||x - y||_2 - 1)^2]` over pairs of samples.

    Our reading: the method is known to us by its intent alone, a Lipschitz constraint between input and output
    directly, on samples. The pairs are real and generated, real and mixed, generated and mixed images; mixed ones are
    `e x + (1 - e) G(z)`, e ~ U(0, 1) per image. A conditional D sees the real image's class for all three.

    Args:
        weight: lambda, at least 0.
    """

    label = "SLOGAN"

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


@dataclass(frozen=True)
class OrthonormalRegularization(Penalty):
    """`beta ||W W^T - I||_F^2` summed over all layers (Brock et al. 2017), on the smaller side of W `[out, in k k]`.

    Args:
        weight: beta, at least 0.
        off_diagonal: `beta ||W W^T * (1 - I)||_F^2` instead: directions orthogonal, lengths free (BigGAN, Eq. 3).
    """

    weight: float = 1e-4
    off_diagonal: bool = False

    label = "orthonormal"

    @property
    def sentence(self) -> str:
        formula = "‖WWᵀ ∘ (1 − I)‖²" if self.off_diagonal else "‖WWᵀ − I‖²"
        return f"orthonormal regularization, {self.weight:g} {formula} of each layer"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        return self.weight * torch.stack([excess.square().sum() for excess in self.excesses(step.discriminator)]).sum()

    def excesses(self, discriminator: nn.Module) -> list[Tensor]:
        """The difference of each layer's Gram matrix from the one that is wanted, `[N, N]`, with its graph."""
        with without_autocast(next(discriminator.parameters()).device):
            excesses = []
            for _, layer in spectral_layers(discriminator):
                W = matricize(raw_weight(layer), output_dim(layer))
                G = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
                target = torch.diag(G.diagonal() if self.off_diagonal else torch.ones_like(G.diagonal()))
                excesses.append(G - target)
        return excesses

    @torch.no_grad()
    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        largest = torch.stack([excess.abs().amax() for excess in self.excesses(discriminator)]).amax()
        return {"constraint/largest_excess": float(largest)}
