"""Plain convolutional pairs: those of DCGAN (Radford et al. 2016) and of SN-GAN (Miyato et al. 2018, Table 3)."""

import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu_

from srgan.networks.blocks import BatchNorm, initialize_normally
from srgan.networks.pair import IMAGE_CHANNELS, Generator, Pair, PlainDiscriminator, check_widths


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

    slope = 0.2

    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__()
        widths = [IMAGE_CHANNELS, *reversed(widths_from_4x4(image_size, channels))]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1) for inputs, outputs in pairwise(widths)
        )
        self.linear = nn.Linear(4 * 4 * widths[-1], 1)
        initialize_normally(self)


@dataclass(frozen=True)
class DCGANPair(Pair):
    """The sizes of DCGAN's nets: unconditional, weights from N(0, 0.02).

    Departs from the paper: kernels of 4 x 4 in place of 5 x 5, which stride 2 covers evenly, and z from N(0, I) in
    place of a uniform distribution, as for all nets here. ValueError for another image size, or a width below 1.

    Attributes:
        image_size: H = W of the images: 16, 32 or 64.
        generator_channels: of G at half the image size; the paper's 64 x 64 generator has 128, hence 1,024 at 4 x 4.
        discriminator_channels: of D at half the image size.
        latent_dim: length of z.
    """

    image_size: int = 32
    generator_channels: int = 128
    discriminator_channels: int = 64
    latent_dim: int = 100

    def __post_init__(self) -> None:
        if self.image_size not in (16, 32, 64):
            raise ValueError(f"Expected an image size of 16, 32 or 64 for DCGAN, found {self.image_size}.")
        check_widths(self, self.generator_channels, self.discriminator_channels, self.latent_dim)

    def build(self) -> tuple[DCGANGenerator, DCGANDiscriminator]:
        return (
            DCGANGenerator(self.image_size, self.generator_channels, self.latent_dim),
            DCGANDiscriminator(self.image_size, self.discriminator_channels),
        )


class SNDCGANGenerator(Generator):
    """z -> linear to M/8 x M/8 -> three [transposed conv4x4 of stride 2, BN, ReLU] -> conv3x3 -> tanh.

    M = image_size is a multiple of 8. `channels` at full resolution, 8 times as many behind the linear layer; 64 there.
    """

    def __init__(self, image_size: int, channels: int, latent_dim: int = 128) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.smallest = image_size // 8
        widths = [channels * multiple for multiple in (8, 4, 2, 1)]
        self.linear = nn.Linear(latent_dim, self.smallest**2 * widths[0])
        self.convolutions = nn.ModuleList(
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1) for inputs, outputs in pairwise(widths)
        )
        self.batch_norms = nn.ModuleList(BatchNorm(width) for width in widths[1:])
        self.conv = nn.Conv2d(channels, IMAGE_CHANNELS, 3, padding=1)
        initialize_normally(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.linear(z).view(len(z), -1, self.smallest, self.smallest).contiguous(memory_format=self.memory_format)
        for convolution, bn in zip(self.convolutions, self.batch_norms, strict=True):
            h = relu_(bn(convolution(h)))
        image: Tensor = self.conv(h).tanh()
        return image


class SNDCGANDiscriminator(PlainDiscriminator):
    """Images -> three [conv3x3, conv4x4 of stride 2] -> conv3x3 -> linear, leaky ReLU behind each convolution.

    `channels` of the first two convolutions, 8 times as many of the last; 64 in the paper. Image sizes: multiples of 8.
    """

    slope = 0.1

    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__()
        *halved, last = (channels * multiple for multiple in (1, 2, 4, 8))
        self.convolutions = nn.ModuleList()
        for inputs, width in pairwise([IMAGE_CHANNELS, *halved]):
            self.convolutions.append(nn.Conv2d(inputs, width, 3, padding=1))
            self.convolutions.append(nn.Conv2d(width, width, 4, stride=2, padding=1))
        self.convolutions.append(nn.Conv2d(halved[-1], last, 3, padding=1))
        self.linear = nn.Linear((image_size // 8) ** 2 * last, 1)
        initialize_normally(self)


@dataclass(frozen=True)
class SNDCGANPair(Pair):
    """The sizes of SN-GAN's plain convolutional nets: unconditional, weights from N(0, 0.02).

    Table 3 does not say how weights start; N(0, 0.02) is DCGAN's. ValueError for another image size, or a width below
    1.

    Attributes:
        image_size: H = W of the images, a multiple of 8; the paper's are 32 and 48.
        generator_channels: ch of G.
        discriminator_channels: ch of D.
        latent_dim: length of z.
    """

    image_size: int = 32
    generator_channels: int = 64
    discriminator_channels: int = 64
    latent_dim: int = 128

    def __post_init__(self) -> None:
        if self.image_size < 8 or self.image_size % 8:
            raise ValueError(f"Expected a multiple of 8 as image size for SNDCGAN, found {self.image_size}.")
        check_widths(self, self.generator_channels, self.discriminator_channels, self.latent_dim)

    def build(self) -> tuple[SNDCGANGenerator, SNDCGANDiscriminator]:
        return (
            SNDCGANGenerator(self.image_size, self.generator_channels, self.latent_dim),
            SNDCGANDiscriminator(self.image_size, self.discriminator_channels),
        )
