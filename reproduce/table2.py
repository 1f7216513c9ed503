"""`make reproduce-table2`: plan, run what is missing, and write Table II beside our numbers."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from reproduce.calibrate import count_gpus, estimate_seconds
from reproduce.launch import Stopped, launch
from reproduce.page import write_page
from reproduce.plan import MINI_DEFAULT, OUTDATED, REPOSITORY, Run, Scale, plan
from reproduce.settings import METHODS, SETTINGS
from reproduce.table import collect, csv_text, described_table
from srgan.files import write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 2 (wrong usage), 130 (stopped; the same command goes on)."""
    options = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    gpus = count_gpus()
    scale: Scale = options.scale if options.scale != "auto" else ("paper" if gpus else "mini")
    found = f"{gpus} CUDA device{'s' if gpus > 1 else ''} found" if gpus else "no CUDA device found"
    console.print(f"Scale {scale}" + (f" ({found})." if options.scale == "auto" else "."), highlight=False)
    root: Path = options.runs / "table2" / scale
    names = options.settings or (MINI_DEFAULT if scale == "mini" else [setting.name for setting in SETTINGS])
    try:
        runs = plan(scale, names, options.methods, options.seeds, root)
    except ValueError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    jobs = options.jobs or (gpus if gpus and scale == "paper" else usable_cores())
    to_do = [run for run in runs if run.state not in ("finished", OUTDATED) and not run.missing]
    show_plan(runs, to_do, jobs, root, console)
    for run in runs:
        if run.state == OUTDATED:
            differing = run.differing_settings((run.folder.read_record() or {})["config"])
            words = "; ".join(f"{name}: {there} there, {here} in the plan" for name, (there, here) in differing.items())
            print(f"reproduce: {run.name} was made with other settings ({words}). Remove or move", file=sys.stderr)
            print(f"  {run.folder.path}", file=sys.stderr)
    if any(run.state == OUTDATED for run in runs):
        return 2
    if options.dry_run:
        for run in to_do:
            console.print("srgan fit " + shlex.join(run.command), highlight=False, soft_wrap=True)
        return 0
    try:
        failed = launch(to_do, jobs, gpus if scale == "paper" else 0, console) if to_do else []
    except Stopped:
        console.print("Stopped: the same command goes on.")
        return 130
    write_table(runs, scale, root, console)
    return 1 if failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options; the Makefile's variables carry the same names. Empty values mean the default."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.table2", description=__doc__)
    parser.add_argument("--scale", default="auto", choices=("auto", "mini", "paper"))
    parser.add_argument("--settings", default=[], type=_words, help="rows of Table I, e.g. 'A_64-128 C_32-32'; or all")
    parser.add_argument("--methods", default=list(METHODS), type=_methods, help="sn, sr or both")
    parser.add_argument("--seeds", default=[1], type=_seeds, help="one run for each, e.g. '1 2 3'")
    parser.add_argument("--jobs", default=0, type=_count, help="processes at a time (default: cores, or GPUs)")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs and tables go")
    parser.add_argument("--dry-run", default="", help="1: show the plan and the commands, run nothing")
    return parser.parse_args(arguments)


def _words(text: str) -> list[str]:
    words = text.replace(",", " ").split()
    return [setting.name for setting in SETTINGS] if words == ["all"] else words


def _methods(text: str) -> list[str]:
    methods = _words(text) or list(METHODS)
    if not set(methods) <= set(METHODS):
        raise argparse.ArgumentTypeError(f"expected sn, sr or both, found {text!r}")
    return methods


def _seeds(text: str) -> list[int]:
    return [int(word) for word in _words(text)] or [1]


def _count(text: str) -> int:
    return int(text or 0)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show_plan(runs: list[Run], to_do: list[Run], jobs: int, root: Path, console: Console) -> None:
    """What exists, what will run, and for how long."""
    if to_do:
        console.print("Timing a few iterations of each kind of run ...", highlight=False)
    seconds = dict(zip(to_do, estimate_seconds(to_do, root), strict=True)) if to_do else {}
    table = Table("run", "method", "batch", "CH", "state", "estimate", title=f"{len(runs)} runs, {len(to_do)} to do")
    for run in runs:
        estimate = _duration(seconds[run]) if run in seconds else ""
        method = run.constraint.upper()
        table.add_row(run.name, method, str(run.batch_size), str(run.discriminator_channels), run.state, estimate)
    console.print(table)
    if to_do:
        whole = max(max(seconds.values()), sum(seconds.values()) / jobs)
        console.print(f"{jobs} at a time: about {_duration(whole)}. Runs go to {root}.", highlight=False)


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def write_table(runs: list[Run], scale: Scale, root: Path, console: Console) -> None:
    """Markdown, CSV and page from the runs' files; the markdown goes to the terminal too."""
    rows = collect(runs)
    text = described_table(rows, scale)
    write_text(root / "table2.md", text)
    write_text(root / "table2.csv", csv_text(rows, scale))
    write_page(rows, scale, root / "table2.html")
    console.print(Markdown(text) if console.is_terminal else text, highlight=False, soft_wrap=True)
    for name in ("table2.md", "table2.csv", "table2.html"):
        console.print(f"{root / name}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
