"""The residual pairs of Fig. 13: of constant width (32 x 32), or growing towards the middle (128 x 128)."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, relu_

from srgan.networks.blocks import BatchNorm, DownBlock, FirstDownBlock, UpBlock, convolution, linear
from srgan.networks.pair import (
    IMAGE_CHANNELS,
    Discriminator,
    Generator,
    Pair,
    at_least_float32,
    check_labels,
    check_widths,
)
from srgan.utils.precision import without_autocast

Widths = Literal["constant", "pyramid"]
LARGEST_MULTIPLE = 16  # of ch, in a pyramid
WIDEST_SIDE_BY_SIDE = 64  # channels; measured on CPUs: a third faster at 8 to 16, even at 128


def check_image_size(image_size: int) -> None:
    """Raises ValueError unless the size is 8 x 2^k."""
    if image_size < 8 or image_size & (image_size - 1):
        raise ValueError(f"Expected an image size 8 x 2^k (8, 16, 32, ...), found {image_size}.")


def generator_multiples(image_size: int, widths: Widths) -> list[int]:
    """Widths in units of ch, from the linear layer's output through every up-block's.

    Constant: 1, 1, 1, 1 at 32 x 32. Pyramid: 16, 16, 8, 4, 2, 1 at 128 x 128.
    """
    doublings = int(math.log2(image_size // 4))
    if widths == "constant":
        return [1] * (doublings + 1)
    return [min(2**k, LARGEST_MULTIPLE) for k in range(doublings, -1, -1)]


def discriminator_multiples(image_size: int, widths: Widths) -> tuple[list[int], int]:
    """Widths of the halving blocks in units of ch, and how many blocks follow at the last width.

    Constant: 1, 1 and two blocks up to 32 x 32, further halvings for larger images until they are 8 x 8.
    Pyramid: 1, 2, 4, 8, 16 and one block at 128 x 128.
    """
    if widths == "constant":
        return [1] * max(2, int(math.log2(image_size // 8))), 2
    return [min(2**k, LARGEST_MULTIPLE) for k in range(int(math.log2(image_size // 4)))], 1


class ResNetGenerator(Generator):
    """z -> linear to 4 x 4 -> up-blocks -> BN, ReLU, conv3x3 -> tanh.

    A 32 x 32 generator has 3 up-blocks, a 128 x 128 one 5. `channels` is ch: the paper's CIFAR-10 generator has 256,
    its ImageNet generator 64. The classes are those of the up-blocks' batch norms; 0 for unconditional ones.
    """

    def __init__(
        self, image_size: int, channels: int, latent_dim: int = 128, num_classes: int = 0, widths: Widths = "constant"
    ) -> None:
        super().__init__()
        check_image_size(image_size)
        self.latent_dim, self.num_classes = latent_dim, num_classes
        multiples = generator_multiples(image_size, widths)
        self.linear = linear(latent_dim, 4 * 4 * channels * multiples[0])
        self.blocks = nn.ModuleList(
            UpBlock(channels * inputs, channels * outputs, num_classes) for inputs, outputs in pairwise(multiples)
        )
        self.bn = BatchNorm(channels * multiples[-1])
        self.conv = convolution(channels * multiples[-1], IMAGE_CHANNELS, 3, 1.0)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        labels = check_labels(labels, self.num_classes, z)
        h = self.linear(z).view(len(z), -1, 4, 4).contiguous(memory_format=self.memory_format)
        for block in self.blocks:
            h = block(h, labels)
        image: Tensor = self.conv(relu_(self.bn(h))).tanh()
        return image


class ResNetDiscriminator(Discriminator):
    """Images -> residual blocks -> ReLU -> global SUM pooling -> linear, + <embedding of the class, features>.

    The paper's 32 x 32 discriminator has 10 convolutions and a linear layer without bias, its 128 x 128 one 17
    and a bias. No batch normalization. `channels` is CH of Table I; a head of `num_classes` is left out for 0.
    """

    scores_alone = True

    def __init__(self, image_size: int, channels: int, num_classes: int = 0, widths: Widths = "constant") -> None:
        super().__init__()
        check_image_size(image_size)
        self.num_classes = num_classes
        multiples, blocks_at_the_end = discriminator_multiples(image_size, widths)
        self.features = features = channels * multiples[-1]
        self.blocks = nn.Sequential(
            FirstDownBlock(IMAGE_CHANNELS, channels),
            *(DownBlock(channels * inputs, channels * outputs, down=True) for inputs, outputs in pairwise(multiples)),
            *(DownBlock(features, features, down=False) for _ in range(blocks_at_the_end)),
        )
        self.linear = linear(features, 1, bias=widths == "pyramid")
        if num_classes:
            self.embedding = nn.Embedding(num_classes, features)
            nn.init.xavier_uniform_(self.embedding.weight)

    def takes_side_by_side(self, images: Tensor) -> bool:
        """Narrow nets on CPUs: there a call costs more than its arithmetic, and groups cost nothing, channels last."""
        on_cpu = images.device.type == "cpu" and self.memory_format == torch.channels_last
        return on_cpu and self.features <= WIDEST_SIDE_BY_SIDE

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """As of `Discriminator`; of k batches side by side `[B, 3 k, H, W]` and `[B, k]` -> `[B, k]`."""
        h = relu(self.blocks(x.contiguous(memory_format=self.memory_format)))
        with without_autocast(x.device):  # sums over many pixels: float32 at least
            h = at_least_float32(h).sum(dim=(2, 3))
            if x.shape[1] > IMAGE_CHANNELS:
                return self._scores_side_by_side(h.unflatten(1, (x.shape[1] // IMAGE_CHANNELS, -1)), labels)
            labels = check_labels(labels, self.num_classes, x)
            score: Tensor = self.linear(h).squeeze(1)
            return score + (self.embedding(labels) * h).sum(dim=1) if self.num_classes else score

    def _scores_side_by_side(self, h: Tensor, labels: Tensor | None) -> Tensor:
        """Features `[B, k, features]` of k batches and their labels `[B, k]` -> scores `[B, k]`."""
        directions = self.linear.weight  # [k, features]
        if self.num_classes:
            batch_of = torch.arange(h.shape[1], device=h.device)
            directions = directions + self.embedding.weight.unflatten(0, (h.shape[1], -1))[batch_of, labels]
        score: Tensor = (directions * h).sum(dim=2)
        return score if self.linear.bias is None else score + self.linear.bias


@dataclass(frozen=True)
class ResNetPair(Pair):
    """The sizes of a generator and its discriminator.

    ValueError if the image size is not 8 x 2^k, a width is below 1, or the number of classes negative.

    Attributes:
        image_size: H = W of the images, 8 x 2^k.
        generator_channels: ch of the generator.
        discriminator_channels: the CH of Table I.
        latent_dim: length of z.
        num_classes: number of classes; 0 for unconditional networks.
        widths: "constant" (the paper's 32 x 32 nets) or "pyramid" (its 128 x 128 nets).
    """

    image_size: int = 32
    generator_channels: int = 256
    discriminator_channels: int = 128
    latent_dim: int = 128
    num_classes: int = 0
    widths: Widths = "constant"

    def __post_init__(self) -> None:
        check_image_size(self.image_size)
        check_widths(self, self.generator_channels, self.discriminator_channels, self.latent_dim)
        if self.widths not in ("constant", "pyramid"):
            raise ValueError(f"Expected widths 'constant' or 'pyramid', found {self.widths!r}.")

    def build(self) -> tuple[ResNetGenerator, ResNetDiscriminator]:
        size, classes, widths = self.image_size, self.num_classes, self.widths
        return (
            ResNetGenerator(size, self.generator_channels, self.latent_dim, classes, widths),
            ResNetDiscriminator(size, self.discriminator_channels, classes, widths),
        )
