"""SR (Eq. 9 to 11): when it acts, what it writes into raw weights, and its reparametrized forward pass."""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint
from srgan.constraints.gains import check_normalizable
from srgan.constraints.layers import (
    LayerSubset,
    constrained,
    convolutions,
    format_layer,
    is_convolution,
    num_groups,
    output_dim,
    raw_parts,
    raw_weight,
)
from srgan.constraints.parametrization import RawWeight
from srgan.constraints.spectral_normalization import (
    GroupedSpectralNorm,
    SpectralNorm,
    check_power_iterations,
    check_scale,
    describe_scale,
    format_scale,
)
from srgan.spectral import (
    Scale,
    SpectralMap,
    Static,
    matricize,
    project_stacks,
    scaled,
    spectrally_regularize,
    spectrum,
    unmatricize,
)
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.linalg import check_has_directions, undirected


@dataclass(frozen=True)
class Schedule:
    """The discriminator updates after which SR acts.

    Attributes:
        every_iterations: at least 1; acts in the iterations t = 0, every, 2 every, ... (t counts generator updates).
        updates: after "all" of such an iteration's n_dis discriminator updates, or after the "last" one only.
        start_iteration: the first iteration in which it acts; before it the discriminator is under plain SN.

    `Schedule()` is the authors' code (every 5th iteration, all D updates); `Schedule(1, "last")` is the text
    of the paper (Section IV: the last discriminator update); `Schedule(1, "all")` is every D update.
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
    gradient flows through it; raw weights, and so their scale, are the optimizer's alone. ValueError if
    `power_iterations` is below 1, there is no such scale, mode or value of `grouped`.

    Args:
        spectral_map: `Static(fraction)` (SR-s) or `Dynamic()` (SR-d).
        scale: sigma_1 of the raw weights that a projection writes: 1 ("unit"), this number, or what it was ("keep").
            Under SN only the layer's learning rate depends on it. The authors' SR-s is at unit scale; their SR-d keeps
            the scale, which lets sigma_1 grow and slows D down.
        mode: "projection" (the authors' code) or "reparametrization" (the paper's Eq. 10 and 11).
        schedule: when a projection acts; `Schedule()` is the authors'.
        grouped: "refuse" grouped convolutions, since the paper's W mixes channels that they keep apart, or take each
            group's matrix "per-group", also in SN.
        power_iterations: power iterations of SN per use of a weight.
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
        scale = f"; {describe_scale(self.scale)}" if self._is_scaled else ""
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
        """As for every constraint; warns if there are no convolutions."""
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
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        """Overwrites the raw weights when that is due, and records their spectra where the map remembers them.

        Each layer is decomposed on one rank, which sends the result to the others: ranks stay bit-identical, and the
        time divides by their number. ValueError if a weight holds NaN or infinity, or is all zero (the message names
        layer and iteration).
        """
        if self.mode == "projection":
            act, is_due = self._project, self.schedule.is_due(iteration, update, n_dis)
        else:
            act, is_due = self._record, self.spectral_map.remembers
        if not is_due:
            return
        layers = [_Convolution(name, layer) for name, layer in convolutions(discriminator).items()]
        _check_directions(layers, iteration)  # on every rank, or the others would wait for the one that fails
        owners = ranks.owners([layer.blocks.numel() * min(layer.blocks.shape[1:]) for layer in layers])
        owned = {rank: [layer for layer, owner in zip(layers, owners, strict=True) if owner == rank] for rank in owners}
        act(owned.get(ranks.rank, []))
        for rank, theirs in owned.items():
            ranks.broadcast_([tensor for layer in theirs for tensor in (layer.W, layer.r)], rank)

    def _project(self, layers: Sequence["_Convolution"]) -> None:
        """Writes `U diag(f(sigma)) V^T` into the raw weights.

        On a GPU layers of one shape are stacked. On a CPU, where that gains nothing, each is decomposed by itself: the
        bits of its result do not depend on which other layers come with it, so ranks may share them out in any way.
        """
        stacks: dict[tuple[object, ...], list[_Convolution]] = defaultdict(list)
        for index, layer in enumerate(layers):
            W = layer.blocks
            stacks[W.shape, W.dtype, W.device, index if W.device.type == "cpu" else None].append(layer)
        weights = [torch.stack([layer.blocks for layer in stack]) for stack in stacks.values()]
        # What one application records moves nothing in it: r before is enough, and free of rounding to float32.
        recorded = [torch.stack([layer.r for layer in stack]) for stack in stacks.values()]
        projections = project_stacks(weights, [partial(self._mapped, r=r) for r in recorded])
        for stack, (projected, sigma) in zip(stacks.values(), projections, strict=True):
            for layer, blocks, former in zip(stack, projected, sigma, strict=True):
                layer.W.copy_(unmatricize(blocks, layer.W, layer.output_dim))
                self._remember(layer, former)

    def _mapped(self, sigma: Tensor, r: Tensor) -> Tensor:
        """sigma `[b, groups, N]` and r `[b, groups N]` of b layers -> the singular values that are written."""
        return scaled(self.spectral_map(sigma, r.view_as(sigma)), self.scale)

    def _record(self, layers: Sequence["_Convolution"]) -> None:
        for layer in layers:
            self._remember(layer, torch.stack([spectrum(block) for block in layer.blocks]))

    def _remember(self, layer: "_Convolution", sigma: Tensor) -> None:
        """Updates r from sigma `[groups, N]` of the weight."""
        if self.spectral_map.remembers:
            layer.r.copy_(self.spectral_map.remember((sigma / sigma[:, :1]).flatten().to(layer.r), layer.r))

    def judged_values(self, layer: nn.Module) -> int:
        # The recorded spectrum of a grouped convolution is of its groups together; SR holds theirs apart.
        N = super().judged_values(layer)
        return self.spectral_map.num_judged(N) if is_convolution(layer) and num_groups(layer) == 1 else N

    def label_on(self, layer: nn.Module) -> str:
        return self.label if is_convolution(layer) else "SN"


class SpectrallyRegularized(RawWeight):
    """Eq. 10 in the forward pass with the gradient of Eq. 11. Ratios are read here, and recorded after an update."""

    divides_by_sigma_1 = True

    def __init__(self, weight: Tensor, output_dim: int, groups: int, spectral_map: SpectralMap) -> None:
        super().__init__(weight, output_dim, groups)
        self.spectral_map = spectral_map

    def constrain(self, W: Tensor) -> Tensor:
        blocks = zip(W.chunk(self.groups), self.recorded_ratios.chunk(self.groups), strict=True)
        return torch.cat([spectrally_regularize(block, partial(self.spectral_map, r=r)) for block, r in blocks])


class _Convolution:
    """What SR reads and writes of a layer: W without a graph, recorded ratios r `[groups N]`, and W as its blocks
    `[groups, m, n]`, what is decomposed: a grouped convolution is block-diagonal.
    """

    def __init__(self, name: str, layer: nn.Module) -> None:
        own = cast(RawWeight, constrained(layer))
        self.name, self.W = name, raw_weight(layer).detach()
        self.r, self.output_dim = own.recorded_ratios, own.output_dim
        self.blocks = matricize(self.W, own.output_dim).unflatten(0, (own.groups, -1))


def _check_directions(layers: Sequence[_Convolution], iteration: int) -> None:
    """ValueError, with layer and iteration, for a weight with a block that is not finite or all zero."""
    blocks = [(layer.name, block) for layer in layers for block in layer.blocks]
    for place in undirected([block for _, block in blocks]):
        name, block = blocks[place]
        try:
            check_has_directions(block)
        except ValueError as error:
            raise ValueError(f"{format_layer(name)} in iteration {iteration}: {error}") from error
