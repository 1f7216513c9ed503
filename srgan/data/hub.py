"""Any data set of images that Hugging Face `datasets` opens: decoded once, then read from the disk at random."""

from functools import cached_property, partial
from hashlib import blake2b
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from srgan.data.image_data import ImageData, LabelledImages, Split
from srgan.decoding import PIXELS, UnreadableImage, read_image
from srgan.files import cache_folder, only_process
from srgan.prepare.job import FINISHED, JOB, features_of

if TYPE_CHECKING:  # the library takes a second to import
    from datasets import Dataset

FEW = 5_000
"""Images that one process has decoded before several have started."""


class _Rows(NamedTuple):
    """A split with the columns `image`, fixed-size lists of `3 H W` bytes, and `label`, and the name of its content."""

    data: "Dataset"
    fingerprint: str


class HubData(ImageData):
    """A data set that `srgan prepare` or `Dataset.save_to_disk` wrote, or that `datasets.load_dataset` opens.

    Prepared images are read as they are. All others are decoded once, as `srgan prepare` does it, into an Arrow file
    in the cache, named by the library's fingerprint. Either is mapped into memory, not loaded.

    Args:
        path: a folder, or the name of a data set on the hub. Write ./NAME to be refused where no folder is.
        subset: of several that a data set has; load_dataset calls it name.
        train_split: what training sees; of no account where `path` holds one split only.
        test_split: what training never sees; None where there is no such split.
        test_path: where the test split is, if not in `path`: another prepared folder.
        image_column: None where there is one column of images.
        label_column: None where there is one column of classes, or no labels at all.
        image_size: H = W.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the order of the images and of the dequantization noise.
        num_workers: processes that decode and, in training, read ahead; the images are the same for any number.

    Raises:
        FileNotFoundError: there is no such folder, or one whose preparation is not finished; says what to run.
    """

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
        batch_size: int = 64,
        n_dis: int = 5,
        seed: int = 0,
        num_workers: int = 2,
    ) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        self.subset = subset
        self.image_column = image_column
        self.label_column = label_column
        self.num_workers = num_workers
        self.places: dict[Split, tuple[str, str | None]] = {"train": (path, train_split)}
        if test_split is not None or test_path is not None:
            self.places["test"] = (path if test_path is None else test_path, test_split)
        for place, _ in self.places.values():
            refuse_unfinished(place)
        self.name = Path(path).name
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
        """Names the exact images of all splits by their fingerprints."""
        return "-".join([self.name, str(self.image_size), *(self._open(split).fingerprint for split in self.places)])

    def load(self, split: Split) -> LabelledImages:
        """All of a split in memory: 63 GB for ImageNet. Training and measuring use `fetch`."""
        return self.fetch(split, torch.arange(self.num_images(split)))

    def fetch(self, split: Split, indices: Tensor) -> LabelledImages:
        rows = self._open(split).data[indices.tolist()]  # a table of views into the file
        pixels = np.concatenate([chunk.flatten().to_numpy() for chunk in rows["image"].chunks])
        return LabelledImages(torch.from_numpy(pixels).view(-1, 3, self.image_size, self.image_size), _labels(rows))

    def labels(self, split: Split) -> Tensor:
        data = self._open(split).data
        if "label" not in data.features:
            return torch.zeros(len(data), dtype=torch.int64)
        return _labels(data.select_columns("label")[:])

    def num_images(self, split: Split) -> int:
        return len(self._open(split).data)

    def _open(self, split: Split) -> _Rows:
        """Opens a split, decodes what is not decoded, and checks the labels, all at the first call.

        Raises:
            ValueError: no such split or column, no images of this size, one that cannot be read, or odd labels.
        """
        if split in self._opened:
            return self._opened[split]
        if split not in self.places:
            raise ValueError(
                "Expected a test split, found none. Set test_split to its name, or test_path to its folder."
            )
        data = open_split(*self.places[split], self.subset)
        data = two_columns(data, self.image_column, self.label_column)
        content = repr([data._fingerprint, self.image_size, PIXELS])
        fingerprint = blake2b(content.encode(), digest_size=8).hexdigest()
        rows = _Rows(self._decoded(data, fingerprint).with_format("arrow"), fingerprint)
        self._check(split, rows.data)
        self._opened[split] = rows
        return rows

    def _decoded(self, data: "Dataset", fingerprint: str) -> "Dataset":
        from datasets import Image

        image = data.features["image"]
        if not isinstance(image, Image):
            if image.length != 3 * self.image_size**2:
                side = isqrt(image.length // 3)
                raise ValueError(
                    f"Expected images of {self.image_size} x {self.image_size} in '{self.name}', found {side} x {side}."
                    f" Set image_size, or run srgan prepare imagenet ROOT OUT --image-size {self.image_size}"
                )
            return data
        cache = cache_folder() / "images" / f"{self.name}-{self.image_size}-{fingerprint}.arrow"
        with only_process(cache.with_suffix(".lock"), f"Another process decodes '{self.name}'; waiting for it."):
            return data.cast_column("image", Image(decode=False)).map(
                partial(_decode, image_size=self.image_size),
                batched=True,
                batch_size=100,
                features=features_of(self.image_size, data.features.get("label")),
                num_proc=self.num_workers if self.num_workers > 1 and len(data) >= FEW else None,
                cache_file_name=str(cache),
                load_from_cache_file=True,
                new_fingerprint=fingerprint,
                desc=f"decoding {self.name}",
            )

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


def refuse_unfinished(path: str) -> None:
    """Raises FileNotFoundError for a folder that is not there or not finished."""
    folder = Path(path)
    begun = (folder / JOB).exists() and not (folder / FINISHED).exists()
    if begun or (path.startswith((".", "/")) and not folder.exists()):
        what = "one whose preparation is not finished. Run the same command again" if begun else "nothing. Run"
        raise FileNotFoundError(
            f"Expected a data set in the folder '{folder.resolve()}', found {what}: srgan prepare imagenet ROOT {path}"
        )


def open_split(path: str, split: str | None, subset: str | None) -> "Dataset":
    """One split of a data set on the disk or on the hub.

    Args:
        path: of a folder that the library wrote, or of anything that `load_dataset` takes.
        split: its name; None, or any name, for a folder that holds a single split.
        subset: of several; None where there is one.

    Raises:
        ValueError: there is no such split, or the library cannot open it; says why.
    """
    from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

    folder = Path(path)
    saved = any((folder / name).exists() for name in ("state.json", "dataset_dict.json"))
    try:
        found = (
            load_from_disk(path) if saved else load_dataset(str(folder.resolve()) if folder.exists() else path, subset)
        )
    except (OSError, ValueError) as error:  # among them are its own, and pyarrow's of a file that was cut short
        hint = f" Run again, which mends it: srgan prepare imagenet ROOT {path}" if (folder / JOB).exists() else ""
        raise ValueError(f"'{path}' cannot be opened as a data set of Hugging Face's: {error}.{hint}") from error
    if isinstance(found, Dataset):
        return found
    assert isinstance(found, DatasetDict)
    if split not in found:
        raise ValueError(f"Expected the split '{split}' in '{path}', found {', '.join(map(str, found))}.")
    return found[split]


def two_columns(data: "Dataset", image_column: str | None, label_column: str | None) -> "Dataset":
    """The columns of images and of labels, if there are any, under the names `image` and `label`.

    Raises:
        ValueError: a column is not there, or is one of several.
    """
    from datasets import ClassLabel

    features = data.features
    images = [name for name, feature in features.items() if _is_image(feature)]
    classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    integers = [name for name, feature in features.items() if "int" in getattr(feature, "dtype", "")]
    image = _column("image_column", image_column, images)
    if image is None:
        raise ValueError(f"Expected a column of images, found {', '.join(features)}. Choose another data set.")
    label = _column("label_column", label_column, integers if label_column else classes)
    columns = {image: "image"} if label is None else {image: "image", label: "label"}
    return data.select_columns(list(columns)).rename_columns(columns)


def _column(setting: str, given: str | None, candidates: list[str]) -> str | None:
    """The column that a setting names, else the only candidate; None where there is none."""
    if given is None and len(candidates) < 2:
        return next(iter(candidates), None)
    if given not in candidates:
        raise ValueError(f"Expected {setting} to be one of {', '.join(candidates)}, found {given}.")
    return given


def _is_image(feature: Any) -> bool:
    """Image files, or the bytes of decoded images."""
    from datasets import Image, List, Value

    return isinstance(feature, Image) or (isinstance(feature, List) and feature.feature == Value("uint8"))


def _decode(batch: dict[str, list[Any]], image_size: int) -> dict[str, np.ndarray]:
    """Image files as the library keeps them -> `[n, 3 H W]` uint8."""
    images = []
    for file in batch["image"]:
        try:
            content = file["bytes"] if file["bytes"] is not None else Path(file["path"]).read_bytes()
            images.append(read_image(content, image_size).reshape(-1))
        except (UnreadableImage, OSError, TypeError) as error:
            name = (file or {}).get("path")
            raise ValueError(f"Cannot read image '{name}': {error}. Repair it, or leave it out.") from error
    return {"image": np.stack(images)}


def _labels(rows: Any) -> Tensor:
    """`[n]` int64 of an Arrow table; zeros where it has none."""
    if "label" not in rows.column_names:
        return torch.zeros(rows.num_rows, dtype=torch.int64)
    return torch.from_numpy(rows["label"].to_numpy().astype(np.int64))
