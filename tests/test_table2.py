"""The command line of the tables and experiments: what it shows, what it refuses, how it shares the machine."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from reproduce import resume
from reproduce.launch import threads_of_each, usable_cores
from reproduce.overview import refuse_impossible_splits, show_plan, whole_seconds
from reproduce.plan import Run, plan
from reproduce.settings import METHODS
from reproduce.table2 import main, parse


def test_a_dry_run_for_a_cluster_shows_the_whole_plan_and_times_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no Slurm: the plan needs none
    options = ["--scale", "paper", "--cluster", "slurm", "--dry-run", "1", "--settings", "A_1024-128"]
    assert main([*options, "--gpus", "4", "--nodes", "2", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "2 runs" in shown
    assert "128 x 1 x 8" in shown
    assert "GPU hours" in shown
    assert shown.count("--trainer.devices 4 --trainer.num_nodes 2") == 2
    assert "0 in the queue" not in shown
    assert main(["--scale", "mini", "--cluster", "slurm", "--dry-run", "1", "--runs", str(tmp_path)]) == 0
    assert "10 runs, 10 to do" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []  # no calibration.json, no record of jobs


@pytest.mark.parametrize("cluster", ["", "slurm"])
@pytest.mark.parametrize("dry_run", ["0", "1"])
def test_a_batch_that_does_not_divide_is_refused_before_anything_happens(
    cluster: str, dry_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scale", "mini", "--settings", "B_128-64", "--gpus", "3", "--runs", str(tmp_path)]
    assert main([*options, "--cluster", cluster, "--dry-run", dry_run]) == 2
    assert "B_128-64 SN seed 1: Expected a global batch that divides among the devices" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_split_into_micro_batches_is_checked_too(tmp_path: Path) -> None:
    runs = plan("paper", ["E_512-64"], METHODS, [1], tmp_path)
    refuse_impossible_splits(runs)
    with pytest.raises(ValueError, match=r"E_512-64 SN seed 1: Expected .* 64 devices.*Set GPUS"):
        refuse_impossible_splits(runs, 64)


def test_scale_paper_without_a_gpu_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reproduce.table2.count_gpus", lambda: 0)
    options = ["--scale", "paper", "--settings", "A_64-128", "--runs", str(tmp_path)]
    assert main(options) == 2
    expected = "found no CUDA device; DRY_RUN=1 shows the plan, CLUSTER=slurm submits it"
    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main([*options, "--dry-run", "1"]) == 0
    assert "2 runs" in capsys.readouterr().out


def test_the_resume_experiment_of_the_paper_wants_its_four_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Run, "missing", None)
    options = ["--scale", "paper", "--runs", str(tmp_path)]
    for gpus, own, words in (
        (0, "", "found no CUDA device"),
        (1, "", "reproduce: Expected 4 GPUs, found 1, for: SN to 40,000"),
        (4, "8", "reproduce: Expected 8 GPUs, found 4"),
    ):
        monkeypatch.setattr("reproduce.resume.count_gpus", lambda gpus=gpus: gpus)
        assert resume.main([*options, "--gpus", own]) == 2
        assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nought_means_no() -> None:
    for text, meant in (("", False), ("0", False), ("1", True), ("yes", True)):
        options = parse(["--dry-run", text, "--wait", text])
        assert (options.dry_run, options.wait) == (meant, meant)
    assert (parse([]).dry_run, parse([]).wait) == (False, False)


def test_seeds_are_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--seeds", "1, 2 3"]).seeds == [1, 2, 3]
    assert parse(["--seeds", ""]).seeds == [1]
    with pytest.raises(SystemExit):
        parse(["--seeds", "1 x"])
    assert "expected whole numbers such as '1 2 3', found '1 x'" in capsys.readouterr().err


def test_all_processes_at_a_time_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    monkeypatch.setattr("reproduce.launch.usable_cores", lambda: 32)
    assert threads_of_each([1] * 48, gpus=4, jobs=4) == 8
    assert threads_of_each([1], gpus=4, jobs=4) == 32  # the only run
    assert threads_of_each([4] * 4, gpus=4, jobs=4) == 8  # one at a time: four GPUs
    assert threads_of_each([1, 1, 4], gpus=8, jobs=2) == 6  # at worst the 4 and a 1 together
    assert threads_of_each([1] * 48, gpus=4, jobs=64) == 1
    assert threads_of_each([1], gpus=0, jobs=8) == 1
    assert threads_of_each([], gpus=4, jobs=4) == 32


def test_the_time_of_all_runs_counts_their_gpus() -> None:
    assert whole_seconds([(10.0, 1)] * 8, jobs=4, gpus=4) == 20.0
    assert whole_seconds([(10.0, 4)] * 8, jobs=4, gpus=4) == 80.0  # one after the other
    assert whole_seconds([(10.0, 1)] * 8, jobs=1, gpus=4) == 80.0
    assert whole_seconds([(10.0, 4)] * 8, jobs=1, gpus=4) == 80.0
    assert whole_seconds([(10.0, 1), (100.0, 1)], jobs=2, gpus=0) == 100.0


def test_more_gpus_make_the_timed_run_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour on one GPU is a quarter on the plan's four."""
    monkeypatch.setattr(Run, "missing", None)
    monkeypatch.setattr("reproduce.overview.estimate_seconds", lambda runs, root: [7200.0 for _ in runs])
    runs = plan("paper", ["A_64-128", "E_512-64"], ["sn"], [1], tmp_path)
    shown = io.StringIO()
    show_plan(runs, runs, 4, tmp_path, Console(file=shown, width=160), gpus=4)
    (one,) = [line for line in shown.getvalue().splitlines() if "A_64-128 SN" in line]
    (four,) = [line for line in shown.getvalue().splitlines() if "E_512-64 SN" in line]
    assert "2.0 h" in one
    assert "30.0 min" in four
    assert "4 at a time: about 2.0 h" in shown.getvalue()
