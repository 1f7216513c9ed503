"""CIFAR-10 through torchvision."""

from functools import cache

import torch
from torchvision.datasets import CIFAR10

from srgan.data.base import ImageData, LabelledImages, Split, check_labelled_images
from srgan.data.download import download


class CIFAR10Data(ImageData):
    """50,000 training and 10,000 test images, 32 x 32 RGB, 10 classes, downloaded once and checked by md5.

    Args:
        root: folder of the download, as torchvision lays it out.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the order of the images and of the dequantization noise.
    """

    name = "cifar10"
    num_classes = 10

    def __init__(self, root: str = "data", batch_size: int = 64, n_dis: int = 5, seed: int = 0) -> None:
        super().__init__(32, batch_size, n_dis, seed)
        self.root = root

    def prepare_data(self) -> None:
        """Downloads on one process per machine.

        Raises:
            RuntimeError: the download failed; says how to go on without a network.
        """
        download(CIFAR10, self.root, "CIFAR-10", CIFAR10.filename)

    def load(self, split: Split) -> LabelledImages:
        return _load_cifar10(self.root, split)


@cache
def _load_cifar10(root: str, split: Split) -> LabelledImages:
    data = CIFAR10(root, train=split == "train")
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return check_labelled_images(LabelledImages(images, torch.tensor(data.targets)), 32, f"CIFAR-10 in '{root}'")
