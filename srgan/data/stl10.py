"""STL-10 through torchvision, shrunk to 32 x 32 once."""

from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torchvision.datasets import STL10

from srgan.data.download import download
from srgan.data.image_data import ImageData, LabelledImages, Split, check_labelled_images
from srgan.data.images import shrink
from srgan.files import cache_folder, write_atomically
from srgan.progress import Progress

STORED_SIZE, IMAGE_SIZE = 96, 32
PIECE = 1000


class STL10Data(ImageData):
    """The 100,000 unlabelled images of STL-10 as training and its 8,000 test images, 32 x 32 RGB, without labels.

    Downloaded once (2.6 GB) and checked by md5. Every pixel is the mean of 3 x 3 of the 96 x 96, rounded. The
    shrunk images are cached; with them there, the download is not needed any more.

    Args:
        root: folder of the download, as torchvision lays it out.
        image_size: 32.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the order of the images and of the dequantization noise.

    Raises:
        ValueError: another image size.
    """

    name = "stl10"
    num_classes = 1

    def __init__(
        self,
        root: str = "data",
        image_size: int = IMAGE_SIZE,
        batch_size: int = 64,
        n_dis: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        if image_size != IMAGE_SIZE:
            raise ValueError(f"Expected an image size of {IMAGE_SIZE} for STL-10, found {image_size}.")
        self.root = root

    def prepare_data(self) -> None:
        """Downloads and shrinks on one process per machine.

        Raises:
            RuntimeError: the download failed; says how to go on without a network.
        """
        if all(shrunk_path(split).exists() for split in ("train", "test")):
            return
        download(STL10, self.root, "STL-10", STL10.filename)
        shrink_split(self.root, "train")
        shrink_split(self.root, "test")

    def load(self, split: Split) -> LabelledImages:
        """All labels are 0."""
        if not shrunk_path(split).exists():
            self.prepare_data()
        return _load_shrunk(shrunk_path(split))


def binary_file(split: Split) -> tuple[str, str]:
    """Name and md5 of torchvision's file of a split."""
    name, md5 = STL10.train_list[2] if split == "train" else STL10.test_list[0]
    return name, md5


def shrunk_path(split: Split) -> Path:
    """Where the shrunk images of a split are cached: named by the original's md5."""
    return cache_folder() / "images" / f"stl10-{IMAGE_SIZE}-{binary_file(split)[1][:12]}-{split}.npy"


def shrink_split(root: str, split: Split) -> None:
    """Shrinks a split from file to file, piece by piece: the original is larger than many memories."""
    source = Path(root) / STL10.base_folder / binary_file(split)[0]
    image_bytes = 3 * STORED_SIZE**2
    count = source.stat().st_size // image_bytes

    def write(target: IO[bytes]) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, 3, IMAGE_SIZE, IMAGE_SIZE)}
        np.lib.format.write_array_header_1_0(target, header)
        with source.open("rb") as file, Progress(f"shrinking {source.name}", count) as progress:
            while content := file.read(PIECE * image_bytes):
                columns_first = np.frombuffer(content, np.uint8)
                images = columns_first.reshape(-1, 3, STORED_SIZE, STORED_SIZE).transpose(0, 1, 3, 2)
                target.write(shrink(images, STORED_SIZE // IMAGE_SIZE).tobytes())
                progress.advance(len(images))

    write_atomically(shrunk_path(split), write)


@cache
def _load_shrunk(path: Path) -> LabelledImages:
    images = torch.from_numpy(np.load(path, allow_pickle=False))
    labels = torch.zeros(len(images), dtype=torch.int64)
    return check_labelled_images(LabelledImages(images, labels), IMAGE_SIZE, f"'{path}'")
