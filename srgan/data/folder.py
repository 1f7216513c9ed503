"""Any folder or tar of images in the layout of torchvision's `ImageFolder`, small enough for memory."""

import hashlib
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from srgan.data.image_data import ImageData, LabelledImages, Split, check_labelled_images
from srgan.decoding import PIXELS, UnreadableImage, read_image
from srgan.files import cache_folder, read_cached, write_cached
from srgan.prepare.image_sources import list_sources, opened
from srgan.progress import Progress

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


class FolderData(ImageData):
    """`ROOT/<split>/<class>/<image>`, or `ROOT/<class>/<image>` for one that is not split.

    ROOT is a folder or a tar file, compressed or not, listed and decoded as `srgan prepare` does it: images are turned
    upright (EXIF), become RGB, are cropped to their central square and resized (bilinear, antialiased). The result is
    cached.

    Args:
        path: ROOT.
        image_size: H = W.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the order of the images and of the dequantization noise.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: there are no images in it, one cannot be read (the message names it), a class is empty, or two
            folders that are not split give one class.
    """

    def __init__(self, path: str, image_size: int = 32, batch_size: int = 64, n_dis: int = 5, seed: int = 0) -> None:
        super().__init__(image_size, batch_size, n_dis, seed)
        self.path = Path(path)
        if not self.path.exists():
            raise FileNotFoundError(
                f"Expected a folder or tar of images at '{self.path.absolute()}', found nothing. "
                "Its layout is train/<class>/<image> or <class>/<image>."
            )

        self.name = self.path.name.split(".")[0]

    @property
    def num_classes(self) -> int:
        """Counted in the training split."""
        return int(self.load("train").labels.max()) + 1

    @property
    def key(self) -> str:
        """Names the pixels too: the rule, and size and time of change of the file, or of a folder's files."""
        return f"{self.name}-{self.image_size}-{self._fingerprint}"

    @cached_property
    def _fingerprint(self) -> str:
        files = [self.path] if self.path.is_file() else sorted(p for p in self.path.rglob("*") if p.is_file())
        stats = [(str(p.relative_to(self.path.parent)), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
        return hashlib.blake2b(repr((PIXELS, stats)).encode(), digest_size=6).hexdigest()

    @property
    def has_test_split(self) -> bool:
        return "test" in self._splits and self._splits["test"] is not self._splits.get("train")

    def load(self, split: Split) -> LabelledImages:
        """Where the images are not split, all of them are in both splits."""
        if split not in self._splits:
            raise ValueError(f"Expected images at {split}/<class>/<image> in '{self.path}', found none.")
        return self._splits[split]

    @cached_property
    def _splits(self) -> dict[Split, LabelledImages]:
        """What `_decode` found, now or before."""
        cache = cache_folder() / "images" / f"{self.key}.npz"
        if stored := read_cached(cache, "images", "labels", "splits"):
            images, labels, splits = stored.values()
        else:
            images, labels, splits = self._decode()
            write_cached(cache, images=images, labels=labels, splits=splits)

        def part(rows: np.ndarray | slice) -> LabelledImages:
            found = LabelledImages(torch.from_numpy(images[rows]), torch.from_numpy(labels[rows]))
            return check_labelled_images(found, self.image_size, f"'{self.path}'")

        if (splits == "").all():
            return dict.fromkeys(("train", "test"), part(slice(None)))
        names: tuple[Split, ...] = ("train", "test")
        return {name: part(splits == name) for name in names if (splits == name).any()}

    def _decode(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All images, sorted by class and name: `[N, 3, H, W]` uint8; labels `[N]` int64; splits `[N]`, "" for none."""
        listing = list_sources(self.path, ("train", "test"), compressed=True, classless=True)
        sources = [source for source in listing.sources if Path(source.path).suffix.lower() in IMAGE_SUFFIXES]
        if not sources:
            raise ValueError(
                f"Expected files with the suffixes {', '.join(sorted(IMAGE_SUFFIXES))} in '{self.path}', found none."
            )
        classes = {name: label for label, name in enumerate(sorted({source.class_name for source in sources}))}
        images = np.empty((len(sources), 3, self.image_size, self.image_size), np.uint8)
        what = f"decoding {self.path.name}"
        with (
            opened(self.path) if self.path.is_file() else nullcontext() as archive,
            Progress(what, len(sources)) as progress,
        ):
            for place in sorted(range(len(sources)), key=lambda place: sources[place].start):  # as they lie in a tar
                source = sources[place]
                try:
                    images[place] = read_image(source.read(self.path, archive), self.image_size)
                except (UnreadableImage, OSError) as error:
                    raise ValueError(f"Cannot read image '{source.path}': {error}. Repair or remove it.") from error
                progress.update(1)
        labels = np.array([classes[source.class_name] for source in sources], dtype=np.int64)
        return images, labels, np.array([source.split or "" for source in sources])
