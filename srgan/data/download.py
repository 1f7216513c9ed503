"""Data sets that torchvision downloads."""

from pathlib import Path

from filelock import FileLock
from torchvision.datasets import CIFAR10, STL10


def download(data_set: type[CIFAR10] | type[STL10], root: str, title: str) -> None:
    """Downloads and unpacks below `root` on one process per machine, unless it is there.

    Raises:
        RuntimeError: the download failed; says what to do without a network.
    """
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        with FileLock(Path(root) / ".download.lock"):  # torchvision writes straight into the final files
            data_set(root, download=True)
    except (OSError, RuntimeError) as error:
        raise RuntimeError(
            f"{title} is not in '{Path(root).resolve()}' and cannot be downloaded: {error}. Put {data_set.filename} "
            "there, or train on a folder or tar of its images: -c folder."
        ) from error
