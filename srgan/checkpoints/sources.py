"""What `srgan fit` trained, wherever it is: a checkpoint, a run, a folder for others, the hub."""

from collections.abc import Collection
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from srgan.checkpoints.export_folder import is_exported, read_folder
from srgan.checkpoints.hub import HUB_ID, download
from srgan.checkpoints.reading import RunCheckpoint, read_run_checkpoint
from srgan.utils.files import expanded
from srgan.utils.optional_packages import advice


def read_source(source: str | Path, allowed: Collection[str] = ()) -> RunCheckpoint:
    """Reads the checkpoint that a source stands for, as in `srgan.load`. Files win over models of the hub.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: it is something else, or a class path in its settings is neither ours nor `allowed`.
    """
    path = expanded(source)
    if path.exists() or path.suffix == ".ckpt" or not HUB_ID.fullmatch(str(source)):
        return read_local(path, allowed)
    nothing = f"Expected a checkpoint, a run or a model of the hub, found nothing at '{path.absolute()}'"
    if find_spec("huggingface_hub") is None:
        raise FileNotFoundError(f"{nothing}. For the hub: {advice('huggingface_hub')}")
    try:
        folder = download(str(source))
    except OSError as error:
        raise FileNotFoundError(f"{nothing}; on the hub: {error}") from None
    return replace(read_folder(folder, allowed), path=path)


def read_local(path: Path, allowed: Collection[str] = ()) -> RunCheckpoint:
    """Of a checkpoint, the folder of a run (its last one), or a folder that `srgan push` wrote."""
    if is_exported(path):
        return read_folder(path, allowed)
    return read_run_checkpoint(path, allowed)
