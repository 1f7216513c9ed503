"""The paper's mathematics on matrices: spectra, spectral normalization, compensation.

Every function here is pure and takes a matrix `W [m, n]` with singular value decomposition
`W = sum_k sigma_k u_k v_k^T`, `sigma_1 >= ... >= sigma_N`, `N = min(m, n)` (Eq. 5, 7, 8).
Equation numbers follow arXiv:1908.10999.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SpectralMap = Callable[[Tensor], Tensor]
"""A map of singular values to singular values, `[N] -> [N]`, both float64 and sorted from the largest."""

# Squaring a matrix in float64 resolves sigma/sigma_1 to a relative 1e-16 / ratio^2. Below this ratio the
# tail is decomposed again by itself, so every singular value keeps a relative error near 1e-10.
RESOLVED_RATIO = 1e-3
# Below this ratio rounding spoils u_k^T W, so a lifted v_k must come from a full decomposition.
NULL_RATIO = 1e-8
# Up to this amplification of rounding errors a float32 product keeps a relative error below 1e-5.
FLOAT32_AMPLIFICATION = 32.0


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


def gram_pairs(A: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values and left singular vectors of a wide matrix, from its Gram matrix `A A^T`.

    Exact in float64 down to `RESOLVED_RATIO`; below it the squaring has lost them, up to all of them.

    Args:
        A: `[m, n]` float64, m <= n.

    Returns:
        `sigma [m]`, sorted from the largest, and `U [m, m]`, float64.
    """
    eigenvalues, U = torch.linalg.eigh(A @ A.T)
    return eigenvalues.flip(0).clamp_min(0).sqrt(), U.flip(1)


def resolve_tail(A: Tensor, sigma: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    """Makes `gram_pairs(A)` exact to a relative 1e-7 down to `NULL_RATIO`.

    What the squaring could not resolve is projected out and decomposed again, by itself.
    """
    tail = int((sigma >= RESOLVED_RATIO * sigma[0]).sum())
    if not 0 < tail < len(sigma):
        return sigma, U
    B = U[:, tail:].T @ A
    sigma_tail, U_tail = resolve_tail(B, *gram_pairs(B))
    # Sorted anew: near-equal values on both sides of the split may swap by a rounding error.
    sigma, order = torch.cat([sigma[:tail], sigma_tail]).sort(descending=True)
    U = torch.cat([U[:, :tail], U[:, tail:] @ U_tail], dim=1)[:, order]
    return sigma, U


def left_singular_pairs(A: Tensor) -> tuple[Tensor, Tensor]:
    """`gram_pairs` with its tail resolved: `sigma [m]` and `U [m, m]` of `A [m, n]` float64, m <= n."""
    return resolve_tail(A, *gram_pairs(A))


def spectrum(W: Tensor) -> Tensor:
    """Singular values of W (Eq. 5), from the largest.

    Args:
        W: `[m, n]`, any floating dtype, any device. All-zero matrices have an all-zero spectrum.

    Returns:
        sigma `[min(m, n)]` float64, on W's device.

    Raises:
        ValueError: W holds NaN or infinity.
    """
    A = _as_wide_float64(W)
    return left_singular_pairs(A)[0]


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
    sigma_1 = torch.dot(u, W @ v)
    return W / sigma_1.clamp_min(torch.finfo(W.dtype).tiny)


def compensated_rank(N: int, fraction: float) -> int:
    """The paper's i: how many leading singular values static compensation lifts, `floor(fraction N)`, >= 1."""
    return max(1, int(fraction * N + 1e-9))  # 0.7 * 90 is 62.99... in floating point


def static_map(sigma: Tensor, i: int) -> Tensor:
    """Eq. 9, static compensation: `sigma_k + (sigma_1 - sigma_k)` for k <= i, sigma_k beyond."""
    k = torch.arange(1, len(sigma) + 1, device=sigma.device)
    return torch.where(k <= i, sigma[0], sigma)


def dynamic_map(sigma: Tensor, r: Tensor) -> Tensor:
    """Eq. 9, dynamic compensation: `sigma_k + max(0, r_k sigma_1 - sigma_k)`.

    Args:
        sigma: `[N]`.
        r: `[N]` in [0, 1], the largest sigma_k / sigma_1 recorded so far; 0 where nothing was recorded.
    """
    return torch.maximum(r.to(sigma) * sigma[0], sigma)


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
    A = _as_wide_float64(W)
    sigma, U = gram_pairs(A)
    if sigma[0] == 0:
        raise ValueError(
            f"Expected a matrix with a positive largest singular value, found an all-zero {list(W.shape)} matrix. "
            "It has no singular directions to compensate: initialize the layer or leave it out."
        )
    mapped, moved = _moved(sigma, spectral_map)
    if (moved & (sigma < RESOLVED_RATIO * sigma[0])).any():
        sigma, U = resolve_tail(A, sigma, U)
        mapped, moved = _moved(sigma, spectral_map)
        if (moved & (sigma < NULL_RATIO * sigma[0])).any():
            U, sigma, Vh = torch.linalg.svd(A, full_matrices=False)
            result: Tensor = (U * spectral_map(sigma)) @ Vh
            return (result if W.shape[0] <= W.shape[1] else result.T).to(W.dtype)
    gain = mapped[0] / sigma[0]
    lifts = mapped[moved] / sigma[moved] - gain
    P = (U[:, moved] * lifts) @ U[:, moved].T
    amplification = (1 + lifts.abs() / gain).amax() if moved.any() else gain.new_ones(())
    exact_in_float32 = amplification <= FLOAT32_AMPLIFICATION and torch.get_float32_matmul_precision() == "highest"
    if W.dtype == torch.float32 and W.device.type == "cpu" and exact_in_float32:
        A, P = (W if W.shape[0] <= W.shape[1] else W.T), P.float()
    with torch.autocast(W.device.type, enabled=False):  # a training step may run under bf16 autocast
        result = torch.addmm(A, P, A, beta=float(gain))
    return (result if W.shape[0] <= W.shape[1] else result.T).to(W.dtype)


def _moved(sigma: Tensor, spectral_map: SpectralMap) -> tuple[Tensor, Tensor]:
    """f(sigma), and which of it f moves relative to the first: not `f(sigma_k) = f(sigma_1) sigma_k / sigma_1`."""
    mapped = spectral_map(sigma)
    unmoved = mapped[0] / sigma[0] * sigma
    return mapped, (mapped - unmoved).abs() > 1e-9 * mapped


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
    A = _as_wide_float64(W)
    sigma, U = left_singular_pairs(A)
    if sigma[0] == 0:
        raise ValueError(f"Expected a matrix with singular directions, found an all-zero {list(W.shape)} matrix.")
    if sigma[-1] > NULL_RATIO * sigma[0]:
        V = A.T @ U / sigma
    else:
        U, _, Vh = torch.linalg.svd(A, full_matrices=False)
        V = Vh.T
    return (U, V) if W.shape[0] <= W.shape[1] else (V, U)


def _as_wide_float64(W: Tensor) -> Tensor:
    """W, transposed if tall, in float64; refuses NaN and infinity before a decomposition hangs on them."""
    refuse_nonfinite(W)
    A = W.detach().double()
    return A if A.shape[0] <= A.shape[1] else A.T


def refuse_nonfinite(W: Tensor) -> None:
    """Stops a run that has diverged.

    Raises:
        ValueError: W holds NaN or infinity.
    """
    if not torch.isfinite(W).all():
        raise ValueError(
            f"Expected a finite {list(W.shape)} weight matrix, found NaN or infinity: training has diverged. "
            "Resume from an earlier checkpoint with a lower learning rate."
        )
