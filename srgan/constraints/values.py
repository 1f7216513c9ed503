"""What keeps a discriminator Lipschitz, each a value with up to three moments.

A training step calls `attach` once, adds `penalty` to the discriminator's loss, and calls `after_update`
after each discriminator update. It never asks which constraint it holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, remove_spectral_norm

from srgan.constraints.layers import (
    CONVOLUTIONS,
    output_dim,
    raw_matrix,
    raw_weight,
    spectral_layers,
)
from srgan.constraints.parametrizations import (
    DynamicSpectralRegularization,
    RawWeight,
    SpectralNorm,
    StaticSpectralRegularization,
)
from srgan.constraints.schedule import Schedule
from srgan.spectral import (
    SpectralMap,
    apply_spectral_map,
    compensated_rank,
    dynamic_map,
    normalized_spectrum,
    static_map,
)

Form = Literal["project", "reparametrize"]


class Constraint:
    """No constraint on the discriminator, and the base of those that constrain it."""

    def parametrization(self, layer: nn.Module) -> RawWeight:
        """What the forward pass of one layer makes of its raw weight."""
        return RawWeight(raw_weight(layer), output_dim(layer))

    def attach(self, discriminator: nn.Module) -> None:
        """Parametrizes every convolution, linear and embedding layer, in place.

        Layers under PyTorch's own `spectral_norm` are taken over with their raw weight. The Parameter objects
        stay the same, so an optimizer that already holds them stays valid.

        Raises:
            ValueError: there is no such layer, one has no weight yet or only zeros, or one is already
            parametrized by something else. Nothing has changed then.
        """
        layers = list(spectral_layers(discriminator))
        if not any(isinstance(layer, CONVOLUTIONS) for _, layer in layers):
            raise ValueError(
                f"Expected a discriminator with convolutions, found none in {type(discriminator).__name__}. "
                "Spectral regularization acts on torch.nn convolution layers (Section 2: W [out, in, k, k])."
            )
        for name, layer in layers:
            kinds = _parametrization_classes(layer)
            if kinds not in ([], [parametrizations._SpectralNorm]):
                found = ", ".join(kind.__name__ for kind in kinds)
                raise ValueError(
                    f"Layer '{name}' is already parametrized by {found}. Remove it first: "
                    "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight', leave_parametrized=False)."
                )
            if not raw_weight(layer).any():
                raise ValueError(
                    f"Layer '{name}': expected a weight with a largest singular value to divide by, found an all-zero "
                    "one. Initialize it."
                )
        for _, layer in layers:
            _remove_torch_spectral_norm(layer)
            parametrize.register_parametrization(layer, "weight", self.parametrization(layer), unsafe=True)

    def penalty(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor | None:
        """What is added to the discriminator's loss on real and fake images `[B, 3, H, W]`; None for nothing."""
        return None

    def after_update(self, discriminator: nn.Module, iteration: int, update: int, n_dis: int) -> None:
        """Acts after optimizer step `update` (0 ... n_dis - 1) of D in `iteration` (from 0)."""


class Unconstrained(Constraint):
    """The discriminator as it is; its raw spectra are still watched."""


class SpectralNormalization(Constraint):
    """SN (Eq. 4) on every convolution, linear and embedding layer.

    Args:
        power_iterations: steps per use of a weight in training; the authors take 1.
    """

    def __init__(self, power_iterations: int = 1) -> None:
        if power_iterations < 1:
            raise ValueError(f"Expected power_iterations >= 1, found {power_iterations}.")
        self.power_iterations = power_iterations

    def parametrization(self, layer: nn.Module) -> RawWeight:
        return SpectralNorm(raw_weight(layer), output_dim(layer), self.power_iterations)


class SpectralRegularization(SpectralNormalization, ABC):
    """SR: SN on every layer, and compensated spectra on the convolutions (Eq. 9, 10).

    Args:
        form: "project" overwrites the raw weights after a D update (the authors' code), "reparametrize"
            computes W_SR in the forward pass (the paper's Eq. 10 and 11).
        schedule: when "project" acts; the authors' `Schedule()` if None. "reparametrize" has no schedule:
            W_SR is the weight of every forward pass.
        power_iterations: of the SN part.

    Raises:
        ValueError: a schedule is given for "reparametrize", or the form is unknown.
    """

    def __init__(self, form: Form = "project", schedule: Schedule | None = None, power_iterations: int = 1) -> None:
        super().__init__(power_iterations)
        if form not in ("project", "reparametrize"):
            raise ValueError(f"Expected form 'project' or 'reparametrize', found {form!r}.")
        if form == "reparametrize" and schedule is not None:
            raise ValueError(
                f"Expected no schedule with form 'reparametrize', found {schedule}. W_SR is computed in every "
                "forward pass. To start later, train under SN and resume that checkpoint with this constraint."
            )
        self.form = form
        self.schedule = schedule or Schedule()

    def parametrization(self, layer: nn.Module) -> RawWeight:
        if self.form == "reparametrize" and isinstance(layer, CONVOLUTIONS):
            return self.reparametrization(layer)
        return super().parametrization(layer)

    @abstractmethod
    def reparametrization(self, layer: nn.Module) -> RawWeight:
        """The paper's form for one convolution."""

    @abstractmethod
    def projection(self, layer: nn.Module) -> SpectralMap | None:
        """The map of one convolution's raw singular values to their new ones; None leaves them."""

    @torch.no_grad()
    def after_update(self, discriminator: nn.Module, iteration: int, update: int, n_dis: int) -> None:
        if self.form == "reparametrize" or not self.schedule.is_due(iteration, update, n_dis):
            return
        for name, layer in spectral_layers(discriminator):
            if isinstance(layer, CONVOLUTIONS):
                try:
                    self.project(layer)
                except ValueError as error:
                    raise ValueError(f"Layer '{name}' in iteration {iteration}: {error}") from error

    def project(self, layer: nn.Module) -> None:
        """Overwrites one raw weight by U diag(f(sigma)) V^T. Adam's moments are not touched."""
        spectral_map = self.projection(layer)
        if spectral_map is not None:
            W, dim = raw_weight(layer), output_dim(layer)
            shape = W.transpose(0, dim).shape
            W.copy_(apply_spectral_map(raw_matrix(layer), spectral_map).view(shape).transpose(0, dim))


class StaticRegularization(SpectralRegularization):
    """SR-s: the first i singular values become sigma_1.

    The projection writes `U diag(s) V^T` with s = sigma / sigma_1 and s_k = 1 for k <= i, so the raw
    sigma_1 becomes 1, as in the authors' code.

    Args:
        compensated_fraction: i / N in (0, 1]; i = floor(fraction N), at least 1. THE hyperparameter (Fig. 8).
        form: see `SpectralRegularization`.
        schedule: see `SpectralRegularization`.
        power_iterations: of the SN part.

    Raises:
        ValueError: the fraction is outside (0, 1].
    """

    def __init__(
        self,
        compensated_fraction: float = 0.5,
        form: Form = "project",
        schedule: Schedule | None = None,
        power_iterations: int = 1,
    ) -> None:
        super().__init__(form, schedule, power_iterations)
        if not 0 < compensated_fraction <= 1:
            raise ValueError(f"Expected compensated_fraction (i / N) in (0, 1], found {compensated_fraction}.")
        self.compensated_fraction = compensated_fraction

    def reparametrization(self, layer: nn.Module) -> RawWeight:
        return StaticSpectralRegularization(raw_weight(layer), output_dim(layer), self.compensated_fraction)

    def projection(self, layer: nn.Module) -> SpectralMap:
        i = compensated_rank(min(raw_matrix(layer).shape), self.compensated_fraction)
        return lambda sigma: static_map(sigma, i) / sigma[0]


class DynamicRegularization(SpectralRegularization):
    """SR-d: no sigma_k / sigma_1 falls below the largest value recorded for it, r_k.

    The projection writes `U diag(sigma_1 r) V^T`: the scale is kept. The first application only records.
    r is a buffer of every layer, saved with the weights. (The authors' snapshots lose it.)
    """

    def reparametrization(self, layer: nn.Module) -> RawWeight:
        return DynamicSpectralRegularization(raw_weight(layer), output_dim(layer))

    @torch.no_grad()
    def after_update(self, discriminator: nn.Module, iteration: int, update: int, n_dis: int) -> None:
        if self.form == "reparametrize":
            for _, layer in spectral_layers(discriminator):
                if isinstance(layer, CONVOLUTIONS):
                    self._record(layer)
        super().after_update(discriminator, iteration, update, n_dis)

    def projection(self, layer: nn.Module) -> SpectralMap | None:
        is_first = not self._recorded_ratios(layer).any()
        r = self._record(layer)
        return None if is_first else partial(dynamic_map, r=r)

    def _record(self, layer: nn.Module) -> Tensor:
        r = self._recorded_ratios(layer)
        return torch.maximum(r, normalized_spectrum(raw_matrix(layer)).to(r), out=r)

    def _recorded_ratios(self, layer: nn.Module) -> Tensor:
        return layer.get_buffer("parametrizations.weight.0.recorded_ratios")


METHODS: dict[str, Callable[..., Constraint]] = {
    "none": Unconstrained,
    "sn": SpectralNormalization,
    "sr-s": StaticRegularization,
    "sr-d": DynamicRegularization,
}
"""The methods by the names that `srgan.regularize`, the configs and the tables use."""


def _parametrization_classes(layer: nn.Module) -> list[type]:
    """What a layer's weight is parametrized by, from the innermost."""
    if not parametrize.is_parametrized(layer, "weight"):
        return []
    return [type(module) for module in layer.get_submodule("parametrizations.weight").children()]


def _remove_torch_spectral_norm(layer: nn.Module) -> None:
    """Takes PyTorch's own spectral norm off a layer, if it is there."""
    if parametrize.is_parametrized(layer, "weight"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    elif hasattr(layer, "weight_orig"):
        raw = raw_weight(layer)
        remove_spectral_norm(layer)  # leaves the normalized weight in a new Parameter
        layer.weight = raw
