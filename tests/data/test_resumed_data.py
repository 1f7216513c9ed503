"""A run goes on with the images that it began with: wherever they lie, and with no others."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import random_pixels, save_image
from tiny_runs import assert_same_run, fit

from srgan.cli.main import main
from srgan.runs.folder import RunFolder

SIZE = 8
CUT_SHORT = ["--trainer.limit_train_batches", "6", "--trainer.max_epochs", "1"]
STOPPED_EARLY = 3


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for k, pixels in enumerate(random_pixels(12, SIZE, SIZE, 3)):
        save_image(tmp_path / f"images/{k % 2}/{k:02d}.png", pixels)
    return tmp_path / "images"


def folder_data(path: Path | str) -> list[str]:
    return ["--data", "srgan.data.FolderData", "--data.init_args.path", str(path)]


@pytest.fixture
def stopped(images: Path, tmp_path: Path) -> RunFolder:
    """Stands at iteration 6 of 12."""
    run = RunFolder(tmp_path / "run")
    assert fit(run, *folder_data(images), *CUT_SHORT) == STOPPED_EARLY
    return run


@pytest.mark.parametrize("way", ["replaced", "labelled otherwise", "removed"])
def test_images_that_changed_since_are_refused(
    images: Path, stopped: RunFolder, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in stopped.path.rglob("*") if path.is_file()}
    path = images / "1/05.png"
    if way == "replaced":
        save_image(path, np.zeros((SIZE, SIZE, 3), np.uint8))
    elif way == "removed":
        path.unlink()
    else:
        path.rename(images / "0/05.png")
    capsys.readouterr()
    assert fit(stopped, *folder_data(images)) == 2
    assert "srgan fit: Expected the images that the checkpoint was trained on (folder-8-" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in stopped.path.rglob("*") if path.is_file()} == before
    other = RunFolder(stopped.path.with_name("other"))
    assert fit(other, *folder_data(images), "--from-checkpoint", str(stopped.path)) == 2
    assert "Expected the images that the checkpoint was trained on" in capsys.readouterr().err


def test_a_copy_in_another_place_is_gone_on_with(
    images: Path, stopped: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Slurm's $SLURM_TMPDIR, which has the number of the job in it."""
    undisturbed = RunFolder(tmp_path / "undisturbed")
    assert fit(undisturbed, *folder_data(images)) == 0
    copy = shutil.copytree(images, tmp_path / "job-17/unpacked", copy_function=shutil.copyfile)
    assert fit(stopped, *folder_data(copy)) == 0
    assert_same_run(stopped, undisturbed)
    record = stopped.read_record()
    assert record is not None
    assert record["config"]["data"]["init_args"]["path"] == str(copy)
    monkeypatch.chdir(images.parent)
    for path in ("images", "images/", "./images", images):
        arguments = ["fit", "-c", str(stopped.config), "--run", str(stopped.path), "--data.init_args.path", str(path)]
        assert main(arguments) == 0  # finished already


def test_images_of_no_class_train_without_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k, pixels in enumerate(random_pixels(6, SIZE, SIZE, 3)):
        save_image(tmp_path / f"flat/{k}.png", pixels)
    scores = ["--scores.every", "4", "--scores.final", "null"]
    assert fit(RunFolder(tmp_path / "run"), *folder_data(tmp_path / "flat"), *scores) == 2
    assert "train without scores: --scores.every 0" in capsys.readouterr().err
    assert fit(RunFolder(tmp_path / "run"), *folder_data(tmp_path / "flat")) == 0
