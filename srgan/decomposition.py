"""Singular values and left singular vectors of wide matrices, from the eigendecomposition of `A A^T`."""

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

# Squaring a matrix in float64 resolves sigma/sigma_1 to a relative 1e-16 / ratio^2. Below this ratio the
# tail is decomposed again by itself, so every singular value keeps a relative error near 1e-10.
RESOLVED_RATIO = 1e-3
# A Gram matrix of this many rows or more is computed in strips, 4 to 8: 5/8 to 9/16 of the work.
STRIPED_ROWS = 128

EigenRoute = Callable[[Tensor], tuple[Tensor, Tensor]]


def gram(A: Tensor) -> Tensor:
    """The lower triangle of `A A^T`, `[..., m, m]`; what stands above the diagonal is no promise."""
    m = A.shape[-2]
    with torch.autocast(A.device.type, enabled=False):  # a training step may run under bf16 autocast
        if A.device.type != "cpu" or m < STRIPED_ROWS:
            return A @ A.mT
        G = A.new_zeros(*A.shape[:-1], m)
        strip = max(32, m // 8)
        for start in range(0, m, strip):
            stop = start + strip
            G[..., start:, start:stop] = A[..., start:, :] @ A[..., start:stop, :].mT
        return G


def gram_pairs(A: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values and left singular vectors of wide matrices, from their Gram matrices `A A^T`.

    Exact in float64 down to `RESOLVED_RATIO`; below it the squaring has lost them, up to all of them.

    Args:
        A: `[..., m, n]`, m <= n, finite.

    Returns:
        `sigma [..., m]` float64, sorted from the largest, and `U [..., m, m]` in A's dtype.
    """
    # Of -A A^T, whose eigenvalues rise from the one of the largest sigma: U needs no turning round.
    eigenvalues, U = symmetric_eigenpairs(gram(A).neg_())
    return eigenvalues.double().neg_().clamp_min_(0).sqrt_(), U


def resolve_tail(A: Tensor, sigma: Tensor, U: Tensor) -> tuple[Tensor, Tensor]:
    """Makes `gram_pairs(A)` of one float64 matrix exact to a relative 1e-7 down to sigma/sigma_1 = 1e-8.

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


def singular_values(A: Tensor) -> Tensor:
    """`sigma [m]` of `A [m, n]` float64, m <= n, from the largest; in half the time if no tail must be resolved."""
    sigma = torch.linalg.eigvalsh(gram(A)).flip(0).clamp_min(0).sqrt()
    return sigma if sigma[-1] >= RESOLVED_RATIO * sigma[0] else left_singular_pairs(A)[0]


def as_wide(W: Tensor) -> Tensor:
    """W, transposed if tall: `[..., m, n]` with m <= n."""
    return W if W.shape[-2] <= W.shape[-1] else W.mT


def refuse_nonfinite(W: Tensor) -> None:
    """Stops a run that has diverged, before a decomposition hangs on it.

    Raises:
        ValueError: W holds NaN or infinity.
    """
    if not torch.isfinite(W).all():
        raise ValueError(
            f"Expected a finite {list(W.shape)} weight matrix, found NaN or infinity: training has diverged. "
            "Resume from an earlier checkpoint with a lower learning rate."
        )


def refuse_undirected(W: Tensor) -> None:
    """Stops a run whose weight has no singular directions, in one cheap pass over a weight that has.

    Raises:
        ValueError: W holds NaN or infinity, or is all zero.
    """
    total = float(W.sum())
    if math.isfinite(total) and total != 0:
        return
    refuse_nonfinite(W)  # finite numbers may have an infinite sum
    if not W.any():
        raise ValueError(
            f"Expected a matrix with a positive largest singular value, found an all-zero {list(W.shape)} matrix. "
            "It has no singular directions to compensate: initialize the layer or leave it out."
        )


def symmetric_eigenpairs(G: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues `[..., m]`, from the smallest, and eigenvectors `[..., m, m]`, from G's lower triangle.

    On a GPU by the route that was the fastest when this shape came first. Which one that is may differ
    between runs, and with it the last bits; among the ranks of a run only a weight's owner decomposes it.
    """
    if G.device.type == "cpu":
        return _library_eigh(G)
    key = (tuple(G.shape), G.dtype)
    if key not in _fastest_on_gpu:
        _fastest_on_gpu[key] = fastest(GPU_ROUTES, G, _seconds_on_gpu)
    return GPU_ROUTES[_fastest_on_gpu[key]](G)


def fastest(routes: Mapping[str, EigenRoute], G: Tensor, clock: Callable[[], float], repetitions: int = 3) -> str:
    """The name of the route with the shortest time on G, the best of several behind a warm-up.

    Args:
        routes: the candidates; the first wins a tie.
        G: `[..., m, m]`.
        clock: seconds at which all work handed out so far is done.
        repetitions: how often each is timed.
    """

    def seconds(route: EigenRoute) -> float:
        start = clock()
        route(G)
        return clock() - start

    times = {name: [seconds(route) for _ in range(repetitions + 1)][1:] for name, route in routes.items()}
    return min(times, key=lambda name: min(times[name]))


def _library_eigh(G: Tensor) -> tuple[Tensor, Tensor]:
    eigenvalues, U = torch.linalg.eigh(G)
    return eigenvalues, U


def _one_by_one(G: Tensor) -> tuple[Tensor, Tensor]:
    pairs = [_library_eigh(matrix) for matrix in G.reshape(-1, *G.shape[-2:])]
    eigenvalues, U = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    return eigenvalues.view(G.shape[:-1]), U.view(G.shape)


def _on_the_cpu(G: Tensor) -> tuple[Tensor, Tensor]:
    eigenvalues, U = _library_eigh(G.cpu())
    return eigenvalues.to(G.device), U.to(G.device)


GPU_ROUTES: dict[str, EigenRoute] = {
    "all at once": _library_eigh,  # cuSOLVER's batched Jacobi for small matrices
    "one by one": _one_by_one,
    "on the CPU": _on_the_cpu,
}
_fastest_on_gpu: dict[tuple[tuple[int, ...], torch.dtype], str] = {}


def _seconds_on_gpu() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()
