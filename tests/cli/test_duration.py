"""What a run says of its own length on a CPU."""

from pathlib import Path

import pytest
from tiny_runs import fit

from srgan.runs.folder import RunFolder
from srgan.utils.duration import MAX_HOURS, MIN_SECONDS, Pacemaker, warning


@pytest.mark.parametrize("seconds_each", [0.01, 1.0, 20.0, 90.0])
@pytest.mark.parametrize("first", [0, 5_000])
def test_the_length_is_told_once_by_the_pace_behind_the_first_iteration(seconds_each: float, first: int) -> None:
    """The first iteration seen may have taken long, and a resumed run is not judged by what others did."""
    pace, clock, told = Pacemaker(10_000), 100.0, []
    for iteration in range(first + 1, 10_001):
        hours = pace.hours_left(iteration, clock)
        if hours is not None:
            told.append((iteration, hours))
        clock += seconds_each
    ((iteration, hours),) = told
    assert hours == pytest.approx((10_000 - iteration) * seconds_each / 3600)
    assert (iteration - first - 1) * seconds_each >= MIN_SECONDS - 1e-6
    assert iteration - first > 3


def test_a_run_that_is_over_before_says_nothing() -> None:
    pace = Pacemaker(20)
    assert [pace.hours_left(iteration, iteration / 10) for iteration in range(1, 21)] == [None] * 20


def test_nothing_is_advised_that_was_done() -> None:
    assert warning(MAX_HOURS - 1, ["srgan"]) is None
    assert "-c small behind -c cifar10" in str(warning(MAX_HOURS, ["srgan", "fit", "-c", "cifar10"]))
    said = str(warning(36.2, ["srgan", "fit", "-c", "cifar10", "-c", "small"]))
    assert said.startswith("at its pace so far, training takes about 36 hours more on this CPU. Take a GPU, or fewer")
    assert "-c" not in said


def test_a_run_says_so_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(RunFolder(tmp_path / "short"), "--model.iterations", "6") == 0
    assert "hours" not in capsys.readouterr().err
    monkeypatch.setattr("srgan.utils.duration.MAX_HOURS", 0.0)
    monkeypatch.setattr("srgan.utils.duration.MIN_SECONDS", 0.0)
    assert fit(RunFolder(tmp_path / "long"), "--model.iterations", "6") == 0
    assert (
        capsys.readouterr().err.count("long: at its pace so far, training takes about 0 hours more on this CPU.") == 1
    )
