"""The plain convolutional pair of SN-GAN (Miyato et al. 2018, Table 3)."""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu_

from srgan.networks.blocks import BatchNorm, initialize_normally
from srgan.networks.pair import IMAGE_CHANNELS, Generator, Pair, PlainDiscriminator, check_widths

GENERATOR_MULTIPLES = (8, 4, 2, 1)  # of ch: 512, 256, 128, 64
DISCRIMINATOR_MULTIPLES = (1, 2, 4, 8)
SLOPE = 0.1  # of the leaky ReLU


class SNDCGANGenerator(Generator):
    """z -> linear to M/8 x M/8 -> three [transposed conv4x4 of stride 2, BN, ReLU] -> conv3x3 -> tanh.

    M = image_size is a multiple of 8. `channels` at full resolution, 8 times as many behind the linear layer; 64 there.
    """

    def __init__(self, image_size: int, channels: int, latent_dim: int = 128) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.smallest = image_size // 8
        widths = [channels * multiple for multiple in GENERATOR_MULTIPLES]
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

    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__()
        *halved, last = (channels * multiple for multiple in DISCRIMINATOR_MULTIPLES)
        self.convolutions = nn.ModuleList()
        inputs = IMAGE_CHANNELS
        for width in halved:
            self.convolutions.append(nn.Conv2d(inputs, width, 3, padding=1))
            self.convolutions.append(nn.Conv2d(width, width, 4, stride=2, padding=1))
            inputs = width
        self.convolutions.append(nn.Conv2d(inputs, last, 3, padding=1))
        self.slope = SLOPE
        self.linear = nn.Linear((image_size // 8) ** 2 * last, 1)
        initialize_normally(self)


@dataclass(frozen=True)
class SNDCGANPair(Pair):
    """The sizes of SN-GAN's plain convolutional nets: unconditional, weights from N(0, 0.02).

    Table 3 does not say how weights start; N(0, 0.02) is DCGAN's.

    Attributes:
        image_size: H = W of the images, a multiple of 8; the paper's are 32 and 48.
        generator_channels: ch of G.
        discriminator_channels: ch of D.
        latent_dim: length of z.

    Raises:
        ValueError: another image size, or a width below 1.
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
