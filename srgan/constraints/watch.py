"""`srgan.watch`: notices in any training loop when the spectra of a discriminator collapse."""

import warnings

from torch import nn

from srgan.collapse import MAX_GROWTH, CollapseThresholds, ScaleGrowth, SpectralCollapse
from srgan.constraints.base import Constraint
from srgan.constraints.layers import constrained, convolutions, divides_by_sigma_1, is_judged, spectra, spectral_layers
from srgan.constraints.selecting import unwrap_model
from srgan.runs.folder import normalized


class SpectralWatch:
    """What `watch` returns: the spectra of a discriminator during training, and whether they have collapsed.

    Attributes:
        steps: optimizer steps so far.
        falls: layer -> tail mean over its largest so far, in [0, 1], at the last look.
        rates: convolution under a spectral norm -> sigma_1 at the first look over that at the last, and so the rate at
            which Adam turns the weight, lr / sigma_1, relative to the first, if lr is constant.
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
                "Expected a discriminator with convolutions larger than 1 x 1, which collapse is judged by, found "
                "none. Use srgan.spectra(D) instead."
            )

    @property
    def falls(self) -> dict[str, float]:
        return self._collapse.falls

    @property
    def rates(self) -> dict[str, float]:
        return self._growth.rates

    def step(self) -> None:
        """Call after each step of the discriminator's optimizer; looks at every `every`-th step."""
        self.steps += 1
        if self.steps % self.every == 0:
            self.look()

    def look(self) -> None:
        """Looks at the spectra now; warns once if they have collapsed, and once if half of `rates` are below a third.

        ValueError if a weight holds NaN or infinity (the message names the layer).
        """
        judged = {name: layer for name, layer in spectral_layers(self.discriminator) if is_judged(layer)}
        sigma = {name: values.numpy() for name, values in spectra(self.discriminator, normalized=False).items()}
        judged_spectra, on_remedy = {}, True
        for name, layer in judged.items():
            constraint = own.constraint if (own := constrained(layer)) else Constraint()
            judged_spectra[name] = normalized(sigma[name])[: constraint.judged_values(layer)]
            on_remedy = on_remedy and constraint.is_remedy
        if fallen := self._collapse.add(judged_spectra):
            remedy = "lower learning rates" if on_remedy else "srgan.regularize(D, 'sr-s', optimizer=...)"
            self.collapsed_at = self.steps
            warnings.warn(
                f"Spectral collapse at step {self.steps} of the discriminator: {', '.join(fallen)} below "
                f"{self._collapse.thresholds.tail_mean:g} of the largest tail mean so far. In the paper mode "
                f"collapse goes along with it: resume from an earlier checkpoint with {remedy}.",
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
    """Watches the spectra of a discriminator from now on, in any training loop, under any method or none.

    Call `step()` of what is returned after each step of the discriminator's optimizer. Weights are only read. As in
    `srgan fit`, collapse is judged by the convolutions larger than 1 x 1: the tail mean of a layer's sigma_k / sigma_1
    falls below a share of its largest value so far. ValueError if no layer is judged, a weight holds NaN or infinity,
    or `every` is below 1.

    Args:
        discriminator: any module.
        every: optimizer steps between two looks, at least 1.
        thresholds: that share, and the share of layers that makes a collapse.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3))
        >>> watch = srgan.watch(D, every=1)
        >>> watch.step()  # after each step of D's optimizer
        >>> watch.falls, watch.collapsed_at
        ({'0': 1.0, '2': 1.0}, None)
    """
    return SpectralWatch(discriminator, every, thresholds)
