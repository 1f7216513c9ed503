"""The pair of BEGAN (Berthelot et al. 2017): the discriminator is an autoencoder, and its score is what it loses."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import elu_

from srgan.networks.blocks import EnlargementAndConvolution
from srgan.networks.pair import IMAGE_CHANNELS, Discriminator, Generator, Pair, at_least_float32, check_widths

SMALLEST = 8  # H = W between convolutions and linear layers


def halvings(image_size: int) -> int:
    """Between the image and 8 x 8."""
    return int(math.log2(image_size // SMALLEST))


def same_size(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1)


class Decoder(nn.Module):
    """Code -> linear to 8 x 8 -> [conv3x3, conv3x3] with nearest x2 in between -> conv3x3 -> tanh.

    `channels` at all resolutions, ELU behind each convolution but the last.
    """

    def __init__(self, image_size: int, channels: int, code_length: int) -> None:
        super().__init__()
        self.linear = nn.Linear(code_length, SMALLEST**2 * channels)
        self.convolutions = nn.ModuleList(same_size(channels) for _ in range(2))
        for _ in range(halvings(image_size)):
            self.convolutions.extend([EnlargementAndConvolution(channels, channels), same_size(channels)])
        self.image = nn.Conv2d(channels, IMAGE_CHANNELS, 3, padding=1)

    def forward(self, code: Tensor, memory_format: torch.memory_format) -> Tensor:
        """`[B, code_length]` -> images `[B, 3, H, W]` in [-1, 1]."""
        h = self.linear(code).view(len(code), -1, SMALLEST, SMALLEST).contiguous(memory_format=memory_format)
        for convolution in self.convolutions:
            h = elu_(convolution(h))
        image: Tensor = self.image(h).tanh()
        return image


class AutoencoderGenerator(Generator):
    """z `[B, latent_dim]` -> decoder of so many channels."""

    def __init__(self, image_size: int, channels: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.decoder = Decoder(image_size, channels, latent_dim)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        image: Tensor = self.decoder(z, self.memory_format)
        return image


class AutoencoderDiscriminator(Discriminator):
    """Images v -> encoder -> bottleneck -> decoder D(v); its output is L(v) = mean |v - D(v)|.

    Encoder: conv3x3, then [conv3x3, conv3x3] with conv3x3 of stride 2 in between, ELU behind each, n, 2n, 3n, ...
    channels; linear to a code of length `bottleneck` without ELU.
    """

    scores_alone = True

    def __init__(self, image_size: int, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([nn.Conv2d(IMAGE_CHANNELS, channels, 3, padding=1)])
        *halved, last = (channels * level for level in range(1, halvings(image_size) + 2))
        for width in halved:
            self.convolutions.extend([same_size(width), same_size(width)])
            self.convolutions.append(nn.Conv2d(width, width + channels, 3, stride=2, padding=1))
        self.convolutions.extend([same_size(last), same_size(last)])
        self.linear = nn.Linear(SMALLEST**2 * last, bottleneck)
        self.decoder = Decoder(image_size, channels, bottleneck)

    def reconstruct(self, images: Tensor) -> Tensor:
        """D(v): `[B, 3, H, W]` in [-1, 1], of images v of the same shape and range."""
        h = images.contiguous(memory_format=self.memory_format)
        for convolution in self.convolutions:
            h = elu_(convolution(h))
        reconstruction: Tensor = self.decoder(self.linear(h.flatten(1)), self.memory_format)
        return reconstruction

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images `[B, 3, H, W]` in [-1, 1] -> L(v) `[B]`, at least 0: of all pairs the one whose LOWER is "real"."""
        return (at_least_float32(images) - self.reconstruct(images)).abs().mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class AutoencoderPair(Pair):
    """The sizes of BEGAN's nets: unconditional; the decoder of D is built like G.

    Departs from the paper: z comes from N(0, I) in place of a uniform distribution, as for all nets here; images leave
    through a tanh, so that they are in [-1, 1]; no skip connections. ValueError for another image size, or a width
    below 1.

    Attributes:
        image_size: H = W of the images: 16, 32 or 64.
        generator_channels: n of G.
        discriminator_channels: n of D; the paper's are 64 and 128, the same in both nets.
        latent_dim: length of z.
        bottleneck: length of D's code; the paper's is that of z.
    """

    image_size: int = 32
    generator_channels: int = 64
    discriminator_channels: int = 64
    latent_dim: int = 64
    bottleneck: int = 64

    is_autoencoder = True

    def __post_init__(self) -> None:
        if self.image_size not in (16, 32, 64):
            raise ValueError(f"Expected an image size of 16, 32 or 64 for autoencoders, found {self.image_size}.")
        check_widths(self, self.generator_channels, self.discriminator_channels, self.latent_dim, self.bottleneck)

    def build(self) -> tuple[AutoencoderGenerator, AutoencoderDiscriminator]:
        return (
            AutoencoderGenerator(self.image_size, self.generator_channels, self.latent_dim),
            AutoencoderDiscriminator(self.image_size, self.discriminator_channels, self.bottleneck),
        )
