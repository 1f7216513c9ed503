"""The one place where image ranges convert. Bytes are `[N, 3, H, W]` uint8, nets see float32 in [-1, 1]."""

import torch
from torch import Tensor


def dequantize(images: Tensor, noise: Tensor) -> Tensor:
    """The authors' input: `x / 128 - 1` plus uniform noise in [0, 1/128).

    Args:
        images: `[..., 3, H, W]` uint8.
        noise: uniform in [0, 1), float32, of the same shape.

    Returns:
        float32 in [-1, 1], same shape.
    """
    return images.float().add_(noise).div_(128).sub_(1)


def quantize(images: Tensor) -> Tensor:
    """Generated images for scoring and for looking at: `floor(127.5 x + 127.5)`, as the authors'.

    Args:
        images: `[..., 3, H, W]` float in [-1, 1]; values outside are clipped.

    Returns:
        uint8, same shape.
    """
    return images.float().mul(127.5).add(127.5).floor().clamp(0, 255).to(torch.uint8)
