"""Work on layers shared out over the ranks of a run."""

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from srgan.constraints.layers import raw_matrix, raw_weight
from srgan.constraints.parametrization import recorded_ratios
from srgan.decomposition import refuse_undirected, undirected
from srgan.parallel import Ranks


def on_owners(
    layers: Mapping[str, nn.Module], iteration: int, ranks: Ranks, act: Callable[[Sequence[nn.Module]], object]
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
    for place in undirected([raw_weight(layer).detach() for layer in layers.values()]):
        name, layer = list(layers.items())[place]
        try:
            refuse_undirected(raw_matrix(layer))
        except ValueError as error:
            raise ValueError(f"Layer '{name}' in iteration {iteration}: {error}") from error
    shapes = [raw_matrix(layer).shape for layer in layers.values()]
    owners = ranks.owners([min(shape) ** 2 * max(shape) for shape in shapes])
    owned = {
        rank: [layer for layer, owner in zip(layers.values(), owners, strict=True) if owner == rank] for rank in owners
    }
    act(owned.get(ranks.rank, []))
    for rank, theirs in owned.items():
        ranks.broadcast_([*map(raw_weight, theirs), *map(recorded_ratios, theirs)], rank)
