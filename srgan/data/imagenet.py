"""ImageNet at 128 x 128, or any photographs that `srgan prepare imagenet` made ready: read from disk at random."""

from pathlib import Path

import torch
from torch import Tensor

from srgan.data.base import ImageData, LabelledImages, Split
from srgan.prepare.shards import PreparedImages


class ImageNetData(ImageData):
    """Images in a folder that `srgan prepare imagenet ROOT PATH` wrote; they stay on the disk.

    Labels are the classes' positions in the sorted list of their names.

    Args:
        path: the prepared training split.
        test_path: the prepared test split, of the same classes; None where there is none.
        image_size: H = W, as prepared.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the order of the images and of the dequantization noise.
        num_workers: processes that read ahead; the images are the same for any number.

    Raises:
        FileNotFoundError: nothing is prepared there, or not to its end; says what to run.
        ValueError: of another size, of other classes than the training split, or damaged.
    """

    def __init__(
        self,
        path: str = "data/imagenet128",
        test_path: str | None = None,
        image_size: int = 128,
        batch_size: int = 256,
        n_dis: int = 1,
        seed: int = 0,
        num_workers: int = 2,
    ) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        self.name = f"imagenet{image_size}"
        self.num_workers = num_workers
        self.prepared: dict[Split, PreparedImages] = {"train": PreparedImages(Path(path))}
        if test_path is not None:
            self.prepared["test"] = PreparedImages(Path(test_path))
        for prepared in self.prepared.values():
            self._check(prepared)

    def _check(self, prepared: PreparedImages) -> None:
        if prepared.image_size != self.image_size:
            raise ValueError(
                f"Expected images of {self.image_size} x {self.image_size} in '{prepared.folder}', found "
                f"{prepared.image_size} x {prepared.image_size}. Prepare another folder with "
                f"srgan prepare imagenet ROOT OUT --image-size {self.image_size}"
            )
        train = self.prepared["train"]
        if list(prepared.classes) != list(train.classes):
            raise ValueError(
                f"Expected the {len(train.classes)} classes of '{train.folder}' in '{prepared.folder}', found "
                f"{len(prepared.classes)}, or others."
            )

    def _split(self, split: Split) -> PreparedImages:
        if split not in self.prepared:
            raise ValueError(
                "Expected a prepared test split, found none. Run srgan prepare imagenet ROOT OUT --split val and set "
                "test_path to OUT."
            )
        return self.prepared[split]

    @property
    def has_test_split(self) -> bool:
        return "test" in self.prepared

    @property
    def num_classes(self) -> int:
        return len(self.prepared["train"].classes)

    @property
    def key(self) -> str:
        """Names the exact bytes of all prepared splits by their checksums."""
        return "-".join([self.name, *(prepared.checksum for prepared in self.prepared.values())])

    def load(self, split: Split) -> LabelledImages:
        """All of a split in memory: 63 GB for ImageNet. Training and measuring use `fetch`."""
        return self.fetch(split, torch.arange(self.num_images(split)))

    def fetch(self, split: Split, indices: Tensor) -> LabelledImages:
        prepared = self._split(split)
        images = torch.from_numpy(prepared.read(indices.tolist()))
        return LabelledImages(images, self.labels(split)[indices])

    def labels(self, split: Split) -> Tensor:
        return torch.from_numpy(self._split(split).labels)

    def num_images(self, split: Split) -> int:
        return len(self._split(split))
