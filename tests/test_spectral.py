"""The mathematics on matrices, each against an exact float64 SVD or the paper's formula written out."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from srgan.constraints import METHODS, raw_weight
from srgan.constraints.parametrization import RECORDED_RATIOS
from srgan.spectral import (
    Dynamic,
    Static,
    matricize,
    normalized_spectrum,
    power_iteration,
    project,
    singular_vectors,
    spectral_normalize,
    spectrally_regularize,
    spectrum,
)
from srgan.utils.linalg import EIGENVALUES_RATIO, ROWS_RATIO, VECTORS_RATIO

CIFAR_SHAPES = [(ch, n) for ch in (32, 64, 128, 256) for n in (3, 27, ch, 9 * ch)]
# The ImageNet discriminator (ch 64, widths 1, 2, 4, 8, 16, 16 x ch), without what a CIFAR-10 one has too.
IMAGENET_SHAPES = [(128, 64), (128, 576), (256, 128), (256, 1152)]
IMAGENET_LARGE_SHAPES = [(512, 256), (512, 2304), (512, 4608), (1024, 512), (1024, 9216)]
EDGE_SHAPES = [(1, 1), (1, 9), (9, 1), (2, 2), (40, 7), (7, 40)]
dynamic_map = Dynamic()


def static_map(sigma: Tensor, i: int) -> Tensor:
    return Static(i / sigma.shape[-1])(sigma, torch.zeros_like(sigma))


def compensated_rank(N: int, fraction: float) -> int:
    return Static(fraction).num_judged(N)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flat(N: int) -> Tensor:
    return torch.linspace(1, 0.1, N, dtype=torch.float64)


def collapsed(N: int) -> Tensor:
    """Log-spaced down to 1e-6."""
    return torch.logspace(0, -6, N, dtype=torch.float64)


def clustered(N: int) -> Tensor:
    """The leading half spread out, the rest near-equal and tiny."""
    half = max(1, N // 2)
    return torch.cat([flat(half), 1e-6 * (1 + 1e-7 * torch.arange(N - half, 0, -1, dtype=torch.float64))])


def all_but_the_first_at(ratio: float) -> Callable[[int], Tensor]:
    """Within 1e-9 of a ratio below which another way decomposes."""
    return lambda N: torch.cat([flat(1), ratio * (1 + 1e-9 * gaussian(N - 1).sort(descending=True)[0])])


at_the_first_split = all_but_the_first_at(EIGENVALUES_RATIO)
at_the_second_split = all_but_the_first_at(VECTORS_RATIO)
at_the_third_split = all_but_the_first_at(ROWS_RATIO)
SPECTRA = [flat, collapsed, clustered, at_the_first_split, at_the_second_split, at_the_third_split]


def orthonormal_columns(rows: int, columns: int, seed: int) -> Tensor:
    Q: Tensor = torch.linalg.qr(gaussian(rows, columns, seed=seed))[0]
    return Q


def matrix_with(sigma: Tensor, m: int, n: int) -> Tensor:
    """U diag(sigma) V^T, float64, with random orthonormal U and V."""
    return (orthonormal_columns(m, len(sigma), seed=1) * sigma) @ orthonormal_columns(n, len(sigma), seed=2).T


@pytest.mark.parametrize("shape", CIFAR_SHAPES + IMAGENET_SHAPES + EDGE_SHAPES, ids=str)
@pytest.mark.parametrize("values", SPECTRA)
def test_every_singular_value_is_exact(values: Callable[[int], Tensor], shape: tuple[int, int]) -> None:
    """Asked for is a relative 1e-5; what holds is 5e-9."""
    sigma = values(min(shape))
    W = matrix_with(sigma, *shape)
    torch.testing.assert_close(spectrum(W), sigma, rtol=5e-9, atol=0)
    assert (spectrum(W).diff() <= 0).all()
    torch.testing.assert_close(spectrum(W.float()), torch.linalg.svdvals(W.float().double()), rtol=1e-7, atol=0)


@pytest.mark.parametrize("shape", IMAGENET_LARGE_SHAPES, ids=str)
def test_every_singular_value_of_the_largest_layers_is_exact(shape: tuple[int, int]) -> None:
    """Built from reflections `I - 2 h h^T`, which cost less than a QR."""
    sigma = collapsed(min(shape))
    W = torch.zeros(shape, dtype=torch.float64)
    W.diagonal().copy_(sigma)
    for _ in range(2):
        h, g = gaussian(shape[0], 1, seed=1), gaussian(1, shape[1], seed=2)
        W -= 2 * h @ (h.T @ W) / h.square().sum()
        W -= 2 * (W @ g.T) @ g / g.square().sum()
        W = W.roll((1, 1), (0, 1))
    torch.testing.assert_close(spectrum(W), sigma, rtol=5e-9, atol=0)


@pytest.mark.parametrize("shape", [(64, 64), (64, 576), (300, 40)], ids=str)
def test_singular_values_are_exact_down_to_a_hundred_millionth(shape: tuple[int, int]) -> None:
    sigma = torch.logspace(0, -8, min(shape), dtype=torch.float64)
    torch.testing.assert_close(spectrum(matrix_with(sigma, *shape)), sigma, rtol=1e-7, atol=0)


def test_normalized_spectrum_is_free_of_scale() -> None:
    W = matrix_with(collapsed(20), 20, 30)
    for scale in (1e-20, 1.0, 1e20):
        torch.testing.assert_close(normalized_spectrum(scale * W), collapsed(20), rtol=1e-9, atol=0)


@pytest.mark.parametrize("shape", [*CIFAR_SHAPES, (256, 1152), *EDGE_SHAPES], ids=str)
@pytest.mark.parametrize("values", [flat, collapsed, clustered])
def test_maps_change_singular_values_and_keep_singular_vectors(
    values: Callable[[int], Tensor], shape: tuple[int, int]
) -> None:
    """The maps are constant over the cluster, whose single vectors no decomposition can tell apart."""
    N = min(shape)
    r = flat(N).clamp(min=0.6)
    for W in (matrix_with(values(N), *shape), matrix_with(values(N), *shape).float()):
        for spectral_map in (partial(static_map, i=compensated_rank(N, 0.5)), partial(dynamic_map, r=r)):
            mapped = project(W, spectral_map)
            U, sigma, Vh = torch.linalg.svd(W.double(), full_matrices=False)
            expected = (U * spectral_map(sigma)) @ Vh
            assert mapped.dtype == W.dtype
            assert (mapped - expected).norm() < 1e-6 * expected.norm()


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_spectrum_after_a_map_is_the_mapped_spectrum(values: Callable[[int], Tensor], fraction: float) -> None:
    """Also where i cuts through near-equal values and the singular vectors are anybody's choice."""
    sigma, i = values(24), compensated_rank(24, fraction)
    mapped = project(matrix_with(sigma, 24, 50), partial(static_map, i=i))
    torch.testing.assert_close(torch.linalg.svdvals(mapped), static_map(sigma, i), rtol=1e-8, atol=0)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (12, 12)], ids=str)
def test_a_stack_is_mapped_matrix_by_matrix(shape: tuple[int, int]) -> None:
    """Two of its matrices fall back on LAPACK's SVD, one of these without all its directions."""
    rank_5 = torch.cat([flat(5), torch.zeros(7, dtype=torch.float64)])
    W = torch.stack([matrix_with(sigma, *shape) for sigma in (flat(12), collapsed(12), 3 * flat(12), rank_5)])
    # The last map lifts nothing without a direction: what an SVD puts there is anybody's choice.
    r = torch.stack([flat(12).clamp(min=0.5)] * 3 + [(flat(12) * (rank_5 > 0)).clamp(max=0.9)])
    mapped = project(W, partial(dynamic_map, r=r)).view(2, 2, *shape)
    four = project(W.view(2, 2, *shape), partial(dynamic_map, r=r.view(2, 2, 12)))
    assert torch.equal(four, mapped)
    for matrix, ratios, result in zip(W, r, mapped.flatten(0, 1), strict=True):
        torch.testing.assert_close(result, project(matrix, partial(dynamic_map, r=ratios)))


@pytest.mark.parametrize("shape", [(6, 3, 3, 3), (32, 32, 3, 3), (128, 128, 1, 1), (128, 128, 3, 3)], ids=str)
def test_bits_of_a_layer_do_not_depend_on_which_others_are_projected_with_it(shape: tuple[int, ...]) -> None:
    out, inputs, kernel, _ = shape

    def projected(method: str, seeds: list[int]) -> list[tuple[Tensor, Tensor]]:
        """Raw weight and recorded ratios of each."""
        layers = nn.Sequential(*(nn.Conv2d(inputs, out, kernel) for _ in seeds))
        for layer, seed in zip(layers, seeds, strict=True):
            raw_weight(layer).data.copy_(gaussian(*shape, seed=seed))
        constraint = METHODS[method]()
        constraint.attach(layers)
        for layer in layers:
            layer.get_buffer(RECORDED_RATIOS).fill_(0.5)
        constraint.after_update(layers, 0, 0, 1)
        return [(raw_weight(layer), layer.get_buffer(RECORDED_RATIOS)) for layer in layers]

    for method in ("sr-s", "sr-d"):
        whole = projected(method, [0, 1, 2, 3, 4])
        assert not torch.equal(whole[0][0], gaussian(*shape, seed=0).float())
        for seeds in ([0], [3], [4, 1], [2, 3, 0]):
            for (weight, ratios), seed in zip(projected(method, seeds), seeds, strict=True):
                assert torch.equal(weight, whole[seed][0])
                assert torch.equal(ratios, whole[seed][1])


def test_a_map_that_moves_nothing_leaves_every_bit() -> None:
    """As SR-d's first application, which only records; also where the SVD is LAPACK's."""
    for sigma in (flat(12), collapsed(12)):
        W = matrix_with(sigma, 12, 30).float()
        assert torch.equal(project(W, partial(dynamic_map, r=torch.zeros(12))), W)


@settings(max_examples=20, deadline=None)
@given(m=st.integers(1, 9), n=st.integers(1, 9), fraction=st.floats(0.05, 1))
def test_maps_never_lower_a_singular_value_and_change_nothing_twice(m: int, n: int, fraction: float) -> None:
    W, N = gaussian(m, n), min(m, n)
    for spectral_map in (
        partial(static_map, i=compensated_rank(N, fraction)),
        partial(dynamic_map, r=torch.full([N], fraction)),
    ):
        once = project(W, spectral_map)
        assert (torch.linalg.svdvals(once) >= torch.linalg.svdvals(W) * (1 - 1e-9)).all()
        torch.testing.assert_close(project(once, spectral_map), once)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (12, 12)])
@pytest.mark.parametrize("rank", [1, 5])
def test_directions_without_a_singular_value_get_orthonormal_ones(shape: tuple[int, int], rank: int) -> None:
    left, right = orthonormal_columns(shape[0], rank, seed=1), orthonormal_columns(shape[1], rank, seed=2)
    W = (left * flat(rank)) @ right.T
    assert (spectrum(W)[rank:] < 1e-14).all()
    mapped = project(W, partial(static_map, i=12))
    torch.testing.assert_close(torch.linalg.svdvals(mapped), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(mapped @ right, left)
    U, V = singular_vectors(W)
    for vectors in (U, V):
        torch.testing.assert_close(vectors.T @ vectors, torch.eye(12, dtype=torch.float64))


def test_all_zero_matrix_has_a_zero_spectrum_and_no_directions() -> None:
    zero = torch.zeros(3, 5)
    assert not spectrum(zero).any()
    assert not normalized_spectrum(zero).any()
    assert not spectral_normalize(zero, torch.ones(3), torch.ones(5)).any()
    for refuse in (project, spectrally_regularize):
        with pytest.raises(ValueError, match="all-zero"):
            refuse(zero, partial(static_map, i=2))
    with pytest.raises(ValueError, match=r"all-zero \[3, 5\]"):
        project(torch.stack([torch.ones(3, 5), zero]), partial(static_map, i=2))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 1)])
def test_nan_and_infinity_are_refused(bad: float, shape: tuple[int, int]) -> None:
    W = torch.ones(shape)
    W[-1, 0] = bad
    for refuse in (spectrum, normalized_spectrum, singular_vectors):
        with pytest.raises(ValueError, match="NaN or infinity"):
            refuse(W)
    for check_mapping in (project, spectrally_regularize):
        with pytest.raises(ValueError, match="NaN or infinity"):
            check_mapping(W, torch.clone)


def test_matrices_are_read_output_channel_by_output_channel() -> None:
    weight = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    for matrix, dim in ((matricize(weight), 0), (matricize(weight, output_dim=1), 1)):
        for out, row in enumerate(matrix):
            assert torch.equal(row, weight.select(dim, out).flatten())
    with pytest.raises(ValueError, match="at least two dimensions"):
        matricize(torch.ones(3))


def test_maps_follow_equation_9() -> None:
    sigma = torch.tensor([4.0, 2.0, 1.0, 0.0], dtype=torch.float64)
    assert static_map(sigma, 1).tolist() == [4, 2, 1, 0]
    assert static_map(sigma, 3).tolist() == [4, 4, 4, 0]
    assert dynamic_map(sigma, torch.tensor([1.0, 0.25, 0.75, 0.5])).tolist() == [4, 2, 3, 2]
    assert dynamic_map(sigma, torch.zeros(4)).tolist() == [4, 2, 1, 0]
    assert [compensated_rank(N, 0.5) for N in (1, 2, 3, 27, 128)] == [1, 1, 1, 13, 64]
    assert [compensated_rank(128, f) for f in (0.001, 0.25, 1.0)] == [1, 32, 128]


def eq_11(W: np.ndarray, i: int) -> np.ndarray:
    """dW_SR / dW_ab, term by term, `[a, b, m, n]`."""
    U, sigma, Vh = np.linalg.svd(W, full_matrices=False)
    dyads = [np.outer(u, v) for u, v in zip(U.T, Vh, strict=True)]
    lifted = sum((sigma[0] - sigma[k]) * dyads[k] for k in range(i))
    gradient = np.zeros(W.shape + W.shape)
    for a, b in np.ndindex(*W.shape):
        E_ab = np.zeros(W.shape)
        E_ab[a, b] = 1
        gradient[a, b] = (E_ab - dyads[0][a, b] * W / sigma[0]) / sigma[0]
        gradient[a, b] -= dyads[0][a, b] * lifted / sigma[0] ** 2
        gradient[a, b] += sum((dyads[0][a, b] - dyads[k][a, b]) * dyads[k] for k in range(1, i)) / sigma[0]
    return gradient


def jacobian(function: Callable[[Tensor], Tensor], W: Tensor) -> Tensor:
    """d function(W) / dW_ab, `[a, b, m, n]`."""
    gradient: Tensor = torch.autograd.functional.jacobian(function, W).permute(2, 3, 0, 1)
    return gradient


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (4, 4), (1, 5)])
@pytest.mark.parametrize("i", [1, 2, 3, 4])
def test_gradient_is_equation_11(shape: tuple[int, int], i: int) -> None:
    W, i = gaussian(*shape), min(i, *shape)
    found = jacobian(partial(spectrally_regularize, sigma_map=partial(static_map, i=i)), W)
    np.testing.assert_allclose(found, eq_11(W.numpy(), i), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (1, 5)])
def test_spectral_normalization_has_first_and_second_derivatives(shape: tuple[int, int]) -> None:
    W, u = gaussian(*shape).requires_grad_(), gaussian(shape[0], seed=1)
    normalize = partial(spectral_normalize, u=u, v=W.detach().T @ u)  # so sigma_1 = |W^T u|^2 is positive
    assert torch.autograd.gradcheck(normalize, (W,))
    assert torch.autograd.gradgradcheck(normalize, (W,))


@pytest.mark.parametrize("shape", [(5, 8), (8, 5)])
@pytest.mark.parametrize("method", ["static", "dynamic"])
def test_value_is_equation_10_and_gradient_its_difference_at_frozen_vectors(
    method: str, shape: tuple[int, int]
) -> None:
    W, direction = gaussian(*shape), gaussian(*shape, seed=1)
    U, sigma, Vh = torch.linalg.svd(W, full_matrices=False)
    r = torch.tensor([1, 0.99, 0.1, 0.8, 0.0], dtype=torch.float64)
    sigma_map = partial(static_map, i=3) if method == "static" else partial(dynamic_map, r=r)

    def at_frozen_vectors(W: Tensor) -> Tensor:
        sigma = (U.T @ W @ Vh.T).diagonal()
        W_SR: Tensor = (W + (U * (sigma_map(sigma) - sigma)) @ Vh) / sigma[0]
        return W_SR

    regularized = spectrally_regularize(W, sigma_map)
    torch.testing.assert_close(regularized, (U * sigma_map(sigma) / sigma[0]) @ Vh)
    step = 1e-6 * direction
    difference = (at_frozen_vectors(W + step) - at_frozen_vectors(W - step)) / 2e-6
    gradient = jacobian(partial(spectrally_regularize, sigma_map=sigma_map), W)
    torch.testing.assert_close((gradient * direction[..., None, None]).sum((0, 1)), difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (1, 5), (5, 1)])
def test_power_iteration_finds_the_leading_pair(shape: tuple[int, int]) -> None:
    sigma = 0.8 ** torch.arange(min(shape), dtype=torch.float64)
    W = matrix_with(3 * sigma, *shape)
    u, v, sigma_1 = power_iteration(W, gaussian(shape[0]), steps=100)
    U, _, Vh = torch.linalg.svd(W, full_matrices=False)
    torch.testing.assert_close(torch.outer(u, v), torch.outer(U[:, 0], Vh[0]), rtol=0, atol=1e-9)
    assert torch.dot(u, W @ v).item() == pytest.approx(3)
    assert sigma_1.item() == pytest.approx(3)


@pytest.mark.parametrize("scale", [1.0, 1e-12])
def test_power_step_has_the_numerics_of_the_code_the_authors_build_on(scale: float) -> None:
    """Chainer: u not normalized at the start, 1e-12 added to the norms (which shows at scale 1e-12), one step."""
    W, u = scale * gaussian(6, 9), gaussian(6, seed=1)
    v_chainer = u.numpy() @ W.numpy()
    v_chainer = v_chainer / (np.sqrt((v_chainer**2).sum()) + 1e-12)
    u_chainer = v_chainer @ W.numpy().T
    u_chainer = u_chainer / (np.sqrt((u_chainer**2).sum()) + 1e-12)
    found_u, found_v, sigma_1 = power_iteration(W, u)
    np.testing.assert_allclose(found_u, u_chainer, rtol=1e-12)
    np.testing.assert_allclose(found_v, v_chainer, rtol=1e-12)
    sigma_chainer = (u_chainer @ W.numpy() * v_chainer).sum()
    for W_SN in (spectral_normalize(W, found_u, found_v), spectral_normalize(W, found_u, found_v, sigma_1)):
        np.testing.assert_allclose(W_SN, W.numpy() / sigma_chainer, rtol=1e-12)
