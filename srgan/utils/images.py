"""Conversion between bytes, `[N, 3, H, W]` uint8, and the networks' range, float32 in [-1, 1]; image grids."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

MIN_TILE = 64  # pixels; smaller images are enlarged by whole factors, so that a person can see them
PADDING = 2  # pixels around each


def dequantize(images: Tensor, noise: Tensor) -> Tensor:
    """The authors' input, `x / 128 - 1` plus noise in [0, 1/128): float32 in [-1, 1].

    Takes images `[..., 3, H, W]` uint8 and noise uniform in [0, 1), float32, of the same shape.
    """
    return images.float().add_(noise).div_(128).sub_(1)


def quantize(images: Tensor) -> Tensor:
    """Float images `[..., 3, H, W]` in [-1, 1] as uint8: `floor(127.5 x + 127.5)`, clipped, as the authors do it."""
    return images.float().mul(127.5).add(127.5).floor().clamp(0, 255).to(torch.uint8)


def shrink(images: np.ndarray, factor: int) -> np.ndarray:
    """Exact means over squares of `factor` (1 ... 16) pixels a side, rounded to the nearest, ties up.

    `[N, C, H, W]` uint8, H and W multiples of the factor -> `[N, C, H / factor, W / factor]` uint8.
    """
    zero = np.zeros((), np.uint16)
    rows = sum((images[..., row::factor, :] for row in range(factor)), start=zero)
    sums = sum((rows[..., column::factor] for column in range(factor)), start=zero)
    return ((sums + factor**2 // 2) // factor**2).astype(np.uint8)


def grid_picture(images: Tensor, columns: int) -> "Image.Image":
    """Images `[B, 3, H, W]` uint8 as one picture, rows filled one after the other, small ones enlarged."""
    from PIL import Image  # of the extra train, like the next
    from torchvision.utils import make_grid

    factor = max(1, MIN_TILE // images.shape[-1])
    enlarged = images.cpu().repeat_interleave(factor, dim=2).repeat_interleave(factor, dim=3)
    grid = make_grid(enlarged.float(), nrow=columns, padding=PADDING, pad_value=255).to(torch.uint8)
    return Image.fromarray(grid.permute(1, 2, 0).numpy())
