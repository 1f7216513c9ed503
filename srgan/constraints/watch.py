"""`srgan.watch`: notices in any training loop when the spectra of a discriminator collapse."""

import inspect
import warnings
from typing import Any

import torch
from torch import nn

from srgan.collapse import MAX_GROWTH, CollapseThresholds, ScaleGrowth, SpectralCollapse
from srgan.constraints.base import Constraint
from srgan.constraints.layers import (
    constrained,
    convolutions,
    divides_by_sigma_1,
    is_judged,
    raw_weight,
    spectra,
    spectral_layers,
)
from srgan.constraints.selecting import Optimizers, parameters_of, unwrap_model, unwrap_optimizers, was_skipped
from srgan.runs.folder import normalized

STEPPING = {"srgan", "torch", "lightning", "lightning_fabric", "pytorch_lightning", "accelerate"}
"""Packages whose frames stand between a training loop and the watch."""


class SpectralWatch:
    """What `watch` returns: the spectra of a discriminator during training, and whether they have collapsed.

    Attributes:
        steps: steps of D's optimizer so far.
        falls: layer -> tail mean over its largest so far, in [0, 1], at the last look.
        rates: convolution under a spectral norm -> sigma_1 at the first look over that at the last, and so the rate at
            which Adam turns the weight, lr / sigma_1, relative to the first, if lr is constant.
        collapsed_at: `steps` at the look that found a collapse; None until then.
    """

    def __init__(
        self, discriminator: nn.Module, every: int, thresholds: CollapseThresholds, optimizer: Optimizers = None
    ) -> None:
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
        optimizers = unwrap_optimizers(optimizer)
        weights = {id(raw_weight(self.discriminator.get_submodule(name))) for name in self.falls}
        counting = [one for one in optimizers if not weights.isdisjoint(parameters_of([one]))]
        if optimizers and not counting:
            raise ValueError(
                "Expected the discriminator's optimizer, found one that holds none of its convolutions' weights."
            )
        self._hooks = [one.register_step_post_hook(self._after_step) for one in counting[-1:]]

    @property
    def falls(self) -> dict[str, float]:
        return self._collapse.falls

    @property
    def rates(self) -> dict[str, float]:
        return self._growth.rates

    def __repr__(self) -> str:
        """Tail means at the last look, one line for each convolution larger than 1 x 1."""
        rows = [
            f"  {name}: tail mean at {fall:.2f} of its maximum"
            + (f", learning rate / σ₁ at {self.rates[name]:.2f} of its start" if name in self.rates else "")
            for name, fall in self.falls.items()
        ]
        found = "none" if self.collapsed_at is None else f"at step {self.collapsed_at}"
        return "\n".join([f"SpectralWatch({self.steps} steps, spectral collapse: {found}):", *rows])

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if not was_skipped(optimizer):
            self.step()

    def stop(self) -> None:
        """Removes the hook from the optimizer."""
        while self._hooks:
            self._hooks.pop().remove()

    def step(self) -> None:
        """One more step of the discriminator's optimizer; looks at every `every`-th. A given optimizer calls it."""
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
                stacklevel=frames_to_loop(),
            )
        scaled = [name for name, layer in convolutions(self.discriminator).items() if divides_by_sigma_1(layer)]
        if slow := self._growth.add({name: float(sigma[name][0]) for name in scaled}):
            warnings.warn(
                f"Slow discriminator at step {self.steps}: sigma_1 of {', '.join(slow)} has passed {MAX_GROWTH:g} "
                "times its start. Spectral normalization hides that scale from D but not from Adam, whose steps turn "
                "these layers a third as far as at first. Resume from an earlier checkpoint at the scale of the "
                f"start: srgan.regularize(D, ..., scale={self._growth.start:.2g}, optimizer=...).",
                stacklevel=frames_to_loop(),
            )


def frames_to_loop() -> int:
    """The `stacklevel` of a warning of the caller's that names the training loop, whatever calls the step for it."""
    here = inspect.currentframe()
    assert here is not None  # CPython always has frames
    level, frame = 1, here.f_back
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in STEPPING:
        level, frame = level + 1, frame.f_back
    return level


def watch(
    discriminator: nn.Module,
    *,
    optimizer: Optimizers = None,
    every: int = 100,
    thresholds: CollapseThresholds = CollapseThresholds(),  # noqa: B008 (a value without state)
) -> SpectralWatch:
    """Watches the spectra of a discriminator from now on, in any training loop, under any method or none.

    Weights are only read. As in `srgan fit`, a spectral collapse is detected from the tail means of the convolutions
    larger than 1 x 1: those of sigma_k / sigma_1 fall below a share of their largest values so far. Raises ValueError
    if there is no such convolution, a weight holds NaN or infinity, `every` is below 1, or the optimizer belongs to
    another network.

    Args:
        discriminator: any module.
        optimizer: the discriminator's optimizer, whose steps are counted by a hook. Without it, call `step()` of what
            is returned after each step.
        every: optimizer steps between two looks, at least 1.
        thresholds: that share, and the share of layers that makes a collapse.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3))
        >>> optimizer = torch.optim.Adam(D.parameters(), 2e-4, betas=(0.0, 0.9))
        >>> watch = srgan.watch(D, optimizer=optimizer, every=1)
        >>> D(torch.randn(2, 3, 8, 8)).mean().backward(); optimizer.step()
        >>> watch.steps, list(watch.falls), watch.collapsed_at
        (1, ['0', '2'], None)
    """
    return SpectralWatch(discriminator, every, thresholds, optimizer)
