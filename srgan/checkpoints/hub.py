"""The Hugging Face hub: uploading and downloading trained networks. Needs huggingface_hub, of the extra `hub`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srgan.checkpoints.export_folder import FILES

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


@contextmanager
def _in_words(what: str, name: str) -> Iterator[None]:
    """Turns whatever the hub's client raises into an OSError of one line."""
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise OSError(f"Expected {what} '{name}', found {type(error).__name__}: {reason}") from None


def upload(folder: Path, name: str, private: bool) -> str:
    """Uploads a folder's files as a commit to the model OWNER/NAME, which is made if needed; returns its address.

    Raises:
        OSError: there is no such owner, no login (`hf auth login`, or HF_TOKEN), or no way to the hub.
    """
    from huggingface_hub import HfApi

    with _in_words("to write to the hub's model (log in: hf auth login)", name):
        api = HfApi()
        url = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=FILES, commit_message="srgan push")
    return str(url)


def download(name: str, folder: Path | None = None) -> Path:
    """The folder of a model of the hub, in the hub's own cache or in `folder`; OSError if there is none."""
    from huggingface_hub import snapshot_download

    with _in_words("the hub's model", name):
        return Path(snapshot_download(name, allow_patterns=FILES, local_dir=folder))
