"""What is kept of a campaign's runs: summaries by hand, a branch's past, runs added to those that are there."""

from math import isnan
from pathlib import Path

import pytest
from invented_evidence import ITERATIONS, run

from reproduce.evidence.records import read_evidence, with_their_past, write_evidence


def test_summaries_of_a_run() -> None:
    found = run()
    assert found.late("FID_cls") == 30  # the evaluations after 750
    assert found.best("FID_cls") == 20  # medians: 40, 25, 20, 20
    assert found.best("IS_cls") == 2
    assert found.fall == pytest.approx(0.75)
    assert found.kept_gradient == 0.25
    assert found.p_of_rising == pytest.approx(1 / 6)  # of the 3! orders of the evaluations after 250, one rises so
    assert found.decay_onset == 750  # 0.7 < 0.9 x 0.8
    assert run(tail=[0.5, 0.8, 0.7, 0.8]).decay_onset is None  # it came back
    assert run(tail=[0.5, 0.6, 0.7, 0.8]).fall == 1


def test_a_run_that_went_on_from_another_has_its_past() -> None:
    """Its best, its largest tail, its first gradients and its mode collapse lie in SN's rows before the branch."""
    times = [750, 1000]
    own = run(
        "SR-d", branch=500, scores={"iteration": times, "FID_cls": [40.0, 50.0], "IS_cls": [2.0] * 2},
        tails={"iteration": times, "a": [0.4, 0.4]}, held={"iteration": times, "a": [0.4, 0.4]},
        signals={"iteration": [600, 900], "gradient": [3.0, 2.0], "scaled gradient": [6.0, 2.0]},
    )  # fmt: skip
    parent = run(fid=[20.0, 10.0, 99.0, 99.0], tails={"iteration": ITERATIONS, "a": [0.5, 0.8, 0.7, 0.6]})
    alone, _ = with_their_past([own, run(seed=2)])
    assert alone is own
    whole, untouched = with_their_past([own, parent])
    assert untouched is parent
    assert list(whole.scores["FID_cls"]) == [20.0, 10.0, 40.0, 50.0]
    assert list(whole.scores.index) == ITERATIONS
    assert whole.best("FID_cls") == 15  # medians: 20, 15, 20, 40
    assert whole.fall == pytest.approx(0.5)
    assert whole.kept_gradient == pytest.approx(2 / 8)
    assert isnan(whole.scale(after=0, until=1))  # SN's was not recorded
    assert own.scale(after=0.5, until=0.7) == 2
    assert isnan(own.kept_gradient)  # its beginning is SN's
    assert (own.mode_collapse, whole.mode_collapse) == (None, 1000)


def test_runs_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    """A file that came with the repository keeps its runs; one made again takes the place of the older."""
    path = tmp_path / "evidence.json"
    assert read_evidence(path) == []
    write_evidence(path, [run(), run(seed=2)])
    write_evidence(path, [run("SR-s"), run(seed=2, commit="def"), run(seed=3, commit=None)])
    assert [(found.method, found.seed, found.commit) for found in read_evidence(path)] == [
        ("SN", 1, "abc"),
        ("SN", 2, "def"),
        ("SN", 3, None),  # made outside of a repository
        ("SR-s", 1, "abc"),
    ]
