"""Data sets that torchvision downloads."""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


def download(data_set: Callable[..., object], root: str, title: str, archive: str) -> None:
    """Downloads and unpacks on one process per machine, unless it is there.

    Args:
        data_set: class of torchvision's.
        root: folder of the download.
        title: of the data set.
        archive: the file that it comes in.

    Raises:
        RuntimeError: the download failed; says how to go on without a network.
    """
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        with FileLock(Path(root) / ".download.lock"):  # torchvision writes straight into the final files
            data_set(root, download=True)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"{title} is not in '{Path(root).resolve()}' and cannot be downloaded: {error}. Put {archive} there, or "
            "train on a folder or tar of its images: -c folder."
        ) from error
