"""What every pair of nets promises: a generator, its discriminator, and the sizes that build both."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_

from srgan.utils.precision import without_autocast

IMAGE_CHANNELS = 3


class Generator(nn.Module, ABC):
    """z -> images.

    Attributes:
        latent_dim: length of z.
        num_classes: labels are in [0, num_classes); 0 for an unconditional net, which ignores them.
        memory_format: layout of the convolutions' tensors.
    """

    latent_dim: int
    num_classes: int = 0
    memory_format: torch.memory_format = torch.contiguous_format

    @abstractmethod
    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """z `[B, latent_dim]` ~ N(0, I), labels `[B]` int64 if conditional -> images `[B, 3, H, W]` in [-1, 1]."""


class Discriminator(nn.Module, ABC):
    """Images -> scores.

    Attributes:
        num_classes: labels are in [0, num_classes); 0 for an unconditional net, which ignores them.
        memory_format: layout of the convolutions' tensors.
        scores_alone: whether an image's score depends on no other image of the batch.
    """

    num_classes: int = 0
    memory_format: torch.memory_format = torch.contiguous_format
    scores_alone: bool = False

    def takes_side_by_side(self, images: Tensor) -> bool:
        """Whether batches like this one are best put through the net side by side, each under weights of its own.

        Then images of k batches `[B, 3 k, H, W]` and their labels `[B, k]` give scores `[B, k]` under weights with k
        times as many outputs (for k > 1).
        """
        return False

    @abstractmethod
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images `[B, 3, H, W]` in [-1, 1], labels `[B]` int64 if conditional -> scores `[B]`, higher for "real"."""


class PlainDiscriminator(Discriminator):
    """Convolutions one behind the other, each with a leaky ReLU of `slope`, and a linear head on all that is left."""

    convolutions: nn.ModuleList
    linear: nn.Linear
    slope: float
    scores_alone = True

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        h = images.contiguous(memory_format=self.memory_format)
        for convolution in self.convolutions:
            h = leaky_relu_(convolution(h), self.slope)
        with without_autocast(images.device):  # scores, and so losses, are float32 at least
            score: Tensor = self.linear(at_least_float32(h).flatten(1)).squeeze(1)
        return score


class Pair(ABC):
    """The sizes of a generator and its discriminator; a value, which holds no weights.

    Attributes:
        image_size: H = W of the images.
        latent_dim: length of z.
        num_classes: number of classes of conditional networks; 0 for unconditional ones.
        is_autoencoder: whether D's outputs are reconstruction losses, lower for "real", in place of scores.
    """

    image_size: int
    latent_dim: int
    num_classes: int = 0
    is_autoencoder: bool = False

    @abstractmethod
    def build(self) -> tuple[Generator, Discriminator]:
        """Both networks, freshly initialized from the global random state."""


def check_widths(pair: Pair, *widths: int) -> None:
    """ValueError if a width is below 1, or the number of classes negative."""
    if min(widths) < 1 or pair.num_classes < 0:
        raise ValueError(f"Expected widths of at least 1 and num_classes of at least 0, found {pair}.")


def check_labels(labels: Tensor | None, num_classes: int, batch: Tensor) -> Tensor:
    """Labels that a conditional net can index its tables with; an unconditional one takes any, or zeros.

    ValueError if a conditional net has not been given one label for each example.
    """
    if not num_classes:
        return labels if labels is not None else torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    if labels is None or labels.shape != batch.shape[:1]:
        found = "none" if labels is None else f"labels {list(labels.shape)}"
        raise ValueError(f"Expected a label for each of {len(batch)} examples of a conditional net, found {found}.")
    return labels


def at_least_float32(x: Tensor) -> Tensor:
    """For sums over many pixels, which half precision would round."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
