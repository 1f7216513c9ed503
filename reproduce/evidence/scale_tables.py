"""What the cells of "scale or spectrum" say: scores by seed, the registered tests, the spread. No torch in here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from pandas import DataFrame

from reproduce.evidence.claims import paired
from reproduce.evidence.records import Evidence, joined
from reproduce.plan.variants import CELLS, COLLAPSE, COLLAPSE_CELLS, SHOWN_LABELS, SR_D
from reproduce.results.generated import markdown_table
from reproduce.results.significance import Pairs, compare, spread_ratio

SMALL = "C_64-32"
DIGITS = {"digits, D 6": 6, "digits, D 20": 20}
"""Experiment on digits -> D's channels: narrow and wide."""
NARROW, WIDE = DIGITS
PLACES: dict[str, Sequence[int]] = {NARROW: range(11, 21), WIDE: range(11, 21), SMALL: (4, 5, 1, 2, 3)}
"""Experiment -> the seeds that judge, in the order in which they are run."""
TITLES = {
    NARROW: "Digits, D 6 channels, from the start: FID_cls at 600",
    WIDE: "Digits, D 20 channels, from the start: FID_cls at 600",
    SMALL: "C_64-32 (`SCALE=small`), from SN's checkpoint at 2,000: FID_cls, geometric mean of 5,000 to 6,000",
}
ENDS: dict[str, tuple[int, ...]] = {NARROW: (600,), WIDE: (600,), SMALL: (5_000, 5_500, 6_000)}
"""Experiment -> evaluations whose geometric mean of FID_cls is compared, as LOG.md registered them."""
TIMES = (2_500, 3_000, 5_000, 7_500, 10_000)
"""Iterations after the switch to SR-d at 2,000."""
UNIT_SCALE = ("none-unit", "sr-s", "sr-d-unit")


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


def shown_label(place: str, cell: str) -> str:
    """What the tables call a cell."""
    label = label_of(place, cell)
    return SHOWN_LABELS.get(label, label)


def score_of(run: Evidence) -> float | None:
    """What is compared; None before the run is far enough."""
    ends = ENDS.get(run.setting, ())
    if not ends or not set(ends) <= set(run.scores.index):
        return None
    return float(np.exp(np.log(run.scores["FID_cls"].loc[list(ends)]).mean()))


def scores_of(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each seed, a column for each cell; NaN where a run is missing."""
    cell_of = {label_of(place, cell): cell for cell in CELLS}
    scores: dict[str, dict[int, float]] = {cell: {} for cell in CELLS}
    for run in runs:
        if run.setting == place and run.method in cell_of and (score := score_of(run)):
            scores[cell_of[run.method]][run.seed] = score
    return DataFrame(scores, dtype=float).sort_index()


def score_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each cell: FID_cls seed by seed, its mean, spread and worst, sigma_1, modes or recall."""
    scores, digits = scores_of(runs, place), 0 if place in DIGITS else 1
    seeds = list(scores.index)
    columns = ["", *map(str, seeds), "geometric mean", "spread", "worst", "final σ₁: mean, largest"]
    columns.append("modes of 1,000, mean" if place in DIGITS else "recall at 10,000, seed by seed")
    lines = []
    for cell, values in scores.dropna(axis="columns", how="all").items():
        logs = np.log(values)
        shown = [f"{value:,.{digits}f}" for value in (*values, np.exp(logs.mean()), values.max())]
        *by_seed, middle, worst = ["–" if text == "nan" else text for text in shown]
        spread = f"× {np.exp(logs.std()):.2f}" if values.count() > 1 else "–"
        own = [run for run in runs if run.setting == place and run.method == label_of(place, str(cell))]
        lines.append(
            [
                shown_label(place, str(cell)),
                *by_seed,
                middle,
                spread,
                worst,
                _final_scale(own),
                _modes_or_recall(own, seeds),
            ]
        )
    return DataFrame(lines, columns=columns)


def _final_scale(runs: Sequence[Evidence]) -> str:
    """The mean of means and the largest of the largest, over seeds."""
    known = [run.sigma_1 for run in runs if run.sigma_1 and score_of(run)]
    return f"{np.mean([middle for middle, _ in known]):.1f}, {max(top for _, top in known):.1f}" if known else "–"


def _modes_or_recall(runs: Sequence[Evidence], seeds: Sequence[int]) -> str:
    """How many modes are generated, where they are counted; else recall, where it was measured."""
    modes = [run.scores["modes"].iloc[-1] for run in runs if "modes" in run.scores and score_of(run)]
    if modes:
        return f"{np.mean(modes):.0f}"
    recall = {run.seed: f"{run.recall:.2f}" for run in runs if run.recall is not None}
    return ", ".join(recall.get(seed, "–") for seed in seeds) if recall else "–"


def comparison_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each comparison, "A < B", of which there are registered pairs; "interim" until all of them are."""
    lines = []
    for comparison in COMPARISONS:
        pairs = pairs_of(runs, place, comparison)
        if pairs is None:
            continue
        one_sided = comparison in ONE_SIDED.get(place, ())
        tests = "one-sided" if one_sided else "two-sided"
        if not one_sided and comparison not in TWO_SIDED.get(place, ()):
            tests += ", not registered"
        if pairs.n < len(PLACES[place]):
            tests += f", interim: {pairs.n} of {len(PLACES[place])} pairs"
        name = " < ".join(shown_label(place, cell) for cell in comparison)
        of_t, of_signs = pairs.p_of_t(not one_sided), pairs.p(not one_sided)
        t_test = "–" if np.isnan(of_t) else f"{of_t:.2g}"
        lines.append([name, f"{pairs.ahead} of {pairs.n}", pairs.change_text, t_test, f"{of_signs:.2g}", tests])
    columns = ["FID_cls", "pairs", "relative change", "p, paired t-test on logs", "p, sign test", "tests"]
    return DataFrame(lines, columns=columns)


def pairs_of(runs: Sequence[Evidence], place: str, comparison: Comparison) -> Pairs | None:
    """Both cells in the registered seeds that both have; None without one."""
    first, second = comparison.baseline, comparison.cell
    both = _registered(runs, place)[[first, second]].dropna()
    return compare(both[first].tolist(), both[second].tolist(), lower_is_better=True) if len(both) else None


def _registered(runs: Sequence[Evidence], place: str) -> DataFrame:
    scores = scores_of(runs, place)
    return scores[scores.index.isin(PLACES[place])]


def spread_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each unit-scale cell: how much steadier it is than SN; registered for digits alone."""
    scores, lines = _registered(runs, place), []
    of_sn = scores["sn"].dropna().tolist()
    for cell in UNIT_SCALE if place in DIGITS else ():
        own = scores[cell].dropna().tolist()
        if min(len(own), len(of_sn)) >= 3:
            ratio, p = spread_ratio(of_sn, own)
            lines.append(
                [shown_label(place, cell), f"{ratio:.2f}", f"{p:.2g}", f"{max(own):,.0f}", f"{max(of_sn):,.0f}"]
            )
    columns = ["", "variance of log FID_cls: SN's over this", "p, F-test, two-sided", "worst seed", "SN's worst"]
    return DataFrame(lines, columns=columns)


def timing_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each iteration: SR-d's FID_cls over SN's and its spectra, of runs with their past.

    FID_cls by running medians of three evaluations, geometric means over the seeds; spectra by means.
    """
    pairs, lines = paired(runs, SR_D.label), []
    for at in TIMES:
        logs = [np.log(sr_d.smooth("FID_cls")[at] / sn.smooth("FID_cls")[at]) for sn, sr_d in pairs]
        first_half = np.mean([sr_d.first_half[at] for _, sr_d in pairs])
        tail = np.mean([sr_d.mean_tail[at] for _, sr_d in pairs])
        lines.append([f"{at:,}", f"{np.exp(np.mean(logs)):.2f}", f"{first_half:.3f}", f"{tail:.3f}"])
    columns = ["iteration", "FID_cls, SR-d's over SN's", "SR-d's first half", "SR-d's tail"]
    return DataFrame(lines, columns=columns)


def registered_default(runs: Sequence[Evidence]) -> str:
    """What the registered rule makes of the runs: which scale `sr-d` has by default."""
    small, digits = (pairs_of(runs, place, KEPT_OR_UNIT[0]) for place in (SMALL, NARROW))
    counts = [
        f"{pairs.ahead} of {pairs.n} pairs of {name}"
        for name, pairs in ((SMALL, small), ("digits (6 channels)", digits))
        if pairs
    ]
    if small and small.n == len(PLACES[SMALL]):
        unit, provisional = small.ahead == small.n, ""
    elif digits and digits.n >= 10:
        unit = digits.ahead >= 9 and (small is None or small.ahead == small.n)
        provisional = " The decision is provisional until C_64-32 has five pairs."
    else:
        return "By the registered rule, the scale of `sr-d` is not decided yet."
    return (
        f"By the registered rule, `sr-d` {'uses unit scale' if unit else 'keeps the scale'}: SR-d at unit scale has a "
        f"lower FID_cls than the authors' form in {' and '.join(counts)}.{provisional}"
    )


def scale_markdown(runs: Sequence[Evidence]) -> str:
    """All tables; of a run that is there twice, the longer record."""
    runs, parts = joined(runs), []
    for place, title in TITLES.items():
        tables = [table(runs, place) for table in (score_table, comparison_table, spread_table)]
        if not tables[0].empty:
            shown = "\n".join(markdown_table(table) for table in tables if not table.empty)
            complete = len(_registered(runs, place).dropna())
            progress = f"{complete} of {len(PLACES[place])} registered seeds have all six cells."
            parts.append(f"**{title}**. {progress}\n\n{shown}")
    return "\n".join([*parts, f"{registered_default(runs)}\n"])
