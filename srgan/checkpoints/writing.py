"""The checkpoint files of a run: written atomically, verified before they replace others, and recovered after damage.

A checkpoint is the zip archive of torch.save, whose CRC-32s show damage (`damage_of`); plain torch.load reads it.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from srgan.checkpoints.reading import damage_of, read_file
from srgan.runs.folder import RunFolder
from srgan.utils.files import atomic_link, write_atomically


class RunCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically, and keeps the one before as `previous.ckpt`."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: list[Path] | None = None
    ) -> None:
        """Replaces a checkpoint once the new one is on the disk and was read back; OSError if it cannot be.

        `storage_options` are further names of the same file, linked before `path` changes.
        """
        path = Path(path)

        def check_and_keep(written: Path) -> None:
            if damage := damage_of(written):
                raise OSError(f"Expected the bytes that were written to '{path}' back, found {damage}. Check the disk.")
            for name in storage_options or []:
                atomic_link(written, name)
            if path.exists():
                atomic_link(path, path.with_name("previous.ckpt"))

        archive = BytesIO()  # PyTorch's archive writer hides why a file could not be written to
        torch.save(checkpoint, archive)
        write_atomically(path, lambda file: file.write(archive.getbuffer()), check_and_keep)


class ResumePoint(NamedTuple):
    """An undamaged checkpoint of a run, the marks of its histories then (`RunFolder.history_marks`), and a notice if it
    is not the last one.
    """

    checkpoint: Path
    marks: dict[str, list[int]]
    notice: str


def find_resume_point(folder: RunFolder) -> ResumePoint | None:
    """The newest checkpoint of a run that is undamaged, with its histories; None for a run without checkpoints.

    From an older one the same is computed again, so damage costs only time. ValueError if all are damaged.
    """
    kept = sorted(folder.checkpoint.parent.glob("[0-9]*.ckpt"), reverse=True)
    found = [path for path in (folder.checkpoint, folder.previous_checkpoint, *kept) if path.exists()]
    problems: list[str] = []
    for path in found:
        marks, problem = _examine(path, folder)
        if marks is not None:
            notice = "".join(f"{one} " for one in problems)
            return ResumePoint(path, marks, f"{notice}Resuming from '{path}'." if notice else "")
        problems.append(problem)
    if problems:
        raise ValueError(
            f"Expected a checkpoint in '{folder.path}' to resume from, found none that is sound: {' '.join(problems)} "
            "Choose another --run folder, or remove this one to start anew."
        )
    return None


def _examine(path: Path, folder: RunFolder) -> tuple[dict[str, list[int]] | None, str]:
    """The history marks of a checkpoint, or None and why it cannot be resumed from."""
    try:
        content = read_file(path)
        marks: dict[str, list[int]] = content["srgan_histories"]
    except (ValueError, OSError) as error:
        return None, str(error)
    except (KeyError, TypeError):
        return None, f"'{path}' was not written by this version of srgan."
    if damaged := folder.damaged_histories(marks):
        return None, f"{', '.join(damaged)} is not what it was when '{path}' was saved."
    return marks, ""


def reinstate(folder: RunFolder, point: ResumePoint) -> None:
    """Prints what was damaged, and makes the undamaged checkpoint the last one."""
    if point.notice:
        print(f"{folder.path}: {point.notice}", file=sys.stderr)
    if point.checkpoint != folder.checkpoint:
        atomic_link(point.checkpoint, folder.checkpoint)
