"""The checkpoint files of a run, verified before they replace others and recovered after damage; where a run starts.

A checkpoint is the zip archive of torch.save, whose CRC-32s show damage (`damage_of`); plain torch.load reads it.
"""

import shlex
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from pytorch_lightning.plugins.io import TorchCheckpointIO

from srgan.checkpoints.reading import checkpoint_at, damage_of, read_file
from srgan.data import ImageData
from srgan.runs.folder import RunFolder, flatten_settings
from srgan.training.checks import check_carried, check_checkpoint
from srgan.training.module import AdversarialTraining
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
        try:
            marks = _sound_marks(path, folder)
        except (ValueError, OSError) as error:
            problems.append(str(error))
        else:
            return ResumePoint(path, marks, " ".join([*problems, f"Resuming from '{path}'."]) if problems else "")
    if problems:
        raise ValueError(
            f"Expected a checkpoint in '{folder.path}' to resume from, found none that is sound: {' '.join(problems)} "
            "Choose another --run folder, or remove this one to start anew."
        )
    return None


def _sound_marks(path: Path, folder: RunFolder) -> dict[str, list[int]]:
    """The history marks of a checkpoint; ValueError or OSError if it cannot be resumed from."""
    try:
        marks: dict[str, list[int]] = read_file(path)["srgan_histories"]
    except (KeyError, TypeError):
        raise ValueError(f"'{path}' was not written by this version of srgan.") from None
    if damaged := folder.damaged_histories(marks):
        raise ValueError(f"{', '.join(damaged)} is not what it was when '{path}' was saved.")
    return marks


def reinstate(folder: RunFolder, point: ResumePoint) -> None:
    """Prints what was damaged, and makes the undamaged checkpoint the last one."""
    if point.notice:
        print(f"{folder.path}: {point.notice}", file=sys.stderr)
    if point.checkpoint != folder.checkpoint:
        atomic_link(point.checkpoint, folder.checkpoint)


class Start(NamedTuple):
    """The checkpoint that a run loads, if any; where it branched off from another run (`parent`), if it did; and the
    marks of its histories at its own checkpoint, None for a new run.
    """

    checkpoint: str | None = None
    parent: dict[str, Any] | None = None
    marks: dict[str, list[int]] | None = None


def start_of(
    folder: RunFolder,
    config: dict[str, Any],
    from_checkpoint: str | None,
    trainer: pl.Trainer,
    module: AdversarialTraining,
    data: ImageData,
) -> Start:
    """Finds the checkpoint to start from: the run's own last one, or one of another run (`from_checkpoint`).

    ValueError if the folder holds another run or only damaged checkpoints, or the checkpoint has other settings;
    FileNotFoundError if the checkpoint of another run is missing.
    """
    source = str(checkpoint_at(Path(from_checkpoint))) if from_checkpoint else None
    before = folder.read_record()
    parent: dict[str, Any] | None = before.get("parent") if before else None
    began = parent["checkpoint"] if parent else None
    if before:
        _check_same_settings(folder, before["config"], config, data)
        if from_checkpoint and began not in (source, str(RunFolder(Path(from_checkpoint)).checkpoint)):  # there or gone
            raise ValueError(
                f"Expected the run in '{folder.path}' to resume as it started, from {began}, "
                f"found --from-checkpoint {source}. Choose another --run folder."
            )
    if point := _agreed_resume_point(trainer, folder):
        if before and before["status"] != "finished":
            check_carried(read_file(folder.checkpoint)["srgan"]["carried"], module.carried(data))
        return Start(str(folder.checkpoint), parent, point.marks)
    source = source or began
    if not source:
        return Start()
    found = _parent(source, module, data)
    if parent and parent["iteration"] != found["iteration"]:  # stopped before a checkpoint of its own
        raise ValueError(
            f"Expected the run in '{folder.path}' to start anew as it did, from iteration {parent['iteration']} of "
            f"{source}, found iteration {found['iteration']} there. Choose another --run folder."
        )
    return Start(source, found)


def _parent(source: str, module: AdversarialTraining, data: ImageData) -> dict[str, Any]:
    """The record of the checkpoint at which a run branches off."""
    stored = read_file(Path(source))
    try:
        check_checkpoint(stored, module.state_dict(), module.carried(data), module.constraint.label)
        about = stored["srgan"]
        parent = {"checkpoint": source, "iteration": int(about["iteration"]), "constraint": about["constraint"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"Expected a checkpoint of srgan fit at '{source}', found another file.") from error
    if parent["iteration"] >= module.iterations:
        raise ValueError(
            f"Expected more iterations than the checkpoint's {parent['iteration']}, found {module.iterations}. "
            "Raise --model.iterations."
        )
    return parent


def _agreed_resume_point(trainer: pl.Trainer, folder: RunFolder) -> ResumePoint | None:
    """The first process's `find_resume_point`, broadcast to processes that a launcher (Slurm) started together.

    Processes that Lightning starts begin later, and find the same. Raises on all processes.
    """
    found: ResumePoint | ValueError | None = None
    environment = getattr(trainer.strategy, "cluster_environment", None)
    together = trainer.world_size > 1 and not isinstance(environment, LightningEnvironment)
    if trainer.is_global_zero or not together:
        try:
            found = find_resume_point(folder)
        except ValueError as error:
            found = error
        if isinstance(found, ResumePoint) and trainer.is_global_zero:
            reinstate(folder, found)
    if together:
        trainer.strategy.setup_environment()
        found = trainer.strategy.broadcast(found)
    if isinstance(found, ValueError):
        raise found
    return found


def _check_same_settings(folder: RunFolder, recorded: dict[str, Any], config: dict[str, Any], data: ImageData) -> None:
    """ValueError if settings differ that decide a result; loggers, devices, workers, intervals and paths may change."""
    stored, wanted = flatten_settings(recorded), flatten_settings(config)
    deciding = ("model.", "data.", "scores.", "verdicts.", "outputs.", "trainer.precision", "trainer.sync_batchnorm")
    may_change = (".num_workers", "outputs.every", *(f"data.init_args.{name}" for name in data.locations))
    differing = sorted(
        key
        for key in stored | wanted
        if key.startswith(deciding) and not key.endswith(may_change) and stored.get(key) != wanted.get(key)
    )
    if differing:
        lines = "".join(f"\n  {key}: {stored.get(key)} there, {wanted.get(key)} here" for key in differing)
        raise ValueError(
            f"Expected the settings of the run in '{folder.path}', found others:{lines}\n"
            "Choose another --run folder; to start it from this run's checkpoint, add "
            f"--from-checkpoint {shlex.quote(str(folder.checkpoint))}"
        )
