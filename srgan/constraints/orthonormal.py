"""Orthonormal regularization of weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint, check_nonnegative
from srgan.constraints.layers import output_dim, raw_weight, spectral_layers
from srgan.constraints.step import DiscriminatorStep
from srgan.spectral import matricize
from srgan.utils.precision import without_autocast


class OrthonormalRegularization(Constraint):
    """`beta ||W W^T - I||_F^2` summed over all layers (Brock et al. 2017), on the smaller side of W `[out, in k k]`.

    Args:
        weight: beta.
        off_diagonal: `beta ||W W^T * (1 - I)||_F^2` instead: directions orthogonal, lengths free (BigGAN, Eq. 3).

    Raises:
        ValueError: the weight is negative.
    """

    label = "orthonormal"

    def __init__(self, weight: float = 1e-4, off_diagonal: bool = False) -> None:
        self.weight = check_nonnegative(weight)
        self.off_diagonal = off_diagonal
        formula = "‖WWᵀ ∘ (1 − I)‖²" if off_diagonal else "‖WWᵀ − I‖²"
        self.sentence = f"orthonormal regularization, {weight:g} {formula} of each layer"

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
