"""What `srgan.regularize` returns: the constrained discriminator, and what happens after its optimizer's steps."""

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

from srgan.constraints.base import Constraint, DiscriminatorStep
from srgan.constraints.layers import (
    LayerSubset,
    check_not_sharded,
    constrained,
    layer_kind,
    raw_weight,
    spectral_layers,
)
from srgan.constraints.selecting import parameters_of, part_in, stepped, unwrap_model, was_skipped
from srgan.utils.torch_internals import forward_hooks, version_of

FORWARDS_WITHOUT_STEP = 100
"""Training forward passes without an optimizer step before a warning, where a step usually takes one of them."""


class Regularization:
    """A discriminator under a constraint.

    Attributes:
        discriminator: the module passed to `srgan.regularize`.
        constraint: its constraint.
        n_dis: discriminator steps per generator step.
        seed: Random seed of penalties.
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
        """The settings, then a line for each layer: its name, class and constraint."""
        rows = [
            f"  {name or '(itself)'}: {layer_kind(layer)} under {self.constraint.label_on(layer)}"
            for name, layer in self.layers.items()
        ]
        head = f"Regularization({self.constraint!r}, n_dis={self.n_dis}, seed={self.seed}):"
        return "\n".join([head, *(rows or ["  no layer: a later call has taken all"])])

    @property
    def layers(self) -> dict[str, nn.Module]:
        """The layers that are under this constraint, by name: a later call may have taken some."""
        return {name: layer for name, layer in self._layers.items() if _handle_of(layer) is self}

    @property
    def updates(self) -> int:
        """Optimizer steps so far. Counted in the layers' buffers: a loaded state dict restores them."""
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
            real: `[B, ...]`, inputs of D.
            fake: `[B, ...]`, of the same shape.
            real_labels: `[B]`, for a D that takes labels.
            fake_labels: `[B]`; the real ones by default.
            first_row: index of the first of these images in the update's global batch. Pass it for micro-batches and on
                each rank, which otherwise all draw the same random numbers.

        Raises:
            ValueError: the batches differ in shape, or D returns no tensor.
        """
        if real.shape != fake.shape:
            raise ValueError(
                f"Expected real and generated images of one shape, found {tuple(real.shape)} and {tuple(fake.shape)}."
            )
        labelled = real_labels is not None
        if real_labels is None:
            real_labels = torch.zeros(len(real), dtype=torch.int64, device=real.device)
        images = [x.detach() if x.dim() == 4 else x.detach().reshape(len(x), -1, 1, 1) for x in (real, fake)]
        step = DiscriminatorStep(
            _Scores(self.layers, unwrap_model(self.discriminator), real.shape[1:], labelled),
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
        """From now on, acts after each step of the optimizers on the layers that it has moved."""
        self._optimizers, self._counts = list(optimizers), [UpdateCount() for _ in optimizers]
        for index, optimizer in enumerate(optimizers):
            self._handles.append(optimizer.register_step_post_hook(partial(self._after_step, index)))
        if self.constraint.has_post_step:
            self._watch = StepWatch()
            self._handles += [layer.register_forward_pre_hook(self._watch) for layer in self._layers.values()]

    def stop(self) -> None:
        """Removes all hooks."""
        while self._handles:
            self._handles.pop().remove()

    def _after_step(self, index: int, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if was_skipped(optimizer):
            return
        layers = self.layers
        if not layers:
            return
        if self._watch is not None:
            self._watch.restart()
            way_out = (
                "Use SR-s with mode='reparametrization', which acts in the forward pass, or shard without this layer."
            )
            check_not_sharded(layers, way_out)
        counted, count = self._counted_by(index, layers), self._counts[index]
        updates = count.read(counted)
        D = unwrap_model(self.discriminator)
        everything = layers == dict(spectral_layers(D))
        moved = part_in(D, stepped(optimizer), None if everything else layers)
        self.constraint.after_update(moved, *divmod(updates, self.n_dis), self.n_dis)
        count.advance(counted)

    def _counted_by(self, index: int, layers: Mapping[str, nn.Module]) -> list[nn.Module]:
        """The layers that count one optimizer's steps: those it holds; the first one also counts in those of none."""
        if len(self._optimizers) == 1:
            return list(layers.values())
        others = parameters_of(self._optimizers[:index] + self._optimizers[index + 1 :])
        own = parameters_of(self._optimizers[index : index + 1])
        ids = {name: id(raw_weight(layer)) for name, layer in layers.items()}
        return [layers[name] for name, W in ids.items() if W in own or (index == 0 and W not in others)]


class UpdateCount:
    """Optimizer steps so far, from the layers' buffers. The last value is cached: reading it waits for the device."""

    def __init__(self) -> None:
        self._buffer: Tensor | None = None
        self._version, self._updates = 0, 0

    def read(self, layers: Iterable[nn.Module]) -> int:
        """As the first layer under a constraint has it; the last value if a later call has taken all layers."""
        buffer = next(iter(_update_buffers(layers)), self._buffer)
        if buffer is not None and (buffer is not self._buffer or version_of(buffer) != self._version):
            self._cache(buffer, int(buffer))
        return self._updates

    def advance(self, layers: Sequence[nn.Module]) -> None:
        """Counts one more step in all of the layers."""
        updates, buffers = self.read(layers), _update_buffers(layers)
        if buffers:
            torch._foreach_add_(buffers, 1)
            self._cache(buffers[0], updates + 1)

    def _cache(self, buffer: Tensor, updates: int) -> None:
        self._buffer, self._version, self._updates = buffer, version_of(buffer), updates


def _update_buffers(layers: Iterable[nn.Module]) -> list[Tensor]:
    return [own.updates for layer in layers if (own := constrained(layer))]


_acting: WeakKeyDictionary[nn.Module, "weakref.ref[Regularization]"] = WeakKeyDictionary()
"""The last call that named each layer. By layer, since wrappers and parents of it are other objects."""


def _handle_of(layer: nn.Module) -> Regularization | None:
    reference = _acting.get(layer)
    return None if reference is None else reference()


def release(layers: Mapping[str, nn.Module]) -> None:
    """Removes all hooks that act on these layers."""
    handles = {_handle_of(layer) for layer in layers.values()}
    for layer in layers.values():
        _acting.pop(layer, None)
        hooks = forward_hooks(layer, before=True)
        for key in [key for key, hook in hooks.items() if isinstance(hook, StepWatch)]:
            del hooks[key]  # of a deep copy, or of a handle that is gone with its optimizer
    for handle in handles:
        if handle is not None and not handle.layers:
            handle.stop()


class StepWatch:
    """A forward pre-hook that warns once if a discriminator trains without steps of the optimizer it was given.

    It is on all layers and counts the uses of the first one that runs in training mode. The limit is a hundred times
    the largest number of forward passes before a step so far, since loops may accumulate gradients.
    """

    def __init__(self) -> None:
        self.forwards, self._most_before_a_step, self._has_warned = 0, 1, False
        self._layer: nn.Module | None = None

    def restart(self) -> None:
        """Call after a step."""
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
                "accumulated for one step, it is a deep copy, or the optimizer was replaced: call "
                "srgan.regularize(D, method, optimizer=...) again.",
                stacklevel=2,
            )


class _Scores(LayerSubset):
    """D as penalties call it: images `[B, ...]` and labels `[B]` -> scores `[B]`, means over each image's patches."""

    def __init__(
        self, layers: Mapping[str, nn.Module], discriminator: nn.Module, shape: torch.Size, labelled: bool
    ) -> None:
        super().__init__(layers)
        dtype = next(raw_weight(layer).dtype for layer in layers.values())

        def call(images: Tensor, labels: Tensor) -> Any:
            x = images.reshape(-1, *shape).to(dtype)
            return discriminator(x, labels) if labelled else discriminator(x)

        self._call = call  # holds D, but not as a module of its own

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        scores = self._call(images, labels)
        if not isinstance(scores, Tensor):
            raise ValueError(
                f"Expected a discriminator that returns a tensor of scores, found {type(scores).__name__}. Regularize "
                "a module that returns the scores alone."
            )
        return scores.float().reshape(len(images), -1).mean(dim=1)
