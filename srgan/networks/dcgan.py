"""The pair of DCGAN (Radford et al. 2016): strided convolutions down, strided transposed convolutions up."""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu_

from srgan.networks.blocks import BatchNorm, initialize_normally
from srgan.networks.pair import IMAGE_CHANNELS, Generator, Pair, PlainDiscriminator, check_widths

IMAGE_SIZES = (16, 32, 64)
SLOPE = 0.2  # of the leaky ReLU


def widths_from_4x4(image_size: int, channels: int) -> list[int]:
    """Channels at 4 x 4, 8 x 8, ... and half the image size: twice as many with each halving of the resolution."""
    doublings = int(math.log2(image_size // 4))
    return [channels * 2**k for k in reversed(range(doublings))]


class DCGANGenerator(Generator):
    """z -> linear to 4 x 4 -> [BN, ReLU, transposed conv4x4 of stride 2] up to 16, 32 or 64 pixels -> tanh.

    `channels` at half the image size, twice as many at each lower resolution.
    """

    def __init__(self, image_size: int, channels: int, latent_dim: int = 100) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        widths = widths_from_4x4(image_size, channels)
        self.linear = nn.Linear(latent_dim, 4 * 4 * widths[0])
        self.batch_norms = nn.ModuleList(BatchNorm(width) for width in widths)
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
            for inputs, outputs in pairwise([*widths, IMAGE_CHANNELS])
        )
        initialize_normally(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.linear(z).view(len(z), -1, 4, 4).contiguous(memory_format=self.memory_format)
        for bn, convolution in zip(self.batch_norms, self.convolutions, strict=True):
            h = convolution(relu_(bn(h)))
        image: Tensor = h.tanh()
        return image


class DCGANDiscriminator(PlainDiscriminator):
    """Images of 16, 32 or 64 pixels -> [conv4x4 of stride 2, leaky ReLU] down to 4 x 4 -> linear.

    `channels` at half the image size, twice as many at each lower resolution. Departs from the paper: no batch norm,
    which is a constraint here (`srgan.constraints.BatchNormalization`).
    """

    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__()
        widths = [IMAGE_CHANNELS, *reversed(widths_from_4x4(image_size, channels))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1) for inputs, outputs in pairwise(widths)
        )
        self.slope = SLOPE
        self.linear = nn.Linear(4 * 4 * widths[-1], 1)
        initialize_normally(self)


@dataclass(frozen=True)
class DCGANPair(Pair):
    """The sizes of DCGAN's nets: unconditional, weights from N(0, 0.02).

    Departs from the paper: kernels of 4 x 4 in place of 5 x 5, which stride 2 covers evenly, and z from N(0, I)
    in place of a uniform distribution, as for all nets here.

    Attributes:
        image_size: H = W of the images: 16, 32 or 64.
        generator_channels: of G at half the image size; the paper's 64 x 64 generator has 128, hence 1,024 at 4 x 4.
        discriminator_channels: of D at half the image size.
        latent_dim: length of z.

    Raises:
        ValueError: another image size, or a width below 1.
    """

    image_size: int = 32
    generator_channels: int = 128
    discriminator_channels: int = 64
    latent_dim: int = 100

    def __post_init__(self) -> None:
        if self.image_size not in IMAGE_SIZES:
            raise ValueError(f"Expected an image size of 16, 32 or 64 for DCGAN, found {self.image_size}.")
        check_widths(self, self.generator_channels, self.discriminator_channels, self.latent_dim)

    def build(self) -> tuple[DCGANGenerator, DCGANDiscriminator]:
        return (
            DCGANGenerator(self.image_size, self.generator_channels, self.latent_dim),
            DCGANDiscriminator(self.image_size, self.discriminator_channels),
        )
