"""What is made of a campaign's runs: summaries by hand, pairs by seed, runs added to those that are there."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import replace
from io import BytesIO
from math import isnan
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from reproduce.claims import FROM_SN, Answer, answers, paired
from reproduce.early_warning import warning_table
from reproduce.evidence import (
    CONTROLS,
    RATE_CONTROL,
    SCALE_CONTROL,
    SWITCHED,
    Evidence,
    read_evidence,
    with_their_past,
    write_evidence,
)
from reproduce.evidence_page import (
    answer_table,
    contingency,
    in_short,
    method_table,
    run_table,
    save_picture,
    shares_of_the_gain,
    with_samples,
    write_page_of,
)
from reproduce.readme import README, evidence_table

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


STEADY: dict[str, Any] = {"fid": [40.0, 10.0, 10.0, 10.0], "tail": [0.8] * 4, "gradient": [8.0] * 3}


def found(runs: Sequence[Evidence]) -> dict[str, Answer]:
    return {answer.claim: answer for answer in answers(runs)}


def both(seeds: Iterable[int] = range(1, 6), setting: str = "C_64-32", **changes: Any) -> list[Evidence]:
    """Runs that get worse and sink under SN, and do not under SR-s."""
    sn = [run(seed=seed, setting=setting) for seed in seeds]
    return sn + [run("SR-s", seed, setting, **(STEADY | changes)) for seed in seeds]


FID, IS = "FID is better under SR-s than under SN (primary)", "IS is better under SR-s than under SN"
HALF = "SR-s holds the first half of the spectra, which sinks under SN"
SR_D = "modes collapse under SN, not under SR-d"
GRADIENTS = "D's gradients die under SN and live on under SR-s"
MODES = "modes collapse under SN, not under SR-s"
RISES = "after the first quarter FID rises under SN, not under SR-s"
TAIL, TAIL_LINK = "SR-s keeps the tail of the spectra from falling", "mode collapse comes with the fall of the tail"
HALF_LINK = "mode collapse comes with the fall of the first half"
BEYOND, SCALE = "FID is better under SR-s than under {}", "FID is better under {} than under SN"


def test_answers_say_who_is_ahead() -> None:
    of_five = found(both())
    assert of_five[FID].words.startswith(
        "FID_cls at the end: SR-s ahead of SN in 5 of 5 pairs (one-sided sign test p = 0.031)"
    )
    assert (of_five[FID].place, of_five[FID].verdict) == ("IV", "shown here")
    assert "IS_cls at the end: SR-s ahead of SN in 0 of 5 pairs" in of_five[IS].words
    assert of_five[IS].verdict == "not decided"  # all are equal
    assert of_five[HALF].verdict == "shown here"
    worse = [run("SR-d", seed) for seed in range(1, 6)]
    worse += [run(seed=seed, **STEADY) for seed in range(1, 6)]
    of_sr_d = found(worse)["FID is better under SR-d than under SN" + FROM_SN]
    assert of_sr_d.verdict == "refuted here"
    assert of_sr_d.words.endswith(" Of the opposite: p = 0.031.")
    rescued = found(worse + [run(SWITCHED, seed, fid=[40.0, 12.0, 12.0, 12.0]) for seed in range(1, 6)])
    assert rescued["FID is better under SR-s than under SN" + FROM_SN].verdict == "refuted here"
    assert rescued["FID is better under SR-s than under SR-d, both" + FROM_SN].verdict == "shown here"
    for header, lines in (run_table(worse), answer_table(answers(worse))):
        assert {len(line) for line in lines} == {len(header)}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_tells_the_weights_scale_from_what_sr_compensates(control: str) -> None:
    beyond, scale = BEYOND.format(control), SCALE.format(control)
    as_bad_as_sn = both() + [run(control, seed) for seed in range(1, 6)]
    answered = found(as_bad_as_sn)
    assert f"SR-s ahead of {control} in 5 of 5 pairs" in answered[beyond].words
    assert (answered[beyond].place, answered[beyond].verdict) == ("ours", "shown here")
    assert f"{control} ahead of SN in 0 of 5 pairs" in answered[scale].words
    assert answered[scale].verdict == "not decided"
    (share,) = shares_of_the_gain(as_bad_as_sn)
    assert f"{control} has 0% of SR-s's gain over SN (+0.00 of +1.10, +0.00 of +1.10" in share
    as_good_as_sr = both() + [run(control, seed, **STEADY) for seed in range(1, 6)]
    answered = found(as_good_as_sr)
    assert (answered[beyond].verdict, answered[scale].verdict) == ("not decided", "shown here")
    assert "has 100% of" in shares_of_the_gain(as_good_as_sr)[0]
    some = both() + [run(control, seed) for seed in (1, 2)]
    assert found(some)[beyond].verdict == "not decided: 2 of 5 pairs so far"
    assert "(+0.00 of +1.10, +0.00 of +1.10, seed by seed)" in shares_of_the_gain(some)[0]
    assert shares_of_the_gain(both()) == []
    without_gain = [*both(fid=[40.0, 10.0, 20.0, 30.0]), run(control, 1)]
    assert shares_of_the_gain(without_gain)[0].startswith("SR-s has no gain over SN in the 1 seeds")


def test_the_controls_are_no_methods_of_the_paper(tmp_path: Path) -> None:
    """They have no part in the link, nor in what warns; what the one holds is too little to judge spectra by."""
    runs = [replace(one, signals=SIGNALS) for one in both()]
    controls = [run(name, seed, mode_collapse=500, signals=SIGNALS) for seed in range(1, 6) for name in CONTROLS]
    assert found(runs + controls)[HALF_LINK].verdict == "not decided: 10 of 15 runs so far"
    collapsed = {(line[0], line[1]): line[-2] for line in run_table(runs + controls)[1]}
    assert [collapsed[name, "1"] for name in ("SN", RATE_CONTROL, "SR-s", SCALE_CONTROL)] == ["no", "no", "no", "–"]
    warned = []
    for shown in (runs, runs + controls):
        write_page_of(shown, tmp_path, Console(quiet=True))
        warned.append((tmp_path / "evidence.md").read_text().partition("## Could one have been warned?")[2])
    assert warned[0].startswith("\n\nWhat falls below")
    assert warned[0] == warned[1]


def test_sn_alone_says_how_modes_and_spectra_collapse_together() -> None:
    both_collapse = run(seed=2, mode_collapse=500, spectral_collapse=500)
    assert contingency([run(), both_collapse, run(seed=3, mode_collapse=500), run("SR-s", mode_collapse=500)]) == (
        "Of 3 runs of SN modes and spectra collapse in 1, modes alone in 1, spectra alone in 0, neither in 1."
    )


def test_a_claim_that_the_missing_pairs_cannot_decide_says_so() -> None:
    """One pair of five the other way: at best four of five, p = 0.19; of four, none can."""
    mixed = [run(seed=1, **STEADY), run("SR-s", 1), *both([2])]
    assert found(mixed)[FID].verdict == "not decided, whatever comes: 2 of 5 pairs so far"
    assert found(both([1, 2]))[FID].verdict == "not decided: 2 of 5 pairs so far"
    assert found(both([2, 3]))[GRADIENTS].verdict == "not decided, whatever comes: 2 of 4 pairs so far"
    collapsing: dict[str, Any] = {"fid": [10.0, 30.0, 30.0, 30.0]}
    differing = [run(seed=1, **collapsing), run("SR-s", 1), run(seed=2), run("SR-s", 2, **collapsing)]
    assert found(differing)[MODES].verdict == "not decided, whatever comes: 2 of 5 pairs so far"


def test_only_the_registered_pairs_judge_and_only_once_all_are_there() -> None:
    assert found(both(range(1, 5)))[FID].verdict == "not decided: 4 of 5 pairs so far"
    assert found(both([1, 2, 3], "C_16-32"))[FID].verdict == "not decided: ended at 3 of 5 pairs"
    assert {answer.verdict for answer in answers(both(setting="A_64-128"))} == {"exploratory"}
    assert found(both(range(11, 16)))[FID].verdict == "exploratory"
    with_more = found(both(range(1, 8)))[FID]
    assert "in 5 of 5 pairs" in with_more.words
    assert with_more.words.endswith("In the other pairs: 2 of 2.")


def test_pairs_that_raised_a_question_do_not_answer_it() -> None:
    """D's gradients and the trend were seen in pair 1 of C_64-32, the first half in C_16-32."""
    late = found(both())
    assert "SR-s above SN in 4 of 4 pairs (one-sided sign test p = 0.062)" in late[GRADIENTS].words
    assert late[GRADIENTS].words.endswith("In the other pairs: 1 of 1.")
    assert late[GRADIENTS].verdict == "not decided"  # four pairs cannot
    early = found(both([1, 2, 3], "C_16-32"))
    assert early[HALF].verdict == "exploratory"
    assert early[GRADIENTS].verdict == "exploratory"
    assert late[TAIL].verdict == "exploratory"  # what was registered in its place is the first half


def test_counts_of_collapses_are_judged_by_the_pairs_that_differ() -> None:
    """The runs that get worse rise to 1.5 times their best of medians of three, which is not above it."""
    fallen = {"iteration": ITERATIONS, "FID_cls": [10.0, 30.0, 30.0, 30.0], "IS_cls": [2.0] * 4}
    runs = both()
    assert found(runs)[MODES].words == (
        "SN in 0, SR-s in 0 of 5 (one-sided sign test where they differ: p = 1). Judged by single evaluations: 5 and 0."
    )
    assert found(runs)[MODES].verdict == "not decided"
    collapsing = found([run(seed=seed, scores=fallen) for seed in range(1, 6)] + runs[5:])[MODES]
    assert collapsing.words.startswith("SN in 5, SR-s in 0 of 5 (one-sided sign test where they differ: p = 0.031)")
    assert collapsing.verdict == "shown here"
    assert found(both(scores=fallen))[MODES].verdict == "refuted here"
    rising = {"iteration": list(range(100, 1100, 100)), "FID_cls": [40, 30, *range(10, 18)], "IS_cls": [2] * 10}
    trends = [run(seed=seed, scores=rising) for seed in range(1, 6)]
    trends += [run("SR-s", seed, scores=rising | {"FID_cls": [*range(18, 8, -1)]}) for seed in range(1, 6)]
    assert found(trends)[RISES].words.startswith("SN in 4, SR-s in 0 of 4")
    assert found(trends)[RISES].place == "ours"


def test_the_link_compares_runs_of_one_method_alone() -> None:
    """SN's runs all rise and sink and SR's do not: that is the methods' difference, not a link."""
    apart = found(both())[TAIL_LINK]
    assert "of 0 pairs of runs of one method" in apart.words
    assert "(one-sided p = 1," in apart.words
    assert apart.verdict == "exploratory"  # what was registered for batch 64 is the first half
    ended = found(both([1, 2, 3], "C_16-32"))
    assert ended[TAIL_LINK].verdict == "not decided: ended at 6 of 15 runs"
    assert ended[HALF_LINK].verdict == "exploratory"
    falls = [0.78, 0.7, 0.6, 0.5, 0.4]
    linked = [
        run(method, seed, fid=[40, 10, 10, 20 + 100 * (1 - fall)], tail=[0.8, 0.8, 0.8, fall])
        for method in ("SN", "SR-s", "SR-d")
        for seed, fall in enumerate(falls, 1)
    ]
    answer = found(linked)[HALF_LINK]
    assert answer.words.startswith("of 30 pairs of runs of one method, the one whose FID rises more")
    assert "has fallen further in 30 (one-sided p = 0.0083," in answer.words  # one of 5! orders
    assert answer.verdict == "shown here"
    crossed = [
        run("SN", seed, tail=[0.8, 0.8, 0.8, fall], fid=[40, 10, 10, 90 - 10 * seed])
        for seed, fall in enumerate(falls, 1)
    ]
    assert "in 0 (one-sided p = 1," in found(crossed)[TAIL_LINK].words


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
    assert whole.scores["FID_cls"] == [20.0, 10.0, 40.0, 50.0]
    assert whole.scores["iteration"] == ITERATIONS
    assert whole.best("FID_cls") == 15  # medians: 20, 15, 20, 40
    assert whole.fall == pytest.approx(0.5)
    assert whole.kept_gradient == pytest.approx(2 / 8)
    assert isnan(whole.scale(after=0, until=1))  # SN's was not recorded
    assert own.scale(after=0.5, until=0.7) == 2
    assert isnan(own.kept_gradient)  # its beginning is SN's
    assert (own.mode_collapse, whole.mode_collapse) == (None, 1000)


def test_the_page_begins_with_what_is_decided() -> None:
    """Of batch 64 five pairs decide; those of other settings are exploratory, whatever they say."""
    batch_64, batch_8 = (answers(both(setting=setting)) for setting in ("C_64-32", "C_8-32"))
    first, second = in_short({"C_64-32": batch_64, "C_8-32": batch_8}).splitlines()
    assert first.startswith(f"- **C_64-32.** *{FID}*: shown here. FID_cls at the end: SR-s ahead of SN in 5 of 5 pairs")
    assert f"Of the other claims, shown here: *{HALF}*; refuted here: nothing; not decided: " in first
    assert second.endswith(f"not decided: 0 (0 of them whatever comes); exploratory: {len(batch_8) - 1}.")
    opposite = [replace(one, method={"SN": "SR-s", "SR-s": "SN"}[one.method]) for one in both()]
    assert f"shown here: nothing; refuted here: *{HALF}*;" in in_short({"C_64-32": answers(opposite)})


def test_methods_are_set_against_sn_seed_by_seed() -> None:
    header, lines = method_table([*both(), run(SWITCHED, 2, **STEADY)])
    assert header == ["method", *(f"seed {seed}" for seed in range(1, 6)), "better than SN in", "change"]
    assert [line[0] for line in lines] == ["SN", "SR-s", SWITCHED]
    assert lines[0] == ["SN", *["30.0"] * 5, "", ""]
    assert lines[1] == ["SR-s", *["10.0"] * 5, "5 of 5", "-67% (95 % interval -67% to -67%)"]
    assert lines[2] == [SWITCHED, "–", "10.0", "–", "–", "–", "1 of 1", "-67%"]
    assert method_table([run(), run("SR-d", fid=[60.0] * 4)])[1][1] == ["SR-d", "60.0", "0 of 1", "+100%"]


def test_the_readme_shows_the_evidence_that_is_committed() -> None:
    """`make readme` writes it."""
    assert f"\n{evidence_table()}\n" in README.read_text()


def test_a_registered_claim_without_a_run_says_so() -> None:
    answered = found(both())
    for control in CONTROLS:
        assert answered[SCALE.format(control)].verdict == "not decided: 0 of 5 pairs so far"
    assert answered[SR_D].verdict == "not decided: 0 of 5 pairs so far"
    assert SR_D not in found(both(setting="C_8-32"))
    assert found(both(range(1, 4), "C_16-32"))[SR_D].verdict == "not decided: ended at 0 of 5 pairs"


def test_the_page_joins_a_run_that_went_on_to_its_past(tmp_path: Path) -> None:
    """SN's first gradients are 8 and SR-d's last is 2; SN's best FID makes of SR-d's a collapse."""
    times = {"iteration": [750, 1000]}
    own = run(
        "SR-d", branch=500, scores={**times, "FID_cls": [40.0, 50.0], "IS_cls": [2.0] * 2},
        tails={**times, "a": [0.4, 0.4]}, held={**times, "a": [0.4, 0.4]},
        signals={"iteration": [600, 900], "gradient": [3.0, 2.0], "loss": [2.0, 2.0]},
    )  # fmt: skip
    signals = {**SIGNALS, "gradient": [9.0, 7.0, 2.0]}
    write_page_of([run(fid=[20.0, 10.0, 99.0, 99.0], signals=signals), own], tmp_path, Console(quiet=True))
    line = next(line for line in (tmp_path / "evidence.md").read_text().splitlines() if "| SR-d | 1 |" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[5:8] == ["0.50", "0.40", "0.25"]
    assert cells[-3:] == ["1,000", "no", "x"]
    assert with_their_past([run(processor="y"), own])[1] == own


SIGNALS: dict[str, list[float]] = {"iteration": [50, 100, 900], "gradient": [9.0, 7.0, 2.0], "loss": [1.0, 1.5, 1.9]}


def test_a_warning_is_chosen_on_two_seeds_and_judged_on_the_others() -> None:
    """Tails fall to 0.775 of their largest before a collapse, else to 0.9; seed 3 is not warned, seed 4 falsely."""
    bad: dict[str, Any] = {"tail": [0.5, 0.8, 0.62, 0.62], "mode_collapse": 1000, "signals": SIGNALS}
    good: dict[str, Any] = {"tail": [0.5, 0.8, 0.72, 0.72], "signals": SIGNALS}
    runs = [run(seed=1, **bad), run(seed=2, **bad), run("SR-s", 1, **good), run("SR-s", 2, **good)]
    runs += [run(seed=3, **good | {"mode_collapse": 750}), run(seed=4, **bad | {"mode_collapse": None})]
    runs += [run(seed=5, **bad), run("SR-s", 5, **good)]
    header, lines = warning_table(runs)
    tail = next(line for line in lines if line[0].startswith("tail of the spectra"))
    assert tail[1:] == [
        "0.8",
        "2 of 2, 250 iterations ahead (median); false alarms in 0 of 2",
        "1 of 2, 250 iterations ahead (median); false alarms in 1 of 2",
    ]
    gradient = next(line for line in lines if line[0].startswith("D's gradient"))
    assert gradient[1:] == ["none", "–", "–"]  # the same in all runs
    assert {len(line) for line in lines} == {len(header)}


def test_samples_are_those_of_the_smallest_seed_that_most_methods_have(tmp_path: Path) -> None:
    """They are a row of the picture."""
    file = BytesIO()
    Image.new("RGB", (8, 8), "white").save(file, "PNG")
    white = b64encode(file.getvalue()).decode()
    kept = [run(method, seed, samples=white) for seed in (5, 4) for method in ("SR-d", "SR-s", "SN")]
    runs = [run(), run("SR-s"), run("SR-s, i = 0.3 N", 3, samples=white), run(seed=3, samples=white), *kept]
    assert [found.key[1:] for found in with_samples(runs)] == [("SN", 4), ("SR-s", 4), ("SR-d", 4)]
    assert with_samples(runs[:3]) == []
    heights = []
    for shown in (runs[:2], runs):
        save_picture([replace(one, signals=SIGNALS) for one in shown], tmp_path / "evidence.png")
        with Image.open(tmp_path / "evidence.png") as picture:
            heights.append(picture.height)
    assert heights[1] > heights[0]


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
