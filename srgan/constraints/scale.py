"""The scale of raw weights that a forward pass divides by sigma_1: it decides how far a step of Adam turns them.

Of such a weight D sees W / sigma_1 alone, and under Adam `W -> 2 W` with twice the rate is the same path of W / sigma_1
(Karras et al. 2018, Section 4.1; van Laarhoven 2017). So the scale is a learning rate of the layer's own.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Scale = Literal["unit", "keep"] | float
"""What becomes of a raw weight's sigma_1: 1 ("unit"), what it is ("keep"), or this number."""


def checked_scale(scale: Scale) -> Scale:
    """The scale, if it is one.

    Raises:
        ValueError: another word, or a number that is not finite and above 0.
    """
    known = scale in ("unit", "keep") if isinstance(scale, str) else 0 < scale < math.inf
    if not known:
        raise ValueError(f"Expected scale 'unit', 'keep' or a number above 0, found {scale!r}.")
    return scale


def scale_words(scale: Scale) -> str:
    """For labels: "unit scale"."""
    words = {"unit": "unit scale", "keep": "scale kept"}
    return words[scale] if isinstance(scale, str) else f"scale {scale:g}"


def scale_sentence(scale: Scale) -> str:
    """For sentences: "σ₁ of the raw weights set to 1"."""
    return "σ₁ of the raw weights " + ("kept" if scale == "keep" else f"set to {1 if scale == 'unit' else scale:g}")


def scaled(sigma: Tensor, scale: Scale) -> Tensor:
    """Singular values `[..., N]`, from the largest, times what brings the largest to the scale."""
    if scale == "keep":
        return sigma
    return (1.0 if scale == "unit" else scale) * (sigma / sigma[..., :1])


@torch.no_grad()
def scale_weights(weights: Sequence[Tensor], matrices: Sequence[Tensor], us: Sequence[Tensor], scale: Scale) -> None:
    """Divides raw weights by a power iteration's estimate of sigma_1, in place, so that it is the scale.

    Without an SVD, and without waiting for a GPU. All-zero weights stay as they are.

    Args:
        weights: `[out, in, ...]` each, written.
        matrices: the same as `[m, n]`.
        us: `[m]`, estimates of the leading left singular vectors, of any norm; read only.
        scale: "keep" changes nothing.
    """
    if scale == "keep" or not weights:
        return
    with torch.autocast(weights[0].device.type, enabled=False):
        vs = [W.T @ u for W, u in zip(matrices, us, strict=True)]
        images = [W @ v for W, v in zip(matrices, vs, strict=True)]
    tiny = torch.finfo(weights[0].dtype).tiny
    lengths = [length.clamp_min(tiny) for length in torch._foreach_norm(vs)]
    sigma_1 = [sigma.clamp_min(tiny) for sigma in torch._foreach_div(torch._foreach_norm(images), lengths)]
    if not isinstance(scale, str):
        torch._foreach_div_(sigma_1, scale)
    torch._foreach_div_(list(weights), sigma_1)
