"""Orthonormal regularization of weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.layers import output_dim, raw_weight, spectral_layers
from srgan.constraints.step import DiscriminatorStep
from srgan.spectral import matricize
from srgan.utils.precision import without_autocast


@dataclass(frozen=True)
class OrthonormalRegularization(Constraint):
    """`beta ||W W^T - I||_F^2` summed over all layers (Brock et al. 2017), on the smaller side of W `[out, in k k]`.

    Args:
        weight: beta.
        off_diagonal: `beta ||W W^T * (1 - I)||_F^2` instead: directions orthogonal, lengths free (BigGAN, Eq. 3).

    Raises:
        ValueError: the weight is negative.
    """

    weight: float = 1e-4
    off_diagonal: bool = False

    label = "orthonormal"

    def __post_init__(self) -> None:
        check_nonnegative(self.weight)

    @property
    def sentence(self) -> str:
        formula = "‖WWᵀ ∘ (1 − I)‖²" if self.off_diagonal else "‖WWᵀ − I‖²"
        return f"orthonormal regularization, {self.weight:g} {formula} of each layer"

    def penalty(self, step: DiscriminatorStep) -> Tensor:
        return self.weight * torch.stack([excess.square().sum() for excess in self.excesses(step.discriminator)]).sum()

    def excesses(self, discriminator: nn.Module) -> list[Tensor]:
        """What each layer's Gram matrix has too much, `[N, N]`, with its graph."""
        with without_autocast(next(discriminator.parameters()).device):
            excesses = []
            for _, layer in spectral_layers(discriminator):
                W = matricize(raw_weight(layer), output_dim(layer))
                G = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
                target = torch.diag(G.diagonal() if self.off_diagonal else torch.ones_like(G.diagonal()))
                excesses.append(G - target)
        return excesses

    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        with torch.no_grad():
            largest = torch.stack([excess.abs().amax() for excess in self.excesses(discriminator)]).amax()
        return {"constraint/largest_excess": float(largest)}
