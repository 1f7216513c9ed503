"""SR (Eq. 9 to 11): when it acts, what it writes into raw weights, and its reparametrized forward pass."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint
from srgan.constraints.gains import check_normalizable
from srgan.constraints.layers import (
    LayerSubset,
    convolutions,
    is_convolution,
    matrix_shape,
    num_groups,
    output_dim,
    raw_matrices,
    raw_parts,
    raw_weight,
    recorded_ratios,
)
from srgan.constraints.parametrization import RawWeight
from srgan.constraints.refusing import layer_called
from srgan.constraints.scale import check_scale, format_scale, scale_sentence
from srgan.constraints.spectral_normalization import GroupedSpectralNorm, SpectralNorm, check_power_iterations
from srgan.spectral import (
    Scale,
    SigmaMap,
    SpectralMap,
    Static,
    matricize,
    normalized_spectrum,
    project_stacks,
    scaled,
    spectrally_regularize,
)
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.linalg import check_has_directions, undirected


@dataclass(frozen=True)
class Schedule:
    """Which discriminator updates are followed by an application of SR.

    Attributes:
        every_iterations: act in the iterations t = 0, every, 2 every, ... (t counts generator updates from 0).
        updates: after "all" of such an iteration's n_dis discriminator updates, or after the "last" one only.
        start_iteration: act from this iteration on; before it the discriminator is under plain SN.

    `Schedule()` is the authors' code (every 5th iteration, all D updates); `Schedule(1, "last")` is the text
    of the paper (Section IV: the last discriminator update); `Schedule(1, "all")` is every D update.

    Raises:
        ValueError: an interval below 1, a negative start or an unknown choice of updates.
    """

    every_iterations: int = 5
    updates: Literal["all", "last"] = "all"
    start_iteration: int = 0

    def __post_init__(self) -> None:
        if self.every_iterations < 1 or self.start_iteration < 0:
            raise ValueError(
                f"Expected every_iterations >= 1 and start_iteration >= 0, found {self.every_iterations} "
                f"and {self.start_iteration}."
            )
        if self.updates not in ("all", "last"):
            raise ValueError(f"Expected updates to be 'all' or 'last', found {self.updates!r}.")

    def __str__(self) -> str:
        words = f"every {self.every_iterations} iterations" if self.every_iterations != 1 else "every iteration"
        return words + (f" from {self.start_iteration:,} on" if self.start_iteration else "")

    def is_due(self, iteration: int, update: int, n_dis: int) -> bool:
        """Whether SR acts after D update `update` (0 ... n_dis - 1) of `iteration` (from 0)."""
        return (
            iteration >= self.start_iteration
            and iteration % self.every_iterations == 0
            and (self.updates == "all" or update == n_dis - 1)
        )


@dataclass(frozen=True)
class SpectralRegularization(Constraint):
    """SR: SN on every layer, and compensated spectra on the convolutions (Eq. 9, 10).

    As a projection, raw weights are overwritten after D updates by `U diag(f(sigma)) V^T` at a scale; Adam's moments
    are not touched, and the forward pass is SN's. Reparametrized, W_SR is computed in every forward pass and the
    gradient flows through it; raw weights, and so their scale, are the optimizer's alone.

    Args:
        spectral_map: `Static(fraction)` (SR-s) or `Dynamic()` (SR-d).
        scale: the raw sigma_1 that a projection writes: 1 ("unit"), this number, or what it was ("keep"). Under SN
            only the layer's learning rate depends on it. The authors' SR-s is at unit scale; their SR-d keeps the
            scale, which lets sigma_1 grow and slows D down.
        mode: "projection" (the authors' code) or "reparametrization" (the paper's Eq. 10 and 11).
        schedule: when a projection acts; `Schedule()` is the authors'.
        grouped: what to do with grouped convolutions: "refuse" them, since the paper's W mixes channels that they keep
            apart, or take each group's matrix "per-group", SN included.
        power_iterations: of the SN part.

    Raises:
        ValueError: there is not even one power step, no such scale, or another word for mode or grouped convolutions.
    """

    spectral_map: SpectralMap = Static()  # noqa: RUF009 (a frozen value)
    scale: Scale = "unit"  # Departs from the authors' SR-d, which keeps it: see docs/explanation/scale.md
    mode: Literal["projection", "reparametrization"] = "projection"
    schedule: Schedule = Schedule()
    grouped: Literal["refuse", "per-group"] = "refuse"
    power_iterations: int = 1

    def __post_init__(self) -> None:
        check_power_iterations(self.power_iterations)
        check_scale(self.scale)
        if self.mode not in ("projection", "reparametrization"):
            raise ValueError(f"Expected mode 'projection' or 'reparametrization', found {self.mode!r}.")
        if self.grouped not in ("refuse", "per-group"):
            raise ValueError(f"Expected grouped 'refuse' or 'per-group', found {self.grouped!r}.")

    @property
    def label(self) -> str:
        return self.spectral_map.label + (f", {format_scale(self.scale)}" if self._is_scaled else "")

    @property
    def sentence(self) -> str:
        when = str(self.schedule) if self.mode == "projection" else "in every forward pass"
        scale = f"; {scale_sentence(self.scale)}" if self._is_scaled else ""
        return f"{self.spectral_map.sentence}, {when}{scale}"

    @property
    def _is_scaled(self) -> bool:
        """Whether it writes another scale than the authors' code."""
        return self.mode == "projection" and self.scale != self.spectral_map.authors_scale

    @property
    def note(self) -> str | None:
        return self.spectral_map.note

    @property
    def is_remedy(self) -> bool:
        return self.spectral_map.is_remedy

    @property
    def has_post_step(self) -> bool:
        return self.mode == "projection" or self.spectral_map.remembers

    def attach(self, discriminator: nn.Module, layers: Mapping[str, nn.Module] | None = None, seed: int = 0) -> None:
        """As every constraint; warns where there is nothing to act on."""
        super().attach(discriminator, layers, seed)
        if not convolutions(discriminator if layers is None else LayerSubset(layers)):
            warnings.warn(
                "Spectral regularization acts on convolutions, and found none: these layers are under SN alone.",
                stacklevel=3,  # who called srgan.regularize
            )

    def parametrization(self, layer: nn.Module) -> RawWeight:
        check_normalizable(layer)
        groups = num_groups(layer)
        if not is_convolution(layer):
            return SpectralNorm(*raw_parts(layer), self.power_iterations)
        if groups > 1 and (self.grouped == "refuse" or output_dim(layer) != 0):
            raise ValueError(
                f"expected an ungrouped convolution, found {groups} groups: the paper's W [out, in * k * k] mixes "
                "channels that this layer keeps apart. Give the method grouped='per-group' (not for transposed "
                "convolutions), or put the layer under 'sn'."
            )
        if self.mode == "reparametrization":
            return SpectrallyRegularized(*raw_parts(layer), self.spectral_map)
        norm = GroupedSpectralNorm if groups > 1 else SpectralNorm
        return norm(*raw_parts(layer), self.power_iterations)

    @torch.no_grad()
    def after_update(
        self,
        discriminator: nn.Module,
        iteration: int,
        update: int,
        n_dis: int,
        ranks: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        """Overwrites the raw weights when that is due, and records their spectra where the map remembers them.

        Each layer is decomposed on one rank, which sends the result to the others: ranks stay bit-identical,
        and the time divides by their number.

        Raises:
            ValueError: a weight holds NaN or infinity, or is all zero (the message names layer and iteration).
        """
        if self.mode == "projection" and self.schedule.is_due(iteration, update, n_dis):
            on_owners(convolutions(discriminator), iteration, ranks, self._project)
        elif self.mode == "reparametrization" and self.spectral_map.remembers:
            on_owners(convolutions(discriminator), iteration, ranks, self._record)

    def _project(self, layers: Sequence[nn.Module]) -> None:
        def projection(group: Sequence[nn.Module]) -> SigmaMap:
            # What one application records moves nothing in it: r before is enough, and free of rounding to float32.
            r = torch.stack([recorded_ratios(layer) for layer in group])
            return lambda sigma: scaled(self.spectral_map(sigma, r.view_as(sigma)), self.scale)

        for layer, sigma in project_weights(layers, projection):
            self._remember(layer, sigma / sigma[..., :1])

    def _record(self, layers: Sequence[nn.Module]) -> None:
        for layer in layers:
            W = raw_matrices(layer)
            self._remember(layer, torch.stack([normalized_spectrum(block) for block in (W if W.dim() > 2 else [W])]))

    def _remember(self, layer: nn.Module, ratios: Tensor) -> None:
        """Takes note of `sigma_k / sigma_1`, `[..., N]`, as the map says."""
        if self.spectral_map.remembers:
            r = recorded_ratios(layer)
            r.copy_(self.spectral_map.remember(ratios.flatten().to(r), r))

    def judged_values(self, layer: nn.Module) -> int:
        # The recorded spectrum of a grouped convolution is of its groups together; SR holds theirs apart.
        N = super().judged_values(layer)
        return self.spectral_map.num_judged(N) if is_convolution(layer) and num_groups(layer) == 1 else N

    def label_on(self, layer: nn.Module) -> str:
        return self.label if is_convolution(layer) else "SN"


class SpectrallyRegularized(RawWeight):
    """Eq. 10 in the forward pass with the gradient of Eq. 11.

    Reads the recorded ratios and never writes them: recording comes after an update.
    """

    divides_by_sigma_1 = True

    def __init__(self, weight: Tensor, output_dim: int, groups: int, spectral_map: SpectralMap) -> None:
        super().__init__(weight, output_dim, groups)
        self.spectral_map = spectral_map

    def constrain(self, W: Tensor) -> Tensor:
        blocks = zip(W.chunk(self.groups), self.recorded_ratios.chunk(self.groups), strict=True)
        return torch.cat([spectrally_regularize(block, partial(self.spectral_map, r=r)) for block, r in blocks])


Projection = Callable[[Sequence[nn.Module]], SigmaMap]


def project_weights(layers: Sequence[nn.Module], projection: Projection) -> list[tuple[nn.Module, Tensor]]:
    """Writes `U diag(f(sigma)) V^T` into the raw weight of each layer.

    On a GPU layers of one shape are written together, and decomposed together with all of equal N. On a CPU, where a
    stack gains nothing, each is by itself: the bits of its result do not depend on which other layers come with it, so
    ranks may share them out in any way.

    Args:
        layers: their weights finite and not all zero.
        projection: layers of one shape -> their f, `[b, N] -> [b, N]`, of grouped convolutions `[b, groups, N]`.

    Returns:
        each layer and its former sigma `[N]` (`[groups, N]`), float64.
    """
    stacks: dict[tuple[object, ...], list[nn.Module]] = defaultdict(list)
    matrices: dict[nn.Module, Tensor] = {layer: raw_matrices(layer) for layer in layers}
    for index, (layer, W) in enumerate(matrices.items()):
        stacks[(W.shape, W.dtype, W.device, index if W.device.type == "cpu" else None)].append(layer)
    former = []
    weights = [torch.stack([matrices[layer] for layer in stack]) for stack in stacks.values()]
    mapped = project_stacks(weights, [projection(stack) for stack in stacks.values()])
    for stack, (W, sigma) in zip(stacks.values(), mapped, strict=True):
        for layer, matrix in zip(stack, W, strict=True):
            _write(layer, matrix)
        former += list(zip(stack, sigma, strict=True))
    return former


def _write(layer: nn.Module, matrix: Tensor) -> None:
    W, dim = raw_weight(layer), output_dim(layer)
    W.detach().copy_(matrix.reshape(W.transpose(0, dim).shape).transpose(0, dim))


def _blocks(layer: nn.Module) -> tuple[Tensor, ...]:
    """What is decomposed: the weight, or each group's part of it."""
    return raw_weight(layer).detach().chunk(num_groups(layer))


def on_owners(
    layers: Mapping[str, nn.Module], iteration: int, ranks: ProcessGroup, act: Callable[[Sequence[nn.Module]], object]
) -> None:
    """Acts on each layer on the one rank that owns it, and spreads its raw weight and its buffers.

    Args:
        layers: by name.
        iteration: for messages.
        ranks: of the run.
        act: called once on every rank, with the layers that it owns.

    Raises:
        ValueError: a weight holds NaN or infinity, or is all zero (the message names layer and iteration).
    """
    # On every rank, or the others would wait for the one that fails.
    blocks = [(name, block) for name, layer in layers.items() for block in _blocks(layer)]
    for place in undirected([block for _, block in blocks]):
        name, block = blocks[place]
        try:
            check_has_directions(matricize(block, output_dim(layers[name])))
        except ValueError as error:
            raise ValueError(f"{layer_called(name)} in iteration {iteration}: {error}") from error
    shapes = [matrix_shape(layer) for layer in layers.values()]
    owners = ranks.owners([min(shape) ** 2 * max(shape) for shape in shapes])
    owned = {
        rank: [layer for layer, owner in zip(layers.values(), owners, strict=True) if owner == rank] for rank in owners
    }
    act(owned.get(ranks.rank, []))
    for rank, theirs in owned.items():
        ranks.broadcast_([*map(raw_weight, theirs), *map(recorded_ratios, theirs)], rank)
