"""Overwriting raw weights by the same with their singular values mapped."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from srgan.constraints.layers import output_dim, raw_matrices, raw_matrix, raw_weight
from srgan.constraints.parametrization import recorded_ratios
from srgan.constraints.refusing import layer_called
from srgan.spectral import SpectralMap, map_singular_values
from srgan.utils.distributed import ProcessGroup
from srgan.utils.linalg import check_has_directions, undirected

Projection = Callable[[Sequence[nn.Module]], SpectralMap]


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
    for index, layer in enumerate(layers):
        W = raw_matrices(layer)
        stacks[(W.shape, W.dtype, W.device, index if W.device.type == "cpu" else None)].append(layer)
    former = []
    weights = [torch.stack([raw_matrices(layer) for layer in stack]) for stack in stacks.values()]
    mapped = map_singular_values(weights, [projection(stack) for stack in stacks.values()])
    for stack, (W, sigma) in zip(stacks.values(), mapped, strict=True):
        for layer, matrix in zip(stack, W, strict=True):
            _write(layer, matrix)
        former += list(zip(stack, sigma, strict=True))
    return former


def _write(layer: nn.Module, matrix: Tensor) -> None:
    W, dim = raw_weight(layer), output_dim(layer)
    W.detach().copy_(matrix.reshape(W.transpose(0, dim).shape).transpose(0, dim))


def _blocks(layer: nn.Module) -> tuple[Tensor, ...]:
    """The matrices `[m, n]` that are decomposed: one, or one for each group."""
    W = raw_matrices(layer)
    return (W,) if W.dim() == 2 else W.unbind()


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
            check_has_directions(block)
        except ValueError as error:
            raise ValueError(f"{layer_called(name)} in iteration {iteration}: {error}") from error
    shapes = [raw_matrix(layer).shape for layer in layers.values()]
    owners = ranks.owners([min(shape) ** 2 * max(shape) for shape in shapes])
    owned = {
        rank: [layer for layer, owner in zip(layers.values(), owners, strict=True) if owner == rank] for rank in owners
    }
    act(owned.get(ranks.rank, []))
    for rank, theirs in owned.items():
        ranks.broadcast_([*map(raw_weight, theirs), *map(recorded_ratios, theirs)], rank)
