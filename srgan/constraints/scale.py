"""The scale of raw weights that a forward pass divides by sigma_1: it decides how far a step of Adam turns them.

Of such a weight D sees W / sigma_1 alone, and under Adam `W -> 2 W` with twice the rate is the same path of W / sigma_1
(Karras et al. 2018, Section 4.1; van Laarhoven 2017). So the scale is a learning rate of the layer's own.
"""

import math
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

from srgan.spectral import Scale
from srgan.utils.precision import without_autocast


def check_scale(scale: Scale) -> None:
    """ValueError for a word that is not in `Scale`, or a number that is not positive and finite."""
    if scale not in ("unit", "keep") and not (isinstance(scale, Real) and 0 < scale < math.inf):
        raise ValueError(f"Expected scale 'unit', 'keep' or a number above 0, found {scale!r}.")


def format_scale(scale: Scale) -> str:
    """For labels: "unit scale"."""
    return f"scale {scale:g}" if not isinstance(scale, str) else "unit scale" if scale == "unit" else "scale kept"


def describe_scale(scale: Scale) -> str:
    """For sentences: "σ₁ of the raw weights set to 1"."""
    return "σ₁ of the raw weights " + ("kept" if scale == "keep" else f"set to {1 if scale == 'unit' else scale:g}")


SMALLEST_NORM = 1e-30  # of W^T u: what an all-zero weight is divided by, without overflow


@torch.no_grad()
def scale_weights(weights: Sequence[Tensor], matrices: Sequence[Tensor], us: Sequence[Tensor], scale: Scale) -> None:
    """Divides raw weights by an estimate of sigma_1, `|W^T u| / |u|`, in place, so that it is the scale.

    Half a power step, which costs little beside those of a forward pass: no SVD, and no wait for a GPU. All-zero
    weights stay as they are.

    Args:
        weights: `[out, in, ...]` each, written.
        matrices: the same as `[m, n]`.
        us: `[m]`, estimates of the leading left singular vectors, of any norm; read only.
        scale: "keep" changes nothing.
    """
    if scale == "keep" or not weights:
        return
    with without_autocast(weights[0].device):
        vs = [torch.mv(W.T, u) for W, u in zip(matrices, us, strict=True)]
    norms = torch._foreach_norm([*us, *vs])
    factors = norms[: len(us)]
    torch._foreach_div_(factors, torch._foreach_clamp_min(norms[len(us) :], SMALLEST_NORM))
    if not isinstance(scale, str):
        torch._foreach_mul_(factors, scale)
    torch._foreach_mul_(list(weights), factors)
