"""Float32 decompositions: exact to 1e-5 wherever the bound says so, and sizes of errors as the bound assumes them."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from test_spectral import clustered, collapsed, flat, gaussian, matrix_with
from torch import Tensor

from srgan.decomposition import fastest, gram, gram_pairs
from srgan.spectral import compensated_rank, dynamic_map, remap, remap_stack, static_map

SHAPES = [(128, 128), (128, 1152), (300, 200), (256, 1152)]


def random(N: int) -> Tensor:
    sigma: Tensor = torch.linalg.svdvals(gaussian(N, 9 * N))
    return sigma


def after_projection(N: int) -> Tensor:
    """The first half near-equal, a gap, and the rest."""
    return torch.cat([1 + 0.02 * gaussian(N // 2).abs(), torch.linspace(0.9, 0.3, N - N // 2)]).sort(descending=True)[0]


def equal(N: int) -> Tensor:
    return torch.ones(N, dtype=torch.float64)


def split_at_half(N: int, gap: float) -> Tensor:
    """Adversarial: two values next to each other on both sides of i = 0.5 N."""
    sigma = flat(N)
    sigma[N // 2] = sigma[N // 2 - 1] * (1 - gap)
    sigma[N // 2 + 1 :] = sigma[N // 2] - 1e-3 * torch.arange(1, N - N // 2)
    return sigma.clamp_min(1e-3)


def one_above_the_rest(N: int) -> Tensor:
    """Adversarial: the cut runs through a cluster far below the first."""
    return torch.cat([equal(1), 0.3 * (1 + 1e-7 * torch.arange(N - 1, 0, -1))])


SPECTRA: dict[str, Callable[[int], Tensor]] = {
    "flat": flat,
    "collapsed": collapsed,
    "clustered": clustered,
    "random": random,
    "after a projection": after_projection,
    "equal": equal,
    "one above the rest": one_above_the_rest,
    **{f"gap {gap}": partial(split_at_half, gap=gap) for gap in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8)},
}
GIVES_UP = ("collapsed", "one above the rest", "gap 1e-05", "gap 1e-06", "gap 1e-08")
NEEDS_NO_HELP = ("flat", "after a projection", "equal")


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SPECTRA)
def test_no_float32_result_is_further_off_than_its_bound(name: str, shape: tuple[int, int]) -> None:
    N = min(shape)
    W = matrix_with(SPECTRA[name](N), *shape).float()
    half = partial(static_map, i=compensated_rank(N, 0.5))
    U, exact_sigma, Vh = torch.linalg.svd(W.double(), full_matrices=False)
    for spectral_map in (half, partial(static_map, i=N), partial(dynamic_map, r=flat(N).clamp(min=0.6))):
        results, sigma, errors = remap_stack(W[None], spectral_map, torch.float32)
        assert errors[0].isinf() or relative_error(results[0], (U * spectral_map(exact_sigma)) @ Vh) <= errors[0]
        if spectral_map is half:
            assert name not in GIVES_UP or errors[0] > 1e-5
            assert name not in NEEDS_NO_HELP or errors[0] <= 1e-5
        torch.testing.assert_close(sigma[0, :2], exact_sigma[:2], rtol=1e-5, atol=0)


@pytest.mark.parametrize("gap", [1e-4, 1e-6, 1e-8])
def test_float64_decides_where_float32_gives_up(gap: float) -> None:
    """The jump at k = i between near-equal values: float32 mixes them, float64 does not."""
    W, half = matrix_with(split_at_half(128, gap), 128, 1152), partial(static_map, i=64)
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    assert relative_error(remap(W, half)[0], (U * half(sigma)) @ Vh) < 1e-14 / gap + 1e-12


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", SPECTRA)
def test_float32_errors_have_the_size_that_the_bound_assumes(name: str, shape: tuple[int, int]) -> None:
    N, eps = min(shape), 2.0**-24
    W = matrix_with(SPECTRA[name](N), N, max(shape)).float()
    sigma, U = gram_pairs(W)
    E = (U.double().T @ W.double()) @ (W.double().T @ U.double()) / sigma[0] ** 2 - (sigma / sigma[0]).square().diag()
    across = E[: N // 2, N // 2 :]
    assert across.square().mean().sqrt() < 16 / N**0.5 * eps
    assert E.diagonal().square().mean().sqrt() < 12 * eps


@pytest.mark.parametrize("scale", [1e-25, 1e-18, 1e18, 1e25])
def test_squares_outside_the_range_of_float32_are_noticed(scale: float) -> None:
    W = (scale * gaussian(128, 200)).float()
    assert remap_stack(W[None], partial(static_map, i=64), torch.float32)[2].isinf().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(6, 27), (3, 8), (32, 288), (64, 3), (128, 128), (128, 1152)], ids=str)
def test_bits_do_not_depend_on_what_else_is_in_the_stack(shape: tuple[int, int], dtype: torch.dtype) -> None:
    N = min(shape)
    W = torch.stack([gaussian(*shape, seed=seed).float() for seed in range(7)])
    # Moves more directions of one matrix than of another, and none of some.
    r = torch.stack([flat(N).clamp(min=0.9 - 0.15 * row) * (row % 3 > 0) for row in range(7)])
    for rows in ([0], [3], [2, 5], [6, 1, 4], [0, 1, 2, 3, 5]):
        for together, part in (
            (partial(static_map, i=compensated_rank(N, 0.5)), partial(static_map, i=compensated_rank(N, 0.5))),
            (partial(dynamic_map, r=r), partial(dynamic_map, r=r[rows])),
        ):
            for found, whole in zip(remap_stack(W[rows], part, dtype), remap_stack(W, together, dtype), strict=True):
                assert torch.equal(found, whole[rows])


@pytest.mark.parametrize("m", [1, 5, 127, 128, 131, 260])
def test_strips_of_a_gram_matrix_make_up_its_lower_triangle(m: int) -> None:
    for A in (gaussian(m, m + 3), torch.stack([gaussian(m, m + 3), gaussian(m, m + 3, seed=1)])):
        torch.testing.assert_close(gram(A).tril(), (A @ A.mT).tril())


def test_the_fastest_route_is_the_one_of_the_shortest_time_behind_its_warm_up() -> None:
    now, calls = 0.0, []

    def route(name: str, seconds: list[float], G: Tensor) -> tuple[Tensor, Tensor]:
        nonlocal now
        calls.append(name)
        now += seconds.pop(0)
        return G.diagonal(), G

    routes = {
        "slow": partial(route, "slow", [0.0, 2.0, 2.0, 2.0]),
        "long warm-up": partial(route, "long warm-up", [9.0, 1.0, 3.0, 1.5]),
        "tie": partial(route, "tie", [0.5, 1.0, 1.0, 1.0]),
    }
    assert fastest(routes, torch.eye(2), lambda: now) == "long warm-up"
    assert [calls.count(name) for name in routes] == [4, 4, 4]
