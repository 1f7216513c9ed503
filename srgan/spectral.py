"""The paper's mathematics on matrices: spectra, spectral normalization, compensation.

Every function here is pure and takes a matrix `W [m, n]` with singular value decomposition
`W = sum_k sigma_k u_k v_k^T`, `sigma_1 >= ... >= sigma_N`, `N = min(m, n)` (Eq. 5, 7, 8).
Equation numbers follow arXiv:1908.10999.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from srgan.decomposition import (
    RESOLVED_RATIO,
    as_wide,
    gram_pairs,
    left_singular_pairs,
    refuse_nonfinite,
    refuse_undirected,
    resolve_tail,
    singular_values,
)
from srgan.rounding import (
    FLOAT32_AMPLIFICATION,
    float32_error,
    multiplies_in_float32,
)

SpectralMap = Callable[[Tensor], Tensor]
"""A map of singular values to singular values, `[..., N] -> [..., N]`, both float64 and sorted from the largest."""

# Below this ratio rounding spoils u_k^T W, so a lifted v_k must come from a full decomposition.
NULL_RATIO = 1e-8


def matricize(weight: Tensor, output_dim: int = 0) -> Tensor:
    """Reads a weight as the matrix `W [out, in * k * k]` of Section II-B.

    Args:
        weight: `[out, in, ...]`, or `[in, out, ...]` with `output_dim=1` (transposed convolutions).
        output_dim: the dimension that counts output channels.

    Raises:
        ValueError: the weight has fewer than two dimensions.
    """
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a weight with at least two dimensions [out, in, ...], found shape {tuple(weight.shape)}. "
            "Only linear, convolution and embedding weights have a spectrum."
        )
    return weight.transpose(0, output_dim).flatten(1)


def spectrum(W: Tensor) -> Tensor:
    """Singular values of W (Eq. 5), from the largest.

    Args:
        W: `[m, n]`, any floating dtype, any device. All-zero matrices have an all-zero spectrum.

    Returns:
        sigma `[min(m, n)]` float64, on W's device.

    Raises:
        ValueError: W holds NaN or infinity.
    """
    refuse_nonfinite(W)
    return singular_values(as_wide(W.detach()).double())


def normalized_spectrum(W: Tensor) -> Tensor:
    """sigma_k / sigma_1, what spectral normalization leaves of a spectrum, `[N]` float64 in [0, 1].

    An all-zero matrix yields zeros: nothing is left of it.
    """
    sigma = spectrum(W)
    return sigma / sigma[0] if sigma[0] > 0 else sigma


def power_iteration(W: Tensor, u: Tensor, steps: int = 1, eps: float = 1e-12) -> tuple[Tensor, Tensor]:
    """Estimates the leading singular vectors (SN-GAN, Algorithm 1).

    `eps` is added to the norms, as in the code that the authors build on; u need not be normalized.

    Args:
        W: `[m, n]`.
        u: `[m]`, the previous estimate.
        steps: power steps, at least 1.
        eps: keeps the division defined.

    Returns:
        u `[m]` and v `[n]`, of unit norm.
    """
    for _ in range(steps):
        v = W.T @ u
        v = v / (v.norm() + eps)
        u = W @ v
        u = u / (u.norm() + eps)
    return u, v


def spectral_normalize(W: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Eq. 4: `W / sigma_1` with `sigma_1 = u^T W v`; u and v are constants of the gradient.

    An all-zero W stays all-zero.
    """
    W_SN: Tensor = _SpectralNormalization.apply(W, u, v)[0]
    return W_SN


class _SpectralNormalization(torch.autograd.Function):
    """Eq. 4 with its gradient, the first line of Eq. 11, written out: half the operations that autograd would derive.

    sigma_1 is an output only so that the gradient can be differentiated in turn.
    """

    @staticmethod
    def forward(ctx: Any, W: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        sigma_1 = torch.dot(u, torch.mv(W, v)).clamp_min(torch.finfo(W.dtype).tiny)
        W_SN = W / sigma_1
        ctx.save_for_backward(u, v, W_SN, sigma_1)
        return W_SN, sigma_1

    @staticmethod
    def backward(ctx: Any, dW_SN: Tensor, dsigma_1: Tensor) -> tuple[Tensor, None, None]:
        u, v, W_SN, sigma_1 = ctx.saved_tensors
        along_uv = dsigma_1 - torch.dot(dW_SN.reshape(-1), W_SN.reshape(-1)) / sigma_1
        return torch.addr(dW_SN / sigma_1, along_uv * u, v), None, None


def compensated_rank(N: int, fraction: float) -> int:
    """The paper's i: how many leading singular values static compensation lifts, `floor(fraction N)`, >= 1."""
    return max(1, int(fraction * N + 1e-9))  # 0.7 * 90 is 62.99... in floating point


def static_map(sigma: Tensor, i: int) -> Tensor:
    """Eq. 9, static compensation: `sigma_k + (sigma_1 - sigma_k)` for k <= i, sigma_k beyond."""
    k = torch.arange(1, sigma.shape[-1] + 1, device=sigma.device)
    return torch.where(k <= i, sigma[..., :1], sigma)


def dynamic_map(sigma: Tensor, r: Tensor) -> Tensor:
    """Eq. 9, dynamic compensation: `sigma_k + max(0, r_k sigma_1 - sigma_k)`.

    Args:
        sigma: `[..., N]`.
        r: `[..., N]` in [0, 1], the largest sigma_k / sigma_1 recorded so far; 0 where nothing was recorded.
    """
    return torch.maximum(r.to(sigma) * sigma[..., :1], sigma)


def apply_spectral_map(W: Tensor, spectral_map: SpectralMap) -> Tensor:
    """`U diag(f(sigma)) V^T`: W with its singular values mapped and its singular vectors kept.

    Computed as `gain W + P W`, `P = U diag(f(sigma) / sigma - gain) U^T` over the directions that f moves
    relative to the first, gain = f(sigma_1) / sigma_1: no V, and only moved directions have to be exact. In
    float64, but for products that lose nothing in float32. A moved direction in which W is numerically zero
    (sigma_k < 1e-8 sigma_1) has no v_k of its own; it gets an arbitrary one, orthonormal to the rest, as
    from any SVD.

    Args:
        W: `[m, n]`, any floating dtype.
        spectral_map: f.

    Returns:
        `[m, n]` in W's dtype.

    Raises:
        ValueError: W holds NaN or infinity, or is all zero and so has no directions to keep.
    """
    refuse_undirected(W)
    return remap(W, spectral_map)[0]


def remap(W: Tensor, spectral_map: SpectralMap, whole_spectrum: bool = False) -> tuple[Tensor, Tensor]:
    """`apply_spectral_map` on a weight known to be finite and not all zero.

    Args:
        W: `[m, n]`.
        spectral_map: f.
        whole_spectrum: whether sigma has to be exact where f does not move it, too.

    Returns:
        `[m, n]` in W's dtype, and sigma `[N]` float64.
    """
    wide = as_wide(W.detach())
    A = wide.double()
    sigma, U = gram_pairs(A)
    if whole_spectrum:
        sigma, U = resolve_tail(A, sigma, U)
    gain, lifts = _gain_and_lifts(sigma, spectral_map(sigma))
    if (lifts.bool() & (sigma < RESOLVED_RATIO * sigma[0])).any():
        if not whole_spectrum:
            sigma, U = resolve_tail(A, sigma, U)
            gain, lifts = _gain_and_lifts(sigma, spectral_map(sigma))
        if (lifts.bool() & (sigma < NULL_RATIO * sigma[0])).any():
            U, sigma, Vh = torch.linalg.svd(A, full_matrices=False)
            return _as_given((U * spectral_map(sigma)) @ Vh, W), sigma
    if multiplies_in_float32(W) and bool(_amplification(gain, lifts) <= FLOAT32_AMPLIFICATION):
        A = wide
    return _as_given(_multiplied(A, U, gain, lifts), W), sigma


def remap_stack(
    W: Tensor, spectral_map: SpectralMap, dtype: torch.dtype, whole_spectrum: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """`remap` on matrices of one shape together, without its care for the hard cases: it says which those are.

    On a CPU each result has the same bits whatever else is in the stack.

    Args:
        W: `[b, m, n]`, every matrix finite and not all zero.
        spectral_map: f, `[b, N] -> [b, N]`.
        dtype: torch.float64, or torch.float32 where `multiplies_in_float32(W)`.
        whole_spectrum: whether sigma has to be exact where f does not move it, too; of float64 only.

    Returns:
        `[b, m, n]` in W's dtype, sigma `[b, N]` float64, and `[b]`: a bound on the relative error (Frobenius) of
        each, infinite where a singular value that matters is too small for its Gram matrix, or a lift too large for a
        float32 product.
    """
    wide = as_wide(W.detach())
    sigma, U = gram_pairs(wide.to(dtype))
    mapped = spectral_map(sigma)
    gain, lifts = _gain_and_lifts(sigma, mapped)
    if dtype == torch.float32:
        error = float32_error(sigma, mapped, lifts)
    else:
        amplification = _amplification(gain, lifts)
        matters = torch.ones_like(lifts, dtype=torch.bool) if whole_spectrum else lifts.bool()
        lost = (matters & (sigma < RESOLVED_RATIO * sigma[:, :1])).any(dim=1)
        error = torch.where(lost | (amplification > FLOAT32_AMPLIFICATION), torch.inf, 1e-7 * amplification)
    factor = wide if multiplies_in_float32(W) else wide.double()
    return _as_given(_multiplied(factor, U, gain, lifts), W), sigma, error


def _as_given(result: Tensor, W: Tensor) -> Tensor:
    """A wide matrix or stack in the orientation and dtype of W."""
    return (result if result.shape == W.shape else result.mT).to(W.dtype)


def _gain_and_lifts(sigma: Tensor, mapped: Tensor) -> tuple[Tensor, Tensor]:
    """gain `[...]` and lifts `[..., N]` of `f(sigma_k) = (gain + lift_k) sigma_k`; 0 for what moves with the first."""
    gain = mapped[..., :1] / sigma[..., :1]
    moved = (mapped - gain * sigma).abs() > 1e-9 * mapped
    return gain, torch.where(moved, mapped / sigma - gain, 0)


def _amplification(gain: Tensor, lifts: Tensor) -> Tensor:
    """How much `gain W + P W` may enlarge the rounding errors of a product, `[...]`, at least 1."""
    return 1 + (lifts.abs() / gain).amax(-1)


def _multiplied(A: Tensor, U: Tensor, gain: Tensor, lifts: Tensor) -> Tensor:
    """`gain A + U diag(lifts) U^T A`, in A's dtype."""
    if not lifts.any():
        return A * gain.unsqueeze(-1).to(A.dtype)
    with torch.autocast(A.device.type, enabled=False):  # a training step may run under bf16 autocast
        P = (U * lifts.unsqueeze(-2).to(U.dtype)) @ U.mT
        P.diagonal(dim1=-2, dim2=-1).add_(gain.to(P.dtype))
        return P.to(A.dtype) @ A


def spectrally_regularize(W: Tensor, compensation: SpectralMap) -> Tensor:
    """Eq. 10 with the gradient of Eq. 11: `W_SR = D(W) / sigma(W)`, differentiable in W.

    `D(W) = W + sum_k dsigma_k u_k v_k^T` (Eq. 9), where u_k, v_k are constants and
    `sigma_k = u_k^T W v_k`, `dsigma_k = compensation(sigma)_k - sigma_k` carry the gradient.

    Args:
        W: `[m, n]` float32 or float64.
        compensation: `static_map` with i bound, or `dynamic_map` with r bound.

    Returns:
        `[m, n]`, with W's graph.

    Raises:
        ValueError: W holds NaN or infinity, or is all zero.
    """
    with torch.no_grad():
        U, V = singular_vectors(W)
    A = W.double()
    sigma = (U * (A @ V)).sum(dim=0)
    compensated = A + (U * (compensation(sigma) - sigma)) @ V.T
    return (compensated / sigma[0]).to(W.dtype)


def singular_vectors(W: Tensor) -> tuple[Tensor, Tensor]:
    """U `[m, N]` and V `[n, N]` of W (Eq. 8), float64, from the largest singular value.

    Raises:
        ValueError: W holds NaN or infinity, or is all zero.
    """
    refuse_nonfinite(W)
    A = as_wide(W.detach()).double()
    sigma, U = left_singular_pairs(A)
    if sigma[0] == 0:
        raise ValueError(f"Expected a matrix with singular directions, found an all-zero {list(W.shape)} matrix.")
    if sigma[-1] > NULL_RATIO * sigma[0]:
        V = A.T @ U / sigma
    else:
        U, _, Vh = torch.linalg.svd(A, full_matrices=False)
        V = Vh.T
    return (U, V) if W.shape[0] <= W.shape[1] else (V, U)
