"""Comparisons in pairs: counts and p-values by hand, an interval that holds what it says, words."""

from math import nan

import numpy as np
import pytest

from reproduce.results.significance import compare, sign_test, spread_ratio


def test_the_sign_test_counts_pairs() -> None:
    """4 of 5: (C(5, 4) + C(5, 5)) / 2^5."""
    found = compare([10, 10, 10, 10, 10], [9, 8, 7, 6, 11], lower_is_better=True)
    assert (found.n, found.ahead) == (5, 4)
    assert found.p() == pytest.approx(6 / 32)
    assert compare([10, 10], [9, 11], lower_is_better=False).ahead == 1


def test_the_sign_test_of_no_pairs_decides_nothing() -> None:
    assert sign_test(0, 0) == 1


def test_a_tie_is_not_ahead() -> None:
    assert compare([1.0, 2.0], [1.0, 2.0], lower_is_better=True).ahead == 0


def test_the_change_is_fair_to_both_directions() -> None:
    """Halved once and doubled once is no change; an arithmetic mean would say +25 %."""
    assert compare([10, 10], [5, 20], lower_is_better=True).change == pytest.approx(0)


def test_intervals_of_five_pairs_hold_the_true_change_as_often_as_they_say() -> None:
    """95 % of 400, give or take three standard deviations."""
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        interval = compare([1.0] * 5, np.exp(generator.normal(-0.2, 0.3, 5)).tolist(), lower_is_better=True).interval
        assert interval is not None
        held += interval[0] <= np.exp(-0.2) - 1 <= interval[1]
    assert 367 <= held <= 393


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ([9, 9], "cannot reach significance"),
        ([9], "cannot reach significance"),
        ([9] * 5, "better"),
        ([11] * 5, "worse"),
        ([9, 9, 9, 11, 11], "inconclusive"),
    ],
)
def test_a_verdict_says_what_so_many_pairs_can_tell(second: list[float], verdict: str) -> None:
    compared = compare([10] * len(second), second, lower_is_better=True)
    assert compared.verdict == verdict
    assert compared.ahead == second.count(9)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], []), ([1.0], [0.0]), ([1.0], [nan])])
def test_what_is_no_pair_of_positive_scores_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="Expected pairs of positive scores"):
        compare(first, second, lower_is_better=True)


def test_the_paired_t_test_is_students_on_logs() -> None:
    """Log ratios -1, -2, -3: t = -2 / (1 / sqrt 3); with 2 degrees p = (1 - |t| / sqrt(2 + t^2)) / 2."""
    second = np.exp([-1.0, -2.0, -3.0]).tolist()
    found = compare([1.0, 1.0, 1.0], second, lower_is_better=True)
    t = 2 * 3**0.5
    p = (1 - t / (2 + t**2) ** 0.5) / 2
    assert found.p_of_t() == pytest.approx(p)
    assert found.p_of_t(two_sided=True) == pytest.approx(2 * p)
    assert compare([1.0, 1.0, 1.0], second, lower_is_better=False).p_of_t() == pytest.approx(1 - p)
    assert found.p(two_sided=True) == 0.25
    assert compare([1.0, 1.0], [2.0, 0.5], lower_is_better=True).p_of_t(two_sided=True) == pytest.approx(1)
    assert compare([1.0, 1.0], [0.5, 0.5], lower_is_better=True).p_of_t() == 0
    assert np.isnan(compare([1.0], [0.5], lower_is_better=True).p_of_t())


def test_the_t_test_errs_as_often_as_it_says() -> None:
    """Of 1,000 samples without a difference one in twenty has p <= 0.05, give or take three standard deviations."""
    generator = np.random.default_rng(1)
    samples = np.exp(generator.normal(0, 0.4, (1_000, 5)))
    found = [compare([1.0] * 5, sample.tolist(), lower_is_better=True).p_of_t() <= 0.05 for sample in samples]
    assert 30 <= sum(found) <= 70


def test_spreads_are_compared_by_the_variances_of_logs() -> None:
    """Logs 0, 2, 4 and 0, 1, 2: ratio 4; of F with 2 and 2 degrees p = 2 / (1 + 4). Scores' size is nothing to it."""
    wide, narrow = np.exp([0.0, 2.0, 4.0]).tolist(), (100 * np.exp([0.0, 1.0, 2.0])).tolist()
    assert spread_ratio(wide, narrow) == (pytest.approx(4), pytest.approx(0.4))
    assert spread_ratio(narrow, wide) == (pytest.approx(1 / 4), pytest.approx(0.4))
    with pytest.raises(ValueError, match="two or more positive scores of both"):
        spread_ratio([1.0], [1.0, 2.0])


@pytest.mark.filterwarnings("error")
def test_pairs_without_spread_have_a_p() -> None:
    """No difference at all: one half, and 1 two-sided. The same change in every pair: no doubt is left."""
    tied = compare([3.0] * 4, [3.0] * 4, lower_is_better=True)
    assert (tied.p_of_t(), tied.p_of_t(two_sided=True), tied.interval) == (0.5, 1.0, (0.0, 0.0))
    for score in (0.5, 0.9):
        lower = compare([1.0] * 4, [score] * 4, lower_is_better=True)
        higher = compare([1.0] * 4, [score] * 4, lower_is_better=False)
        assert lower.p_of_t() == pytest.approx(0, abs=1e-12)
        assert higher.p_of_t() == pytest.approx(1)
        assert lower.p_of_t(two_sided=True) == pytest.approx(0, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_spreads_of_identical_scores_are_compared() -> None:
    assert spread_ratio([2.0, 4.0], [8.0, 8.0, 8.0]) == (np.inf, 0)
    assert spread_ratio([8.0, 8.0], [2.0, 4.0]) == (0, 0)
    assert spread_ratio([8.0, 8.0], [2.0, 2.0, 2.0]) == (1, 1)
