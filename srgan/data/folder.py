"""Any folder or tar of images in the layout of torchvision's `ImageFolder`, small enough for memory."""

import hashlib
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from srgan.data.image_data import SPLITS, ImageData, LabelledImages, Split, say
from srgan.prepare import image_sources
from srgan.prepare.decoding import FORMATS, PIXELS, NotAnImage, UnreadableImage, read_image, warnings_of
from srgan.prepare.image_sources import Listing, Source, check_emptied_classes, left_out, list_sources, printable
from srgan.utils.files import cache_folder, expanded, read_cached, write_cached
from srgan.utils.progress import Progress


class FolderData(ImageData):
    """`ROOT/<split>/<class>/<image>`, or `ROOT/<class>/<image>` for one that is not split.

    ROOT is a folder or a tar file, compressed or not, listed and decoded as by `srgan prepare`: every file that can be
    decoded, whatever its name, is rotated upright (EXIF), converted to RGB, center-cropped to a square and resized
    (bilinear, antialiased). The result is cached. What is left out is printed: files that are no images or in no class
    folder, and test images of no class of training. FileNotFoundError if there is nothing at `path`; ValueError if
    there are no images in it, one is damaged (the message names it), a class has none, or two folders that are not
    split give one class.

    Args:
        path: ROOT.
        image_size: H = W.
        settings: `batch_size`, `n_dis` and `seed` of `ImageData`.
    """

    locations = ("path",)

    def __init__(self, path: str, image_size: int = 32, **settings: int) -> None:
        super().__init__(image_size, **settings)
        self.path = expanded(path)
        if not self.path.exists():
            raise FileNotFoundError(
                f"Expected a folder or tar of images at '{self.path.absolute()}', found nothing. "
                "Set --data.init_args.path; its layout is train/<class>/<image> or <class>/<image>."
            )
        self.name = self.title = self.path.absolute().name.split(".")[0]

    @property
    def num_classes(self) -> int:
        """Counted in the training split."""
        return int(self.load("train").labels.max()) + 1

    @property
    def key(self) -> str:
        """Of the content alone: a copy of the folder is the same data set."""
        return f"folder-{self.image_size}-{self.digest}"

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
        listing = None if self.path.is_file() else self._listing()
        cache = cache_folder() / "images" / f"{self.name}-{self.image_size}-{self._fingerprint(listing)}.npz"
        stored = read_cached(cache, "images", "labels", "splits", "notes")
        if stored is None:
            write_cached(cache, **(stored := self._decode(listing or self._listing())))
        images, labels, splits, notes = stored.values()
        say(notes.tolist())

        def part(rows: np.ndarray | slice) -> LabelledImages:
            return LabelledImages(torch.from_numpy(images[rows]), torch.from_numpy(labels[rows]))

        if (splits == "").all():
            return dict.fromkeys(SPLITS, part(slice(None)))
        return {name: part(splits == name) for name in SPLITS if (splits == name).any()}

    def _listing(self) -> Listing:
        return list_sources(self.path, SPLITS, compressed=True, classless=True)

    def _fingerprint(self, listing: Listing | None) -> str:
        """Of what would be decoded: the rule, and place, size and time of change of every file, behind its links."""
        paths = [""] if listing is None else [source.path for source in listing.sources]
        stats = [(path, *_size_and_time(self.path / path)) for path in paths]
        left = [] if listing is None else listing.ignored
        content = repr((PIXELS, FORMATS, str(self.path.resolve()), stats, left))
        return hashlib.blake2b(content.encode(errors="surrogateescape"), digest_size=6).hexdigest()

    def _decode(self, listing: Listing) -> dict[str, np.ndarray]:
        """Arrays sorted by class and name: "images" `[N, 3, H, W]` uint8, "labels" `[N]` int64 by the classes of
        training, "splits" `[N]`, "" for none; and "notes" on what is left out.
        """
        training = [source for source in listing.sources if source.split != "test"]
        classes = {name: label for label, name in enumerate(sorted({source.class_name for source in training}))}
        sources = [source for source in listing.sources if source.class_name in classes]
        images, reasons = self._read(sources)
        check_emptied_classes(self.path, training, reasons)
        if reasons:
            images = images[[source.path not in reasons for source in sources]]
        sources = [source for source in sources if source.path not in reasons]
        strangers = [source.path for source in listing.sources if source.class_name not in classes]
        notes = [
            *left_out(self.path, list(reasons), next(iter(reasons.values()), "")),
            *left_out(self.path, listing.ignored, "in no class folder"),
            *left_out(self.path, strangers, "test images of no class of training"),
            *warnings_of(int(images.max())),
        ]
        return {
            "images": images,
            "labels": np.array([classes[source.class_name] for source in sources], np.int64),
            "splits": np.array([source.split or "" for source in sources]),
            "notes": np.array([printable(note) for note in notes], np.str_),
        }

    def _read(self, sources: Sequence[Source]) -> tuple[np.ndarray, dict[str, str]]:
        """Pixels `[N, 3, H, W]` uint8, and path -> reason of files that are no images, whose pixels are undefined.

        ValueError if an image is damaged or a file cannot be read.
        """
        images = np.empty((len(sources), 3, self.image_size, self.image_size), np.uint8)
        reasons: dict[str, str] = {}
        with (
            image_sources.opened(self.path) if self.path.is_file() else nullcontext() as archive,
            Progress(f"decoding {self.path.name}", len(sources)) as progress,
        ):
            for place in sorted(range(len(sources)), key=lambda place: sources[place].start):  # as they lie in a tar
                source = sources[place]
                try:
                    images[place] = read_image(source.read(self.path, archive), self.image_size)
                except NotAnImage as error:
                    reasons[source.path] = str(error)
                except (UnreadableImage, OSError) as error:
                    raise ValueError(f"Cannot read image '{source.path}': {error}. Repair or remove it.") from error
                progress.update(1)
        return images, reasons


def _size_and_time(path: Path) -> tuple[int, int]:
    """In bytes and nanoseconds, of the file behind a link; zeros where there is none, which reading will tell."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
