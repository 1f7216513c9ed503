"""STL-10 through torchvision, shrunk to 32 x 32 once."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import STL10

from srgan.data.download import download
from srgan.data.image_data import ImageData, LabelledImages, Split, check_labelled_images
from srgan.utils.files import cache_folder, expanded, read_cached, write_cached
from srgan.utils.images import shrink
from srgan.utils.progress import Progress

STORED_SIZE, IMAGE_SIZE = 96, 32
CHUNK = 1000


class STL10Data(ImageData):
    """The 100,000 unlabelled images of STL-10 as training and its 8,000 test images, 32 x 32 RGB, without labels.

    Downloaded once (2.6 GB) and checked by md5. Every pixel is the mean of 3 x 3 of the 96 x 96, rounded. The
    shrunk images are cached; with them there, the download is not needed any more.

    Args:
        root: folder of the download, as torchvision lays it out.
        image_size: 32.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: Random seed of the order of the images and of the dequantization noise.
    """

    name, title = "stl10", "STL-10"
    image_sizes = (IMAGE_SIZE,)
    content_is_fixed = True
    locations = ("root",)
    num_classes = 1

    def __init__(
        self, root: str = "data", image_size: int = IMAGE_SIZE, batch_size: int = 64, n_dis: int = 5, seed: int = 0
    ) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        self.root = str(expanded(root))

    def prepare_data(self) -> None:
        """Downloads and shrinks on one process per machine."""
        splits: tuple[Split, Split] = ("train", "test")
        for split in splits:
            if not shrunk_path(split).exists():
                self.load(split)

    def load(self, split: Split) -> LabelledImages:
        """All labels are 0."""
        return _load_stl10(self.root, split)


def binary_file(split: Split) -> tuple[str, str]:
    """Name and md5 of torchvision's file of a split."""
    name, md5 = STL10.train_list[2] if split == "train" else STL10.test_list[0]
    return name, md5


def shrunk_path(split: Split) -> Path:
    """Where the shrunk images of a split are cached: named by the original's md5."""
    return cache_folder() / "images" / f"stl10-{IMAGE_SIZE}-{binary_file(split)[1][:12]}-{split}.npz"


def shrunk(path: Path) -> np.ndarray:
    """The images of one of torchvision's files `[N, 3, 32, 32]`, piece by piece: it is larger than many memories."""
    originals = np.memmap(path, np.uint8, "r").reshape(-1, 3, STORED_SIZE, STORED_SIZE)
    images = np.empty((len(originals), 3, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    with Progress(f"shrinking {path.name}", len(images)) as progress:
        for start in range(0, len(images), CHUNK):
            columns_first = originals[start : start + CHUNK]
            images[start : start + CHUNK] = shrink(columns_first.transpose(0, 1, 3, 2), STORED_SIZE // IMAGE_SIZE)
            progress.update(len(columns_first))
    return images


@cache
def _load_stl10(root: str, split: Split) -> LabelledImages:
    if stored := read_cached(shrunk_path(split), "images"):
        images = stored["images"]
    else:
        download(STL10, root, STL10Data.title)
        images = shrunk(Path(root) / STL10.base_folder / binary_file(split)[0])
        write_cached(shrunk_path(split), images=images)
    labels = torch.zeros(len(images), dtype=torch.int64)
    return check_labelled_images(LabelledImages(torch.from_numpy(images), labels), IMAGE_SIZE, f"STL-10 in '{root}'")
