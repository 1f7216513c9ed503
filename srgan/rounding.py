"""Where float32 is exact enough to decompose and multiply a weight in."""

import math

import torch
from torch import Tensor

# Up to this amplification of rounding errors a float32 product keeps a relative error below 1e-5.
FLOAT32_AMPLIFICATION = 32.0
# From this many singular values on a float32 decomposition saves more than its check costs.
FLOAT32_RANK = 128


def multiplies_in_float32(W: Tensor) -> bool:
    """Whether W is multiplied in float32 proper: not as TF32 or bf16, nor on a GPU, whose errors nobody measured."""
    return W.dtype == torch.float32 and W.device.type == "cpu" and torch.get_float32_matmul_precision() == "highest"


def float32_error(sigma: Tensor, mapped: Tensor, lifts: Tensor) -> Tensor:
    """Bounds on the relative errors (Frobenius) of `gain A + P A` from a float32 decomposition of `G = A A^T`.

    float32 finds the eigenpairs of some `G + E`. With `h(lambda_k) = lift_k`, P = h(G), and in the eigenbases of G + E
    and G the error of P A has the entries (exactly, Daletskii and Krein)

        (h(G + E) A - h(G) A)_jk = (h_j - h_k) / (lambda_j - lambda_k) E_jk sigma_k,

    and never more than |h_j - h_k| sigma_k, however close lambda_j and lambda_k are: a map that moves equal values
    equally does not care which basis of their space it gets. On the diagonal an error E_kk of lambda_k is the
    relative error E_kk / (2 lambda_k) of f(sigma_k). Rounding errors have no preferred direction: off the diagonal
    E is of size 16 / sqrt(N) eps lambda_1, on it 12 eps lambda_1 (root mean squares; eps = 2^-24; the largest
    measured are 14 and 8, N = 128 to 1024). The root sum square of such entries stays below its mean plus
    three times its largest term but for one case in a hundred (Gaussian concentration, exp(-t^2 / 2)), and
    measured errors are mostly a fifth of the bound. So it is a statistical bound, checked on the LAPACK of
    PyTorch's CPU builds; a worst case over all E of that norm would refuse every weight.

    It is large where f jumps between near-equal singular values, as static compensation does at k = i. There
    float64 decides, whose own eps is 5e8 times smaller. Values on both sides of the jump that float64 cannot
    tell apart either have no unique result: then, as with any SVD, W_SR is that of a matrix within 1e-14 of W.

    Args:
        sigma: `[b, N]` float64, as float32 found it.
        mapped: f(sigma).
        lifts: f(sigma) / sigma - gain, 0 where f does not move sigma relative to the first.

    Returns:
        the bounds `[b]`, at least 4e-7; infinite where squares may have left float32's range.
    """
    N, eps = sigma.shape[-1], 2.0**-24
    e = 16 / math.sqrt(N) * eps
    f, h = mapped / mapped[:, :1], (lifts * sigma[:, :1] / mapped[:, :1]).float()
    eigenvalue = (sigma / sigma[:, :1]).square()
    lambda_ = eigenvalue.float()
    gap = (lambda_[:, :, None] - lambda_[:, None]).square_().clamp_min_(e * e)
    mixing = (h[:, :, None] - h[:, None]).square_().div_(gap).mul_(lambda_[:, None]).flatten(1)
    own = torch.where(lifts != 0, 6 * eps * f / eigenvalue, 0).norm(dim=-1)
    error = (
        (e * (mixing.sum(1).sqrt() + 3 * mixing.max(1).values.sqrt()) + own) / f.norm(dim=-1) + 6 * eps + 1e-7
    )  # the gain's, the product's
    in_range = (sigma[:, 0] > 1e-12) & (sigma[:, 0] < 1e12)
    return torch.where(in_range & ~error.isnan(), error, torch.inf)
