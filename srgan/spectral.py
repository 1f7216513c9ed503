"""The paper's mathematics on matrices: spectra, spectral normalization, compensated spectra.

Every function here is pure and takes a matrix `W [m, n]` with singular value decomposition
`W = sum_k sigma_k u_k v_k^T`, `sigma_1 >= ... >= sigma_N`, `N = min(m, n)` (Eq. 5, 7, 8).
Equation numbers follow arXiv:1908.10999.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from srgan.utils.linalg import check_finite, check_has_directions, singular_values, svd, svds

SigmaMap = Callable[[Tensor], Tensor]
"""Singular values to singular values, `[..., N] -> [..., N]`, both float64 and sorted from the largest."""

Scale = Literal["unit", "keep"] | float
"""The sigma_1 of raw weights: 1 ("unit"), unchanged ("keep"), or this number."""


def matricize(weight: Tensor, output_dim: int = 0) -> Tensor:
    """Reads a weight as the matrix `W [out, in * k * k]` of Section II-B.

    The weight is `[out, in, ...]`, or `[in, out, ...]` with `output_dim=1` (transposed convolutions). ValueError for
    fewer than two dimensions.
    """
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a weight with at least two dimensions [out, in, ...], found shape {tuple(weight.shape)}. "
            "Only linear, convolution and embedding weights have a spectrum."
        )
    return weight.transpose(0, output_dim).flatten(1)


def unmatricize(W: Tensor, weight: Tensor, output_dim: int = 0) -> Tensor:
    """The inverse of `matricize`: W in the shape of `weight`; blocks `[groups, out / groups, ...]` are W, too."""
    return W.reshape(weight.transpose(0, output_dim).shape).transpose(0, output_dim)


def spectrum(W: Tensor) -> Tensor:
    """Singular values of W (Eq. 5) from the largest, `[m, n]` floating -> `[min(m, n)]` float64 on W's device.

    ValueError for NaN or infinity.
    """
    check_finite(W)
    return singular_values(W.detach())


def normalized_spectrum(W: Tensor) -> Tensor:
    """sigma_k / sigma_1, the spectrum under SN, `[N]` float64 in [0, 1]; zeros for an all-zero W."""
    sigma = spectrum(W)
    return sigma / sigma[0] if sigma[0] > 0 else sigma


def power_iteration(W: Tensor, u: Tensor, steps: int = 1, eps: float = 1e-12) -> tuple[Tensor, Tensor, Tensor]:
    """Estimates the leading singular vectors and the largest singular value (SN-GAN, Algorithm 1).

    Takes `steps` power steps, at least 1, from W `[m, n]` and u `[m]`, the previous estimate, of any norm. Returns
    u `[m]` and v `[n]`, of unit norm, and `sigma_1 = u^T W v`, `[]`. `eps` is added to the norms, as in the code that
    the authors build on.
    """
    for _ in range(steps):
        v = W.T @ u
        v = v / (v.norm() + eps)
        Wv = W @ v
        u = Wv / (Wv.norm() + eps)
    return u, v, torch.dot(u, Wv)


def power_iterations_of_stack(
    W: Tensor, u: Tensor, uses: int, steps: int = 1, eps: float = 1e-12
) -> tuple[Tensor, Tensor, Tensor]:
    """`power_iteration` of matrices `W [L, m, n]` for several uses in a row, each from the u of the one before.

    Starts from u `[L, m]`, and returns u `[L, uses, m]`, v `[L, uses, n]` and sigma_1 `[L, uses]`.
    """
    found = []
    row = u.unsqueeze(1)
    for _ in range(uses):
        for _ in range(steps):
            v = torch.bmm(row, W)
            v = v / (torch.linalg.vector_norm(v, dim=2, keepdim=True) + eps)
            Wv = torch.bmm(v, W.mT)
            sigma_1 = torch.linalg.vector_norm(Wv, dim=2, keepdim=True)  # u^T W v, since u is W v / |W v|
            row = Wv / (sigma_1 + eps)
        found.append((row, v, sigma_1[:, :, 0]))
    if uses == 1:
        return found[0]
    rows, vs, sigmas = zip(*found, strict=True)
    return torch.cat(rows, 1), torch.cat(vs, 1), torch.cat(sigmas, 1)


def spectral_normalize(W: Tensor, u: Tensor, v: Tensor, sigma_1: Tensor | None = None) -> Tensor:
    """Eq. 4: `W / sigma_1` with `sigma_1 = u^T W v`, computed if not given; u and v are constants of the gradient.

    An all-zero W stays all-zero.
    """
    sigma_1 = torch.dot(u, torch.mv(W.detach(), v)) if sigma_1 is None else sigma_1
    W_SN: Tensor = _SpectralNormalization.apply(W, u, v, sigma_1)[0]
    return W_SN


class _SpectralNormalization(torch.autograd.Function):
    """Eq. 4 with its gradient, the first line of Eq. 11, written out: half the operations that autograd would derive.

    sigma_1 is an output only so that the gradient can be differentiated in turn.
    """

    @staticmethod
    def forward(ctx: Any, W: Tensor, u: Tensor, v: Tensor, sigma_1: Tensor) -> tuple[Tensor, Tensor]:
        sigma_1 = sigma_1.clamp_min(torch.finfo(W.dtype).tiny)
        W_SN = W / sigma_1
        ctx.save_for_backward(u, v, W_SN, sigma_1)
        return W_SN, sigma_1

    @staticmethod
    def backward(ctx: Any, dW_SN: Tensor, dsigma_1: Tensor) -> tuple[Tensor, None, None, None]:
        u, v, W_SN, sigma_1 = ctx.saved_tensors
        along_uv = dsigma_1 - torch.dot(dW_SN.reshape(-1), W_SN.reshape(-1)) / sigma_1
        return torch.addr(dW_SN / sigma_1, along_uv * u, v), None, None, None


class SpectralMap(ABC):
    """The map of singular values of a variant of SR (Eq. 9): a subclass with one method and its labels."""

    authors_scale: Scale = "unit"
    """The raw weight's sigma_1 in the authors' code; labels mention any other."""
    is_remedy: bool = False
    """Whether runs whose spectra collapse are advised to switch to it."""
    note: str | None = None
    """What to know when reading its verdicts."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name, for tables and plots."""

    @property
    @abstractmethod
    def sentence(self) -> str:
        """What it does, for reports."""

    @abstractmethod
    def __call__(self, sigma: Tensor, r: Tensor) -> Tensor:
        """The singular values of D(W), from sigma `[..., N]` of W, from the largest, and r.

        r is `[..., N]` in [0, 1], recorded sigma_k / sigma_1; 0 where nothing was recorded.
        """

    def remember(self, ratios: Tensor, r: Tensor) -> Tensor:
        """The next r from W's `sigma_k / sigma_1` and the r so far, all `[N]`; here r does not change."""
        return r

    @property
    def remembers(self) -> bool:
        """Whether r ever changes."""
        return type(self).remember is not SpectralMap.remember

    def num_judged(self, N: int) -> int:
        """The number of singular values, from the largest of N, by which collapse is judged."""
        return N


@dataclass(frozen=True)
class Static(SpectralMap):
    """SR-s: `sigma_k + (sigma_1 - sigma_k)` for k <= i, sigma_k beyond (Eq. 9).

    Attributes:
        fraction: i / N in (0, 1]; i = floor(fraction N), at least 1. THE hyperparameter (Fig. 8).
    """

    fraction: float = 0.5

    is_remedy = True
    note = (
        "SR-s holds the first i singular values and lets the others fall (Fig. 7c of the paper); the verdict of "
        "spectral collapse goes by those that it holds."
    )

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"Expected a fraction (i / N) in (0, 1], found {self.fraction}.")

    @property
    def label(self) -> str:
        return "SR-s" + ("" if self.fraction == 0.5 else f", i = {self.fraction:g} N")

    @property
    def sentence(self) -> str:
        return f"static spectral regularization: the first i = {self.fraction:g} N singular values raised to σ₁"

    def __call__(self, sigma: Tensor, r: Tensor) -> Tensor:
        i = self.num_judged(sigma.shape[-1])
        return torch.cat([sigma[..., :1].expand_as(sigma[..., :i]), sigma[..., i:]], dim=-1)

    def num_judged(self, N: int) -> int:
        """The paper's i, the number of singular values that it raises."""
        return max(1, int(self.fraction * N + 1e-9))  # 0.7 * 90 is 62.99... in floating point


@dataclass(frozen=True)
class Dynamic(SpectralMap):
    """SR-d: `sigma_k + max(0, r_k sigma_1 - sigma_k)` (Eq. 9), r_k the largest sigma_k / sigma_1 so far.

    The first application only records r (and scales). r is a buffer of every layer, saved with the weights; the
    authors' snapshots lose it. Their code keeps the scale, `U diag(sigma_1 r) V^T`: any step of the optimizer that
    raises sigma_1 then raises all singular values for good, and D learns ever more slowly.
    """

    authors_scale = "keep"
    label = "SR-d"
    sentence = "dynamic spectral regularization: no σₖ/σ₁ falls below its largest so far"

    def __call__(self, sigma: Tensor, r: Tensor) -> Tensor:
        return torch.maximum(r.to(sigma) * sigma[..., :1], sigma)

    def remember(self, ratios: Tensor, r: Tensor) -> Tensor:
        return torch.maximum(r, ratios)


def scaled(sigma: Tensor, scale: Scale) -> Tensor:
    """Singular values `[..., N]`, from the largest, times what brings the largest to the scale."""
    if scale == "keep":
        return sigma
    return (1.0 if scale == "unit" else scale) * (sigma / sigma[..., :1])


def project(W: Tensor, sigma_map: SigmaMap) -> Tensor:
    """`U diag(f(sigma)) V^T`: W, `[..., m, n]` floating, with its singular values mapped and its vectors kept.

    A direction in which W is numerically zero gets arbitrary vectors, orthonormal to the rest, as in any SVD.
    ValueError if W holds NaN or infinity, or an all-zero matrix, which has no directions to keep.
    """
    check_has_directions(W)
    return project_stacks([W], [sigma_map])[0][0]


def project_stacks(stacks: Sequence[Tensor], sigma_maps: Sequence[SigmaMap]) -> list[tuple[Tensor, Tensor]]:
    """`project` of several stacks `[..., m, n]`, finite and without all-zero matrices.

    Returns for each the projection in its dtype, and its former sigma `[..., N]` float64.
    """
    projections = []
    for W, (U, sigma, Vh), sigma_map in zip(stacks, svds([W.detach() for W in stacks]), sigma_maps, strict=True):
        mapped = sigma_map(sigma)
        # gain W + U diag(lift) V^T: a map that leaves a direction, or all, as it is leaves its bits so.
        gain = mapped[..., :1] / sigma[..., :1]
        lift = mapped - gain * sigma
        projected = gain.unsqueeze(-1) * W.detach() + (U * lift.unsqueeze(-2)) @ Vh
        projections.append((projected.to(W.dtype), sigma))
    return projections


def spectrally_regularize(W: Tensor, sigma_map: SigmaMap) -> Tensor:
    """Eq. 10 with the gradient of Eq. 11: `W_SR = D(W) / sigma(W)`, differentiable in W.

    `D(W) = W + sum_k dsigma_k u_k v_k^T` (Eq. 9), where u_k, v_k are constants and
    `sigma_k = u_k^T W v_k`, `dsigma_k = sigma_map(sigma)_k - sigma_k` carry the gradient.

    Takes W `[m, n]` float32 or float64 and a `SpectralMap` with its r bound; ValueError for a W that holds NaN or
    infinity, or is all zero.
    """
    with torch.no_grad():
        U, V = singular_vectors(W)
    A = W.double()
    sigma = (U * (A @ V)).sum(dim=0)
    compensated = A + (U * (sigma_map(sigma) - sigma)) @ V.T
    return (compensated / sigma[0]).to(W.dtype)


def singular_vectors(W: Tensor) -> tuple[Tensor, Tensor]:
    """U `[m, N]` and V `[n, N]` of W (Eq. 8), float64, from the largest singular value; ValueError as of `project`."""
    check_has_directions(W)
    U, _, Vh = svd(W.detach())
    return U, Vh.T
