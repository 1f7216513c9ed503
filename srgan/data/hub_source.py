"""Data sets of Hugging Face's library: opened, and their columns of images and labels found."""

from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srgan.data.image_data import say
from srgan.prepare.preparation import FINISHED, JOB
from srgan.utils.files import expanded

if TYPE_CHECKING:  # the library takes a second to import
    from datasets import Dataset


def check_finished(path: str) -> None:
    """Raises FileNotFoundError for a folder that is not there, or not finished."""
    folder = Path(path)
    begun = (folder / JOB).exists() and not (folder / FINISHED).exists()
    if begun or (path.startswith((".", "/")) and not folder.exists()):
        what = "one whose preparation is not finished. Run the same command again" if begun else "nothing. Run"
        raise FileNotFoundError(
            f"Expected a data set in the folder '{folder.resolve()}', found {what}: srgan prepare ROOT {path}"
        )


def at_home(path: str) -> str:
    """A path that begins in a home folder, whole; names of the hub are left alone."""
    return str(expanded(path)) if path.startswith("~") else path


def format_size(length: int) -> str:
    """What a column of lists of `length` bytes holds; -1 stands for lists of any length."""
    side = isqrt(max(length, 0) // 3)
    return f"{side} x {side}" if length == 3 * side**2 and side else "lists of bytes that are no square RGB images"


def open_split(path: str, split: str | None, subset: str | None) -> "Dataset":
    """One split of what `load_dataset` or `load_from_disk` opens; any name stands for the only one of a folder.

    ValueError, which says why, if there is no such split, or the library cannot open it.
    """
    from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

    folder = Path(path)
    saved = any((folder / name).exists() for name in ("state.json", "dataset_dict.json"))
    try:
        place = str(folder.resolve()) if folder.exists() else path
        found = load_from_disk(path) if saved else load_dataset(place, subset)
    except Exception as error:  # its own, pyarrow's of a file that was cut short, KeyError of one that it did not write
        hint = f" Run again, which mends it: srgan prepare ROOT {path}" if (folder / JOB).exists() else ""
        why = f"{type(error).__name__}: {error}" if isinstance(error, LookupError | TypeError) else str(error)
        why = "it has no rows" if isinstance(error, IndexError) else why
        raise ValueError(f"'{path}' cannot be opened as a data set of Hugging Face's: {why}.{hint}") from error
    if isinstance(found, Dataset):
        return found
    assert isinstance(found, DatasetDict)
    if split not in found:
        raise ValueError(f"Expected the split '{split}' in '{path}', found {', '.join(map(str, found))}.")
    return found[split]


def two_columns(data: "Dataset", image_column: str | None, label_column: str | None) -> "Dataset":
    """The column of images, or else of files' bytes, as `image`, and that of labels, if there is one, as `label`.

    ValueError if a column is not there, is one of several, or holds something else.
    """
    from datasets import ClassLabel, Image

    features = data.features
    images = [name for name, feature in features.items() if _is_image(feature)]
    if not images:
        images = [name for name, feature in features.items() if _holds_files(feature)]
        for name in images:
            data = data.cast_column(name, Image(decode=False))
    classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    integers = [name for name, feature in features.items() if "int" in getattr(feature, "dtype", "")]
    if (image := _column("image_column", image_column, images)) is None:
        raise ValueError(f"Expected a column of images, found {', '.join(features)}. Choose another data set.")
    if label_column in features and label_column not in integers:
        raise ValueError(
            f"Expected a column of classes or of whole numbers for label_column, found {label_column} of "
            f"{getattr(features[label_column], 'dtype', 'lists')}. Store it as classes, and name the folder as path: "
            f"data.class_encode_column('{label_column}').save_to_disk(FOLDER)"
        )
    label = _column("label_column", label_column, integers if label_column else classes)
    if label is None and integers:
        say([f"No labels are used; {', '.join(integers)} holds integers. To use them: label_column {integers[0]}"])
    columns = {image: "image"} if label is None else {image: "image", label: "label"}
    return data.select_columns(list(columns)).rename_columns(columns)


def _column(setting: str, given: str | None, candidates: list[str]) -> str | None:
    """The column that a setting names, else the only candidate; None where there is none."""
    if given is None and len(candidates) < 2:
        return next(iter(candidates), None)
    if given not in candidates and not candidates:
        raise ValueError(f"Expected a column for {setting} {given}, found none of that kind. Set it to null.")
    if given not in candidates:
        raise ValueError(f"Expected {setting} to be one of {', '.join(candidates)}, found {given}.")
    return given


def _is_image(feature: Any) -> bool:
    """Image files, or the bytes of decoded images."""
    from datasets import Image, List, Value

    return isinstance(feature, Image) or (isinstance(feature, List) and feature.feature == Value("uint8"))


def _holds_files(feature: Any) -> bool:
    """Bytes of image files that are not declared to be images, alone or with the files' names."""
    from datasets import Value

    binary = (Value("binary"), Value("large_binary"))
    return feature in binary or (isinstance(feature, dict) and set(feature) == {"bytes", "path"})
