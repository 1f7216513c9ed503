"""Where trained networks come from and go to: checkpoints, runs, folders of `srgan push`, the Hugging Face hub."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from srgan.checkpoints.export_folder import FILES, is_exported, read_folder
from srgan.checkpoints.reading import RunCheckpoint, read_run_checkpoint
from srgan.utils.files import expanded
from srgan.utils.optional_packages import advice

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


def read_source(source: str | Path, allowed: Collection[str] = ()) -> RunCheckpoint:
    """Reads the checkpoint of a source, as `srgan.load` takes them; files come before models of the hub.

    FileNotFoundError if there is nothing; ValueError if it is something else, or a class path in its settings is
    neither ours nor `allowed`.
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
    """Reads a checkpoint, the last one of a run's folder, or a folder that `srgan push` wrote."""
    return read_folder(path, allowed) if is_exported(path) else read_run_checkpoint(path, allowed)


def upload(folder: Path, name: str, private: bool) -> str:
    """Uploads a folder's files as a commit to the model OWNER/NAME, which is created if needed; returns its URL.

    OSError without such an owner, a login (`hf auth login`, or HF_TOKEN), or a connection to the hub.
    """
    from huggingface_hub import HfApi

    with _errors_of_hub("to write to the hub's model (log in: hf auth login)", name):
        api = HfApi()
        url = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=FILES, commit_message="srgan push")
    return str(url)


def download(name: str, folder: Path | None = None) -> Path:
    """Downloads a model of the hub into `folder`, by default the hub's own cache; OSError if there is none."""
    from huggingface_hub import snapshot_download

    with _errors_of_hub("the hub's model", name):
        return Path(snapshot_download(name, allow_patterns=FILES, local_dir=folder))


@contextmanager
def _errors_of_hub(what: str, name: str) -> Iterator[None]:
    """Turns any exception of the hub's client into an OSError of one line."""
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise OSError(f"Expected {what} '{name}', found {type(error).__name__}: {reason}") from None
