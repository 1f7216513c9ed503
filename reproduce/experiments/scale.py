"""`make reproduce-scale`: the scale of D's weights or their spectrum? {none, static, dynamic} x {kept, unit scale}.

The authors' SR-s resets sigma_1 of the raw weights to 1, their SR-d keeps it and SN leaves it alone, so runs of the
three compare spectra and scales at once. The six cells tell them apart.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.evidence.records import BRANCH, read_evidence
from reproduce.evidence.scale_outcomes import (
    CELLS,
    Experiment,
    Outcome,
    joined,
    outcome_of,
    outcomes_in,
    outcomes_of_evidence,
    read_outcomes,
    write_outcomes,
)
from reproduce.evidence.scale_tables import SEEDS, described
from reproduce.experiments.collapse import collapse_runs
from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import CAMPAIGN, Options, read, with_images
from reproduce.plan.run import CHANNELS, FINISHED, FRACTION, REPOSITORY, SEED, Run
from reproduce.plan.table_runs import BASES
from srgan.runs.folder import RunFolder
from srgan.utils.files import write_text

WIDTHS = (6, 20)  # D's channels on digits: narrow and wide
SCALE = "model.constraint.init_args.scale"
OF_COLLAPSE = {"sn": "sn", "sr-s": "sr-s-after-sn", "sr-d-keep": "sr-d"}
"""Cell of C_64-32 -> folder of the run that `make reproduce-collapse` has of it, without its seed."""
EVIDENCE = REPOSITORY / "docs" / "evidence"
NAMES = "scale seeds images existing"


def cell_settings(cell: str, width: int) -> tuple[str, dict[str, Any]]:
    """The configuration of a cell and what is changed in it, for a D of so many channels."""
    if cell == "sn":
        return "sn", {}
    if cell == "none-unit":  # i = 1 compensates nothing: sigma_1 alone is written
        return "sr-s", {FRACTION: 1 / width, SCALE: "unit"}
    scale = {"kept": "keep", "unit": "unit"}[CELLS[cell].scale]
    return ("sr-s" if CELLS[cell].compensation == "static" else "sr-d"), {SCALE: scale}


def digits_runs(seeds: Iterable[int], root: Path, overrides: Mapping[str, Any]) -> dict[tuple[str, int, int], Run]:
    """(cell, D's channels, seed) -> run from the start on the embedded digits, seed by seed."""
    runs = {}
    for width in WIDTHS:
        for seed in seeds:
            for cell in CELLS:
                config, own = cell_settings(cell, width)
                runs[cell, width, seed] = Run(
                    name=f"digits, D {width}, {cell} seed {seed}",
                    folder=RunFolder(root / "digits" / f"D{width}" / f"{cell}-seed{seed}"),
                    configs=(*BASES["mini"], config),
                    overrides={CHANNELS: width, SEED: seed, **own, **overrides},
                )
    return runs


def small_runs(seeds: Iterable[int], runs: Path, overrides: Mapping[str, Any]) -> dict[tuple[str, int, int], Run]:
    """(cell, D's channels, seed) -> run of C_64-32 from SN's checkpoint; three cells are those of `collapse`.

    Args:
        seeds: six runs for each.
        runs: the folder that holds `table2/small`, `collapse` and `scale`.
        overrides: settings of every run.
    """
    found: dict[tuple[str, int, int], Run] = {}
    for seed in seeds:
        made = {run.folder.path.name: run for run in collapse_runs(["C_64-32"], [seed], runs, overrides)}
        sn, width = made[f"sn-seed{seed}"], made[f"sn-seed{seed}"].discriminator_channels
        for cell in CELLS:
            if cell in OF_COLLAPSE:
                found[cell, width, seed] = made[f"{OF_COLLAPSE[cell]}-seed{seed}"]
                continue
            config, own = cell_settings(cell, width)
            found[cell, width, seed] = replace(
                sn,
                name=f"C_64-32 {cell} seed {seed}",
                folder=RunFolder(runs / "scale" / "small" / f"{cell}-seed{seed}"),
                configs=(*BASES["small"], config),
                overrides={**sn.overrides, **own, **overrides},
                after=sn,
                checkpoint=BRANCH,
            )
    return found


def experiment(options: Options) -> Campaign:
    """The six cells of every seed, on digits (SCALE=mini) or from SN's checkpoint on real images (SCALE=small).

    Raises:
        ValueError: SCALE=paper.
    """
    if options.scale == "paper":
        raise ValueError("Expected SCALE=mini or SCALE=small, found paper: these cells have no runs at that scale.")
    root, overrides = options.runs / "scale", with_images(options)
    place: Experiment = "digits" if options.scale == "mini" else "C_64-32"
    seeds = options.seeds or SEEDS[place]
    runs = digits_runs(seeds, root, overrides) if place == "digits" else small_runs(seeds, options.runs, overrides)

    def finish(finished: Sequence[Run], console: Console) -> None:
        made = [outcome_of(run.folder, place, cell) for (cell, _, _), run in runs.items() if run.state == FINISHED]
        add_outcomes([outcome for outcome in made if outcome], root, console)

    return Campaign(list(runs.values()), root, finish)


def add_outcomes(outcomes: Iterable[Outcome], root: Path, console: Console) -> None:
    """Adds runs to a folder's `scale.json`, and writes and shows the tables of all that it holds."""
    write_outcomes(root / "scale.json", outcomes)
    text = described_with_evidence(read_outcomes(root / "scale.json"))
    write_text(root / "scale.md", text)
    console.print(text, highlight=False, soft_wrap=True)


def described_with_evidence(outcomes: Iterable[Outcome]) -> str:
    """The tables of some runs, with the cells that the committed evidence has."""
    return described(joined(outcomes_of_evidence(read_evidence(EVIDENCE / "evidence.json")), outcomes))


def _mini(options: Options) -> str:
    return "mini"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: EXISTING reads runs that are there, without it the missing ones are made; returns the status."""
    options = read(arguments, __doc__, f"{NAMES} {CAMPAIGN}", detect=_mini)
    if not options.existing:
        return perform(experiment, __doc__, NAMES, arguments, detect=_mini)
    found = [outcome for outcome in outcomes_in(Path(options.existing)) if outcome.score]
    if not found:
        print(
            "reproduce: expected runs that are far enough, such as digits/D6/sr-s-seed11, below "
            f"{options.existing}, found none.",
            file=sys.stderr,
        )
        return 2
    add_outcomes(found, options.runs / "scale", Console())
    return 0


if __name__ == "__main__":
    sys.exit(main())
