"""Singular value decompositions in float64, from the eigenpairs of `W W^T`, and what has none."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# Squaring a matrix in float64 leaves an error of 1e-16 / ratio^2 at sigma/sigma_1 = ratio. Where the smallest singular
# value is lower than one way resolves, the next one is taken, and in the end LAPACK's SVD:
EIGENVALUES_RATIO = 1e-3
"""The roots of the eigenvalues of W W^T are singular values to a relative 1e-10 down to this."""
ROWS_RATIO = 1e-5
"""The lengths of the rows of U^T W are, down to this."""
VECTORS_RATIO = 1e-4
"""The rows' directions are orthonormal to 1e-8 down to this, a tenth of what float32 resolves."""


class SVD(NamedTuple):
    """`W = U diag(sigma) V^T` (Eq. 5, 7, 8), float64, N = min(m, n)."""

    U: Tensor  # [..., m, N]
    sigma: Tensor  # [..., N], from the largest
    Vh: Tensor  # V^T, [..., N, n]


def svd(W: Tensor) -> SVD:
    """The decomposition of one matrix or a stack, `[..., m, n]` floating and finite."""
    return svds([W])[0]


def svds(stacks: Sequence[Tensor]) -> list[SVD]:
    """The decompositions of several matrices or stacks of them, `[..., m, n]` floating and finite, of any shapes.

    From `W W^T = U diag(sigma^2) U^T`, `sigma_k = |u_k^T W|` and `v_k = W^T u_k / sigma_k`, which takes a third of the
    time of an SVD or less. Directions in which W is numerically zero get arbitrary orthonormal u_k and v_k.

    On a GPU matrices of equal N are decomposed together, and the host waits once to see which need an SVD after all.
    On a CPU, where that gains nothing, each stack is by itself: its bits do not depend on which others come with it.
    """
    wide = [(W if W.shape[-2] <= W.shape[-1] else W.mT).double().reshape(-1, *sorted(W.shape[-2:])) for W in stacks]
    found = []
    together = any(A.device.type != "cpu" for A in wide)
    for A, U in zip(wide, eigenvectors([A @ A.mT for A in wide], together), strict=True):
        rows = U.mT @ A
        sigma = rows.norm(dim=-1)
        found.append(SVD(U, sigma, rows.div_(sigma.unsqueeze(-1))))
    extremes = [sigma.aminmax(dim=-1) for _, sigma, _ in found]
    flags = [smallest <= VECTORS_RATIO * largest for smallest, largest in extremes]
    unresolved = torch.cat([flag.to(flags[0].device) for flag in flags]).tolist() if flags else []  # the host waits
    places = ((A[k], parts, k) for A, parts in zip(wide, found, strict=True) for k in range(len(A)))
    for (matrix, parts, k), is_unresolved in zip(places, unresolved, strict=True):
        if is_unresolved:
            _exact(matrix, SVD(*(part[k] for part in parts)))
    return [_of_shape(W, parts) for W, parts in zip(stacks, found, strict=True)]


def eigenvectors(grams: Sequence[Tensor], together: bool) -> list[Tensor]:
    """Those of stacks of Gram matrices `[b, N, N]`, as columns, from the one of the largest eigenvalue.

    N may differ; `together` takes those of equal N in one call.
    """
    calls: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, gram in enumerate(grams):
        calls[gram.shape[-1], gram.device, None if together else index].append(index)
    vectors = list(grams)
    for indices in calls.values():
        # Of -W W^T, whose eigenvalues rise from the one of sigma_1: U needs no turning round.
        U = torch.linalg.eigh(-torch.cat([grams[index] for index in indices]))[1]
        for index, part in zip(indices, U.split([len(grams[index]) for index in indices]), strict=True):
            vectors[index] = part
    return vectors


def _exact(A: Tensor, parts: SVD) -> None:
    """LAPACK's decomposition of `A [N, n]`, N <= n, into the parts; on a GPU by QR: Jacobi's is slower there."""
    V, sigma, Uh = torch.linalg.svd(A.mT, full_matrices=False, driver="gesvd" if A.is_cuda else None)  # of the tall one
    for part, exact in zip(parts, (Uh.mT, sigma, V.mT), strict=True):
        part.copy_(exact)


def _of_shape(W: Tensor, parts: SVD) -> SVD:
    """The parts of W as a stack `[b, N, n]` of wide matrices -> of W `[..., m, n]`."""
    U, sigma, Vh = (part.reshape(*W.shape[:-2], *part.shape[1:]) for part in parts)
    return SVD(U, sigma, Vh) if W.shape[-2] <= W.shape[-1] else SVD(Vh.mT, sigma, U.mT)


def singular_values(W: Tensor) -> Tensor:
    """sigma `[N]` float64 of one finite matrix `W [m, n]`, from the largest, mostly in half the time of `svd`."""
    A = W.double() if W.shape[0] <= W.shape[1] else W.T.double()
    gram = A @ A.T
    sigma: Tensor = torch.linalg.eigvalsh(gram).flip(0).clamp_min(0).sqrt()
    ratio = float(sigma[-1] / sigma[0].clamp_min(torch.finfo(sigma.dtype).tiny))
    if ratio > EIGENVALUES_RATIO:
        return sigma
    if ratio > ROWS_RATIO:
        sigma = (torch.linalg.eigh(gram)[1].T @ A).norm(dim=1).sort(descending=True)[0]
    else:
        sigma = torch.linalg.svdvals(A.T, driver="gesvd" if A.is_cuda else None)
    return sigma


def check_finite(W: Tensor) -> None:
    """Stops a run that has diverged, before a decomposition hangs on it: ValueError if W holds NaN or infinity."""
    if not torch.isfinite(W).all():
        raise ValueError(
            f"Expected a finite {list(W.shape)} weight matrix, found NaN or infinity: training has diverged. "
            "Resume from an earlier checkpoint with a lower learning rate."
        )


def undirected(weights: Sequence[Tensor]) -> list[int]:
    """The places of those among some weights that are all zero or not finite; the host waits for a GPU once."""
    if not weights:
        return []
    device = weights[0].device
    largest = [entry.to(device) for entry in torch._foreach_norm(list(weights), ord=math.inf)]
    return [place for place, entry in enumerate(torch.stack(largest).tolist()) if not 0 < entry < math.inf]


def check_has_directions(W: Tensor) -> None:
    """Stops a run whose weight has no singular directions: ValueError for a W, `[..., m, n]`, one matrix or a stack,
    that holds NaN, infinity, or a matrix that is all zero. A weight that has them takes one pass and one wait.
    """
    if all(math.isfinite(total) and total != 0 for total in W.sum((-2, -1)).flatten().tolist()):
        return
    check_finite(W)  # finite numbers may have an infinite sum
    if not W.flatten(-2).any(-1).all():
        raise ValueError(
            f"Expected a matrix with a positive largest singular value, found an all-zero {list(W.shape[-2:])} matrix. "
            "It has no singular directions to compensate: initialize the layer or leave it out."
        )
