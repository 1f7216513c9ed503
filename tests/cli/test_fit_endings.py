"""Whatever ends a training: what is computed is saved, and status, words and exit status say how far it came."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tiny_runs import assert_same_run, fit, state

from srgan.callbacks import ScoreRecorder
from srgan.checkpoints.rebuilding import memory_problem
from srgan.cli.fit import FAILED, STOPPED_EARLY, main
from srgan.metrics.features import ClassifierFeatures
from srgan.runs.folder import RunFolder
from srgan.utils.files import write_json

SCORES = [
    "--scores.every", "6", "--scores.features", "classifier", "--scores.protocol.num_fake_images", "60",
    "--scores.protocol.batch_size", "20", "--scores.protocol.num_real_images", "60",
    "--scores.final.num_fake_images", "130", "--checkpoints.every", "5",
]  # fmt: skip


class Ends(pl.Callback):
    """A callback that ends the training after 6 iterations."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        trainer.should_stop = pl_module.iteration == 6


class FillsTheDisk(pl.Callback):
    """Fails as a write to a full disk does, after 6 iterations."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.iteration == 6:
            raise OSError(28, "No space left on device")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "whole")
    assert fit(folder) == 0
    return folder


def status(folder: RunFolder) -> str:
    record = folder.read_record()
    assert record is not None
    found: str = record["status"]
    return found


@pytest.mark.parametrize(
    ("options", "iteration"),
    [
        (["--trainer.limit_train_batches", "3", "--trainer.max_epochs", "2"], 6),
        (["--trainer.max_time", "00:00:00:00"], 0),
        (["--trainer.fast_dev_run", "true"], 1),
        (["--trainer.callbacks", "test_fit_endings.Ends"], 6),
    ],
    ids=["limit of epochs", "time", "dev", "callback"],
)
def test_a_run_that_ends_early_says_so_and_goes_on_without_the_limit(
    options: list[str], iteration: int, whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, *options) == STOPPED_EARLY
    said = capsys.readouterr().out
    assert f"stopped early after {iteration} iteration{'s' * (iteration != 1)} by" in said
    assert f"Missing: iterations {iteration + 1} to 12." in said
    assert status(folder) == "stopped"
    if iteration:
        assert state(folder.checkpoint)["srgan"]["iteration"] == iteration
    assert fit(folder) == 0
    assert status(folder) == "finished"
    assert_same_run(folder, whole)


def test_epochs_that_do_not_end_the_run_change_nothing(whole: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "--trainer.limit_train_batches", "5") == 0
    assert_same_run(folder, whole)


def test_a_full_disk_is_said_in_one_sentence_and_keeps_the_state(
    whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "--trainer.callbacks", "test_fit_endings.FillsTheDisk") == FAILED
    assert "failed: [Errno 28] No space left on device" in capsys.readouterr().err
    assert status(folder) == "failed"
    assert fit(folder) == 0
    assert_same_run(folder, whole)


class InterruptsTwice(pl.Callback):
    """Two Ctrl-C in iteration 7."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.iteration == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_ctrl_c_ends_a_run_at_once_and_its_record_says_what_is_not_saved(
    whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "--trainer.callbacks", "test_fit_endings.InterruptsTwice") == 128 + signal.SIGINT
    assert "stopped; run the command again to resume from the last checkpoint" in capsys.readouterr().err
    record = folder.read_record()
    assert record is not None
    assert (record["status"], record["missing"]) == ("stopped", ["iterations 5 to 12"])
    assert fit(folder) == 0
    assert_same_run(folder, whole)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "scored")
    assert fit(folder, *SCORES) == 0
    return folder


def test_a_stop_in_the_final_scores_leaves_them_to_the_same_command(
    scored: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second time the run has been resumed, for these scores alone."""
    folder = RunFolder(tmp_path / "run")

    def killed(self: ScoreRecorder, *_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("expected to be stopped")

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(ScoreRecorder, "_record_final", killed)
            assert fit(folder, *SCORES) == 128 + signal.SIGTERM
        assert "Missing: the final scores." in capsys.readouterr().out
        record = folder.read_record()
        assert record is not None
        assert (record["status"], record["missing"]) == ("stopped", ["the final scores"])
        assert state(folder.checkpoint)["srgan"]["iteration"] == 12
    assert fit(folder, *SCORES) == 0
    assert status(folder) == "finished"
    assert folder.read_final() == scored.read_final()
    assert_same_run(folder, scored)


def test_a_run_killed_in_the_final_scores_finishes_with_the_same_numbers(scored: RunFolder, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(scored.path, tmp_path / "run"))
    folder.final.unlink()
    folder.record.write_text(folder.record.read_text().replace('"finished"', '"running"'))
    assert fit(folder, *SCORES) == 0
    assert folder.read_final() == scored.read_final()


def test_a_signal_after_the_end_does_not_unfinish_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes while the last iteration is being scored, which is then complete."""
    act = ScoreRecorder.act

    def signalled(self: ScoreRecorder, trainer: pl.Trainer, module: Any) -> None:
        act(self, trainer, module)
        if module.iteration == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ScoreRecorder, "act", signalled)
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, *SCORES, "--scores.final", "null") == 0
    assert status(folder) == "finished"
    assert "finished, 12 iterations" in capsys.readouterr().out


@pytest.mark.parametrize("where", ["file/run", "x" * 300])
def test_a_place_that_cannot_hold_a_run_is_refused(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["-c", "configs/digits.yaml", "--run", str(tmp_path / where)]) == 2
    assert "--run is not a writable folder" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_to_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(ClassifierFeatures, "steps", 1)
    assert fit(RunFolder(tmp_path / "run"), *SCORES) == FAILED
    assert "Expected a writable cache" in capsys.readouterr().err


def test_a_run_is_never_scored_by_two_classifiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cache of then is gone, and another machine or version trains another classifier: refused, nothing is lost."""
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, *SCORES, "--trainer.limit_train_batches", "7", "--trainer.max_epochs", "1") == STOPPED_EARLY
    protocol, before = folder.read_protocol(), folder.read_scores()
    assert protocol is not None
    assert [row["iteration"] for row in before] == [6]
    write_json(folder.protocol, protocol | {"weights_hash": "0123456789ab"})
    assert fit(folder, *SCORES) == FAILED
    said = capsys.readouterr().err
    assert f"classifier with weights 0123456789ab that scored this run before, found {protocol['weights_hash']}" in said
    assert folder.read_scores() == before
    write_json(folder.protocol, protocol)
    assert fit(folder, *SCORES) == 0
    assert [row["iteration"] for row in folder.read_scores()] == [6, 12]


class Hangup(pl.Callback):
    """The terminal is closed in iteration 7."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.iteration == 6:
            os.kill(os.getpid(), signal.SIGHUP)


def test_a_closed_terminal_saves_and_stops(
    whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "--trainer.callbacks", "test_fit_endings.Hangup") == 128 + signal.SIGHUP
    assert "stopped after 7 iterations; run the command again to resume" in capsys.readouterr().out
    assert status(folder) == "stopped"
    assert state(folder.checkpoint)["srgan"]["iteration"] == 7
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    assert fit(folder) == 0
    assert_same_run(folder, whole)


def test_a_closed_terminal_does_not_stop_what_nohup_started(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert fit(RunFolder(tmp_path / "run"), "--trainer.callbacks", "test_fit_endings.Hangup") == 0
    finally:
        signal.signal(signal.SIGHUP, before)


class NeedsMore(pl.Callback):
    """Asks for more memory than there is, as a batch that is too large does, in iteration 7."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.iteration == 6:
            torch.empty(2**45)


def test_a_run_that_does_not_fit_into_memory_says_what_to_lower(
    whole: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "--trainer.callbacks", "test_fit_endings.NeedsMore") == FAILED
    said = capsys.readouterr().err
    assert "failed: Expected the training to fit into memory, found " in said
    assert "Set --model.micro_batch_size below 2" in said
    assert said.count("\n") == 1
    assert status(folder) == "failed"
    assert fit(folder) == 0
    assert_same_run(folder, whole)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
                                   RuntimeError("could not create a primitive"), MemoryError()])  # fmt: skip
def test_what_allocators_say_is_told_from_other_errors(error: Exception) -> None:
    assert memory_problem(error)
    assert memory_problem(RuntimeError("shapes differ")) is None


def test_without_a_home_the_cache_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for a user of a container who has no entry among its users."""
    for name in ("SRGAN_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    assert fit(RunFolder(tmp_path / "run"), *SCORES) == FAILED
    said = capsys.readouterr().err
    assert "Expected a home folder for the cache, found none. Set SRGAN_CACHE to a folder." in said
    assert said.count("\n") == 1
