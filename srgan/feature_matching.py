"""Feature matching: an additional term of the generator's loss."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from srgan.constraints import raw_weight, spectral_layers
from srgan.constraints.layers import CONVOLUTIONS

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class FeatureMatching:
    """`weight ||E f(x) - E f(G(z))||_2^2` on a layer of D (Salimans et al. 2016, Section 3.1).

    Beside the loss of D's output, not in place of it: alone it fails. Expectations are means over a micro-batch on one
    rank, so the term depends on the split into micro-batches, as batch norm does.

    Attributes:
        weight: at iteration 0.
        decay_iterations: over which the weight falls linearly to 0; None: it stays.
        layer: name of the layer of D whose output is f; None: its middle convolution, shortcuts of 1 x 1 left out.

    Raises:
        ValueError: the weight or the number of iterations is not positive.
    """

    weight: float = 1.0
    decay_iterations: int | None = None
    layer: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf") or (self.decay_iterations is not None and self.decay_iterations < 1):
            raise ValueError(
                "Expected a positive weight and decay_iterations of at least 1 (or none), found "
                f"{self.weight} and {self.decay_iterations}."
            )

    def weight_at(self, iteration: int) -> float:
        """Of an iteration, from 0."""
        return self.weight * max(0.0, 1 - iteration / self.decay_iterations) if self.decay_iterations else self.weight

    def find_layer(self, discriminator: nn.Module) -> nn.Module:
        """The layer whose output is f.

        Raises:
            ValueError: there is none of that name, or no convolution.
        """
        convolutions: dict[str, nn.Module] = {
            name: m for name, m in spectral_layers(discriminator) if isinstance(m, CONVOLUTIONS)
        }
        named: dict[str, nn.Module] = dict(discriminator.named_modules())
        if self.layer is not None and self.layer in named:
            return named[self.layer]
        if self.layer is not None or not convolutions:
            raise ValueError(
                f"Expected a layer of the discriminator to match features of, found {self.layer!r}. Its convolutions: "
                f"{', '.join(convolutions) or 'none'}."
            )
        every = list(convolutions.values())
        wide = [layer for layer in every if raw_weight(layer)[0, 0].numel() > 1] or every
        return wide[len(wide) // 2]

    def scores_and_term(
        self, discriminator: nn.Module, real: Batch, fake: Batch, iteration: int
    ) -> tuple[Tensor, Tensor]:
        """D's scores of the generated images `[B]`, and the term, a scalar.

        Args:
            discriminator: D; it sees the real images without a graph, then the generated ones.
            real: images `[B, 3, H, W]` and labels `[B]`.
            fake: the same of generated images, with G's graph.
            iteration: from 0.
        """
        means: list[Tensor] = []  # of f over each batch
        hook = self.find_layer(discriminator).register_forward_hook(
            lambda layer, inputs, output: means.append(output.float().mean(dim=0))
        )
        try:
            with torch.no_grad():
                discriminator(*real)
            scores: Tensor = discriminator(*fake)
        finally:
            hook.remove()
        return scores, self.weight_at(iteration) * (means[0] - means[1]).square().sum()
