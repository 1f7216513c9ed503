"""`srgan.watch`: notices in any training loop when the spectra of a discriminator collapse."""

import warnings

from torch import nn

from srgan.collapse import CollapseThresholds, SpectralCollapse
from srgan.constraints.base import Constraint
from srgan.constraints.layers import constrained, convolutions, divides_by_sigma_1, is_judged, spectra, spectral_layers
from srgan.constraints.selecting import unwrap_model
from srgan.runs.folder import normalized
from srgan.runs.scale_growth import MAX_GROWTH, ScaleGrowth


class SpectralWatch:
    """The spectra of a discriminator over its training, and whether they have collapsed.

    Attributes:
        steps: of the optimizer so far.
        falls: layer -> tail mean over its largest so far, in [0, 1], at the last look.
        rates: convolution under a spectral norm -> sigma_1 at the first look over that at the last: what is left of how
            far a step of Adam turns it, lr / sigma_1, but for what a schedule makes of lr.
        collapsed_at: `steps` at the look that found a collapse; None until then.
    """

    def __init__(self, discriminator: nn.Module, every: int, thresholds: CollapseThresholds) -> None:
        if every < 1:
            raise ValueError(f"Expected a look every 1 or more steps, found {every}.")
        self.discriminator, self.every = unwrap_model(discriminator), every
        self.steps = 0
        self.collapsed_at: int | None = None
        self._collapse, self._growth = SpectralCollapse(thresholds), ScaleGrowth()
        self.look()
        if not self.falls:
            raise ValueError(
                "Expected a discriminator with convolutions larger than 1 x 1, whose spectra tell, found none. Look at "
                "srgan.spectra(D) instead."
            )

    @property
    def falls(self) -> dict[str, float]:
        return self._collapse.falls

    @property
    def rates(self) -> dict[str, float]:
        return self._growth.rates

    def step(self) -> None:
        """Call after each step of the discriminator's optimizer; warns once of each that `look` may find."""
        self.steps += 1
        if self.steps % self.every == 0:
            self.look()

    def look(self) -> None:
        """Takes the spectra now; warns once when they have collapsed, and once when half of `rates` are below a third.

        Raises:
            ValueError: a weight holds NaN or infinity (the message names the layer).
        """
        judged = {name: layer for name, layer in spectral_layers(self.discriminator) if is_judged(layer)}
        sigma = {name: values.numpy() for name, values in spectra(self.discriminator, normalized=False).items()}
        constraints = {
            name: own.constraint if (own := constrained(layer)) else Constraint() for name, layer in judged.items()
        }
        kept = {
            name: normalized(sigma[name])[: constraints[name].judged_values(layer)] for name, layer in judged.items()
        }
        if fallen := self._collapse.add(kept):
            held = all(constraint.is_remedy for constraint in constraints.values())
            remedy = "lower learning rates" if held else "srgan.regularize(D, 'sr-s', optimizer=...)"
            self.collapsed_at = self.steps
            warnings.warn(
                f"Spectral collapse at step {self.steps} of the discriminator: {', '.join(fallen)} below "
                f"{self._collapse.thresholds.tail_mean:g} of the largest tail mean so far. In the paper mode "
                f"collapse goes along with it: go back to an earlier checkpoint and on with {remedy}.",
                stacklevel=3,  # where the loop calls step()
            )
        scaled = [name for name, layer in convolutions(self.discriminator).items() if divides_by_sigma_1(layer)]
        if slow := self._growth.add({name: float(sigma[name][0]) for name in scaled}):
            warnings.warn(
                f"Slow discriminator at step {self.steps}: sigma_1 of {', '.join(slow)} has passed {MAX_GROWTH:g} "
                "times its start. Spectral normalization hides that scale from D but not from Adam, whose steps turn "
                "these layers a third as far as at first. Resume from an earlier checkpoint at the scale of the "
                f"start: srgan.regularize(D, ..., scale={self._growth.start:.2g}, optimizer=...).",
                stacklevel=3,
            )


def watch(
    discriminator: nn.Module,
    *,
    every: int = 100,
    thresholds: CollapseThresholds = CollapseThresholds(),  # noqa: B008 (a value without state)
) -> SpectralWatch:
    """Watches the spectra of a discriminator from now on, in any training loop.

    Goes with every method and with none: weights are read and never changed. Judged are the convolutions larger than
    1 x 1, each by the tail mean of its sigma_k / sigma_1 in units of the largest so far, as runs of `srgan fit` are.

    Args:
        discriminator: any module.
        every: optimizer steps between two looks.
        thresholds: how far a tail falls, and in what share of the layers, that counts as a collapse.

    Returns:
        what to call after each step.

    Raises:
        ValueError: no layer is judged, a weight holds NaN or infinity, or `every` is below 1.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3))
        >>> watch = srgan.watch(D, every=1)
        >>> watch.step()  # after each step of D's optimizer
        >>> watch.falls, watch.collapsed_at
        ({'0': 1.0, '2': 1.0}, None)
    """
    return SpectralWatch(discriminator, every, thresholds)
