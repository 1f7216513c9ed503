"""What the cells of "scale or spectrum" say: scores by seed, the registered tests, the spread. No torch in here."""

from collections.abc import Sequence
from math import exp, log
from statistics import mean
from typing import NamedTuple

import numpy as np
from pandas import DataFrame

from reproduce.evidence.records import BASELINE, Evidence, joined
from reproduce.plan.variants import CELLS, COLLAPSE, COLLAPSE_CELLS, SR_D
from reproduce.results.generated import markdown_table
from reproduce.results.significance import Pairs, compare, spread_ratio

Scores = dict[str, dict[int, float]]
"""Cell -> seed -> what is compared."""
SMALL = "C_64-32"
DIGITS = {"digits, D 6": 6, "digits, D 20": 20}
"""Experiment on digits -> D's channels: narrow and wide."""
NARROW, WIDE = DIGITS
PLACES: dict[str, Sequence[int]] = {NARROW: range(11, 21), WIDE: range(11, 21), SMALL: (4, 5, 1, 2, 3)}
"""Experiment -> the seeds that judge, in the order in which they are run."""
TITLES = {
    NARROW: "Digits, D 6 channels, from the start: FID_cls at 600",
    WIDE: "Digits, D 20 channels, from the start: FID_cls at 600",
    SMALL: "C_64-32 at scale small, from SN's checkpoint at 2,000: FID_cls, geometric mean of 5,000 to 6,000",
}
ENDS: dict[str, tuple[int, ...]] = {NARROW: (600,), WIDE: (600,), SMALL: (5_000, 5_500, 6_000)}
"""Experiment -> evaluations whose geometric mean of FID_cls is compared, as LOG.md registered them."""
TIMES = (2_500, 3_000, 5_000, 7_500, 10_000)
"""Iterations after the switch to SR-d at 2,000."""
STEADIER = ("none-unit", "sr-s", "sr-d-unit")


class Comparison(NamedTuple):
    """That a cell's FID_cls is below another's."""

    cell: str
    baseline: str


KEPT_OR_UNIT = Comparison("sr-d-unit", "sr-d-keep"), Comparison("sr-s", "sr-s-keep")
COMPARISONS = (
    *KEPT_OR_UNIT,
    Comparison("sr-d-unit", "sn"),
    Comparison("none-unit", "sn"),
    Comparison("sr-s", "sn"),
)
ONE_SIDED: dict[str, Sequence[Comparison]] = {NARROW: COMPARISONS, SMALL: KEPT_OR_UNIT}
"""Registered with a direction."""
TWO_SIDED: dict[str, Sequence[Comparison]] = {WIDE: COMPARISONS}
"""Registered without one; all others are exploratory."""


def label_of(place: str, cell: str) -> str:
    """What a cell's runs are called: in C_64-32 they start from SN's checkpoint."""
    variants = COLLAPSE | CELLS
    return variants[COLLAPSE_CELLS.get(cell, cell)].label if place == SMALL else CELLS[cell].label


def score_of(run: Evidence) -> float | None:
    """What is compared; None before the run is there."""
    scores = dict(zip(run.scores["iteration"], run.scores["FID_cls"], strict=True))
    ends = ENDS.get(run.setting, (-1,))
    return exp(mean(log(scores[end]) for end in ends)) if set(ends) <= scores.keys() else None


def scores_of(runs: Sequence[Evidence], place: str) -> Scores:
    """Of the runs that have it."""
    found = {(run.method, run.seed): score for run in runs if run.setting == place and (score := score_of(run))}
    return {
        cell: {seed: score for (method, seed), score in found.items() if method == label_of(place, cell)}
        for cell in CELLS
    }


def score_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each cell: FID_cls seed by seed, its mean, spread and worst, sigma_1, modes or recall."""
    scores, digits = scores_of(runs, place), 0 if place in DIGITS else 1
    seeds = sorted({seed for of_cell in scores.values() for seed in of_cell})
    columns = ["", *map(str, seeds), "geometric mean", "spread", "worst", "final σ₁: mean, largest"]
    columns.append("modes of 1,000, mean" if place in DIGITS else "recall at 10,000, seed by seed")
    lines = []
    for cell, of_cell in scores.items():
        if not of_cell:
            continue
        shown = [f"{of_cell[seed]:,.{digits}f}" if seed in of_cell else "–" for seed in seeds]
        values = np.array(list(of_cell.values()))
        spread = f"x {np.exp(np.log(values).std(ddof=1)):.2f}" if len(values) > 1 else "–"
        middle, worst = (f"{number:,.{digits}f}" for number in (np.exp(np.log(values).mean()), values.max()))
        own = [run for run in runs if run.setting == place and run.method == label_of(place, cell)]
        lines.append([label_of(place, cell), *shown, middle, spread, worst, _sigma_1(own), _reach(own, seeds)])
    return DataFrame(lines, columns=columns)


def comparison_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each comparison of which there are registered pairs; "interim" until all of them are."""
    scores, registered = scores_of(runs, place), PLACES[place]
    lines = []
    for comparison in COMPARISONS:
        pairs = pairs_of(scores, comparison, registered)
        if pairs is None:
            continue
        one_sided = comparison in ONE_SIDED.get(place, ())
        kind = "one-sided" if one_sided else "two-sided"
        if not one_sided and comparison not in TWO_SIDED.get(place, ()):
            kind += ", not registered"
        if pairs.n < len(registered):
            kind += f", interim: {pairs.n} of {len(registered)} pairs"
        of_t, of_signs = (pairs.p_of_t, pairs.p) if one_sided else (pairs.two_sided_p_of_t, pairs.two_sided_p)
        words = f"{label_of(place, comparison.cell)} below {label_of(place, comparison.baseline)}"
        t_test = "–" if np.isnan(of_t) else f"{of_t:.2g}"
        lines.append([words, f"{pairs.ahead} of {pairs.n}", pairs.change_in_words, t_test, f"{of_signs:.2g}", kind])
    columns = ["FID_cls of", "pairs", "relative change", "p, paired t-test on logs", "p, sign test", "tests"]
    return DataFrame(lines, columns=columns)


def spread_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each unit-scale cell: how much steadier it is than SN; registered for digits alone."""
    scores, lines = scores_of(runs, place), []
    of_sn = [scores["sn"][seed] for seed in PLACES[place] if seed in scores["sn"]]
    for cell in STEADIER if place in DIGITS else ():
        own = [scores[cell][seed] for seed in PLACES[place] if seed in scores[cell]]
        if min(len(own), len(of_sn)) >= 3:
            ratio, p = spread_ratio(of_sn, own)
            worst = f"{max(own):,.0f}", f"{max(of_sn):,.0f}"
            lines.append([label_of(place, cell), f"{ratio:.2f}", f"{p:.2g}", *worst])
    columns = ["", "variance of log FID_cls: SN's over its own", "p, F-test, two-sided", "its worst seed", "SN's worst"]
    return DataFrame(lines, columns=columns)


def timing_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each iteration: SR-d's FID_cls over SN's beside its spectra, of runs with their past.

    FID_cls by running medians of three evaluations, geometric means over the seeds; spectra by means.
    """
    sn, sr_d = ({run.seed: run for run in runs if run.method == method} for method in (BASELINE, SR_D.label))
    pairs = [(sn[seed], sr_d[seed]) for seed in sorted(sn.keys() & sr_d.keys())]
    lines = []
    for iteration in TIMES:
        logs = [np.log(_smooth(second, iteration) / _smooth(first, iteration)) for first, second in pairs]
        first_half = np.mean([run.mean_held[run.held["iteration"].index(iteration)] for _, run in pairs])
        tail = np.mean([run.mean_tail[run.tails["iteration"].index(iteration)] for _, run in pairs])
        lines.append([f"{iteration:,}", f"{np.exp(np.mean(logs)):.2f}", f"{first_half:.3f}", f"{tail:.3f}"])
    columns = ["iteration", "FID_cls, SR-d's over SN's", "SR-d's first half", "SR-d's tail"]
    return DataFrame(lines, columns=columns)


def _smooth(run: Evidence, iteration: int) -> float:
    return float(run.smooth("FID_cls")[run.scores["iteration"].index(iteration)])


def pairs_of(scores: Scores, comparison: Comparison, seeds: Sequence[int]) -> Pairs | None:
    """Both cells in the seeds that both have; None without one."""
    first, second = scores[comparison.baseline], scores[comparison.cell]
    both = [seed for seed in seeds if seed in first and seed in second]
    if not both:
        return None
    return compare([first[seed] for seed in both], [second[seed] for seed in both], lower_is_better=True)


def default_in_words(runs: Sequence[Evidence]) -> str:
    """What the registered rule makes of the runs: which scale `sr-d` has where nobody says one."""
    small, digits = (pairs_of(scores_of(runs, place), KEPT_OR_UNIT[0], PLACES[place]) for place in (SMALL, NARROW))
    counts = [
        f"{pairs.ahead} of {pairs.n} pairs of {name}"
        for name, pairs in ((SMALL, small), ("digits (6 channels)", digits))
        if pairs
    ]
    if small and small.n == len(PLACES[SMALL]):
        verdict = "unit" if small.ahead == small.n else "keep"
    elif digits and digits.n >= 10:
        unit = digits.ahead >= 9 and (small is None or small.ahead == small.n)
        verdict = f"{'unit' if unit else 'keep'}, until C_64-32 has five pairs"
    else:
        verdict = "not decided yet"
    return f"SR-d at unit scale is below the authors' form in {' and '.join(counts) or 'no pair yet'}: scale {verdict}."


def described(runs: Sequence[Evidence]) -> str:
    """All of it in Markdown; of a run that is there twice, the longer record."""
    runs, parts = joined(runs), []
    for place, title in TITLES.items():
        tables = [table(runs, place) for table in (score_table, comparison_table, spread_table)]
        if not tables[0].empty:
            shown = "\n".join(markdown_table(table) for table in tables if not table.empty)
            parts.append(f"**{title}**. {_progress(runs, place)}\n\n{shown}")
    return "\n".join([*parts, f"By the registered rule: {default_in_words(runs)}\n"])


def _progress(runs: Sequence[Evidence], place: str) -> str:
    scores, registered = scores_of(runs, place), PLACES[place]
    complete = sum(all(seed in of_cell for of_cell in scores.values()) for seed in registered)
    return f"Of {len(registered)} registered seeds {complete} have all six cells."


def _sigma_1(runs: Sequence[Evidence]) -> str:
    """The mean of means and the largest of the largest, over seeds."""
    known = [run.sigma_1 for run in runs if run.sigma_1 and score_of(run)]
    return f"{np.mean([middle for middle, _ in known]):.1f}, {max(top for _, top in known):.1f}" if known else "–"


def _reach(runs: Sequence[Evidence], seeds: Sequence[int]) -> str:
    """How many modes are generated, where they are counted; else recall, where it was measured."""
    modes = [run.scores["modes"][-1] for run in runs if "modes" in run.scores and score_of(run)]
    if modes:
        return f"{np.mean(modes):.0f}"
    recall = {run.seed: f"{run.recall:.2f}" for run in runs if run.recall is not None}
    return ", ".join(recall.get(seed, "–") for seed in seeds) if recall else "–"
