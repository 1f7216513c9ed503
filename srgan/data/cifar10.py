"""CIFAR-10 through torchvision."""

from functools import cache

import numpy as np
import torch
from torchvision.datasets import CIFAR10

from srgan.data.download import download
from srgan.data.image_data import ImageData, LabelledImages, Split, check_labelled_images
from srgan.utils.files import expanded
from srgan.utils.images import shrink

STORED_SIZE = 32


class CIFAR10Data(ImageData):
    """50,000 training and 10,000 test images, 32 x 32 RGB, 10 classes, downloaded once and checked by md5.

    Smaller ones are means over squares of 2 x 2 or 4 x 4 pixels, rounded to the nearest.

    Args:
        root: folder of the download, as torchvision lays it out.
        image_size: H = W: 32, 16 or 8.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: Random seed of the order of the images and of the dequantization noise.
    """

    name, title = "cifar10", "CIFAR-10"
    image_sizes = (32, 16, 8)
    content_is_fixed = True
    locations = ("root",)
    num_classes = 10

    def __init__(
        self, root: str = "data", image_size: int = 32, batch_size: int = 64, n_dis: int = 5, seed: int = 0
    ) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        self.root = str(expanded(root))

    def prepare_data(self) -> None:
        download(CIFAR10, self.root, self.title)

    def load(self, split: Split) -> LabelledImages:
        return _load_cifar10(self.root, split, self.image_size)


@cache
def _load_cifar10(root: str, split: Split, image_size: int) -> LabelledImages:
    data = CIFAR10(root, train=split == "train")
    images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    if image_size != STORED_SIZE:
        images = shrink(images, STORED_SIZE // image_size)
    labelled = LabelledImages(torch.from_numpy(images), torch.tensor(data.targets))
    return check_labelled_images(labelled, image_size, f"CIFAR-10 in '{root}'")
