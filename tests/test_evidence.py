"""What is made of a campaign's runs: summaries by hand, pairs by seed, runs added to those that are there."""

from pathlib import Path
from typing import Any

import pytest

from reproduce.claims import answer_table, answers, paired, table
from reproduce.evidence import Evidence, read_evidence, write_evidence

ITERATIONS = [250, 500, 750, 1000]


def run(method: str = "SN", seed: int = 1, setting: str = "C_64-32", **changes: Any) -> Evidence:
    fid = changes.pop("fid", [40.0, 10.0, 20.0, 30.0])
    tail = changes.pop("tail", [0.5, 0.8, 0.7, 0.6])
    fields: dict[str, Any] = {
        "setting": setting, "method": method, "seed": seed, "branch": None, "iterations": 1000, "commit": "abc",
        "processor": "x", "seconds": 1.0, "scores": {"iteration": ITERATIONS, "FID_cls": fid, "IS_cls": [2.0] * 4},
        "tails": {"iteration": ITERATIONS, "a": tail, "b": tail}, "held": {"iteration": ITERATIONS, "a": tail},
        "signals": {"iteration": [50, 100, 900], "gradient": changes.pop("gradient", [9.0, 7.0, 2.0])},
        "mode_collapse": None, "spectral_collapse": None,
    }  # fmt: skip
    return Evidence(**(fields | changes))


def test_summaries_of_a_run() -> None:
    found = run()
    assert found.late("FID_cls") == 30  # the evaluations after 750
    assert found.best("FID_cls") == 20  # medians: 40, 25, 20, 20
    assert found.best("IS_cls") == 2
    assert found.rise == 1.5
    assert found.fall == pytest.approx(0.75)
    assert found.kept_gradient == 0.25
    assert found.p_of_rising == pytest.approx(1 / 6)  # of the 3! orders of the evaluations after 250, one rises so
    assert found.sinking == 750  # 0.7 < 0.9 x 0.8
    assert run(tail=[0.5, 0.8, 0.7, 0.8]).sinking is None  # it came back
    assert run(tail=[0.5, 0.6, 0.7, 0.8]).fall == 1


def test_pairs_have_one_setting_and_seed() -> None:
    runs = [run(), run(seed=2), run("SR-s", 2), run("SR-s", 3), run("SR-s", 1, setting="C_8-32")]
    assert [(sn.key, other.key) for sn, other in paired(runs, "SR-s")] == [
        (("C_64-32", "SN", 2), ("C_64-32", "SR-s", 2))
    ]


def test_answers_say_who_is_ahead_and_how_collapses_go_together() -> None:
    steady: dict[str, Any] = {"fid": [40.0, 10.0, 10.0, 10.0], "tail": [0.8] * 4, "gradient": [8.0] * 3}
    runs = [run(seed=seed, mode_collapse=1000) for seed in range(5)] + [
        run("SR-s", seed, **steady) for seed in range(5)
    ]
    found = {(answer.place, answer.claim): answer for answer in answers(runs)}
    fid = found["IV", "FID is better under SR-s than under SN"]
    assert fid.words.startswith("FID_cls at the end: SR-s ahead of SN in 5 of 5 pairs (one-sided sign test p = 0.031)")
    assert (fid.holds, fid.verdict) == (True, "shown here")
    inception = found["IV", "IS is better under SR-s than under SN"]
    assert "IS_cls at the end: SR-s ahead of SN in 0 of 5 pairs" in inception.words
    assert inception.verdict == "not decided"  # all are equal
    modes = found["IV", "modes collapse under SN in most seeds, under SR-s in none"]
    assert modes.words == "SN in 0, SR-s in 0 of 5; judged by single evaluations 5 and 0."
    assert modes.verdict == "refuted here"
    tail = found["II-C", "SR-s keeps the tail of the spectra from falling"]
    assert "mean tail at the end over its largest: SR-s above SN in 5 of 5 pairs" in tail.words
    assert found["II-C", next(claim for _, claim in found if "first half" in claim)].holds
    assert "SR-s above SN in 5 of 5 pairs" in found["ours", "D's gradients die under SN and live on under SR-s"].words
    assert found["II-C", "mode collapse comes with the fall of the first half"].holds
    link = found["II-C", "mode collapse comes with the fall of the tail"]
    assert "over 10 runs: +1.00" in link.words
    assert "both 0, modes alone 5, spectra alone 0, neither 5" in link.words
    assert "250 iterations before the mode collapse (median of 5" in link.words
    assert link.holds
    assert all(answer.holds is None for answer in answers(runs[:3] + runs[5:8]) if "rank" not in answer.words)
    assert not any("SR-d" in claim for _, claim in found)
    worse = [run(seed=seed, **steady) for seed in range(5)] + [run("SR-d", seed) for seed in range(5)]
    assert [answer.verdict for answer in answers(worse) if answer.claim.startswith("FID is")] == ["refuted here"]
    rising = {"iteration": list(range(100, 1100, 100)), "FID_cls": [40, 30, *range(10, 18)], "IS_cls": [2] * 10}
    trends = [run(seed=seed, scores=rising) for seed in range(5)]
    trends += [run("SR-s", seed, scores=rising | {"FID_cls": [*range(18, 8, -1)]}, tail=[0.8] * 4) for seed in range(5)]
    of_fid = next(answer for answer in answers(trends) if answer.claim.startswith("after the first quarter FID rises"))
    assert (of_fid.words.split(" (")[0], of_fid.verdict) == ("SN in 5, SR-s in 0 of 5", "shown here")
    for header, lines in (table(runs), answer_table(runs)):
        assert {len(line) for line in lines} == {len(header)}


def test_runs_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    """A file that came with the repository keeps its runs; one made again takes the place of the older."""
    path = tmp_path / "evidence.json"
    assert read_evidence(path) == []
    write_evidence(path, [run(), run(seed=2)])
    write_evidence(path, [run("SR-s"), run(seed=2, commit="def")])
    assert [(found.method, found.seed, found.commit) for found in read_evidence(path)] == [
        ("SN", 1, "abc"),
        ("SN", 2, "def"),
        ("SR-s", 1, "abc"),
    ]
