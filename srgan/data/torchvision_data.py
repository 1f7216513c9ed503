"""CIFAR-10 and STL-10 through torchvision."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from torchvision.datasets import CIFAR10, STL10

from srgan.data.image_data import SPLITS, ImageData, LabelledImages, Split
from srgan.utils.files import cache_folder, expanded, read_cached, write_cached
from srgan.utils.images import shrink
from srgan.utils.progress import Progress

CIFAR10_SIZE, STL10_SIZE, SHRUNK_SIZE = 32, 96, 32
CHUNK = 1000


class CIFAR10Data(ImageData):
    """50,000 training and 10,000 test images, 32 x 32 RGB, 10 classes, downloaded once and checked by md5.

    Smaller ones are means over squares of 2 x 2 or 4 x 4 pixels, rounded to the nearest.

    Args:
        root: folder of the download, as torchvision lays it out.
        image_size: H = W: 32, 16 or 8.
        settings: `batch_size`, `n_dis` and `seed` of `ImageData`.
    """

    name, title = "cifar10", "CIFAR-10"
    image_sizes = (32, 16, 8)
    content_is_fixed = True
    locations = ("root",)
    num_classes = 10

    def __init__(self, root: str = "data", image_size: int = CIFAR10_SIZE, **settings: int) -> None:
        super().__init__(image_size, **settings)
        self.root = str(expanded(root))

    def prepare_data(self) -> None:
        download(CIFAR10, self.root, self.title)

    def load(self, split: Split) -> LabelledImages:
        return _load_cifar10(self.root, split, self.image_size)


@cache
def _load_cifar10(root: str, split: Split, image_size: int) -> LabelledImages:
    data = CIFAR10(root, train=split == "train")
    images = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    if image_size != CIFAR10_SIZE:
        images = shrink(images, CIFAR10_SIZE // image_size)
    return LabelledImages(torch.from_numpy(images), torch.tensor(data.targets))


class STL10Data(ImageData):
    """The 100,000 unlabelled images of STL-10 as training and its 8,000 test images, 32 x 32 RGB, without labels.

    Downloaded once (2.6 GB) and checked by md5. Every pixel is the mean of 3 x 3 of the 96 x 96, rounded. The
    shrunk images are cached; with them there, the download is not needed any more.

    Args:
        root: folder of the download, as torchvision lays it out.
        image_size: 32.
        settings: `batch_size`, `n_dis` and `seed` of `ImageData`.
    """

    name, title = "stl10", "STL-10"
    image_sizes = (SHRUNK_SIZE,)
    content_is_fixed = True
    locations = ("root",)
    num_classes = 1

    def __init__(self, root: str = "data", image_size: int = SHRUNK_SIZE, **settings: int) -> None:
        super().__init__(image_size, **settings)
        self.root = str(expanded(root))

    def prepare_data(self) -> None:
        """Downloads and shrinks on one process per machine."""
        for split in SPLITS:
            if not shrunk_path(split).exists():
                self.load(split)

    def load(self, split: Split) -> LabelledImages:
        """All labels are 0."""
        return _load_stl10(self.root, split)


def _binary_file(split: Split) -> list[str]:
    """Name and md5 of torchvision's file of a split."""
    return list(STL10.train_list[2] if split == "train" else STL10.test_list[0])


def shrunk_path(split: Split) -> Path:
    """Where the shrunk images of a split are cached: named by the original's md5."""
    return cache_folder() / "images" / f"stl10-{SHRUNK_SIZE}-{_binary_file(split)[1][:12]}-{split}.npz"


def _shrunk(path: Path) -> np.ndarray:
    """The images of one of torchvision's files `[N, 3, 32, 32]`, piece by piece: it is larger than many memories."""
    originals = np.memmap(path, np.uint8, "r").reshape(-1, 3, STL10_SIZE, STL10_SIZE)
    images = np.empty((len(originals), 3, SHRUNK_SIZE, SHRUNK_SIZE), np.uint8)
    with Progress(f"shrinking {path.name}", len(images)) as progress:
        for start in range(0, len(images), CHUNK):
            columns_first = originals[start : start + CHUNK]
            images[start : start + CHUNK] = shrink(columns_first.transpose(0, 1, 3, 2), STL10_SIZE // SHRUNK_SIZE)
            progress.update(len(columns_first))
    return images


@cache
def _load_stl10(root: str, split: Split) -> LabelledImages:
    if stored := read_cached(shrunk_path(split), "images"):
        images = stored["images"]
    else:
        download(STL10, root, STL10Data.title)
        images = _shrunk(Path(root) / STL10.base_folder / _binary_file(split)[0])
        write_cached(shrunk_path(split), images=images)
    return LabelledImages(torch.from_numpy(images), torch.zeros(len(images), dtype=torch.int64))


def download(data_set: type[CIFAR10] | type[STL10], root: str, title: str) -> None:
    """Downloads and unpacks below `root` on one process per machine, unless it is there.

    ConnectionError, which says what to do without a network, if the download failed.
    """
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        with FileLock(Path(root) / ".download.lock"):  # torchvision writes straight into the final files
            data_set(root, download=True)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{title} is not in '{Path(root).resolve()}' and cannot be downloaded: {error}. Put {data_set.filename} "
            "there, or train on a folder or tar of its images: -c folder."
        ) from error
