"""A run folder that is renamed, removed or changed while its run trains: said, and what comes back is whole."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from tiny_runs import assert_same_run, fit, state

from srgan.cli.fit import FAILED
from srgan.runs.folder import RunFolder

SCORES = [
    "--scores.every", "6", "--scores.features", "classifier", "--scores.protocol.num_fake_images", "60",
    "--scores.protocol.batch_size", "20", "--scores.protocol.num_real_images", "60",
    "--scores.final.num_fake_images", "130",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "whole")
    assert fit(folder) == 0
    return folder


class Disturbs(pl.Callback):
    """Does something to the run's folder behind iteration 7, and waits until it could have been seen."""

    def __init__(self, folder: str, way: str) -> None:
        self.folder, self.way = RunFolder(folder), way

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.iteration != 7:
            return
        folder = self.folder.path
        if self.way == "renamed":
            folder.rename(folder.with_name("elsewhere"))
        elif self.way == "deleted":
            shutil.rmtree(folder)
        elif self.way == "history removed":
            self.folder.losses.unlink()
        elif self.way == "records removed":
            self.folder.spectra.path.unlink()
        elif self.way == "history cut":
            os.truncate(self.folder.losses, self.folder.losses.stat().st_size - 30)
        else:
            self.folder.gradients.write_bytes(self.folder.gradients.read_bytes() * 2)


LOST = {
    "renamed": "found it moved or removed. Move it back",
    "deleted": "found it moved or removed. Move it back",
    "history removed": "found them changed: losses.jsonl (",
    "records removed": "found them changed: spectra.bin (",
    "history cut": "found them changed: losses.jsonl (",
    "history doubled": "found them changed: gradients.jsonl (",
}


@pytest.mark.parametrize(("way", "sentence"), LOST.items(), ids=LOST.keys())
def test_a_run_whose_record_is_taken_away_ends_as_failed_and_seals_no_hole(
    way: str, sentence: str, whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    disturbs = ["--trainer.callbacks", "test_fit_lost_folder.Disturbs", "--trainer.callbacks.folder", str(folder.path)]
    assert fit(folder, *disturbs, "--trainer.callbacks.way", way) == FAILED
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    if way in ("renamed", "deleted"):
        assert not folder.record.exists()
        assert not folder.path.exists()  # so that it can be moved back
    else:
        assert (folder.read_record() or {})["status"] == "failed"
        assert state(folder.checkpoint)["srgan"]["iteration"] == 4
    if way == "renamed":
        folder.path.with_name("elsewhere").rename(folder.path)
    if way in ("renamed", "history cut", "history doubled"):  # what the last checkpoint knows of is whole
        assert fit(folder) == 0
        assert_same_run(folder, whole)


class Renames(pl.Callback):
    """The folder gets another name before the first iteration, with nothing saved yet."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.folder.rename(self.folder.with_name("elsewhere"))


def test_a_folder_renamed_before_the_first_iteration_can_be_moved_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written under its old name, or it would end up inside of that."""
    folder = RunFolder(tmp_path / "run")
    renames = ["--trainer.callbacks", "test_fit_lost_folder.Renames", "--trainer.callbacks.folder", str(folder.path)]
    assert fit(folder, *SCORES, *renames) == FAILED
    assert "Move it back and run the same command again: it resumes from the last checkpoint" in capsys.readouterr().err
    assert not folder.path.exists()
    folder.path.with_name("elsewhere").rename(folder.path)
    assert fit(folder, *SCORES) == 0
