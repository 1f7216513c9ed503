"""SR (Eq. 9 to 11): what is compensated, static or dynamic, and the two forms in which it acts."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from srgan.constraints.layers import (
    LayerSubset,
    check_divisible,
    convolutions,
    is_convolution,
    num_groups,
    output_dim,
    raw_matrices,
    raw_parts,
)
from srgan.constraints.parametrization import RawWeight, recorded_ratios
from srgan.constraints.projecting import on_owners, project_weights
from srgan.constraints.scale import Scale, checked_scale, format_scale, scale_sentence, scaled
from srgan.constraints.schedule import Schedule
from srgan.constraints.spectral_normalization import (
    GroupedSpectralNorm,
    SpectralNorm,
    SpectralNormalization,
)
from srgan.spectral import (
    SpectralMap,
    compensated_rank,
    dynamic_map,
    normalized_spectrum,
    spectrally_regularize,
    static_map,
)
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup


class Compensation(ABC):
    """How SR compensates a spectrum: a map of singular values, what it remembers, and its words."""

    remembers: bool = False
    """Whether the map depends on the spectra so far."""
    authors_scale: Scale = "unit"
    """What the authors' code writes as the raw weight's sigma_1; labels name any other."""
    label: str
    sentence: str
    note: str | None = None

    @abstractmethod
    def compensate(self, sigma: Tensor, r: Tensor) -> Tensor:
        """Eq. 9: the singular values of D(W).

        Args:
            sigma: `[..., N]` of W, from the largest.
            r: `[..., N]` in [0, 1], the largest sigma_k / sigma_1 recorded so far; 0 where nothing was.
        """

    def judged(self, N: int) -> int:
        """How many of N singular values decide on a collapse."""
        return N


class Static(Compensation):
    """SR-s: the first i singular values become sigma_1.

    At unit scale, as in the authors' code, the projection writes `U diag(s) V^T` with s = sigma / sigma_1 and s_k = 1
    for k <= i.

    Args:
        compensated_fraction: i / N in (0, 1]; i = floor(fraction N), at least 1. THE hyperparameter (Fig. 8).

    Raises:
        ValueError: the fraction is outside (0, 1].
    """

    note = (
        "SR-s holds the first i singular values and lets the others fall (Fig. 7c of the paper); the verdict of "
        "spectral collapse goes by those that it holds."
    )

    def __init__(self, compensated_fraction: float = 0.5) -> None:
        if not 0 < compensated_fraction <= 1:
            raise ValueError(f"Expected compensated_fraction (i / N) in (0, 1], found {compensated_fraction}.")
        self.compensated_fraction = compensated_fraction
        self.label = "SR-s" + ("" if compensated_fraction == 0.5 else f", i = {compensated_fraction:g} N")
        self.sentence = (
            f"static spectral regularization: the first i = {compensated_fraction:g} N singular values raised to σ₁"
        )

    def compensate(self, sigma: Tensor, r: Tensor) -> Tensor:
        return static_map(sigma, compensated_rank(sigma.shape[-1], self.compensated_fraction))

    def judged(self, N: int) -> int:
        return compensated_rank(N, self.compensated_fraction)


class Dynamic(Compensation):
    """SR-d: no sigma_k / sigma_1 falls below the largest value recorded for it, r_k.

    The projection writes `U diag(r) V^T` at unit scale. The authors' code keeps the scale, `U diag(sigma_1 r) V^T`: any
    step of the optimizer that raises sigma_1 then raises all singular values for good, and D learns ever more slowly.
    The first application only records r (and scales). r is a buffer of every layer, saved with the weights. (The
    authors' snapshots lose it.)
    """

    remembers = True
    authors_scale = "keep"
    label = "SR-d"
    sentence = "dynamic spectral regularization: no σₖ/σ₁ falls below its largest so far"

    def compensate(self, sigma: Tensor, r: Tensor) -> Tensor:
        return dynamic_map(sigma, r)


class Form(ABC):
    """Where SR acts: on the raw weights, or in the forward pass."""

    writes_weights: bool
    """Whether it acts on the raw weights."""

    @abstractmethod
    def has_post_step(self, compensation: Compensation) -> bool:
        """Whether `after_update` does anything."""

    @abstractmethod
    def parametrization(self, layer: nn.Module, compensation: Compensation, power_iterations: int) -> RawWeight:
        """Of one convolution."""

    @abstractmethod
    def is_due(self, iteration: int, update: int, n_dis: int) -> bool:
        """Whether `act` is called after D update `update` (0 ... n_dis - 1) of `iteration` (from 0)."""

    @abstractmethod
    def act(self, layers: Sequence[nn.Module], compensation: Compensation, scale: Scale) -> None:
        """Acts on the raw weights and records of some convolutions after a discriminator update."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """When it acts."""


class Project(Form):
    """The authors' code, the default: raw weights are overwritten after D updates; the forward pass is SN's.

    Adam's moments are not touched.

    Args:
        schedule: when; `Schedule()` is the authors'.
    """

    writes_weights = True

    def __init__(self, schedule: Schedule = Schedule()) -> None:  # noqa: B008 (a frozen value)
        self.schedule = schedule

    def has_post_step(self, compensation: Compensation) -> bool:
        return True

    def parametrization(self, layer: nn.Module, compensation: Compensation, power_iterations: int) -> RawWeight:
        norm = GroupedSpectralNorm if num_groups(layer) > 1 else SpectralNorm
        return norm(*raw_parts(layer), power_iterations)

    def is_due(self, iteration: int, update: int, n_dis: int) -> bool:
        return self.schedule.is_due(iteration, update, n_dis)

    def act(self, layers: Sequence[nn.Module], compensation: Compensation, scale: Scale) -> None:
        """Overwrites raw weights by `U diag(f(sigma)) V^T` at the scale, and records the spectra that it found."""

        def projection(group: Sequence[nn.Module]) -> SpectralMap:
            # What one application records moves nothing in it: r before is enough, and free of rounding to float32.
            r = torch.stack([recorded_ratios(layer) for layer in group])
            return lambda sigma: scaled(compensation.compensate(sigma, r.view_as(sigma)), scale)

        for layer, sigma in project_weights(layers, projection):
            if compensation.remembers:
                record(layer, sigma / sigma[..., :1])

    @property
    def sentence(self) -> str:
        every, start = self.schedule.every_iterations, self.schedule.start_iteration
        words = f"every {every} iterations" if every != 1 else "every iteration"
        return words + (f" from {start:,} on" if start else "")


class Reparametrize(Form):
    """The paper's Eq. 10 and 11: W_SR is computed in the forward pass and the gradient flows through it.

    Raw weights, and so their scale, are the optimizer's alone.
    """

    writes_weights = False

    def has_post_step(self, compensation: Compensation) -> bool:
        return compensation.remembers  # to record

    def parametrization(self, layer: nn.Module, compensation: Compensation, power_iterations: int) -> RawWeight:
        return SpectrallyRegularized(*raw_parts(layer), compensation)

    def is_due(self, iteration: int, update: int, n_dis: int) -> bool:
        return True

    def act(self, layers: Sequence[nn.Module], compensation: Compensation, scale: Scale) -> None:
        """Records the raw spectra."""
        for layer in layers:
            W = raw_matrices(layer)
            record(layer, torch.stack([normalized_spectrum(block) for block in (W if W.dim() > 2 else [W])]))

    @property
    def sentence(self) -> str:
        return "in every forward pass"


class SpectrallyRegularized(RawWeight):
    """Eq. 10 in the forward pass with the gradient of Eq. 11.

    Reads the recorded ratios and never writes them: recording belongs to the form, after an update.
    """

    divides_by_sigma_1 = True

    def __init__(self, weight: Tensor, output_dim: int, groups: int, compensation: Compensation) -> None:
        super().__init__(weight, output_dim, groups)
        self.compensation = compensation

    def constrain(self, W: Tensor) -> Tensor:
        blocks = zip(W.chunk(self.groups), self.recorded_ratios.chunk(self.groups), strict=True)
        return torch.cat(
            [spectrally_regularize(block, partial(self.compensation.compensate, r=r)) for block, r in blocks]
        )


class SpectralRegularization(SpectralNormalization):
    """SR: SN on every layer, and compensated spectra on the convolutions (Eq. 9, 10).

    Args:
        compensation: `Static(fraction)` (SR-s) or `Dynamic()` (SR-d).
        form: `Project(schedule)` (the authors' code) or `Reparametrize()` (the paper's Eq. 10 and 11).
        power_iterations: of the SN part.
        grouped: what to do with grouped convolutions: "refuse" them, since the paper's W mixes channels that they keep
            apart, or take each group's matrix "per-group", SN included.
        scale: the raw sigma_1 that `Project` writes: 1 ("unit"), this number, or what it was ("keep"). Under SN only
            the layer's learning rate depends on it. The authors' SR-s is at unit scale; their SR-d keeps the scale,
            which lets sigma_1 grow and slows D down.

    Raises:
        ValueError: there is not even one power step, no such scale, or another word for grouped convolutions.
    """

    def __init__(
        self,
        compensation: Compensation = Static(),  # noqa: B008 (a value without state)
        form: Form = Project(),  # noqa: B008 (a value without state)
        power_iterations: int = 1,
        grouped: Literal["refuse", "per-group"] = "refuse",
        scale: Scale = "unit",  # Departs from the authors' SR-d, which keeps it: see docs/explanation/scale.md
    ) -> None:
        super().__init__(power_iterations)
        if grouped not in ("refuse", "per-group"):
            raise ValueError(f"Expected grouped 'refuse' or 'per-group', found {grouped!r}.")
        self.grouped = grouped
        self.compensation = compensation
        self.form = form
        self.scale = checked_scale(scale)
        self.label, self.note = compensation.label, compensation.note
        self.sentence = f"{compensation.sentence}, {form.sentence}"
        if form.writes_weights and self.scale != compensation.authors_scale:
            self.label += f", {format_scale(self.scale)}"
            self.sentence += f"; {scale_sentence(self.scale)}"
        self.has_post_step = form.has_post_step(compensation)

    def attach(self, discriminator: nn.Module, layers: Mapping[str, nn.Module] | None = None, seed: int = 0) -> None:
        """As every constraint; warns where there is nothing to act on."""
        super().attach(discriminator, layers, seed)
        if not convolutions(discriminator if layers is None else LayerSubset(layers)):
            warnings.warn(
                "Spectral regularization acts on convolutions, and found none: these layers are under SN alone.",
                stacklevel=3,  # who called srgan.regularize
            )

    def parametrization(self, layer: nn.Module) -> RawWeight:
        if not is_convolution(layer):
            return super().parametrization(layer)
        check_divisible(layer)
        groups = num_groups(layer)
        if groups > 1 and (self.grouped == "refuse" or output_dim(layer) != 0):
            raise ValueError(
                f"expected an ungrouped convolution, found {groups} groups: the paper's W [out, in * k * k] mixes "
                "channels that this layer keeps apart. Give the method grouped='per-group' (not for transposed "
                "convolutions), or put the layer under 'sn'."
            )
        return self.form.parametrization(layer, self.compensation, self.power_iterations)

    @torch.no_grad()
    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        """Acts on every convolution, when the form says so.

        Each layer is decomposed on one rank, which sends the result to the others: ranks stay bit-identical,
        and the time divides by their number.

        Raises:
            ValueError: a weight holds NaN or infinity, or is all zero (the message names layer and iteration).
        """
        if self.has_post_step and self.form.is_due(iteration, update, n_dis):
            on_owners(
                convolutions(discriminator),
                iteration,
                ranks,
                partial(self.form.act, compensation=self.compensation, scale=self.scale),
            )

    def judged_values(self, layer: nn.Module) -> int:
        # The recorded spectrum of a grouped convolution is of its groups together; SR holds theirs apart.
        N = super().judged_values(layer)
        return self.compensation.judged(N) if is_convolution(layer) and num_groups(layer) == 1 else N


def record(layer: nn.Module, ratios: Tensor) -> None:
    """Takes the elementwise maximum of r and some sigma_k / sigma_1 `[..., N]` as the new r, in place."""
    r = recorded_ratios(layer)
    torch.maximum(r, ratios.flatten().to(r), out=r)
