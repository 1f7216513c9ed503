"""What the cells of "scale or spectrum" say: scores by seed, the registered tests, the spread. No torch in here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from reproduce.evidence.records import BASELINE, Evidence
from reproduce.evidence.scale_outcomes import CELLS, Outcome, scores_of
from reproduce.results.significance import Pairs, compare, spread_ratio
from reproduce.results.table import markdown_table
from srgan.collapse import CollapseThresholds, running_median

Table = tuple[list[str], list[list[str]]]
Place = tuple[str, int]
TITLES: dict[Place, str] = {
    ("digits", 6): "Digits, D 6 channels, from the start: FID_cls at 600",
    ("digits", 20): "Digits, D 20 channels, from the start: FID_cls at 600",
    ("C_64-32", 8): "C_64-32 at scale small, from SN's checkpoint at 2,000: FID_cls, geometric mean of 5,000 to 6,000",
}
"""Experiment and D's channels -> what is compared there."""
SEEDS: dict[str, Sequence[int]] = {"digits": range(11, 21), "C_64-32": (4, 5, 1, 2, 3)}
"""Those that judge, in the order in which they are run."""
TIMES = (2_500, 3_000, 5_000, 7_500, 10_000)
"""Iterations after the switch to SR-d at 2,000."""
STEADIER = ("none-unit", "sr-s", "sr-d-unit")


class Comparison(NamedTuple):
    """That a cell's FID_cls is below another's."""

    cell: str
    baseline: str

    @property
    def words(self) -> str:
        return f"{CELLS[self.cell].words} below {CELLS[self.baseline].words}"


KEPT_OR_UNIT = Comparison("sr-d-unit", "sr-d-keep"), Comparison("sr-s", "sr-s-keep")
COMPARISONS = (
    *KEPT_OR_UNIT,
    Comparison("sr-d-unit", "sn"),
    Comparison("none-unit", "sn"),
    Comparison("sr-s", "sn"),
)
ONE_SIDED: dict[Place, Sequence[Comparison]] = {("digits", 6): COMPARISONS, ("C_64-32", 8): KEPT_OR_UNIT}
"""Registered with a direction."""
TWO_SIDED: dict[Place, Sequence[Comparison]] = {("digits", 20): COMPARISONS}
"""Registered without one; all others are exploratory."""


def score_table(outcomes: Sequence[Outcome], place: Place) -> Table:
    """Header and a line for each cell: FID_cls seed by seed, its mean, spread and worst, sigma_1, modes or recall."""
    scores = scores_of(outcomes, *place)
    seeds = sorted({seed for of_cell in scores.values() for seed in of_cell})
    lines = []
    for cell, of_cell in scores.items():
        if not of_cell:
            continue
        shown = [f"{of_cell[seed]:,.{_digits(place)}f}" if seed in of_cell else "–" for seed in seeds]
        values = np.array(list(of_cell.values()))
        spread = f"x {np.exp(np.log(values).std(ddof=1)):.2f}" if len(values) > 1 else "–"
        mean, worst = (f"{number:,.{_digits(place)}f}" for number in (np.exp(np.log(values).mean()), values.max()))
        own = [one for one in outcomes if (one.experiment, one.width, one.cell) == (*place, cell)]
        lines.append([CELLS[cell].words, *shown, mean, spread, worst, _sigma_1(own), _reach(own, seeds)])
    columns = ["geometric mean", "spread", "worst", "sigma_1 at the end: mean, largest"]
    columns.append("modes of 1,000, mean" if place[0] == "digits" else "recall at 10,000, seed by seed")
    return ["", *(str(seed) for seed in seeds), *columns], lines


def test_table(outcomes: Sequence[Outcome], place: Place) -> Table:
    """Header and a line for each comparison of which there are registered pairs; "interim" until all of them are."""
    scores = scores_of(outcomes, *place)
    lines = []
    for comparison in COMPARISONS:
        pairs = pairs_of(scores, comparison, SEEDS[place[0]])
        if pairs is None:
            continue
        one_sided = comparison in ONE_SIDED.get(place, ())
        kind = "one-sided" if one_sided else "two-sided"
        if not one_sided and comparison not in TWO_SIDED.get(place, ()):
            kind += ", not registered"
        if pairs.n < len(SEEDS[place[0]]):
            kind += f", interim: {pairs.n} of {len(SEEDS[place[0]])} pairs"
        of_t, of_signs = (pairs.p_of_t, pairs.p) if one_sided else (pairs.two_sided_p_of_t, pairs.two_sided_p)
        ahead, t_test = f"{pairs.ahead} of {pairs.n}", "–" if np.isnan(of_t) else f"{of_t:.2g}"
        lines.append([comparison.words, ahead, pairs.change_in_words, t_test, f"{of_signs:.2g}", kind])
    return ["FID_cls of", "pairs", "change", "p, paired t-test on logs", "p, sign test", "tests"], lines


def spread_table(outcomes: Sequence[Outcome], place: Place) -> Table:
    """Header and a line for each unit-scale cell: how much steadier it is than SN; registered for digits alone."""
    if place[0] != "digits":
        return [], []
    scores = scores_of(outcomes, *place)
    of_sn = [scores["sn"][seed] for seed in SEEDS[place[0]] if seed in scores["sn"]]
    lines = []
    for cell in STEADIER:
        own = [scores[cell][seed] for seed in SEEDS[place[0]] if seed in scores[cell]]
        if min(len(own), len(of_sn)) < 3:
            continue
        ratio, p = spread_ratio(of_sn, own)
        lines.append([CELLS[cell].words, f"{ratio:.2f}", f"{p:.2g}", f"{max(own):,.0f}", f"{max(of_sn):,.0f}"])
    header = ["", "variance of log FID_cls: SN's over its own", "p, F-test, two-sided", "its worst seed", "SN's worst"]
    return header, lines


def timing_table(runs: Sequence[Evidence]) -> Table:
    """Header and a line for each iteration: SR-d's FID_cls over SN's beside its spectra, of runs with their past.

    FID_cls by running medians of three evaluations, geometric means over the seeds; spectra by means.
    """
    sn, sr_d = ({run.seed: run for run in runs if run.method == method} for method in (BASELINE, "SR-d"))
    seeds = sorted(sn.keys() & sr_d.keys())
    lines = []
    for iteration in TIMES:
        logs = [np.log(_smooth(sr_d[seed], iteration) / _smooth(sn[seed], iteration)) for seed in seeds]
        first_half, tail = (
            np.mean([values[columns["iteration"].index(iteration)] for values, columns in of_runs])
            for of_runs in (
                [(sr_d[seed].mean_held, sr_d[seed].held) for seed in seeds],
                [(sr_d[seed].mean_tail, sr_d[seed].tails) for seed in seeds],
            )
        )
        lines.append([f"{iteration:,}", f"{np.exp(np.mean(logs)):.2f}", f"{first_half:.3f}", f"{tail:.3f}"])
    return ["iteration", "FID_cls, SR-d's over SN's", "SR-d's first half", "SR-d's tail"], lines


def _smooth(run: Evidence, iteration: int) -> float:
    scores = running_median(np.array(run.scores["FID_cls"]), CollapseThresholds().evaluations)
    return float(scores[run.scores["iteration"].index(iteration)])


def pairs_of(scores: dict[str, dict[int, float]], comparison: Comparison, seeds: Sequence[int]) -> Pairs | None:
    """Both cells in the seeds that both have; None without one."""
    first, second = scores[comparison.baseline], scores[comparison.cell]
    both = [seed for seed in seeds if seed in first and seed in second]
    if not both:
        return None
    return compare([first[seed] for seed in both], [second[seed] for seed in both], lower_is_better=True)


def default_in_words(outcomes: Sequence[Outcome]) -> str:
    """What the registered rule makes of the outcomes: which scale `sr-d` has where nobody says one."""
    found = {
        place: pairs_of(scores_of(outcomes, *place), KEPT_OR_UNIT[0], SEEDS[place[0]])
        for place in (("digits", 6), ("C_64-32", 8))
    }
    small, digits = found["C_64-32", 8], found["digits", 6]
    counts = [
        f"{pairs.ahead} of {pairs.n} pairs of {name}"
        for name, pairs in (("C_64-32", small), ("digits (6 channels)", digits))
        if pairs
    ]
    if small and small.n == len(SEEDS["C_64-32"]):
        verdict = "unit" if small.ahead == small.n else "keep"
    elif digits and digits.n >= 10:
        unit = digits.ahead >= 9 and (small is None or small.ahead == small.n)
        verdict = f"{'unit' if unit else 'keep'}, until C_64-32 has five pairs"
    else:
        verdict = "not decided yet"
    return f"SR-d at unit scale is below the authors' form in {' and '.join(counts) or 'no pair yet'}: scale {verdict}."


def described(outcomes: Sequence[Outcome]) -> str:
    """All of it in Markdown."""
    parts = []
    for place, title in TITLES.items():
        header, lines = score_table(outcomes, place)
        if not lines:
            continue
        tables = [(header, lines), test_table(outcomes, place), spread_table(outcomes, place)]
        parts.append(
            f"**{title}**. {_progress(outcomes, place)}\n\n"
            + "\n".join(markdown_table(*table) for table in tables if table[1])
        )
    return "\n".join([*parts, f"By the registered rule: {default_in_words(outcomes)}\n"])


def _progress(outcomes: Sequence[Outcome], place: Place) -> str:
    scores, registered = scores_of(outcomes, *place), SEEDS[place[0]]
    complete = sum(all(seed in of_cell for of_cell in scores.values()) for seed in registered)
    return f"Of {len(registered)} registered seeds {complete} have all six cells."


def _digits(place: Place) -> int:
    return 0 if place[0] == "digits" else 1


def _sigma_1(outcomes: Sequence[Outcome]) -> str:
    """The mean of means and the largest of the largest, over seeds."""
    known = [outcome.sigma_1 for outcome in outcomes if outcome.sigma_1 and outcome.score]
    return f"{np.mean([mean for mean, _ in known]):.1f}, {max(top for _, top in known):.1f}" if known else "–"


def _reach(outcomes: Sequence[Outcome], seeds: Sequence[int]) -> str:
    """How many modes are generated, where they are counted; else recall, where it was measured."""
    modes = [outcome.modes[-1] for outcome in outcomes if outcome.modes and outcome.score]
    if modes:
        return f"{np.mean(modes):.0f}"
    recall = {outcome.seed: f"{outcome.recall:.2f}" for outcome in outcomes if outcome.recall is not None}
    return ", ".join(recall.get(seed, "–") for seed in seeds) if recall else "–"
