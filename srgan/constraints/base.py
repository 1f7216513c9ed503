"""A constraint on the discriminator as a value, a frozen dataclass of settings with hooks, and the step it is given.

A training step calls `attach` once, adds `penalty` to D's loss and calls `after_update` after D's optimizer steps;
loggers ask for its `report`. No code asks which constraint it is. A constraint overrides what it needs of these but
`attach`, of `parametrization` and, if it adds layers, or refuses some discriminators, of `add_layers` and `check`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

import torch
from torch import Tensor, nn

from srgan.constraints.attaching import (
    check_no_batch_norm,
    check_raw_weight,
    remove_batch_norm,
    replace_parametrization,
)
from srgan.constraints.layers import format_refusals, raw_matrix, raw_parts, spectral_layers
from srgan.constraints.parametrization import RawWeight, power_vector
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.precision import without_autocast
from srgan.utils.randomness import counter_rows


@dataclass(frozen=True)
class DiscriminatorStep:
    """One micro-batch of one discriminator update, on one rank.

    Attributes:
        discriminator: D: images `[B, 3, H, W]` and labels `[B]` -> scores `[B]`.
        real: images `[B, 3, H, W]` float32 in [-1, 1].
        real_labels: `[B]` int64.
        fake: generated images `[B, 3, H, W]`, without a graph.
        fake_labels: `[B]` int64.
        seed: Random seed of the run.
        iteration: t, from 0.
        update: index of the update in its iteration, 0 ... n_dis - 1.
        rows: the rows of the update's global batch in this micro-batch.
        real_of_update: this rank's real images of the whole update, `real` among them.
        ranks: the processes that share the global batch.
    """

    discriminator: nn.Module
    real: Tensor
    real_labels: Tensor
    fake: Tensor
    fake_labels: Tensor
    seed: int
    iteration: int
    update: int
    rows: range
    real_of_update: Tensor
    ranks: ProcessGroup = SINGLE_PROCESS

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Random numbers in [0, 1) `[B, *shape]`, a function of (seed, purpose, iteration, update, row) alone."""
        return counter_rows(
            torch.rand, self.rows, shape, self.real.device, self.seed, purpose, self.iteration, self.update
        )

    def scores(self, images: Tensor, labels: Tensor) -> Tensor:
        """D's outputs `[B]`, in float32 also under autocast."""
        with without_autocast(images.device):
            scores: Tensor = self.discriminator(images.float(), labels)
            return scores.float()

    def gradient_norms(self, images: Tensor, labels: Tensor) -> Tensor:
        """`||grad D(x)||_2` of each image `[B]`, differentiable in D's weights.

        It is the gradient of the sum over the batch, which under batch norm in D mixes the images.
        """
        x = images.detach().float().requires_grad_()
        with without_autocast(x.device):
            (gradient,) = torch.autograd.grad(self.scores(x, labels).sum(), x, create_graph=True)
            norms: Tensor = gradient.flatten(1).norm(dim=1)
            return norms

    @torch.no_grad()
    def standard_deviation_of_real(self) -> Tensor:
        """Standard deviation of all pixels of the global batch's real images, `[]`, for any split into ranks."""
        x = self.real_of_update.double()
        moments = torch.stack([x.mean(), x.square().mean()])
        self.ranks.average_([moments])
        return (moments[1] - moments[0].square()).clamp_min(0).sqrt().float()


class Constraint:
    """No constraint on the discriminator, and the base of those that constrain it."""

    needs_double_backward: bool = False
    """Whether its penalty takes gradients of gradients, which compiled nets do not have."""
    needs_per_sample_gradients: bool = False
    """Whether its penalty is on the gradient at each single image, which batch norm in D would mix with others."""
    adds_batch_norm: bool = False
    """Whether `add_layers` puts batch norms behind convolutions."""
    adds_parameters: bool = False
    """Whether it has parameters of its own, which must be there before DDP wraps D."""

    @property
    def label(self) -> str:
        """Short name, for tables and plots."""
        return "none"

    @property
    def sentence(self) -> str:
        """What it does, for reports."""
        return "no constraint on the discriminator; its spectra are only recorded"

    @property
    def note(self) -> str | None:
        """What to know about its verdicts."""
        return None

    @property
    def has_post_step(self) -> bool:
        """Whether `after_update` does anything and must be called."""
        return type(self).after_update is not Constraint.after_update

    @property
    def is_remedy(self) -> bool:
        """Whether runs whose spectra collapse are advised to switch to it."""
        return False

    @property
    def words(self) -> dict[str, str | None]:
        """Label, sentence and note, as run files store them."""
        return {"label": self.label, "sentence": self.sentence, "note": self.note}

    def parametrization(self, layer: nn.Module) -> RawWeight:
        """The module that computes one layer's weight from the raw one; ValueError for a layer it does not apply to."""
        return RawWeight(*raw_parts(layer))

    def attach(self, discriminator: nn.Module, layers: Mapping[str, nn.Module] | None = None, seed: int = 0) -> None:
        """Parametrizes every convolution, linear and embedding layer, in place, and adds what else it needs.

        Layers under PyTorch's own `spectral_norm` are taken over with their raw weight, those under another constraint
        of this package with their buffers too. The Parameter objects stay the same, so an optimizer that already holds
        them stays valid. ValueError if there is no such layer, one has no weight yet or only zeros, or one is already
        parametrized by something else. Nothing has changed then. `layers` are those to constrain, by name, None for
        all; `seed` is that of the first power vectors, where none are taken over.
        """
        chosen = dict(spectral_layers(discriminator) if layers is None else layers)
        if not chosen:
            raise ValueError(
                "Expected a discriminator with convolution, linear or embedding layers of torch.nn, found none in "
                f"{type(discriminator).__name__}. Build it of those, or name your own by layers= of srgan.regularize."
            )
        self.check(discriminator, chosen)
        attached: dict[str, RawWeight] = {}
        reasons: dict[str, str] = {}
        for name, layer in chosen.items():
            try:
                check_raw_weight(layer)
                attached[name] = self.parametrization(layer)
            except ValueError as error:
                reasons[name] = str(error)
        if reasons:
            some_remain = layers is not None and len(reasons) < len(chosen)
            raise ValueError(format_refusals(reasons, chosen if some_remain else None))
        for name, parametrization in attached.items():
            layer = chosen[name]
            parametrization.constraint = self
            replace_parametrization(layer, parametrization, partial(power_vector, seed, name))
            if not self.adds_batch_norm:
                remove_batch_norm(layer, fold=False)
        self.add_layers(discriminator, chosen)

    def check(self, discriminator: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        """ValueError, before anything changes, for a discriminator whose `layers` it cannot constrain."""
        if self.needs_per_sample_gradients:
            check_no_batch_norm(discriminator, layers, "Take layer norm, or dragan, whose paper has it.")

    def add_layers(self, discriminator: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        """Adds layers of its own, after the parametrizations."""

    def penalty(self, step: DiscriminatorStep) -> Tensor | None:
        """The term that it adds to D's loss in one micro-batch, a scalar; None for none."""
        return None

    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        """Called after D's optimizer step `update` (0 ... n_dis - 1) of `iteration` (from 0), on every rank."""

    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        """Numbers for the loggers, by names like "constraint/...", of a discriminator under it."""
        return {}

    def judged_values(self, layer: nn.Module) -> int:
        """How many singular values of a layer, from the largest, its collapse is judged by: all N, but i under SR-s."""
        return min(raw_matrix(layer).shape)

    def label_on(self, layer: nn.Module) -> str:
        """The constraint on one of its layers: SR puts linear layers under SN."""
        return self.label


@dataclass(frozen=True)
class Unconstrained(Constraint):
    """The discriminator as it is; its raw spectra are still recorded."""


@dataclass(frozen=True)
class Combination(Constraint):
    """Several constraints together, e.g. SN with a gradient penalty.

    ValueError if there are fewer than two, two parametrize the same weights, or one adds batch norm and another
    penalizes the gradient at single images.

    Args:
        constraints: two or more, at most one of which parametrizes weights. They act in this order.
    """

    constraints: Sequence[Constraint]

    def __post_init__(self) -> None:
        nested = (one.constraints if isinstance(one, Combination) else [one] for one in self.constraints)
        parts: list[Constraint] = list(chain.from_iterable(nested))
        object.__setattr__(self, "constraints", tuple(parts))
        if len(parts) < 2 or len(self._parametrizing) > 1:
            raise ValueError(
                "Expected two or more constraints, at most one of which parametrizes the weights, found "
                f"{', '.join(part.label for part in parts) or 'none'}. Remove one."
            )
        if self.needs_per_sample_gradients and self.adds_batch_norm:
            raise ValueError(
                f"Expected no batch norm beside a penalty on the gradient at single images, found {self.label}. Remove "
                "one of them."
            )

    @property
    def _parametrizing(self) -> list[Constraint]:
        return [part for part in self.constraints if type(part).parametrization is not Constraint.parametrization]

    @property
    def label(self) -> str:
        return " + ".join(part.label for part in self.constraints)

    @property
    def sentence(self) -> str:
        return "; ".join(part.sentence for part in self.constraints)

    @property
    def note(self) -> str | None:
        return " ".join(part.note for part in self.constraints if part.note) or None

    def parametrization(self, layer: nn.Module) -> RawWeight:
        return (self._parametrizing or [Constraint()])[0].parametrization(layer)

    def check(self, discriminator: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        for part in self.constraints:
            part.check(discriminator, layers)

    def add_layers(self, discriminator: nn.Module, layers: Mapping[str, nn.Module]) -> None:
        for part in self.constraints:
            part.add_layers(discriminator, layers)

    def penalty(self, step: DiscriminatorStep) -> Tensor | None:
        penalties = [penalty for part in self.constraints if (penalty := part.penalty(step)) is not None]
        return torch.stack(penalties).sum() if penalties else None

    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        for part in self.constraints:
            part.after_update(discriminator, iteration, update, n_dis, ranks)

    def report(self, discriminator: nn.Module) -> Mapping[str, float]:
        return {name: value for part in self.constraints for name, value in part.report(discriminator).items()}

    def judged_values(self, layer: nn.Module) -> int:
        return min(part.judged_values(layer) for part in self.constraints)

    def label_on(self, layer: nn.Module) -> str:
        return " + ".join(part.label_on(layer) for part in self.constraints)


def _any_of(flag: str) -> property:
    return property(lambda combination: any(getattr(part, flag) for part in combination.constraints))


for _name in [name for name in vars(Constraint) if isinstance(getattr(Constraint(), name), bool)]:
    setattr(Combination, _name, _any_of(_name))  # one rule for every flag, also for new ones
