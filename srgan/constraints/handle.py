"""What `srgan.regularize` gives back, and what acts after the optimizer's steps."""

import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from srgan.constraints.base import Constraint
from srgan.constraints.layers import LayerSubset, constrained, is_sharded, layer_kind, raw_weight, spectral_layers
from srgan.constraints.refusing import layer_called
from srgan.constraints.selecting import unwrap_model
from srgan.constraints.step import DiscriminatorStep
from srgan.constraints.stepping import parameters_of, part_in, stepped

# Training forward passes without an optimizer step after which something is wrong, where one step takes one of them.
FORWARDS_WITHOUT_STEP = 100


class Regularization:
    """A discriminator under a constraint.

    Attributes:
        discriminator: the module that was given.
        constraint: what it is under.
        n_dis: discriminator steps per generator step.
        seed: of penalties' random numbers.
    """

    def __init__(
        self, discriminator: nn.Module, constraint: Constraint, layers: Mapping[str, nn.Module], n_dis: int, seed: int
    ) -> None:
        self.discriminator, self.constraint, self.n_dis, self.seed = discriminator, constraint, n_dis, seed
        self._layers = dict(layers)
        self._watch: StepWatch | None = None
        self._handles: list[Any] = []
        self._optimizers: list[torch.optim.Optimizer] = []
        self._counts = [UpdateCount()]
        release(layers)
        for layer in layers.values():
            _acting[layer] = weakref.ref(self)

    def __repr__(self) -> str:
        """The constraint, and what each layer is under, a line each."""
        head = f"{type(self).__name__}({self.constraint!r}, n_dis={self.n_dis}, seed={self.seed}):"
        rows = [
            f"  {name or '(itself)'}: {layer_kind(layer)} under {self.constraint.label_on(layer)}"
            for name, layer in self.layers.items()
        ]
        return "\n".join([head, *(rows or ["  no layer: a later call has taken all"])])

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The layers that are under this constraint, by name: a later call may have taken some."""
        return {name: layer for name, layer in self._layers.items() if _handle_of(layer) is self}

    @property
    def updates(self) -> int:
        """Optimizer steps so far, as the layers' buffers have them: a loaded state dict counts on from there."""
        return self._counts[0].read(self.layers.values())

    def penalty(
        self,
        real: Tensor,
        fake: Tensor,
        real_labels: Tensor | None = None,
        fake_labels: Tensor | None = None,
        first_row: int = 0,
    ) -> Tensor:
        """What the constraint adds to the discriminator's loss, a scalar; 0 for one without a penalty.

        Args:
            real: `[B, ...]`, what D takes.
            fake: `[B, ...]`, of the same shape.
            real_labels: `[B]`, for a D that is called with them.
            fake_labels: `[B]`.
            first_row: where these images begin in the update's global batch: micro-batches and ranks that say it draw
                numbers of their own, those that do not the same ones.

        Raises:
            ValueError: the batches differ in shape, or D returns no tensor.
        """
        if real.shape != fake.shape:
            raise ValueError(
                f"Expected real and generated images of one shape, found {tuple(real.shape)} and {tuple(fake.shape)}."
            )
        given = real_labels is not None
        no_labels = torch.zeros(len(real), dtype=torch.int64, device=real.device)
        real_labels = no_labels if real_labels is None else real_labels
        images = [x.detach() if x.dim() == 4 else x.detach().reshape(len(x), -1, 1, 1) for x in (real, fake)]
        step = DiscriminatorStep(
            _Scores(self.layers, unwrap_model(self.discriminator), real.shape[1:], given),
            images[0],
            real_labels,
            images[1],
            real_labels if fake_labels is None else fake_labels,
            self.seed,
            *divmod(self.updates, self.n_dis),
            range(first_row, first_row + len(real)),
            images[0],
        )
        # The fused attention kernels have no second derivative.
        with sdpa_kernel(SDPBackend.MATH) if self.constraint.needs_double_backward else nullcontext():
            penalty = self.constraint.penalty(step)
        return real.new_zeros(()) if penalty is None else penalty

    def follow(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Acts after each step of the optimizers from now on, on the layers that it has moved."""
        self._optimizers = list(optimizers)
        self._counts = [UpdateCount() for _ in optimizers]
        for index, optimizer in enumerate(optimizers):
            self._handles.append(optimizer.register_step_post_hook(partial(self._after_step, index)))
        if self.constraint.has_post_step:
            self._watch = StepWatch()
            self._handles += [layer.register_forward_pre_hook(self._watch) for layer in self._layers.values()]

    def stop(self) -> None:
        """Acts no more."""
        while self._handles:
            self._handles.pop().remove()

    def _after_step(self, index: int, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        skipped = getattr(optimizer, "found_inf", None)  # fused optimizers skip an AMP step by themselves
        if isinstance(skipped, Tensor) and bool(skipped):
            return
        layers = self.layers
        if not layers:
            return
        if self._watch is not None:
            self._watch.restart()
            check_not_sharded(layers)
        counted, count = self._counted_by(index, layers), self._counts[index]
        updates = count.read(counted)
        D = unwrap_model(self.discriminator)
        everything = layers == dict(spectral_layers(D))
        moved = part_in(D, stepped(optimizer), None if everything else layers)
        self.constraint.after_update(moved, *divmod(updates, self.n_dis), self.n_dis)
        count.advance(counted)

    def _counted_by(self, index: int, layers: Mapping[str, nn.Module]) -> list[nn.Module]:
        """The layers that count the steps of one of the optimizers: its own, and the first one's those of none."""
        if len(self._optimizers) == 1:
            return list(layers.values())
        others = parameters_of(self._optimizers[:index] + self._optimizers[index + 1 :])
        own = parameters_of(self._optimizers[index : index + 1])
        ids = {name: id(raw_weight(layer)) for name, layer in layers.items()}
        return [layers[name] for name, W in ids.items() if W in own or (index == 0 and W not in others)]


class UpdateCount:
    """Optimizer steps so far, as buffers of layers have them. The last value is kept: reading waits for the device."""

    def __init__(self) -> None:
        self._last: tuple[Tensor | None, int, int] = (None, 0, 0)  # a buffer, its version, its value

    def read(self, layers: Iterable[nn.Module]) -> int:
        """Of the first layer under a constraint; with none left, what it last was."""
        counted, version, updates = self._last
        buffer = next(iter(_update_buffers(layers)), counted)
        if buffer is None:  # a later call took every layer before the first step
            return updates
        if buffer is not counted or buffer._version != version:
            updates = int(buffer)
            self._last = (buffer, buffer._version, updates)
        return updates

    def advance(self, layers: Iterable[nn.Module]) -> None:
        """Counts one more step in all of the layers."""
        updates = self.read(layers := list(layers))
        buffers = _update_buffers(layers)
        if buffers:
            torch._foreach_add_(buffers, 1)
            self._last = (buffers[0], buffers[0]._version, updates + 1)


def _update_buffers(layers: Iterable[nn.Module]) -> list[Tensor]:
    return [own.updates for layer in layers if (own := constrained(layer))]


_acting: WeakKeyDictionary[nn.Module, "weakref.ref[Regularization]"] = WeakKeyDictionary()
"""The last call that named each layer. By layer, since wrappers and parents of it are other objects."""


def _handle_of(layer: nn.Module) -> Regularization | None:
    reference = _acting.get(layer)
    return None if reference is None else reference()


def release(layers: Mapping[str, nn.Module]) -> None:
    """Nothing acts on these layers any more."""
    handles = {_handle_of(layer) for layer in layers.values()}
    for layer in layers.values():
        _acting.pop(layer, None)
        for key, hook in list(layer._forward_pre_hooks.items()):
            if isinstance(hook, StepWatch):  # of a deep copy, or of a handle that is gone with its optimizer
                del layer._forward_pre_hooks[key]
    for handle in handles:
        if handle is not None and not handle.layers:
            handle.stop()


def check_not_sharded(layers: Mapping[str, nn.Module]) -> None:
    """Refuses weights that fully_shard has split, whose spectra no process has.

    Raises:
        ValueError: there is one.
    """
    for name, layer in layers.items():
        if is_sharded(layer):
            raise ValueError(
                f"{layer_called(name)}: expected a whole weight to act on, found one that fully_shard has split. Use "
                "SR-s with mode='reparametrization', which acts in the forward pass, or shard without this layer."
            )


class StepWatch:
    """Says once that a discriminator trains without the steps after which its constraint acts.

    Hangs on all layers and counts the uses of one, the first that runs in training mode: others may never do. Once
    there was a step, it bears a hundred times the most that lay before one: loops may accumulate gradients.
    """

    def __init__(self) -> None:
        self.forwards = 0
        self._most_before_a_step = 1
        self._has_warned = False
        self._layer: nn.Module | None = None

    def restart(self) -> None:
        """There was a step."""
        self._most_before_a_step = max(self._most_before_a_step, self.forwards)
        self.forwards = 0

    def __call__(self, layer: nn.Module, _: Any) -> None:
        if torch.compiler.is_compiling() or not layer.training:
            return
        self._layer = self._layer or layer
        if layer is not self._layer:
            return
        self.forwards += 1
        if self.forwards >= FORWARDS_WITHOUT_STEP * self._most_before_a_step and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"A regularized discriminator has had {self.forwards} training forward passes without a step of the "
                "optimizer that srgan.regularize was given, after which its constraint acts. Unless so many are "
                "accumulated for one step, it is a deep copy, or the optimizer was made anew: call "
                "srgan.regularize(D, method, optimizer=...) again.",
                stacklevel=2,
            )


class _Scores(LayerSubset):
    """D as penalties call it: images `[B, ...]` and labels -> scores `[B]`, the mean over an image's patches."""

    def __init__(
        self, layers: Mapping[str, nn.Module], discriminator: nn.Module, shape: torch.Size, labelled: bool
    ) -> None:
        super().__init__(layers)
        self._call = lambda *inputs: discriminator(*inputs)
        self._shape, self._labelled = shape, labelled
        self._dtype = next(raw_weight(layer).dtype for layer in layers.values())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        x = images.reshape(-1, *self._shape).to(self._dtype)
        scores = self._call(x, labels) if self._labelled else self._call(x)
        if not isinstance(scores, Tensor):
            raise ValueError(
                f"Expected a discriminator that returns a tensor of scores, found {type(scores).__name__}. Regularize "
                "a module that returns the scores alone."
            )
        return scores.float().reshape(len(x), -1).mean(dim=1)
