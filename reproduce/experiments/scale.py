"""The scale of D's weights or their spectrum? {no, static, dynamic} x {kept, unit scale}.

The authors' SR-s resets sigma_1 of the raw weights to 1, their SR-d keeps it and SN leaves it alone, so runs of the
three compare spectra and scales at once. The six cells tell them apart.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.evidence.records import Evidence, evidence_of, read_evidence, write_evidence
from reproduce.evidence.scale_tables import DIGITS, NARROW, PLACES, SMALL, label_of, scale_markdown, score_of
from reproduce.launcher.launcher import Campaign
from reproduce.launcher.options import Options
from reproduce.plan.run import CHANNELS, EVIDENCE, FINISHED, SEED, Run
from reproduce.plan.table_runs import BASES, collapse_runs, table_run
from reproduce.plan.variants import CELLS, COLLAPSE_CELLS
from srgan.runs.folder import RunFolder
from srgan.utils.files import write_text

RunsOfPlaces = dict[str, list[Run]]


def digits_runs(seeds: Iterable[int], root: Path, overrides: Mapping[str, Any]) -> RunsOfPlaces:
    """Experiments on digits -> runs of all cells from the start on the embedded digits, seed by seed."""
    seeds = list(seeds)
    return {
        place: [
            Run(
                name=f"{place}, {cell} seed {seed}",
                label=variant.label,
                folder=RunFolder(root / "digits" / f"D{width}" / f"{cell}-seed{seed}"),
                configs=(*BASES["mini"], variant.config),
                overrides={CHANNELS: width, SEED: seed, **variant.overrides(width), **overrides},
            )
            for seed in seeds
            for cell, variant in CELLS.items()
        ]
        for place, width in DIGITS.items()
    }


def small_runs(seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any]) -> RunsOfPlaces:
    """C_64-32 -> runs of all cells from SN's checkpoint; three cells are those of `collapse`.

    `runs` is the folder that holds `table2/small`, `collapse` and `scale`.
    """
    found: list[Run] = []
    for seed in seeds:
        made = {run.folder.path.name: run for run in collapse_runs([SMALL], [seed], runs, overrides)}
        sn = made[f"sn-seed{seed}"]
        for cell, variant in CELLS.items():
            if cell in COLLAPSE_CELLS:
                found.append(made[f"{COLLAPSE_CELLS[cell]}-seed{seed}"])
                continue
            after = variant._replace(after_sn=True)
            run = table_run("small", sn.setting, seed, runs / "scale", overrides, after, cell, sn)
            found.append(replace(run, folder=RunFolder(runs / "scale" / "small" / f"{cell}-seed{seed}")))
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
            name = re.fullmatch(r"(.+)-seed(\d+)", path.parent.name)
            if name and name[1] in CELLS:
                found.append(evidence_of(RunFolder(path.parent), place, label_of(place, name[1]), int(name[2])))
    return [outcome for outcome in found if score_of(outcome)]


def add_outcomes(outcomes: Iterable[Evidence], root: Path, console: Console) -> None:
    """Adds runs to a folder's `scale.json`, and writes and shows the tables of all that it holds."""
    write_evidence(root / "scale.json", [outcome.without_histories() for outcome in outcomes])
    text = tables_with_evidence(read_evidence(root / "scale.json"))
    write_text(root / "scale.md", text)
    console.print(text, highlight=False, soft_wrap=True)


def tables_with_evidence(outcomes: Iterable[Evidence]) -> str:
    """The tables of some runs, with the cells that the committed evidence has."""
    return scale_markdown([*read_evidence(EVIDENCE / "evidence.json"), *outcomes])
