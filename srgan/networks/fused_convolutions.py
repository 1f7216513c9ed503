"""Convolutions of the residual nets: side by side, and fused with a change of resolution next to them."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from srgan.utils.precision import without_autocast


class Convolution(nn.Conv2d):
    """A convolution that takes several batches side by side, each with a weight of its own, if it has such a weight.

    `[B, k in, H, W]` under a weight `[k out, in, ...]`, k times the outputs of the layer: images of k batches behind
    one another along the channels, and k weights along theirs, give `[B, k out, H, W]` in k groups.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        k = len(weight) // self.out_channels
        bias = torch.cat([bias] * k) if bias is not None and k > 1 else bias
        return conv2d(input, weight, bias, self.stride, self.padding, self.dilation, k)


class _Resampling(Convolution):
    """A 3x3 convolution and a change of resolution by 2 next to it, as one convolution with a 4x4 kernel.

    The resampling adds up 2 x 2 pixels, which is a convolution too: the sum of four shifted copies of the 3x3
    kernel does both. 16 products for each pixel of the smaller image take the place of 36, and nothing in
    between is ever stored. Exact but for rounding. The weight stays `[out, in, 3, 3]`.
    """

    four_copies: Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        along_one_axis = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
        self.register_buffer("four_copies", torch.kron(along_one_axis, along_one_axis), persistent=False)  # [9, 16]

    def kernel(self, weight: Tensor) -> Tensor:
        """Four shifted copies of a weight `[a, b, 3, 3]` added up: `[a, b, 4, 4]` in the weight's memory format."""
        with without_autocast(weight.device):
            if weight.stride(3) == 1:
                return (weight.reshape(-1, 9) @ self.four_copies).view(*weight.shape[:2], 4, 4)
            pixels = weight.permute(0, 2, 3, 1).flatten(1, 2)  # channels last: [a, 9, b]
            pixels = pixels if pixels.stride(2) == 1 else pixels.contiguous()  # turned round
            kernels = torch.bmm(self.four_copies.T.expand(len(weight), 16, 9), pixels)
        return kernels.view(len(weight), 4, 4, -1).permute(0, 3, 1, 2)


class ConvolutionAndPooling(_Resampling):
    """3x3 convolution, then the mean of 2 x 2 pixels: `[B, in, 2H, 2W]` -> `[B, out, H, W]`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.four_copies /= 4
        self.stride = (2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.kernel(self.weight), self.bias)


class EnlargementAndConvolution(_Resampling):
    """Each pixel twice in both directions, then 3x3 convolution: `[B, in, H, W]` -> `[B, out, 2H, 2W]`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.four_copies = self.four_copies.flip(0)  # a transposed convolution turns its kernel round

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.kernel(self.weight.transpose(0, 1))  # of a 4x4 kernel PyTorch would have to copy more
        return conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)
