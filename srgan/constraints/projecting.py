"""Overwriting raw weights by the same with their singular values mapped, equal shapes together where that wins."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from srgan.constraints.layers import output_dim, raw_matrix, raw_weight
from srgan.rounding import FLOAT32_RANK, multiplies_in_float32
from srgan.spectral import SpectralMap, remap, remap_stack

# Relative error (Frobenius) of a projected weight that counts as none.
EXACT = 1e-5
# Elements of the largest matrix, 128 x 1152 for instance, that a CPU takes in a stack: there a stack saves
# calls, and costs a copy.
STACKED_ON_CPU = 2**18

Projection = Callable[[Sequence[nn.Module]], SpectralMap]


def project_weights(
    layers: Sequence[nn.Module], projection: Projection, whole_spectrum: bool
) -> list[tuple[nn.Module, Tensor]]:
    """Writes `U diag(f(sigma)) V^T` into the raw weight of each layer.

    On a CPU the bits of a layer's result do not depend on which other layers come with it: ranks may share them out
    in any way.

    Args:
        layers: their weights finite and not all zero.
        projection: layers of one shape -> their f, `[b, N] -> [b, N]`.
        whole_spectrum: whether sigma has to be exact where f does not move it, too.

    Returns:
        each layer and its former sigma `[N]`, float64.
    """
    groups: dict[tuple[object, ...], list[nn.Module]] = defaultdict(list)
    for index, layer in enumerate(layers):
        W = raw_matrix(layer)
        stacked = W.device.type != "cpu" or W.numel() <= STACKED_ON_CPU
        groups[(W.shape, W.dtype, W.device, None if stacked else index)].append(layer)
    return [pair for group in groups.values() for pair in _project_group(group, projection, whole_spectrum)]


def _project_group(
    layers: Sequence[nn.Module], projection: Projection, whole_spectrum: bool
) -> list[tuple[nn.Module, Tensor]]:
    matrices = [raw_matrix(layer) for layer in layers]
    W = torch.stack(matrices) if len(layers) > 1 else matrices[0].unsqueeze(0)
    coarse = not whole_spectrum and min(W.shape[1:]) >= FLOAT32_RANK and multiplies_in_float32(W)
    dtype = torch.float32 if coarse else torch.float64
    results, sigmas, errors = remap_stack(W, projection(layers), dtype, whole_spectrum)
    found = []
    for layer, result, sigma, error in zip(layers, results, sigmas, errors.tolist(), strict=True):
        if error > EXACT:
            result, sigma = remap(raw_matrix(layer), projection([layer]), whole_spectrum)
        _write(layer, result)
        found.append((layer, sigma))
    return found


def _write(layer: nn.Module, matrix: Tensor) -> None:
    W, dim = raw_weight(layer), output_dim(layer)
    W.detach().copy_(matrix.reshape(W.transpose(0, dim).shape).transpose(0, dim))
