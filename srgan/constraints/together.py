"""SN of all layers of a net at once: a few operations on stacks of matrices in place of many on each.

The matrices of several layers are padded with zeros, which change neither products nor singular values, to one shape
`[M, N]`. Each layer keeps its own u, and takes the power steps that it would take by itself, in the same order.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from srgan.constraints.layers import constrained, is_sharded, matrix_shape, output_dim, raw_weight, spectral_layers
from srgan.constraints.spectral_normalization import SpectralNorm
from srgan.networks import Discriminator
from srgan.spectral import power_iterations_of_stack
from srgan.utils.precision import without_autocast
from srgan.utils.torch_internals import BatchNorm, is_transformed

LARGEST_PADDING = 2.0  # stacks to the matrices in them, over a whole net: for wide nets these are a lot of memory
LARGEST_ON_CPU = 2**18  # entries; to copy a larger matrix into a stack costs a CPU more than calls of its own do


class Together:
    """The layers of a net under SN, whose weights are normalized together for the forward passes to come.

    They may come under SN, or off it, later. Layers that are under anything else, are in evaluation mode, or are not
    used once in each pass take care of themselves.
    """

    def __init__(self, net: nn.Module) -> None:
        self._members: list[_Member] = []
        self._others = [layer for _, layer in spectral_layers(net)]
        self._not_once: list[nn.Module] = []  # not used once in each pass
        self._stacks: list[_Stack] = []

    @contextmanager
    def normalized(self, passes: int, side_by_side: bool = False) -> Iterator[bool]:
        """Takes the power steps of so many forward passes; those made within find their weights normalized.

        With `side_by_side` they are a single pass, if all layers are normalized here, which is returned: each weight
        has `passes` times its outputs, those of the first pass first.
        """
        self._update()
        side_by_side = side_by_side and bool(self._members) and not (self._others or self._not_once)
        try:
            for stack in self._stacks:
                stack.normalize(passes, side_by_side)
            yield side_by_side
            unused = [member for member in self._members if member.norm.normalized]
        finally:
            for member in self._members:
                member.norm.normalized.clear()
        if unused:
            self._not_once += [member.layer for member in unused]
            self._members = [member for member in self._members if member not in unused]
            self._stacks = _stacks(self._members)

    def _update(self) -> None:
        """Makes the stacks anew if layers have come under SN, or off it, or changed their kind."""
        joining = [member for layer in self._others if (member := _member(layer)) is not None]
        if joining or not all(member.holds() for member in self._members):
            layers = [*(member.layer for member in self._members), *self._others]
            found = {layer: _member(layer) for layer in layers}
            self._members = [member for member in found.values() if member is not None]
            self._others = [layer for layer, member in found.items() if member is None]
            self._stacks = _stacks(self._members)


def passes_are_alike(net: nn.Module) -> bool:
    """Whether a forward pass of a net depends neither on the passes before it nor on the rest of the batch.

    Power steps of SN would make it depend on the one, batch norm on the other.
    """
    return not has_batch_norm(net) and not any(isinstance(module, SpectralNorm) for module in net.modules())


def has_batch_norm(net: nn.Module) -> bool:
    """Whether the images of a batch have a part in one another's outputs."""
    return any(isinstance(module, BatchNorm) for module in net.modules())


def scores_of_both(
    D: Discriminator, weights: Together, real: Tensor, labels: Tensor, fake: Tensor, fake_labels: Tensor
) -> tuple[Tensor, Tensor]:
    """D's outputs `[B]` on real and on generated images `[B, 3, H, W]`, each with its labels `[B]`.

    The result of two forward passes, real images first, as in the authors' code: under SN each takes a power step. They
    are one pass wherever that gives the same up to rounding.
    """
    if D.scores_alone and passes_are_alike(D):
        scores = D(torch.cat([real, fake]), torch.cat([labels, fake_labels]))
        return scores[: len(real)], scores[len(real) :]
    possible = D.takes_side_by_side(real) and not has_batch_norm(D)
    with weights.normalized(passes=2, side_by_side=possible) as side_by_side:
        if side_by_side:
            scores = D(torch.cat([real, fake], dim=1), torch.stack([labels, fake_labels], dim=1))
            return scores[:, 0], scores[:, 1]
        return D(real, labels), D(fake, fake_labels)


@dataclass(eq=False)
class _Member:
    """A layer under plain SN, in training mode, that is normalized together with others.

    `kind` is what all of a stack have in common; `matrix_shape` is `[m, n]` of its raw weight W read as a matrix.
    """

    layer: nn.Module
    norm: SpectralNorm
    W: nn.Parameter
    kind: tuple[torch.dtype, torch.device, int]
    matrix_shape: tuple[int, int]

    def holds(self) -> bool:
        """Whether all this is still so."""
        if constrained(self.layer) is not self.norm or not self.norm.training:
            return False
        W = raw_weight(self.layer)
        return W is self.W and self.kind == (W.dtype, W.device, self.norm.power_iterations)


def _member(layer: nn.Module) -> _Member | None:
    """A layer under plain SN that trains, with a whole weight that torch.func does not transform; None for others."""
    norm = constrained(layer)
    if type(norm) is not SpectralNorm or not norm.training or is_sharded(layer):
        return None
    W = raw_weight(layer)
    if is_transformed(W) or (W.device.type == "cpu" and W.numel() > LARGEST_ON_CPU):
        return None
    return _Member(layer, norm, W, (W.dtype, W.device, norm.power_iterations), matrix_shape(layer))


def _stacks(members: Sequence[_Member]) -> list["_Stack"]:
    """All members in few stacks: those are merged that need the least padding, as long as the net's bound is kept."""
    alike: dict[Any, list[_Member]] = defaultdict(list)
    for member in members:
        alike[member.kind, member.matrix_shape].append(member)
    groups = list(alike.values())
    bound = LARGEST_PADDING * sum(member.W.numel() for member in members)
    while True:
        pairs = [(a, b) for a, b in combinations(groups, 2) if a[0].kind == b[0].kind]
        a, b = min(pairs, key=lambda pair: _padded([*pair[0], *pair[1]]) - sum(map(_padded, pair)), default=([], []))
        merged = [group for group in groups if group is not a and group is not b] + [[*a, *b]]
        if not a or sum(map(_padded, merged)) > bound:
            return [_Stack(group) for group in groups]
        groups = merged


def _padded(group: Sequence[_Member]) -> int:
    """Entries of a stack of them."""
    heights, lengths = zip(*(member.matrix_shape for member in group), strict=True)
    return len(group) * int(max(heights)) * int(max(lengths))


class _Stack:
    """Layers of one kind, whose matrices are padded to one shape `[M, N]`."""

    def __init__(self, members: Sequence[_Member]) -> None:
        self.M, self.N = (max(lengths) for lengths in zip(*(member.matrix_shape for member in members), strict=True))

        def layout(member: _Member) -> tuple[Any, ...]:
            """Where the entries of a weight are in its padded matrix."""
            dim = output_dim(member.layer)
            row = torch.empty_like(member.W.transpose(0, dim)[0], device="meta")  # dense, in the weight's memory format
            shape, strides = (member.matrix_shape[0], *row.shape), (self.N, *row.stride())
            view = torch.empty_strided(shape, strides, device="meta")
            return tuple(view.transpose(0, dim).shape), view.transpose(0, dim).stride()

        whole = [member for member in members if member.matrix_shape == (self.M, self.N)]
        alike = [member for member in whole if layout(member) == layout(whole[0])] if whole else []
        self.members = alike + [member for member in members if member not in alike]
        self.num_alike = len(alike)
        self.layouts = [layout(member) for member in self.members]
        self.zeros = torch.zeros(self.M, dtype=members[0].W.dtype, device=members[0].W.device)

    def normalize(self, passes: int, side_by_side: bool) -> None:
        """Hands `passes` normalized weights, or one that holds them, to each layer, and moves its u on."""
        raw = [member.W for member in self.members]
        _, device, steps = self.members[0].kind
        with torch.no_grad(), without_autocast(device):
            W = self.stack([weight.detach() for weight in raw], 1).squeeze(1)
            of_layers = [member.norm.u for member in self.members]
            padded = torch.cat([part for own in of_layers for part in (own, self.zeros[len(own) :])]).view(-1, self.M)
            u, v, sigma_1 = power_iterations_of_stack(W, padded, passes, steps)
            torch._foreach_copy_(of_layers, [row[: len(own)] for own, row in zip(of_layers, u[:, -1], strict=True)])
        with without_autocast(device):
            weights = _Normalization.apply(self, side_by_side, W, u, v, sigma_1, *raw)
        each = 1 if side_by_side else passes
        for k, member in enumerate(self.members):
            member.norm.normalized[:] = weights[k * each : (k + 1) * each]

    def stack(self, weights: Sequence[Tensor], passes: int) -> Tensor:
        """`passes` weights of each layer, one layer after the other -> `[L, passes, M, N]`, padded."""
        stack = weights[0].new_zeros(len(self.members), passes, self.M, self.N)
        alike = passes * self.num_alike
        if any(weight.stride() != self.layouts[0][1] for weight in weights[:alike]):
            alike = 0
        if alike:  # they lie in memory as they do in the stack
            flat = [weight.as_strided((self.M * self.N,), (1,)) for weight in weights[:alike]]
            torch.stack(flat, out=stack.view(-1, self.M * self.N)[:alike])
        if len(weights) > alike:
            torch._foreach_copy_(self.parts(stack)[alike:], list(weights[alike:]))
        return stack

    def parts(self, stack: Tensor) -> list[Tensor]:
        """What is in `[L, passes, M, N]`, without the padding and in the shapes of the layers' weights."""
        every = [(size, strides) for size, strides in self.layouts for _ in range(stack.shape[1])]
        return [stack.as_strided(size, strides, k * self.M * self.N) for k, (size, strides) in enumerate(every)]


class _Normalization(torch.autograd.Function):
    """Eq. 4 of every matrix of a stack in every pass, with its gradient, the first line of Eq. 11."""

    @staticmethod
    def forward(
        ctx: Any, stack: _Stack, side_by_side: bool, W: Tensor, u: Tensor, v: Tensor, sigma_1: Tensor, *raw: Tensor
    ) -> tuple[Tensor, ...]:
        sigma_1 = sigma_1.clamp_min(torch.finfo(W.dtype).tiny)
        W_SN = W.unsqueeze(1) / sigma_1[:, :, None, None]
        ctx.stack, ctx.side_by_side = stack, side_by_side
        ctx.save_for_backward(u, v, W_SN, sigma_1)
        weights = stack.parts(W_SN)
        if side_by_side:
            passes = W_SN.shape[1]
            return tuple(torch.cat(weights[k : k + passes]) for k in range(0, len(weights), passes))
        return tuple(weights)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *dW_SN: Tensor) -> tuple[Tensor | None, ...]:
        u, v, W_SN, sigma_1 = ctx.saved_tensors
        L, passes, M, N = W_SN.shape
        if ctx.side_by_side:
            dW_SN = tuple(part for gradient in dW_SN for part in gradient.chunk(passes))
        d = ctx.stack.stack(dW_SN, passes)
        along_uv = torch.bmm(d.view(-1, 1, M * N), W_SN.view(-1, M * N, 1)).view(L, passes)
        scale = sigma_1.reciprocal()
        divided = torch.bmm(scale.unsqueeze(1), d.view(L, passes, -1)).view(L, M, N)
        weighted_u = u * (along_uv * scale).unsqueeze(2)
        dW = torch.baddbmm(divided, weighted_u.mT, v, alpha=-1)
        return None, None, None, None, None, None, *ctx.stack.parts(dW.unsqueeze(1))
