"""The verdicts of SPEC.md, section 5, on histories made by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from srgan.collapse import (
    CollapseThresholds,
    Verdict,
    effective_rank,
    is_lower_better,
    mode_collapse,
    reported_scores,
    running_median,
    spectral_collapse,
    stable_rank,
    summarize,
    tail_mean,
)


def history(**scores: list[Any]) -> list[dict[str, Any]]:
    """Evaluations at iterations 100, 200, ..."""
    rows = zip(*scores.values(), strict=True)
    return [{"iteration": 100 * k} | dict(zip(scores, row, strict=True)) for k, row in enumerate(rows, 1)]


# Mode collapse.

SINGLE = CollapseThresholds(evaluations=1)


@pytest.mark.parametrize("name", ["FID", "FID_cls"])
@pytest.mark.parametrize(
    ("fid", "onset"),
    [
        ([10, 14, 15, 15.1], 400),  # exactly 1.5 x the best is not above it
        ([10, 14, 16, 20, 18], 300),
        ([30, 10, 20, 14, 40, 16, 90], 500),  # the first excursion recovered
        ([40, 20, 31, 25, 10, 16, 30], 600),  # the best so far moves on
        ([20, 10, 14, 40, 15], None),  # recovers at the last evaluation
        ([50, 40, 30, 20], None),
        ([90, 100, 50, 76], 400),  # the best so far is not the best of all: 100 was fine when 90 was best
        ([20], None),
    ],
)
def test_fid_that_stays_above_one_and_a_half_times_its_best(name: str, fid: list[float], onset: int | None) -> None:
    assert mode_collapse(history(**{name: fid}), SINGLE) == Verdict(onset is not None, onset)


@pytest.mark.parametrize("name", ["IS", "IS_cls", "modes"])
@pytest.mark.parametrize(
    ("score", "onset"),
    [
        ([4, 8, 6, 5.9], 400),  # exactly 0.75 x the best is not below it
        ([4, 8, 5, 1, 3], 300),
        ([4, 8, 5, 7, 2], 500),
        ([8, 1, 2, 7], None),
        ([1, 2, 3], None),
    ],
)
def test_scores_that_stay_below_three_quarters_of_their_best(name: str, score: list[float], onset: int | None) -> None:
    assert mode_collapse(history(**{name: score}), SINGLE) == Verdict(onset is not None, onset)


@pytest.mark.parametrize(
    ("fid", "onset"),
    [
        ([26, 12, 11, 11, 5, 12, 10, 11], None),  # one lucky evaluation: by single ones a collapse from 600 on
        ([12, 11, 11, 10, 11, 10, 30], None),  # a bad last one
        ([12, 11, 11, 10, 20, 19, 30], 600),  # the median of three is above 1.5 x 11 from the second bad one on
    ],
)
def test_single_evaluations_do_not_decide(fid: list[float], onset: int | None) -> None:
    assert mode_collapse(history(FID=fid)) == Verdict(onset is not None, onset)
    assert mode_collapse(history(FID=fid), SINGLE).collapsed


def test_the_running_median_begins_with_what_there_is() -> None:
    assert running_median(np.array([9.0, 5.0, 1.0, 7.0, 8.0]), 3).tolist() == [9, 7, 5, 5, 7]


def test_the_earliest_of_all_scores_is_the_collapse_iteration() -> None:
    rows = history(FID=[10, 11, 12, 30], IS=[8, 9, 8, 9], IS_std=[None] * 4, modes=[900, 950, 100, 90])
    assert mode_collapse(rows, SINGLE) == Verdict(True, 300)
    assert mode_collapse([row | {"modes": 900} for row in rows], SINGLE) == Verdict(True, 400)


def test_spread_and_divergence_do_not_decide() -> None:
    assert mode_collapse(history(FID=[10, 9], IS_std=[9.0, 0.1], modes_kl=[0.1, 6.9])) == Verdict(False, None)


def test_no_evaluations_no_collapse() -> None:
    assert mode_collapse([]) == Verdict(False, None)


def test_thresholds_of_mode_collapse_are_settings() -> None:
    rows = history(FID=[10, 13], IS=[10, 9], modes=[100, 90])
    assert not mode_collapse(rows).collapsed
    for thresholds in (
        CollapseThresholds(fid=1.2, evaluations=1),
        CollapseThresholds(inception_score=0.95, evaluations=1),
        CollapseThresholds(modes=0.95, evaluations=1),
    ):
        assert mode_collapse(rows, thresholds) == Verdict(True, 200)


@pytest.mark.parametrize("ranking", ["FID", "FID_cls", "modes_kl", "IS", "modes"])
def test_a_collapsed_run_reports_its_best_scores_before_the_collapse(ranking: str) -> None:
    values = [5, 3, 4, 1] if ranking in ("FID", "FID_cls", "modes_kl") else [2, 7, 6, 9]
    rows = history(**{ranking: values})
    assert reported_scores(rows, Verdict(True, 400), ranking) == rows[1]
    assert reported_scores(rows, Verdict(True, 200), ranking) == rows[0]


def test_a_run_that_did_not_collapse_reports_its_last_scores() -> None:
    rows = history(FID=[5, 3, 4])
    assert reported_scores(rows, Verdict(False, None), "FID") == rows[2]


# Spectral collapse.


@pytest.mark.parametrize("N", [1, 2, 3, 4, 5, 7, 8, 10, 128])
def test_tail_mean_is_the_mean_over_k_beyond_a_quarter_of_N(N: int) -> None:
    spectrum = np.sort(np.random.default_rng(N).random(N))[::-1]
    by_hand = [sigma for k, sigma in enumerate(spectrum, start=1) if k > N / 4]
    assert tail_mean(spectrum) == pytest.approx(np.mean(by_hand))


def test_tail_mean_of_many_spectra_at_once() -> None:
    spectra = np.array([[1, 0.5, 0.25, 0.0], [1, 1, 1, 1]])
    assert tail_mean(spectra).tolist() == pytest.approx([0.25, 1.0])


def layer(*tail_means: float) -> np.ndarray:
    """Spectra `[T, 4]` of one layer with these tail means: sigma_2 ... sigma_4 over sigma_1."""
    return np.array([[1.0, mean, mean, mean] for mean in tail_means])


def test_a_layer_has_collapsed_below_half_of_its_largest_tail_mean_so_far() -> None:
    falls, rises = layer(0.4, 1.0, 0.5, 0.49, 0.6, 0.1), layer(0.1, 0.2, 0.3, 0.4, 0.3, 0.2)
    assert summarize(falls).collapsed.tolist() == [False, False, False, True, False, True]
    assert not summarize(rises).collapsed.any()


def test_a_summary_goes_on_from_the_largest_tail_mean_before() -> None:
    """Record by record says what the whole history says, which is how a run in training is followed."""
    spectra = layer(0.4, 1.0, 0.5, 0.49, 0.6, 0.1)
    whole, largest = summarize(spectra), 0.0
    for t in range(len(spectra)):
        one = summarize(spectra[t : t + 1], largest_tail_mean=largest).at(0)
        assert one == whole.at(t)
        largest = one["largest_tail_mean"]


def test_the_numbers_of_a_summary_are_their_definitions() -> None:
    ratios = np.sort(np.random.default_rng(0).random((3, 40)))[:, ::-1].copy()
    ratios[:, 0], ratios[2, -1] = 1, 0
    found = summarize(ratios)
    assert found.tail_mean == pytest.approx(tail_mean(ratios))
    assert (found.effective_rank, found.stable_rank) == (
        pytest.approx(effective_rank(ratios)),
        pytest.approx(stable_rank(ratios)),
    )
    assert found.p10 == pytest.approx(np.quantile(ratios, 0.1, axis=1))
    assert found.p50 == pytest.approx(np.median(ratios, axis=1))
    assert found.condition == pytest.approx([*(1 / ratios[:2, -1]), np.inf])


ITERATIONS = np.array([0, 20, 40, 60])
HOLDS = layer(0.8, 0.7, 0.6, 0.5)
FALLS_AT_20 = layer(0.8, 0.3, 0.2, 0.1)
FALLS_AT_40 = layer(0.8, 0.7, 0.3, 0.2)
FALLS_AT_20_ONLY = layer(0.8, 0.3, 0.6, 0.7)


@pytest.mark.parametrize(
    ("layers", "onset"),
    [
        ([FALLS_AT_20, HOLDS, HOLDS, HOLDS], None),  # a quarter of the layers
        ([FALLS_AT_20, FALLS_AT_40, HOLDS, HOLDS], 40),  # half of them
        ([FALLS_AT_20, FALLS_AT_40, FALLS_AT_40, HOLDS], 40),
        ([FALLS_AT_20, FALLS_AT_20_ONLY, HOLDS], 20),  # two of three, once, is a spectral collapse
        ([FALLS_AT_20, HOLDS, HOLDS], None),  # one of three is not
        ([FALLS_AT_20_ONLY, FALLS_AT_40, HOLDS, HOLDS], None),  # never at the same time
        ([FALLS_AT_40], 40),
    ],
)
def test_a_discriminator_has_collapsed_when_half_of_its_layers_have(
    layers: list[np.ndarray], onset: int | None
) -> None:
    spectra = {f"layer {k}": spectra for k, spectra in enumerate(layers)}
    assert spectral_collapse(ITERATIONS, spectra) == Verdict(onset is not None, onset)


def test_thresholds_of_spectral_collapse_are_settings() -> None:
    spectra = {"a": FALLS_AT_40, "b": HOLDS, "c": HOLDS}
    assert spectral_collapse(ITERATIONS, spectra, CollapseThresholds(layers=1 / 3)) == Verdict(True, 40)
    assert spectral_collapse(ITERATIONS, spectra, CollapseThresholds(tail_mean=0.8)) == Verdict(True, 40)
    assert spectral_collapse(ITERATIONS, spectra, CollapseThresholds(tail_mean=0.9)) == Verdict(True, 20)


def test_no_spectra_no_collapse() -> None:
    assert spectral_collapse(np.array([]), {}) == Verdict(False, None)
    assert spectral_collapse(np.array([]), {"a": np.zeros((0, 4))}) == Verdict(False, None)


def test_distances_and_divergences_improve_downwards() -> None:
    down = ["FID", "FID_cls", "FID_intra", "KID", "KID_cls", "modes_kl"]
    assert [name for name in [*down, "IS", "IS_cls", "modes", "precision", "coverage"] if is_lower_better(name)] == down


# ProcessGroup of a spectrum.


@pytest.mark.parametrize("rank", [effective_rank, stable_rank])
def test_ranks_count_equal_singular_values(rank: Callable[[np.ndarray], np.ndarray]) -> None:
    N = 6
    steps = np.tril(np.ones((N, N)))  # row k: k + 1 ones, then zeros
    assert rank(steps) == pytest.approx(np.arange(1, N + 1))
    assert rank(7.5 * steps) == pytest.approx(rank(steps))
    assert rank(steps.reshape(2, 3, N)).shape == (2, 3)
    assert rank(np.stack([steps[0], np.zeros(N)])) == pytest.approx([1, 0])  # nothing is left of a zero matrix
    falling = np.exp(-np.outer([0.1, 0.5, 2.0], np.arange(N))).astype(np.float32)
    ranks = rank(falling)
    assert (np.diff(ranks) < 0).all()
    assert ((ranks > 1) & (ranks < N)).all()


def test_ranks_as_defined() -> None:
    """p = (1/2, 1/4, 1/4): entropy 1.5 ln 2. Stable: 1 + 1/4 + 1/4."""
    spectrum = np.array([1, 0.5, 0.5])
    assert effective_rank(spectrum) == pytest.approx(2**1.5)
    assert stable_rank(spectrum) == pytest.approx(1.5)
