"""Checkpoints of a run under damage: found again, never silently others."""

import math
import os
import random
import resource
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import run_on_two
from tiny_runs import TINY, assert_same_run, fit, state

from srgan.callbacks import CheckpointSaver
from srgan.checkpoints.reading import damage_of, nonfinite_tensor, read_file, read_run_checkpoint
from srgan.checkpoints.rebuilding import rebuild_nets
from srgan.checkpoints.resume import RunCheckpointIO, find_resume_point
from srgan.cli.main import main
from srgan.runs.folder import RunFolder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An undisturbed run of 12 iterations: checkpoints of 8 (kept), 8 (the one before) and 12 (the last)."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "whole")
    assert fit(folder) == 0
    return folder


@pytest.fixture
def run(whole: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy that thinks it was killed, to be damaged."""
    folder = RunFolder(shutil.copytree(whole.path, tmp_path / "run"))
    folder.record.write_text(folder.record.read_text().replace('"finished"', '"running"'))
    return folder


def flip(path: Path, place: int, bit: int = 2) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.unlink()  # other names of the same file keep theirs
    path.write_bytes(content)


def in_the_largest_tensor(path: Path) -> int:
    """A place within its bytes: padding between tensors may be anything."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
        file.seek(largest.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return int(largest.header_offset + 30 + name + extra + largest.file_size // 2)


def iteration(path: Path) -> int:
    found: int = read_file(path)["srgan"]["iteration"]
    return found


# Files.


def test_any_flipped_bit_is_told_or_changes_nothing(tmp_path: Path) -> None:
    """Half of them in the archive's own tables."""
    path = tmp_path / "a.ckpt"
    content = {"weight": torch.randn(40, 30), "names": {"x": 1, "y": torch.arange(7)}}
    RunCheckpointIO().save_checkpoint(content, path)
    size = path.stat().st_size
    draw = random.Random(0)
    places = [draw.randrange(size) for _ in range(100)]
    places += [draw.choice([draw.randrange(900), size - 1 - draw.randrange(900)]) for _ in range(100)]
    sound = path.read_bytes()
    told = 0
    for place in places:
        flip(path, place, draw.randrange(8))
        try:
            torch.testing.assert_close(read_file(path), content, rtol=0, atol=0)
        except ValueError:
            told += 1
        path.write_bytes(sound)
    assert told > 100


@pytest.mark.parametrize("size", [1, 100, 0.5, 0.99, -1])
def test_cut_and_zeroed_files_are_told(size: float, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    RunCheckpointIO().save_checkpoint({"weight": torch.randn(40, 30)}, path)
    content = path.read_bytes()
    end = int(size * len(content)) if 0 < size < 1 else int(size)
    cut = content[:end]
    for damaged in {cut, cut.ljust(len(content), b"\0"), bytes(len(content))} - {content}:
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="Expected"):
            read_file(path)


def test_a_checkpoint_is_a_file_of_torch_with_one_before_it_and_no_leftovers(tmp_path: Path) -> None:
    path, kept = tmp_path / "last.ckpt", tmp_path / "00000002.ckpt"
    for number in (1, 2):
        RunCheckpointIO().save_checkpoint({"number": number}, path, [kept] if number == 2 else None)
    assert torch.load(path, weights_only=True) == torch.load(kept, weights_only=True) == {"number": 2}
    assert torch.load(tmp_path / "previous.ckpt", weights_only=True) == {"number": 1}
    assert {found.name for found in tmp_path.iterdir()} == {"last.ckpt", "previous.ckpt", "00000002.ckpt"}


def test_a_write_that_does_not_read_back_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    RunCheckpointIO().save_checkpoint({"number": 1}, path)
    before = path.read_bytes()
    monkeypatch.setattr(torch, "save", lambda content, file: file.write(before[:-30]))
    with pytest.raises(OSError, match="Check the disk"):
        RunCheckpointIO().save_checkpoint({"number": 2}, path, [tmp_path / "kept.ckpt"])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_not_judged(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert damage_of(tmp_path / "old.pth") is None
    assert read_file(tmp_path / "old.pth")["a"].tolist() == [1, 1]


# Going on.


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged", "absent"])
def test_a_damaged_last_checkpoint_costs_time_and_nothing_else(
    damaged: bool, run: RunFolder, whole: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    if damaged:
        flip(run.checkpoint, 10_000)
    else:
        run.checkpoint.unlink()
    assert fit(run) == 0
    notices = [line for line in capsys.readouterr().err.splitlines() if "Resuming from" in line]
    assert len(notices) == damaged
    assert all("last.ckpt" in line and "previous.ckpt" in line for line in notices)
    assert_same_run(run, whole)


def test_kept_checkpoints_come_after_the_two_last(run: RunFolder, whole: RunFolder) -> None:
    for path in (run.checkpoint, run.previous_checkpoint):
        path.unlink()  # the kept one is the same file
        path.write_bytes(b"PK")
    point = find_resume_point(run)
    assert point is not None
    assert point.checkpoint.name == "00000008.ckpt"
    assert fit(run) == 0
    assert_same_run(run, whole)


def test_no_sound_checkpoint_is_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    for path in run.checkpoint.parent.iterdir():
        flip(path, path.stat().st_size - 20)  # where the archive says what it holds: in the middle nothing may lie
    assert fit(run) == 2
    assert "found none that is sound" in capsys.readouterr().err


@pytest.mark.parametrize("history", ["losses", "spectra"])
def test_a_damaged_history_is_recorded_again_from_an_older_checkpoint(
    history: str, run: RunFolder, whole: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    path = {"losses": run.losses, "spectra": run.spectra.path}[history]
    flip(path, path.stat().st_size - 20)
    assert fit(run) == 0
    assert f"{path.name} is not what it was" in capsys.readouterr().err
    assert_same_run(run, whole)


def test_a_history_damaged_from_its_beginning_is_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    flip(run.losses, 12)
    assert fit(run) == 2
    assert "losses.jsonl is not what it was" in capsys.readouterr().err


def test_leftovers_of_a_kill_are_removed(run: RunFolder, whole: RunFolder) -> None:
    for path in (run.checkpoint, run.record, run.samples / "00000004.png"):
        path.with_name(f".{path.name}.0123abcd.part").write_text("half")
    assert fit(run) == 0
    assert not list(run.path.rglob(".*"))
    assert_same_run(run, whole)


def test_the_temporary_folder_of_the_system_is_not_used(
    tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    folder = RunFolder(tmp_path / "run")
    assert fit(folder) == 0
    assert_same_run(folder, whole)


def test_a_kept_checkpoint_is_there_before_the_last_one_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the moment of a kill, some names are new, and the kept one is the first of them."""
    path, kept = tmp_path / "last.ckpt", tmp_path / "00000008.ckpt"
    RunCheckpointIO().save_checkpoint({"number": 1}, path)
    changes: list[str] = []
    replace = os.replace

    def note(self: Path, to: Path) -> None:
        changes.append(to.name)
        replace(self, to)

    monkeypatch.setattr(Path, "replace", note)
    RunCheckpointIO().save_checkpoint({"number": 2}, path, [kept])
    assert changes == ["00000008.ckpt", "previous.ckpt", "last.ckpt"]


# Weights that are not finite.


def test_weights_that_are_not_finite_stop_the_run_and_replace_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    act = CheckpointSaver.on_train_batch_end

    def diverge(self: CheckpointSaver, trainer: Any, module: Any, *rest: Any) -> None:
        if module.iteration == 8:
            with torch.no_grad():
                next(module.discriminator.parameters()).view(-1)[0] = math.nan
        act(self, trainer, module, *rest)

    monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", diverge)
    assert fit(folder) == 1
    said = capsys.readouterr().err
    assert "after iteration 8, found NaN or infinity in discriminator." in said
    assert "-c sr-s --run NEW --from-checkpoint" in said
    assert iteration(folder.checkpoint) == 4
    assert nonfinite_tensor(state(folder.checkpoint)["state_dict"]) is None
    record = folder.read_record()
    assert record is not None
    assert record["status"] == "failed"


@pytest.mark.parametrize("damage", ["weights", "optimizers", "clock", "all"])
def test_a_checkpoint_of_something_else_is_no_beginning(
    damage: str, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content: Any = read_file(run.checkpoint)
    if damage == "weights":
        name = next(iter(content["state_dict"]))
        content["state_dict"][name] = torch.zeros(7, 7)
    elif damage == "optimizers":
        content["optimizer_states"] = [{}]
    elif damage == "clock":
        content["srgan"] = "12"
    else:
        content = torch.ones(3)
    torch.save(content, tmp_path / "other.ckpt")
    folder = RunFolder(tmp_path / "new")
    assert fit(folder, "--model.iterations", "20", "--from-checkpoint", str(tmp_path / "other.ckpt")) == 2
    said = capsys.readouterr().err
    assert "Expected a checkpoint" in said
    assert said.count("\n") <= 3


def test_no_generator_is_made_of_weights_that_are_not_finite(run: RunFolder) -> None:
    content = read_file(run.checkpoint)
    name = next(name for name in content["state_dict"] if name.startswith("generator"))
    content["state_dict"][name] = torch.full_like(content["state_dict"][name], math.inf)
    torch.save(content, run.path / "infinite.ckpt")
    with pytest.raises(ValueError, match=f"found NaN or infinity in {name}"):
        rebuild_nets(read_run_checkpoint(run.path / "infinite.ckpt"))


# Several processes, and pages over several runs.


def test_two_processes_write_one_checkpoint_and_find_the_same_one_again(tmp_path: Path) -> None:
    """Only the first writes, and decides where both go on, which are started together as torchrun does."""
    folder = RunFolder(tmp_path / "run")
    words = [*TINY, "--run", str(folder.path), "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    for damaged in (False, True):
        if damaged:
            folder.record.write_text(folder.record.read_text().replace('"finished"', '"running"'))
            flip(folder.checkpoint, in_the_largest_tensor(folder.checkpoint))
        assert ("Resuming from" in run_on_two(words, tmp_path / "logs")) == damaged
        assert iteration(folder.checkpoint) == 12
        assert {path.name for path in folder.checkpoint.parent.iterdir()} == {
            "last.ckpt", "previous.ckpt", "00000008.ckpt"
        }  # fmt: skip


def test_a_pipe_in_the_place_of_a_file_is_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """Reading it would wait for ever; a checkpoint is taken from elsewhere, and a page leaves the run out."""
    for path in (run.checkpoint, run.record):
        path.unlink()
        os.mkfifo(path)
        if path == run.checkpoint:
            point = find_resume_point(run)
            assert point is not None
            assert point.checkpoint == run.previous_checkpoint
    assert fit(run) == 2
    assert f"Expected a file at '{run.record}', found a folder, a pipe" in capsys.readouterr().err
    assert main(["report", str(run.path)]) == 2
    assert "a pipe" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["losses.jsonl", "spectra.bin", "spectra.json", "run.json", "samples/00000004.png"])
def test_a_damaged_run_is_left_out_of_a_page_with_its_reason(
    name: str, run: RunFolder, whole: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole.path, run.path.with_name("sound"))
    path = run.path / name
    content = path.read_bytes()
    path.write_bytes(bytes(len(content) // 2) + content[len(content) // 2 :])
    assert main(["report", str(run.path.parent)]) == 0
    output = capsys.readouterr()
    shown = 2 if name.startswith("samples") else 1  # a picture is not the run
    assert f": {shown} run" in output.out
    assert ("left out: run: " in output.err) == (shown == 1)


def test_a_disk_that_takes_no_more_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """PyTorch's archive writer tells of it as a RuntimeError of its own; the checkpoint before stays."""
    path = tmp_path / "last.ckpt"
    RunCheckpointIO().save_checkpoint({"weights": torch.zeros(10)}, path)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            RunCheckpointIO().save_checkpoint({"weights": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
