"""The residual pair of Fig. 13 (left): constant width, one discriminator shape for every image size.

Initialization follows the authors: Glorot uniform, gain sqrt(2) for the residual 3x3 convolutions, 1 for
shortcuts, linear layers and the output convolution, zero biases. Spectral normalization is not here: a
constraint attaches it.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

RESIDUAL_GAIN = math.sqrt(2)


def convolution(inputs: int, outputs: int, kernel_size: int, gain: float) -> nn.Conv2d:
    """A size-keeping convolution with Glorot-uniform weights and zero bias."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def check_image_size(image_size: int) -> None:
    """Refuses what the nets cannot double up to or halve down from.

    Raises:
        ValueError: the size is not 8 x 2^k.
    """
    if image_size < 8 or image_size & (image_size - 1):
        raise ValueError(f"Expected an image size 8 x 2^k (8, 16, 32, ...), found {image_size}.")


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Chainer's batch normalization: eps 2e-5 (PyTorch's default is 1e-5), running-average decay 0.9."""
    return nn.BatchNorm2d(channels, eps=2e-5, momentum=0.1)


class UpBlock(nn.Module):
    """[BN, ReLU, nearest x2, conv3x3, BN, ReLU, conv3x3] + [nearest x2, conv1x1]: H x W -> 2H x 2W."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bn1 = batch_norm(inputs)
        self.conv1 = convolution(inputs, outputs, 3, RESIDUAL_GAIN)
        self.bn2 = batch_norm(outputs)
        self.conv2 = convolution(outputs, outputs, 3, RESIDUAL_GAIN)
        self.shortcut = convolution(inputs, outputs, 1, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(interpolate(relu(self.bn1(x)), scale_factor=2))
        h = self.conv2(relu(self.bn2(h)))
        summed: Tensor = h + self.shortcut(interpolate(x, scale_factor=2))
        return summed


class FirstDownBlock(nn.Module):
    """[conv3x3, ReLU, conv3x3, mean pool] + [mean pool, conv1x1]: the image has no ReLU in front of it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, RESIDUAL_GAIN)
        self.conv2 = convolution(outputs, outputs, 3, RESIDUAL_GAIN)
        self.shortcut = convolution(inputs, outputs, 1, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(relu(self.conv1(x)))
        shortcut: Tensor = self.shortcut(avg_pool2d(x, 2))
        return avg_pool2d(h, 2) + shortcut


class DownBlock(nn.Module):
    """[ReLU, conv3x3, ReLU, conv3x3] + identity; with `down`, [.., mean pool] + [conv1x1, mean pool]."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, inputs, 3, RESIDUAL_GAIN)
        self.conv2 = convolution(inputs, outputs, 3, RESIDUAL_GAIN)
        self.shortcut = convolution(inputs, outputs, 1, 1.0) if down or inputs != outputs else nn.Identity()
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv2(relu(self.conv1(relu(x)))) + self.shortcut(x)
        return avg_pool2d(h, 2) if self.down else h


class ResNetGenerator(nn.Module):
    """z -> linear to 4 x 4 x ch -> up-blocks ch -> ch -> BN, ReLU, conv3x3 -> tanh.

    Args:
        image_size: H = W, 8 x 2^k; a 32 x 32 generator has 3 up-blocks.
        channels: ch; the paper's CIFAR-10 generator has 256.
        latent_dim: length of z.
        image_channels: of the output.
    """

    def __init__(self, image_size: int, channels: int, latent_dim: int = 128, image_channels: int = 3) -> None:
        super().__init__()
        check_image_size(image_size)
        self.channels = channels
        self.linear = nn.Linear(latent_dim, 4 * 4 * channels)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        doublings = int(math.log2(image_size // 4))
        self.blocks = nn.Sequential(*(UpBlock(channels, channels) for _ in range(doublings)))
        self.bn = batch_norm(channels)
        self.conv = convolution(channels, image_channels, 3, 1.0)

    def forward(self, z: Tensor) -> Tensor:
        """z `[B, latent_dim]` ~ N(0, I) -> images `[B, 3, H, W]` in [-1, 1]."""
        h = self.linear(z).view(-1, self.channels, 4, 4)
        h = self.blocks(h)
        image: Tensor = self.conv(relu(self.bn(h))).tanh()
        return image


class ResNetDiscriminator(nn.Module):
    """Images -> residual blocks -> ReLU -> global SUM pooling -> linear without bias.

    Up to 32 x 32 images: 4 blocks, the first two halve the size, 10 convolutions. Larger images are halved
    until they are 8 x 8. No batch normalization.

    Args:
        image_size: H = W, 8 x 2^k.
        channels: the CH of Table I.
        image_channels: of the input.
    """

    def __init__(self, image_size: int, channels: int, image_channels: int = 3) -> None:
        super().__init__()
        check_image_size(image_size)
        halvings = max(2, int(math.log2(image_size // 8)))
        self.blocks = nn.Sequential(
            FirstDownBlock(image_channels, channels),
            *(DownBlock(channels, channels, down=True) for _ in range(halvings - 1)),
            *(DownBlock(channels, channels, down=False) for _ in range(2)),
        )
        self.linear = nn.Linear(channels, 1, bias=False)
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Images `[B, 3, H, W]` in [-1, 1] -> scores `[B]`, unbounded, higher for "real"."""
        h = relu(self.blocks(x)).sum(dim=(2, 3))
        score: Tensor = self.linear(h).squeeze(1)
        return score


@dataclass(frozen=True)
class ResNetPair:
    """The sizes of a generator and its discriminator.

    Attributes:
        image_size: H = W of the images, 8 x 2^k.
        generator_channels: ch of the generator.
        discriminator_channels: the CH of Table I.
        latent_dim: length of z.

    Raises:
        ValueError: the image size is not 8 x 2^k, or a width is below 1.
    """

    image_size: int = 32
    generator_channels: int = 256
    discriminator_channels: int = 128
    latent_dim: int = 128

    def __post_init__(self) -> None:
        check_image_size(self.image_size)
        if min(self.generator_channels, self.discriminator_channels, self.latent_dim) < 1:
            raise ValueError(f"Expected widths of at least 1, found {self}.")

    def build(self) -> tuple[ResNetGenerator, ResNetDiscriminator]:
        """Both networks, freshly initialized from the global random state."""
        return (
            ResNetGenerator(self.image_size, self.generator_channels, self.latent_dim),
            ResNetDiscriminator(self.image_size, self.discriminator_channels),
        )
