"""Any folder or tar of images in the layout of torchvision's `ImageFolder`, small enough for memory."""

import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from srgan.data.image_data import ImageData, LabelledImages, Split, check_labelled_images
from srgan.decoding import PIXELS, UnreadableImage, read_image
from srgan.files import cache_folder, write_atomically
from srgan.prepare.image_sources import MAX_BYTES, Source, refuse_merged_classes

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff"}


class FolderData(ImageData):
    """`ROOT/<split>/<class>/<image>`, or `ROOT/<class>/<image>` for one that is not split.

    ROOT is a folder or a tar file, compressed or not. Images are turned upright (EXIF), become RGB, are cropped to
    their central square and resized (bilinear, antialiased), as `srgan prepare` does it. The result is cached.

    Args:
        path: ROOT.
        image_size: H = W.
        batch_size: the discriminator's global batch.
        n_dis: discriminator updates per iteration.
        seed: of the order of the images and of the dequantization noise.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        ValueError: there are no images in it, one cannot be read (the message names it), or two folders that are not
            split give one class.
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
        self.load("train")
        return "test" in self._parts

    @cached_property
    def _parts(self) -> set[str]:
        """The splits that images lie in, as `load` finds them."""
        return set()

    @cached_property
    def _loaded(self) -> dict[Split, LabelledImages]:
        return {}

    def load(self, split: Split) -> LabelledImages:
        if split not in self._loaded:
            cache = cache_folder() / "images" / f"{split}-of-{self.key}.npz"
            if not cache.exists():
                images, labels, parts = self._decode(split)
                write_atomically(cache, lambda file: np.savez(file, images=images, labels=labels, parts=parts))
            with np.load(cache) as stored:
                data = LabelledImages(torch.from_numpy(stored["images"]), torch.from_numpy(stored["labels"]))
                self._parts.update(stored["parts"].tolist())
            self._loaded[split] = check_labelled_images(data, self.image_size, f"'{self.path}'")
        return self._loaded[split]

    def _decode(self, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All images of a split, sorted by class and name: `[N, 3, H, W]` uint8, labels `[N]` int64; and all splits."""
        images: dict[str | None, dict[tuple[str, str], np.ndarray]] = {split: {}, None: {}}
        class_names: dict[bool, set[str]] = {True: set(), False: set()}  # inside and outside of train/ and test/
        unsplit: set[tuple[str, str]] = set()  # classes outside, and their folders
        parts: set[str] = set()
        for inner, content in self._image_files():
            part, class_name, name = _place(inner)
            class_names[part is not None].add(class_name)
            if part is not None:
                parts.add(part)
            else:
                unsplit.add((class_name, str(inner.parent)))
            if part in images:
                try:
                    images[part][class_name, name] = read_image(content, self.image_size)
                except UnreadableImage as error:
                    raise ValueError(f"Cannot read image '{inner}': {error}. Repair or remove it.") from error
        is_split = bool(class_names[True])
        found = images[split if is_split else None]
        if not found:
            raise ValueError(
                f"Expected images at {split}/<class>/<image> or <class>/<image> in '{self.path}', found none. "
                f"Known suffixes: {', '.join(sorted(IMAGE_SUFFIXES))}."
            )
        if not is_split:
            refuse_merged_classes(self.path, unsplit)
        classes = {name: k for k, name in enumerate(sorted(class_names[is_split]))}  # the same in every split
        ordered = sorted(found)
        labels = np.array([classes[class_name] for class_name, _ in ordered], dtype=np.int64)
        return np.stack([found[key] for key in ordered]), labels, np.array(sorted(parts), dtype=np.str_)

    def _image_files(self) -> Iterator[tuple[PurePosixPath, bytes]]:
        """(path inside ROOT, its bytes) of every image, in the order of the medium."""
        if self.path.is_dir():
            for path in sorted(self.path.rglob("*")):
                if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir():
                    inner = PurePosixPath(path.relative_to(self.path).as_posix())
                    try:
                        yield inner, Source("", str(inner)).read(self.path)
                    except OSError as error:
                        raise ValueError(f"Cannot read image '{inner}': {error}. Repair or remove it.") from error
            return
        try:
            with tarfile.open(self.path, "r:*") as archive:
                for member in archive:
                    inner = PurePosixPath(member.name)
                    if member.isfile() and inner.suffix.lower() in IMAGE_SUFFIXES:
                        if member.size > MAX_BYTES:
                            raise ValueError(
                                f"Expected images of at most {MAX_BYTES / 1e6:,.0f} MB in '{self.path}', found "
                                f"{member.size / 1e6:,.0f} MB in '{inner}'. Remove it."
                            )
                        content = archive.extractfile(member)
                        assert content is not None
                        yield inner, content.read()
        except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise ValueError(
                f"Expected a folder or a tar file (.tar, .tar.gz, .tar.xz), cannot read '{self.path}': {error}."
            ) from error


def _place(inner: PurePosixPath) -> tuple[str | None, str, str]:
    """(split, class, name) of an image inside ROOT: below the first train or test folder that holds classes."""
    parts = inner.parts
    for k, part in enumerate(parts[:-1]):
        if part in ("train", "test"):
            class_name, *name = ("", *parts[k + 1 :])[-max(2, len(parts) - k - 1) :]
            return part, class_name, "/".join(name)
    return None, parts[-2] if len(parts) > 1 else "", str(inner)
