"""What invented runs say to each claim: by their pairs, and only once all that were registered are there."""

from typing import Any

import pytest
from invented_evidence import FID, HALF, ITERATIONS, STEADY, both, found, run

from reproduce.evidence.claims import CONTROLS, FROM_SN, SWITCHED, answers, paired

IS = "IS is better under SR-s than under SN"
SR_D = "modes collapse under SN, not under SR-d"
GRADIENTS = "D's gradients vanish under SN but not under SR-s"
MODES = "modes collapse under SN, not under SR-s"
RISES = "after the first quarter FID rises under SN, not under SR-s"
TAIL = "SR-s keeps the tail of the spectra from decaying"
BEYOND, SCALE = "FID is better under SR-s than under {}", "FID is better under {} than under SN"


def test_pairs_have_one_setting_and_seed() -> None:
    runs = [run(), run(seed=2), run("SR-s", 2), run("SR-s", 3), run("SR-s", 1, setting="C_8-32")]
    assert [(sn.key, other.key) for sn, other in paired(runs, "SR-s")] == [
        (("C_64-32", "SN", 2), ("C_64-32", "SR-s", 2))
    ]


def test_answers_say_who_is_ahead() -> None:
    of_five = found(both())
    assert of_five[FID].numbers.startswith(
        "The final FID_cls is better under SR-s than under SN in 5 of 5 pairs (one-sided sign test: p = 0.031)"
    )
    assert (of_five[FID].place, of_five[FID].verdict) == ("IV", "supported")
    assert "The final IS_cls is better under SR-s than under SN in 0 of 5 pairs" in of_five[IS].numbers
    assert of_five[IS].verdict == "inconclusive"  # all are equal
    assert of_five[HALF].verdict == "supported, by construction"
    worse = [run("SR-d", seed) for seed in range(1, 6)]
    worse += [run(seed=seed, **STEADY) for seed in range(1, 6)]
    of_sr_d = found(worse)["FID is better under SR-d than under SN," + FROM_SN]
    assert of_sr_d.verdict == "contradicted"
    assert of_sr_d.numbers.endswith(" Opposite claim: p = 0.031.")
    rescued = found(worse + [run(SWITCHED, seed, fid=[40.0, 12.0, 12.0, 12.0]) for seed in range(1, 6)])
    assert rescued["FID is better under SR-s than under SN," + FROM_SN].verdict == "contradicted"
    assert rescued["FID is better under SR-s than under SR-d, both" + FROM_SN].verdict == "supported"


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_tells_the_weights_scale_from_what_sr_compensates(control: str) -> None:
    beyond, scale = BEYOND.format(control), SCALE.format(control)
    as_bad_as_sn = both() + [run(control, seed) for seed in range(1, 6)]
    answered = found(as_bad_as_sn)
    assert f"better under SR-s than under {control} in 5 of 5 pairs" in answered[beyond].numbers
    assert (answered[beyond].place, answered[beyond].verdict) == ("ours", "supported")
    assert f"better under {control} than under SN in 0 of 5 pairs" in answered[scale].numbers
    assert answered[scale].verdict == "inconclusive"
    as_good_as_sr = both() + [run(control, seed, **STEADY) for seed in range(1, 6)]
    answered = found(as_good_as_sr)
    assert (answered[beyond].verdict, answered[scale].verdict) == ("inconclusive", "supported")
    some = both() + [run(control, seed) for seed in (1, 2)]
    assert found(some)[beyond].verdict == "inconclusive: 2 of 5 pairs"


def test_a_claim_that_so_few_registered_pairs_cannot_decide_says_so() -> None:
    """Four that agree have p = 0.062."""
    assert found(both())[GRADIENTS].verdict == "cannot reach significance"
    assert found(both([2, 3]))[GRADIENTS].verdict == "cannot reach significance"
    assert found(both([1]))[GRADIENTS].verdict == "exploratory"  # it raised the question
    assert found(both([1, 2]))[FID].verdict == "inconclusive: 2 of 5 pairs"


def test_only_the_registered_pairs_judge_and_only_once_all_are_there() -> None:
    assert found(both(range(1, 5)))[FID].verdict == "inconclusive: 4 of 5 pairs"
    assert found(both([1, 2, 3], "C_16-32"))[FID].verdict == "inconclusive: 3 of 5 pairs"
    assert {answer.verdict for answer in answers(both(setting="A_64-128"))} == {"exploratory"}
    assert found(both(range(11, 16)))[FID].verdict == "exploratory"
    with_more = found(both(range(1, 8)))[FID]
    assert "in 5 of 5 pairs" in with_more.numbers
    assert with_more.numbers.endswith("In unregistered pairs: 2 of 2.")


def test_claims_on_spectra_are_set_against_noise() -> None:
    """The null model's first half is 0.90 to 0.92 under SN, and 0.99 or more under SR, without any D."""
    held: dict[str, Any] = {"held": {"iteration": ITERATIONS, "a": [0.95] * 4}}
    answered = found([*both(), *(run("SR-d", seed, **held) for seed in range(1, 6))])
    assert answered[HALF].numbers.endswith("Noise alone: SR-s 1.00, SN 0.90 to 0.92.")
    assert answered[HALF.replace("SR-s", "SR-d")].verdict == "supported, by construction"
    decays = answered["the first half of the spectra decays further under SN than under noise alone"]
    assert decays.numbers == (
        "The final mean of the first half is 0.60 in the runs and 0.90 to 0.92 under noise alone. It is lower in "
        "5 of 5 runs (one-sided sign test: p = 0.031)."
    )
    assert decays.verdict == "exploratory"
    more = answered["the first half of the spectra stays higher under SR-d than under noise alone"]
    assert "0.99 to 1.00 under noise alone. It is higher in 0 of 5 runs (one-sided sign test: p = 1)" in more.numbers
    assert "Noise alone" not in answered[FID].numbers
    wide = found(both(setting="A_64-128"))  # D has 32 channels there: another matrix
    assert "Noise alone" not in wide[HALF].numbers
    assert decays.claim not in wide


def test_pairs_that_raised_a_question_do_not_answer_it() -> None:
    """D's gradients and the trend were seen in pair 1 of C_64-32, the first half in C_16-32."""
    late = found(both())
    assert "higher under SR-s than under SN in 4 of 4 pairs (one-sided sign test: p = 0.062)" in late[GRADIENTS].numbers
    assert late[GRADIENTS].numbers.endswith("In unregistered pairs: 1 of 1.")
    early = found(both([1, 2, 3], "C_16-32"))
    assert early[HALF].verdict == "exploratory"
    assert early[GRADIENTS].verdict == "exploratory"
    assert late[TAIL].verdict == "exploratory"  # what was registered in its place is the first half


def test_counts_of_collapses_are_judged_by_the_pairs_that_differ() -> None:
    """The runs that get worse rise to 1.5 times their best of medians of three, which is not above it."""
    fallen = {"iteration": ITERATIONS, "FID_cls": [10.0, 30.0, 30.0, 30.0], "IS_cls": [2.0] * 4}
    runs = both()
    assert found(runs)[MODES].numbers == (
        "SN in 0, SR-s in 0 of 5 (one-sided sign test where they differ: p = 1). Based on single evaluations: 5 and 0."
    )
    assert found(runs)[MODES].verdict == "inconclusive"
    collapsing = found([run(seed=seed, scores=fallen) for seed in range(1, 6)] + runs[5:])[MODES]
    assert collapsing.numbers.startswith("SN in 5, SR-s in 0 of 5 (one-sided sign test where they differ: p = 0.031)")
    assert collapsing.verdict == "supported"
    assert found(both(scores=fallen))[MODES].verdict == "contradicted"
    rising = {"iteration": list(range(100, 1100, 100)), "FID_cls": [40, 30, *range(10, 18)], "IS_cls": [2] * 10}
    trends = [run(seed=seed, scores=rising) for seed in range(1, 6)]
    trends += [run("SR-s", seed, scores=rising | {"FID_cls": [*range(18, 8, -1)]}) for seed in range(1, 6)]
    assert found(trends)[RISES].numbers.startswith("SN in 4, SR-s in 0 of 4")
    assert found(trends)[RISES].place == "ours"


def test_recall_is_compared_where_both_runs_have_it() -> None:
    """A generator that reaches nothing is compared, too. Seed 5 alone was registered: it cannot decide."""
    runs = [run(seed=seed, recall=recall) for seed, recall in ((1, 0.5), (2, 0.4), (3, None), (5, 0.5))]
    runs += [run("SR-d", seed, recall=recall) for seed, recall in ((1, 0.0), (2, 0.45), (3, 0.5), (5, 0.1))]
    answered = found(runs)["recall is lower under SR-d than under SN"]
    assert answered.numbers.startswith("The final recall is lower under SR-d than under SN in 1 of 1 pairs")
    assert answered.numbers.endswith("In unregistered pairs: 1 of 2.")
    assert answered.verdict == "cannot reach significance"
    assert found(both())["recall is higher under SR-s than under SN"].numbers == "No pair has been run."


def test_a_registered_claim_without_a_run_says_so() -> None:
    answered = found(both())
    for control in CONTROLS:
        assert answered[SCALE.format(control)].verdict == "inconclusive: 0 of 5 pairs"
    assert answered[SR_D].verdict == "inconclusive: 0 of 5 pairs"
    assert SR_D not in found(both(setting="C_8-32"))
    assert found(both(range(1, 4), "C_16-32"))[SR_D].verdict == "inconclusive: 0 of 5 pairs"
