"""Comparisons in pairs: counts and p-values by hand, an interval that holds what it says, words."""

from math import nan

import numpy as np
import pytest

from reproduce.significance import compare, judged_in_words, sign_test


def test_the_sign_test_counts_pairs() -> None:
    """4 of 5: (C(5, 4) + C(5, 5)) / 2^5."""
    found = compare([10, 10, 10, 10, 10], [9, 8, 7, 6, 11], lower_is_better=True)
    assert (found.n, found.ahead) == (5, 4)
    assert found.p == pytest.approx(6 / 32)
    assert found.smallest_p == 1 / 32
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
    ("second", "ending"),
    [
        ([9, 9], "2 pairs decide nothing: p would be 0.25 if all agreed."),
        ([9], "1 pair decides nothing: p would be 0.5 if all agreed."),
        ([9] * 5, ": significant at the 5% level."),
        ([11] * 5, ": significant the other way at the 5% level."),
        ([9, 9, 9, 11, 11], ": not significant at the 5% level."),
    ],
)
def test_words_say_what_so_many_pairs_can_tell(second: list[float], ending: str) -> None:
    words = judged_in_words("SR ahead of SN", "FID", compare([10] * len(second), second, lower_is_better=True))
    assert words.startswith(
        f"FID: SR ahead of SN in {second.count(9)} of {len(second)} pairs (one-sided sign test p = "
    )
    assert words.endswith(ending)


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], []), ([1.0], [0.0]), ([1.0], [nan])])
def test_what_is_no_pair_of_positive_scores_is_refused(first: list[float], second: list[float]) -> None:
    with pytest.raises(ValueError, match="Expected pairs of positive scores"):
        compare(first, second, lower_is_better=True)
