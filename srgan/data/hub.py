"""Any data set of images that Hugging Face `datasets` opens: decoded once, then read from the disk at random."""

from functools import cached_property, partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from srgan.data.hub_source import at_home, check_finished, format_size, open_split, two_columns
from srgan.data.image_data import ImageData, LabelledImages, Split, digest_of, say
from srgan.prepare.decoding import PIXELS, UnreadableImage, read_image, warnings_of
from srgan.prepare.preparation import features_of
from srgan.utils.files import cache_folder, file_lock, read_json, write_json

if TYPE_CHECKING:  # the library takes a second to import
    from datasets import Dataset

MIN_PARALLEL_IMAGES = 5_000
"""Images that one process has decoded before several have started."""


class _Rows(NamedTuple):
    """A split with the columns `image`, fixed-size lists of `3 H W` bytes, and `label`; and a digest of it."""

    data: "Dataset"
    fingerprint: str


class HubData(ImageData):
    """A data set that `srgan prepare` or `Dataset.save_to_disk` wrote, or that `datasets.load_dataset` opens.

    Prepared images are read as they are. All others are decoded once, as by `srgan prepare`, into an Arrow file in the
    cache, named by the library's fingerprint. Either is mapped into memory, not loaded. FileNotFoundError, which says
    what to run, if there is no such folder, or one whose preparation is not finished.

    Args:
        path: a folder, or the name of a data set on the hub; ./NAME is a folder only.
        subset: name of one of several subsets (load_dataset's `name`).
        train_split: for training; ignored if `path` holds a single split.
        test_split: never seen in training; None if there is none.
        test_path: another prepared folder with the test split, if it is not in `path`.
        image_column: None if there is one column of images.
        label_column: None if there is one column of classes, or no labels. Plain integers are labels only if named.
        image_size: H = W.
        num_workers: processes that decode and, in training, read ahead; the images are the same for any number.
        settings: `batch_size`, `n_dis` and `seed` of `ImageData`.
    """

    locations = ("path", "test_path")

    def __init__(
        self,
        path: str,
        subset: str | None = None,
        train_split: str = "train",
        test_split: str | None = None,
        test_path: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        image_size: int = 32,
        num_workers: int = 2,
        **settings: int,
    ) -> None:
        super().__init__(image_size, **settings)
        self.subset, self.image_column, self.label_column = subset, image_column, label_column
        self.num_workers = num_workers
        path, test_path = at_home(path), at_home(test_path) if test_path else None
        self.places: dict[Split, tuple[str, str | None]] = {"train": (path, train_split)}
        if test_split is not None or test_path is not None:
            self.places["test"] = (path if test_path is None else test_path, test_split)
        for place, _ in self.places.values():
            check_finished(place)
        self.name = self.title = Path(path).name
        self._opened: dict[Split, _Rows] = {}

    def prepare_data(self) -> None:
        """Downloads and decodes on one process per machine."""
        for split in self.places:
            self._open(split)

    @property
    def has_test_split(self) -> bool:
        return "test" in self.places

    @cached_property
    def num_classes(self) -> int:
        """Of the column of classes; one more than the largest label where the column holds plain numbers."""
        label = self._open("train").data.features.get("label")
        return len(label.names) if hasattr(label, "names") else int(self.labels("train").max()) + 1

    @property
    def key(self) -> str:
        """Of the content alone, by all splits: a copy of the folder is the same data set."""
        return "-".join(["hub", str(self.image_size), *(self._open(split).fingerprint for split in self.places)])

    def load(self, split: Split) -> LabelledImages:
        """All of a split in memory: 63 GB for ImageNet. Training and measuring use `fetch`."""
        return self.fetch(split, torch.arange(self.num_images(split)))

    def fetch(self, split: Split, indices: Tensor) -> LabelledImages:
        rows = self._open(split).data[indices.tolist()]  # a table of views into the file
        images = torch.from_numpy(_pixels(rows)).view(-1, 3, self.image_size, self.image_size)
        return LabelledImages(images, _labels(rows))

    def labels(self, split: Split) -> Tensor:
        data = self._open(split).data
        if "label" not in data.features:
            return torch.zeros(len(data), dtype=torch.int64)
        return _labels(data.select_columns("label")[:])

    def num_images(self, split: Split) -> int:
        return len(self._open(split).data)

    def _open(self, split: Split) -> _Rows:
        """Opens a split, decodes it and checks its labels, at the first call; ValueError if anything is wrong."""
        if split in self._opened:
            return self._opened[split]
        if split not in self.places:
            raise ValueError("Expected a test split, found none. Set test_split to its name, or test_path to a folder.")
        data = two_columns(open_split(*self.places[split], self.subset), self.image_column, self.label_column)
        rows = self._decoded(data)
        self._check(split, rows.data)
        self._opened[split] = rows
        return rows

    def _decoded(self, data: "Dataset") -> _Rows:
        """Squares of bytes; those decoded before are found by the library's fingerprint."""
        from datasets import Image

        content = repr([data._fingerprint, self.image_size, PIXELS])
        fingerprint = blake2b(content.encode(), digest_size=8).hexdigest()
        image = data.features["image"]
        if not isinstance(image, Image):
            if image.length != 3 * self.image_size**2:
                raise ValueError(
                    f"Expected images of {self.image_size} x {self.image_size} in '{self.name}', found "
                    f"{format_size(image.length)}. Set image_size, or run srgan prepare ROOT OUT --image-size "
                    f"{self.image_size}"
                )
            return _Rows(data.with_format("arrow"), fingerprint)
        cache = cache_folder() / "images" / f"{self.name}-{self.image_size}-{fingerprint}.arrow"
        with file_lock(cache.with_suffix(".lock"), f"Another process decodes '{self.name}'; waiting for it."):
            found = data.cast_column("image", Image(decode=False)).map(
                partial(_decode, image_size=self.image_size),
                with_indices=True,
                batched=True,
                batch_size=100,
                features=features_of(self.image_size, data.features.get("label")),
                num_proc=self.num_workers if self.num_workers > 1 and len(data) >= MIN_PARALLEL_IMAGES else None,
                cache_file_name=str(cache),
                load_from_cache_file=True,
                new_fingerprint=fingerprint,
                desc=f"decoding {self.name}",
            )
            found = found.with_format("arrow")
            content, brightest = _content_of(found, cache.with_suffix(".json"))
        say(warnings_of(brightest))
        return _Rows(found, content)

    def _check(self, split: Split, data: "Dataset") -> None:
        """Raises ValueError where a label is missing, or the test split has other classes than training."""
        label = data.features.get("label")
        if split == "test" and label != (expected := self._open("train").data.features.get("label")):
            raise ValueError(f"Expected the training split's classes, {expected}, in the test split, found {label}.")
        if label is not None:
            labels = data.select_columns("label")[:]["label"]
            if labels.null_count or labels.to_numpy().min(initial=0) < 0:
                raise ValueError(
                    f"Expected a label for every image of {self.places[split]}, found images without. Choose another "
                    "split or label_column."
                )


def _content_of(data: "Dataset", known: Path) -> tuple[str, int]:
    """A digest of all pixels and labels, and the largest value: computed once, then read from the file `known`."""
    stored = read_json(known)
    if stored is None:
        brightest, parts = 0, []
        for rows in data.iter(batch_size=1000):
            pixels = _pixels(rows)
            brightest = max(brightest, int(pixels.max()))
            parts.append(digest_of([LabelledImages(torch.from_numpy(pixels), _labels(rows))]))
        digest = blake2b(repr(parts).encode(), digest_size=8).hexdigest()
        write_json(known, stored := {"content": digest, "brightest": brightest})
    return stored["content"], stored["brightest"]


def _pixels(rows: Any) -> np.ndarray:
    """`[n 3 H W]` uint8 of an Arrow table."""
    return np.concatenate([chunk.flatten().to_numpy() for chunk in rows["image"].chunks])


def _decode(batch: dict[str, list[Any]], rows: list[int], image_size: int) -> dict[str, np.ndarray]:
    """Image files as the library keeps them -> `[n, 3 H W]` uint8."""
    images = []
    for row, file in zip(rows, batch["image"], strict=True):
        try:
            if file is None:
                raise ValueError(f"Expected an image in each row, found none in row {row}. Fill it, or leave it out.")
            content = file["bytes"] if file["bytes"] is not None else Path(file["path"]).read_bytes()
            images.append(read_image(content, image_size).reshape(-1))
        except (UnreadableImage, OSError, TypeError) as error:
            name = file.get("path") or "without a name"
            raise ValueError(f"Cannot read image '{name}' in row {row}: {error}. Repair or leave it out.") from error
    return {"image": np.stack(images)}


def _labels(rows: Any) -> Tensor:
    """`[n]` int64 of an Arrow table; zeros where it has none."""
    if "label" not in rows.column_names:
        return torch.zeros(rows.num_rows, dtype=torch.int64)
    return torch.from_numpy(rows["label"].to_numpy().astype(np.int64))
