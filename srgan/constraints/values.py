"""What keeps a discriminator Lipschitz, each a value with up to three moments.

A training step calls `attach` once, adds `penalty` to the discriminator's loss, and calls `after_update`
after each discriminator update. It never asks which constraint it holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from srgan.constraints.attaching import refuse_foreign_weight, replace_parametrization
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
from srgan.constraints.projecting import project_weights
from srgan.constraints.schedule import Schedule
from srgan.decomposition import refuse_undirected
from srgan.parallel import ALONE, Ranks
from srgan.spectral import SpectralMap, compensated_rank, dynamic_map, normalized_spectrum, static_map

Form = Literal["project", "reparametrize"]


class Constraint:
    """No constraint on the discriminator, and the base of those that constrain it."""

    @property
    def acts_after_updates(self) -> bool:
        """Whether `after_update` does anything, so that somebody has to call it."""
        return False

    def parametrization(self, layer: nn.Module) -> RawWeight:
        """What the forward pass of one layer makes of its raw weight."""
        return RawWeight(raw_weight(layer), output_dim(layer))

    def attach(self, discriminator: nn.Module) -> None:
        """Parametrizes every convolution, linear and embedding layer, in place.

        Layers under PyTorch's own `spectral_norm` are taken over with their raw weight, those under another
        constraint of this package with their buffers too. The Parameter objects stay the same, so an optimizer
        that already holds them stays valid.

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
        attached = []
        for name, layer in layers:
            try:
                refuse_foreign_weight(layer)
                attached.append((layer, self.parametrization(layer)))
            except ValueError as error:
                raise ValueError(f"Layer '{name}': {error}") from error
        for layer, parametrization in attached:
            replace_parametrization(layer, parametrization)

    def penalty(self, discriminator: nn.Module, real: Tensor, fake: Tensor) -> Tensor | None:
        """What is added to the discriminator's loss on real and fake images `[B, 3, H, W]`; None for nothing."""
        return None

    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: Ranks = ALONE
    ) -> None:
        """Acts after optimizer step `update` (0 ... n_dis - 1) of D in `iteration` (from 0).

        Every rank calls this on the same discriminator; `ranks` share the work.
        """


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
        """SN of one layer.

        Raises:
            ValueError: its weight has nothing to divide by.
        """
        if not raw_weight(layer).any():
            raise ValueError("expected a weight with a largest singular value, found an all-zero one. Initialize it.")
        if getattr(layer, "sparse", False):
            raise ValueError("expected dense gradients, found an embedding with sparse=True.")
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

    @property
    def acts_after_updates(self) -> bool:
        return self.form == "project"

    def parametrization(self, layer: nn.Module) -> RawWeight:
        if isinstance(layer, CONVOLUTIONS) and layer.groups > 1:
            raise ValueError(
                f"expected an ungrouped convolution, found {layer.groups} groups: the paper's W [out, in * k * k] "
                "mixes channels that this layer keeps apart. Use 'sn' for such a discriminator."
            )
        if self.form == "reparametrize" and isinstance(layer, CONVOLUTIONS):
            return self.reparametrization(layer)
        return super().parametrization(layer)

    @abstractmethod
    def reparametrization(self, layer: nn.Module) -> RawWeight:
        """The paper's form for one convolution."""

    @abstractmethod
    def projection(self, layers: Sequence[nn.Module]) -> SpectralMap:
        """The map of raw singular values to their new ones, `[..., N]`, of convolutions of one shape."""

    @torch.no_grad()
    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: Ranks = ALONE
    ) -> None:
        """Projects every convolution that trains, when the schedule says so; frozen ones stay as they are.

        Each layer is decomposed on one rank, which sends the result to the others: ranks stay bit-identical,
        and the time divides by their number.

        Raises:
            ValueError: a weight holds NaN or infinity, or is all zero (the message names layer and iteration).
        """
        if self.form == "reparametrize" or not self.schedule.is_due(iteration, update, n_dis):
            return
        self._on_owners(discriminator, iteration, ranks, self.project, lambda layer: raw_weight(layer).requires_grad)

    def _on_owners(
        self,
        discriminator: nn.Module,
        iteration: int,
        ranks: Ranks,
        act: Callable[[Sequence[nn.Module]], object],
        chosen: Callable[[nn.Module], bool] = lambda layer: True,
    ) -> None:
        """Acts on the chosen convolutions, each on the one rank that owns it, and spreads weights and records."""
        layers = [
            (name, layer)
            for name, layer in spectral_layers(discriminator)
            if isinstance(layer, CONVOLUTIONS) and chosen(layer)
        ]
        for name, layer in layers:  # on every rank, or the others would wait for the one that fails
            try:
                refuse_undirected(raw_matrix(layer))
            except ValueError as error:
                raise ValueError(f"Layer '{name}' in iteration {iteration}: {error}") from error
        costs = [min(shape) ** 2 * max(shape) for shape in (raw_matrix(layer).shape for _, layer in layers)]
        owners = ranks.owners(costs)
        owned = {
            rank: [layer for (_, layer), owner in zip(layers, owners, strict=True) if owner == rank] for rank in owners
        }
        act(owned.get(ranks.rank, []))
        for rank, theirs in owned.items():
            ranks.broadcast_(
                [tensor for layer in theirs for tensor in (raw_weight(layer), _recorded_ratios(layer))], rank
            )

    def project(self, layers: Sequence[nn.Module]) -> None:
        """Overwrites raw weights by U diag(f(sigma)) V^T. Adam's moments are not touched."""
        project_weights(layers, self.projection)


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

    def projection(self, layers: Sequence[nn.Module]) -> SpectralMap:
        i = compensated_rank(min(raw_matrix(layers[0]).shape), self.compensated_fraction)
        return lambda sigma: static_map(sigma, i) / sigma[..., :1]


class DynamicRegularization(SpectralRegularization):
    """SR-d: no sigma_k / sigma_1 falls below the largest value recorded for it, r_k.

    The projection writes `U diag(sigma_1 r) V^T`: the scale is kept. The first application only records.
    r is a buffer of every layer, saved with the weights. (The authors' snapshots lose it.)
    """

    @property
    def acts_after_updates(self) -> bool:
        return True  # to record

    def reparametrization(self, layer: nn.Module) -> RawWeight:
        return DynamicSpectralRegularization(raw_weight(layer), output_dim(layer))

    @torch.no_grad()
    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: Ranks = ALONE
    ) -> None:
        if self.form == "reparametrize":
            self._on_owners(discriminator, iteration, ranks, self._record)
        super().after_update(discriminator, iteration, update, n_dis, ranks)

    def projection(self, layers: Sequence[nn.Module]) -> SpectralMap:
        # What one application records moves nothing in it: r before is enough, and free of rounding to float32.
        r = torch.stack([_recorded_ratios(layer) for layer in layers])
        return partial(dynamic_map, r=r if len(layers) > 1 else r[0])

    def project(self, layers: Sequence[nn.Module]) -> None:
        for layer, sigma in project_weights(layers, self.projection):
            _record(layer, sigma / sigma[0])

    def _record(self, layers: Sequence[nn.Module]) -> None:
        for layer in layers:
            _record(layer, normalized_spectrum(raw_matrix(layer)))


METHODS: dict[str, Callable[..., Constraint]] = {
    "none": Unconstrained,
    "sn": SpectralNormalization,
    "sr-s": StaticRegularization,
    "sr-d": DynamicRegularization,
}
"""The methods by the names that `srgan.regularize`, the configs and the tables use."""


def _recorded_ratios(layer: nn.Module) -> Tensor:
    return layer.get_buffer("parametrizations.weight.0.recorded_ratios")


def _record(layer: nn.Module, ratios: Tensor) -> None:
    r = _recorded_ratios(layer)
    torch.maximum(r, ratios.to(r), out=r)
