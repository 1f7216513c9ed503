"""Decompositions of many matrices at once, against numpy's SVD in float64, and how often they wait for a GPU."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_spectral import collapsed, flat, gaussian, matrix_with
from torch import Tensor, nn

from srgan.constraints import METHODS, raw_weight
from srgan.constraints.selecting import part_in
from srgan.utils.linalg import eigenvectors, svd, svds, undirected


def convolutions(count: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Conv2d(3 + k, 4 + k % 3, 3) for k in range(count)))


@pytest.mark.parametrize("shape", [(64, 64), (64, 576), (300, 40)], ids=str)
@pytest.mark.parametrize("power", [1, 2, 3, 3.9, 4.1, 6, 8])
@pytest.mark.parametrize("values", ["even", "a cluster"])
def test_decompositions_are_as_exact_as_is_said(values: str, power: float, shape: tuple[int, int]) -> None:
    """Every sigma_k to 1e-9 (far below: as LAPACK's), U and V orthonormal to 2e-8, their product W."""
    N = min(shape)
    sigma = torch.logspace(0, -power, N, dtype=torch.float64)
    if values == "a cluster":
        sigma = torch.cat([flat(N // 2), 10**-power * torch.linspace(0.99, 0.7, N - N // 2, dtype=torch.float64)])
    W = matrix_with(sigma, *shape)
    exact = torch.from_numpy(np.linalg.svd(W.numpy(), compute_uv=False))
    U, found, Vh = svd(W)
    torch.testing.assert_close(found, exact, rtol=1e-9 if power <= 6 else 1e-7, atol=0)
    for vectors in (U.mT @ U, Vh @ Vh.mT):
        torch.testing.assert_close(vectors, torch.eye(N, dtype=torch.float64), rtol=0, atol=2e-8)
    assert ((U * found) @ Vh - W).norm() < 1e-13 * W.norm()


def test_stacks_of_any_shapes_are_decomposed_at_once() -> None:
    """In one call for those of equal N, as on a GPU, or each by itself."""
    stacks = [gaussian(3, 5, 9), gaussian(5, 5, seed=1), gaussian(2, 2, 4, 3, seed=2), matrix_with(collapsed(5), 20, 5)]
    for W, (U, sigma, Vh) in zip(stacks, svds(stacks), strict=True):
        torch.testing.assert_close((U * sigma.unsqueeze(-2)) @ Vh, W)
        torch.testing.assert_close(sigma, torch.linalg.svdvals(W), rtol=1e-9, atol=0)
    grams = [W.reshape(-1, *W.shape[-2:]) @ W.reshape(-1, *W.shape[-2:]).mT for W in stacks[:2]] + [gaussian(1, 3, 3)]
    for gram, U, same in zip(grams, eigenvectors(grams, True), eigenvectors(grams, False), strict=True):
        torch.testing.assert_close(U.abs(), same.abs())
        assert U.shape == gram.shape


@pytest.mark.parametrize("entry", [0.0, float("nan"), float("inf"), -float("inf")])
def test_weights_without_directions_are_found_wherever_they_are(entry: float) -> None:
    weights = [torch.full([2, 3], 1e-30), torch.full([4, 1, 3, 3], 1e30), torch.tensor([[1.0, -1.0]]).double()]
    assert undirected(weights) == undirected([]) == []
    for place, W in enumerate(weights):
        damaged = W.clone()
        damaged[-1] = entry
        if entry == 0:
            damaged.zero_()
        assert undirected([*weights[:place], damaged, *weights[place + 1 :]]) == [place]


def test_a_projection_waits_for_values_twice_however_many_layers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to see that all weights have directions, once for the SVDs that are left: on a GPU each wait is a stop."""
    waits = 0

    def counting(method: Callable[..., Any]) -> Callable[..., Any]:
        def wait(*arguments: Any) -> Any:
            nonlocal waits
            waits += 1
            return method(*arguments)

        return wait

    for name in ("tolist", "item", "nonzero", "__bool__", "__float__", "__int__"):
        monkeypatch.setattr(Tensor, name, counting(getattr(Tensor, name)))
    counts = []
    for layers in (convolutions(2), convolutions(9)):
        for method in ("sr-s", "sr-d"):
            constraint = METHODS[method]()
            constraint.attach(layers)
            waits = 0
            constraint.after_update(layers, 0, 0, 1)
            counts.append(waits)
    assert counts == [2] * 4


@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_layers_that_did_not_move_are_left_alone(method: str) -> None:
    layers, constraint = convolutions(3), METHODS[method](scale="unit")
    constraint.attach(layers)
    before = [raw_weight(layer).clone() for layer in layers]
    constraint.after_update(part_in(layers, {id(raw_weight(layers[0]))}), 0, 0, 1)
    kept = [torch.equal(raw_weight(layer), W) for layer, W in zip(layers, before, strict=True)]
    assert kept == [False, True, True]
