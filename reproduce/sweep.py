"""`make reproduce-sweep`, Fig. 8, 11 and 12: SR-s at i = 0.25 N ... N, and SR-d, beside the runs of Table II."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from reproduce import options
from reproduce.calibrate import count_gpus
from reproduce.launch import Stopped, fit_options, launch, usable_cores
from reproduce.overview import show_plan
from reproduce.plan import OUTDATED, REPOSITORY, Scale
from reproduce.sweep_plan import SWEEP_DEFAULT, sweep_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 2 (not possible here), 130 (stopped; the same command goes on)."""
    chosen = parse(arguments)
    console, gpus = Console(width=None if sys.stdout.isatty() else 160), count_gpus()
    scale: Scale = chosen.scale if chosen.scale != "auto" else ("paper" if gpus else "mini")
    try:
        return sweep(scale, gpus if scale == "paper" else 0, chosen, console)
    except ValueError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2


def sweep(scale: Scale, gpus: int, chosen: argparse.Namespace, console: Console) -> int:
    """Shows the plan and runs what is missing; returns the exit status.

    Raises:
        ValueError: the runs are not possible, here or at all.
    """
    names = chosen.settings or SWEEP_DEFAULT[scale]
    sweeps = sweep_plan(scale, names, chosen.seeds, chosen.runs)
    runs = [run for one in sweeps for run in one.runs]
    outdated = [str(run.folder.path) for run in runs if run.state == OUTDATED]
    if outdated:
        raise ValueError(f"Expected runs of this plan, found some made with other settings. Remove or move {outdated}.")
    to_do = [run for run in runs if run.state != "finished" and not run.missing]
    if scale == "paper" and to_do and not gpus and not chosen.dry_run:
        raise ValueError("Expected a GPU at scale paper, found no CUDA device; DRY_RUN=1 shows the plan.")
    jobs, devices = chosen.jobs or gpus or usable_cores(), chosen.gpus or None
    console.print(f"Scale {scale}. SN, SR-s at i = 0.5N and SR-d are Table II's own runs where it has them.")
    show_plan(runs, to_do, jobs, chosen.runs / "sweep" / scale, console, gpus, devices)
    if chosen.dry_run:
        for run in to_do:
            command = shlex.join(fit_options(run, devices or run.devices))
            console.print(f"srgan fit {command}", highlight=False, soft_wrap=True)
        return 0
    try:
        failed = launch(to_do, jobs, gpus, console, devices) if to_do else []
    except Stopped:
        console.print("Stopped: the same command goes on.")
        return 130
    if not failed:
        console.print(f'Now: make reproduce-figures SCALE={scale} FIGURES="8 11 12"', highlight=False)
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options; the Makefile's variables carry the same names. Empty values mean the default."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.sweep", description=__doc__)
    parser.add_argument("--scale", default="auto", choices=("auto", "mini", "paper"))
    parser.add_argument("--settings", default=[], type=options.settings, help="rows of Table I, e.g. 'C_32-32'; or all")
    parser.add_argument("--seeds", default=[1], type=options.seeds, help="one sweep for each, e.g. '1 2 3'")
    parser.add_argument("--jobs", default=0, type=options.count, help="runs at a time (default: cores, or GPUs)")
    parser.add_argument("--gpus", default=0, type=options.count, help="of each run; default: the plan's")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs go")
    parser.add_argument("--dry-run", default=False, type=options.yes, help="1: show the plan and commands, run nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
