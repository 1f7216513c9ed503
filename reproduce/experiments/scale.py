"""The scale of D's weights or their spectrum? {no, static, dynamic} x {kept, unit scale}.

The authors' SR-s resets sigma_1 of the raw weights to 1, their SR-d keeps it and SN leaves it alone, so runs of the
three compare spectra and scales at once. The six cells tell them apart.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pandas import DataFrame
from rich.console import Console

from reproduce.evidence.claims import paired
from reproduce.evidence.records import Evidence, evidence_of, joined, read_evidence, write_evidence
from reproduce.launcher.launcher import Campaign
from reproduce.launcher.options import Options
from reproduce.plan.run import CHANNELS, EVIDENCE, FINISHED, SEED, Run
from reproduce.plan.table_runs import BASES, collapse_runs, table_run
from reproduce.plan.variants import CELLS, COLLAPSE, COLLAPSE_CELLS, SHOWN_LABELS, SR_D
from reproduce.results.generated import markdown_table
from reproduce.results.significance import Pairs, compare, spread_ratio
from srgan.runs.folder import RunFolder
from srgan.utils.files import write_text

SMALL = "C_64-32"
DIGITS = {"digits, D 6": 6, "digits, D 20": 20}  # experiment on digits -> D's channels: narrow and wide
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
RATES = {f"model.{player}_optimizer.learning_rate": 4e-3 for player in ("generator", "discriminator")}
"""Of the runs on digits, as registered."""
TIMES = (2_500, 3_000, 5_000, 7_500, 10_000)  # iterations after the switch to SR-d at 2,000
UNIT_SCALE = ("none-unit", "sr-s", "sr-d-unit")
KEPT_OR_UNIT = (("sr-d-unit", "sr-d-keep"), ("sr-s", "sr-s-keep"))
REGISTERED = (*KEPT_OR_UNIT, ("sr-d-unit", "sn"), ("none-unit", "sn"), ("sr-s", "sn"))
COMPARISONS = (*REGISTERED, ("sr-s", "none-unit"), ("sr-d-unit", "none-unit"))
"""That a cell's FID_cls is below another's."""
ONE_SIDED = {NARROW: REGISTERED, SMALL: KEPT_OR_UNIT}  # registered with a direction
TWO_SIDED = {WIDE: REGISTERED}  # registered without one; all others are exploratory


def digits_runs(seeds: Iterable[int], root: Path, overrides: Mapping[str, Any]) -> dict[str, list[Run]]:
    """Experiments on digits -> runs of all cells from the start on the embedded digits, seed by seed."""
    found: dict[str, list[Run]] = {}
    for (place, width), seed, (cell, variant) in product(DIGITS.items(), seeds, CELLS.items()):
        name, configs = f"{place}, {cell} seed {seed}", (*BASES["mini"], variant.config)
        folder = RunFolder(root / "digits" / f"D{width}" / f"{cell}-seed{seed}")
        settings = {**RATES, CHANNELS: width, SEED: seed, **variant.overrides(width), **overrides}
        run = Run(name=name, label=variant.label, folder=folder, configs=configs, overrides=settings)
        found.setdefault(place, []).append(run)
    return found


def small_runs(seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any]) -> dict[str, list[Run]]:
    """C_64-32 -> runs of all cells from SN's checkpoint; three cells are those of `collapse`.

    `runs` is the folder that holds `table2/small`, `collapse` and `scale`.
    """
    found: list[Run] = []
    for seed in seeds:
        made = {run.folder.path.name: run for run in collapse_runs([SMALL], [seed], runs, overrides)}
        sn = made[f"sn-seed{seed}"]
        for cell, variant in CELLS.items():
            after = variant._replace(after_sn=True)
            own = table_run("small", sn.setting, seed, runs / "scale", overrides, after, cell, sn)
            own = replace(own, folder=RunFolder(runs / "scale" / "small" / f"{cell}-seed{seed}"))
            found.append(made[f"{COLLAPSE_CELLS[cell]}-seed{seed}"] if cell in COLLAPSE_CELLS else own)
    return {SMALL: found}


def scale(options: Options) -> int:
    """`make reproduce-scale`: the scale of D's weights or their spectrum? {no, static, dynamic} x {kept, unit scale}.

    The six cells of every seed, on digits (SCALE=mini) or from SN's checkpoint on real images (SCALE=small). EXISTING
    reads runs that are there instead.
    """
    if options.scale == "paper":
        raise ValueError("Expected SCALE=mini or SCALE=small, found paper: these cells have no runs at that scale.")
    root, overrides = options.runs / "scale", options.with_images()
    if options.existing:
        if not (outcomes := outcomes_in(Path(options.existing))):
            expected = "runs that are far enough, such as digits/D6/sr-s-seed11"
            raise ValueError(f"expected {expected}, below {options.existing}, found none.")
        add_outcomes(outcomes, root, Console())
        return 0
    if options.scale == "mini":
        found = digits_runs(options.seeds or PLACES[NARROW], root, overrides)
    else:
        found = small_runs(options.seeds or PLACES[SMALL], options.runs, overrides)

    def finish(finished: Sequence[Run], console: Console) -> None:
        done = [(place, run) for place, runs in found.items() for run in runs if run.state == FINISHED]
        add_outcomes([evidence_of(run.folder, place, run.label, run.flat[SEED]) for place, run in done], root, console)

    return Campaign([run for runs in found.values() for run in runs], root, finish).execute(options)


def outcomes_in(root: Path) -> list[Evidence]:
    """Of all runs below a folder that are far enough: `digits/D6/sr-d-unit-seed11`, `small/sr-s-keep-seed4`."""
    folders = {place: f"digits/D{width}" for place, width in DIGITS.items()} | {SMALL: "small"}
    found = []
    for place, folder in folders.items():
        for path in sorted(root.glob(f"{folder}/*/run.json")):
            cell, _, seed = path.parent.name.rpartition("-seed")
            if cell in CELLS and seed.isdigit():
                found.append(evidence_of(RunFolder(path.parent), place, label_of(place, cell), int(seed)))
    return [outcome for outcome in found if score_of(outcome)]


def add_outcomes(outcomes: Iterable[Evidence], root: Path, console: Console) -> None:
    """Adds runs to a folder's `scale.json`, and writes and shows the tables of all that it holds."""
    none = dict.fromkeys(("tails", "held", "signals"), DataFrame())
    kept = [replace(run, scores=run.scores.filter(["FID_cls", "modes"]), **none) for run in outcomes]
    found = write_evidence(root / "scale.json", kept)
    text = tables_with_evidence(found)
    write_text(root / "scale.md", text)
    console.print(text, highlight=False, soft_wrap=True)


def tables_with_evidence(outcomes: Iterable[Evidence]) -> str:
    """The tables of some runs, with the cells that the committed evidence has."""
    return scale_markdown([*read_evidence(EVIDENCE / "evidence.json"), *outcomes])


def label_of(place: str, cell: str) -> str:
    """What a cell's runs are called: in C_64-32 they start from SN's checkpoint."""
    variants = COLLAPSE | CELLS
    return variants[COLLAPSE_CELLS.get(cell, cell)].label if place == SMALL else CELLS[cell].label


def shown_label(place: str, cell: str) -> str:
    label = label_of(place, cell)
    return SHOWN_LABELS.get(label, label)


def score_of(run: Evidence) -> float | None:
    """What is compared; None before the run is far enough."""
    ends = list(ENDS.get(run.setting, ()))
    if not ends or not set(ends) <= set(run.scores.index):
        return None
    return float(np.exp(np.log(run.scores["FID_cls"].loc[ends]).mean()))


def scores_of(runs: Sequence[Evidence], place: str, seeds: Collection[int] | None = None) -> DataFrame:
    """A line for each seed (of `seeds`, if given), a column for each cell; NaN where a run is missing."""
    cell_of = {label_of(place, cell): cell for cell in CELLS}
    scores: dict[str, dict[int, float]] = {cell: {} for cell in CELLS}
    for run in runs:
        if run.setting == place and run.method in cell_of and (score := score_of(run)):
            scores[cell_of[run.method]][run.seed] = score
    table = DataFrame(scores, dtype=float).sort_index()
    return table if seeds is None else table[table.index.isin(seeds)]


def score_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each cell: FID_cls seed by seed, its mean, spread and worst, sigma_1, modes or recall."""
    scores, digits = scores_of(runs, place), 0 if place in DIGITS else 1
    lines = []
    for cell, values in scores.dropna(axis="columns", how="all").items():
        label = label_of(place, str(cell))
        own = {run.seed: run for run in runs if run.setting == place and run.method == label and score_of(run)}
        logs = np.log(values)
        by_seed = ["–" if np.isnan(value) else f"{value:,.{digits}f}" for value in values]
        spread = f"× {np.exp(logs.std()):.2f}" if values.count() > 1 else "–"
        line = [shown_label(place, str(cell)), *by_seed, f"{np.exp(logs.mean()):,.{digits}f}", spread]
        sigmas = [run.sigma_1 for run in own.values() if run.sigma_1]
        scale = f"{np.mean([mean for mean, _ in sigmas]):.1f}, {max(top for _, top in sigmas):.1f}" if sigmas else "–"
        modes = [run.scores["modes"].iloc[-1] for run in own.values() if "modes" in run.scores]
        recall = {seed: f"{run.recall:.2f}" for seed, run in own.items() if run.recall is not None}
        covered = ", ".join(recall.get(seed, "–") for seed in scores.index) if recall else "–"
        lines.append([*line, f"{values.max():,.{digits}f}", scale, f"{np.mean(modes):.0f}" if modes else covered])
    columns = ["", *map(str, scores.index), "geometric mean", "spread", "worst", "final σ₁: mean, largest"]
    columns.append("modes of 1,000, mean" if place in DIGITS else "recall at 10,000, seed by seed")
    return DataFrame(lines, columns=columns)


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
        ps = ["–" if np.isnan(p) else f"{p:.2g}" for p in (pairs.p_of_t(not one_sided), pairs.p(not one_sided))]
        lines.append([name, f"{pairs.ahead} of {pairs.n}", pairs.change_text, *ps, tests])
    columns = ["FID_cls", "pairs", "relative change", "p, paired t-test on logs", "p, sign test", "tests"]
    return DataFrame(lines, columns=columns)


def pairs_of(runs: Sequence[Evidence], place: str, comparison: tuple[str, str]) -> Pairs | None:
    """Both cells in the registered seeds that both have; None without one."""
    both = scores_of(runs, place, PLACES[place])[list(comparison)].dropna()
    second, first = (both[cell].tolist() for cell in comparison)
    return compare(first, second, lower_is_better=True) if len(both) else None


def spread_table(runs: Sequence[Evidence], place: str) -> DataFrame:
    """A line for each unit-scale cell: how much steadier it is than SN; registered for digits alone."""
    scores, lines = scores_of(runs, place, PLACES[place]), []
    of_sn = scores["sn"].dropna().tolist()
    for cell in UNIT_SCALE if place in DIGITS else ():
        own = scores[cell].dropna().tolist()
        if min(len(own), len(of_sn)) >= 3:
            ratio, p = spread_ratio(of_sn, own)
            numbers = [f"{ratio:.2f}", f"{p:.2g}", f"{max(own):,.0f}", f"{max(of_sn):,.0f}"]
            lines.append([shown_label(place, cell), *numbers])
    columns = ["", "variance of log FID_cls: SN's over this", "p, F-test, two-sided", "worst seed", "SN's worst"]
    return DataFrame(lines, columns=columns)


def timing_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each iteration: SR-d's FID_cls (medians of three evaluations) over SN's, and its spectra."""
    pairs, lines = paired(runs, SR_D.label), []
    for at in TIMES:
        logs = [np.log(sr_d.smooth("FID_cls")[at] / sn.smooth("FID_cls")[at]) for sn, sr_d in pairs]
        spectra = np.mean([(sr_d.first_half[at], sr_d.mean_tail[at]) for _, sr_d in pairs], axis=0)
        lines.append([f"{at:,}", f"{np.exp(np.mean(logs)):.2f}", *(f"{mean:.3f}" for mean in spectra)])
    columns = ["iteration", "FID_cls, SR-d's over SN's", "SR-d's first half", "SR-d's tail"]
    return DataFrame(lines, columns=columns)


def registered_default(runs: Sequence[Evidence]) -> str:
    """What the registered rule makes of the runs: which scale `sr-d` has by default."""
    small, digits = (pairs_of(runs, place, KEPT_OR_UNIT[0]) for place in (SMALL, NARROW))
    named = {SMALL: small, "digits (6 channels)": digits}
    counts = [f"{pairs.ahead} of {pairs.n} pairs of {name}" for name, pairs in named.items() if pairs]
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
            complete = len(scores_of(runs, place, PLACES[place]).dropna())
            progress = f"{complete} of {len(PLACES[place])} registered seeds have all six cells."
            parts.append(f"**{title}**. {progress}\n\n{shown}")
    return "\n".join([*parts, f"{registered_default(runs)}\n"])
