"""The parts of the nets, foremost of the residual ones of Fig. 13, as the authors initialize them.

Glorot uniform with gain sqrt(2) for the residual 3x3 convolutions, 1 for shortcuts, linear layers and the
output convolution, zero biases. Spectral normalization is not here: a constraint attaches it. ReLUs overwrite
what nothing else needs: a hook on such a layer's output sees it rectified.
"""

import math
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, conv_transpose2d, interpolate, relu, relu_

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


RESIDUAL_GAIN = math.sqrt(2)
MOMENTUM = 0.1  # of a batch in the running averages of batch norm


AnyConvolution = TypeVar("AnyConvolution", bound=nn.Conv2d)


def initialized(layer: AnyConvolution, gain: float) -> AnyConvolution:
    """The same convolution with Glorot-uniform weights and zero bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def convolution(inputs: int, outputs: int, kernel_size: int, gain: float) -> nn.Conv2d:
    """A size-keeping convolution with Glorot-uniform weights and zero bias."""
    return initialized(Convolution(inputs, outputs, kernel_size, padding=kernel_size // 2), gain)


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer with Glorot-uniform weights and zero bias."""
    layer = nn.Linear(inputs, outputs, bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def initialize_normally(network: nn.Module) -> None:
    """DCGAN's start (Radford et al. 2016, Section 4): all weights from N(0, 0.02), zero biases."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)


class BatchNorm(nn.BatchNorm2d):
    """Chainer's batch normalization: eps 2e-5 (PyTorch's default is 1e-5), running-average decay 0.9.

    It does not count batches, which a fixed decay has no use for: `num_batches_tracked` is only kept for checkpoints.
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(channels, eps=2e-5, momentum=MOMENTUM, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, C, H, W]` -> the same shape; by the batch's statistics in training mode."""
        return batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, MOMENTUM, self.eps
        )


class ConditionalBatchNorm(nn.Module):
    """Batch normalization with a scale and a shift for each class; a plain one for `num_classes` 0.

    The tables are parameters, not embedding layers: nothing normalizes them spectrally. As in the authors'
    Chainer code, the running variance of the conditional one starts at 0.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.bn = BatchNorm(channels, affine=num_classes == 0)
        if num_classes:
            self.gamma = nn.Parameter(torch.ones(num_classes, channels))
            self.beta = nn.Parameter(torch.zeros(num_classes, channels))
            nn.init.zeros_(cast(Tensor, self.bn.running_var))
        self.num_classes = num_classes

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """`[B, C, H, W]` and labels `[B]` -> `[B, C, H, W]`."""
        normalized: Tensor = self.bn(x)
        if not self.num_classes:
            return normalized
        return torch.addcmul(self.beta[labels][:, :, None, None], self.gamma[labels][:, :, None, None], normalized)


class UpBlock(nn.Module):
    """[BN, ReLU, nearest x2, conv3x3, BN, ReLU, conv3x3] + [nearest x2, conv1x1]: H x W -> 2H x 2W.

    The shortcut's convolution commutes with the enlargement and is computed before it, on a quarter of the pixels.
    """

    def __init__(self, inputs: int, outputs: int, num_classes: int) -> None:
        super().__init__()
        self.bn1 = ConditionalBatchNorm(inputs, num_classes)
        self.conv1 = initialized(EnlargementAndConvolution(inputs, outputs), RESIDUAL_GAIN)
        self.bn2 = ConditionalBatchNorm(outputs, num_classes)
        self.conv2 = convolution(outputs, outputs, 3, RESIDUAL_GAIN)
        self.shortcut = convolution(inputs, outputs, 1, 1.0)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.conv1(relu_(self.bn1(x, labels)))
        h = self.conv2(relu_(self.bn2(h, labels)))
        summed: Tensor = h.add_(interpolate(self.shortcut(x), scale_factor=2))
        return summed


class FirstDownBlock(nn.Module):
    """[conv3x3, ReLU, conv3x3, mean pool] + [mean pool, conv1x1]: the image has no ReLU in front of it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, RESIDUAL_GAIN)
        self.conv2 = initialized(ConvolutionAndPooling(outputs, outputs), RESIDUAL_GAIN)
        self.shortcut = convolution(inputs, outputs, 1, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(relu_(self.conv1(x)))
        summed: Tensor = h + self.shortcut(avg_pool2d(x, 2))
        return summed


class DownBlock(nn.Module):
    """[ReLU, conv3x3, ReLU, conv3x3] + identity; with `down`, [.., mean pool] + [conv1x1, mean pool].

    The shortcut's convolution commutes with the mean and is computed behind it, on a quarter of the pixels.
    """

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, inputs, 3, RESIDUAL_GAIN)
        self.conv2 = (
            initialized(ConvolutionAndPooling(inputs, outputs), RESIDUAL_GAIN)
            if down
            else convolution(inputs, outputs, 3, RESIDUAL_GAIN)
        )
        self.shortcut = convolution(inputs, outputs, 1, 1.0) if down or inputs != outputs else nn.Identity()
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(relu_(self.conv1(relu(x))))
        summed: Tensor = h + self.shortcut(avg_pool2d(x, 2) if self.down else x)
        return summed
