"""`make reproduce-table2`: plan, run what is missing, and write Table II beside our numbers."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from reproduce import options
from reproduce.calibrate import count_gpus
from reproduce.cluster import Queue, Resources, show_queue, wait
from reproduce.front import write_front
from reproduce.launch import Stopped, fit_options, launch, usable_cores
from reproduce.overview import refuse_impossible_splits, show_plan
from reproduce.plan import MINI_DEFAULT, OUTDATED, REPOSITORY, Run, Scale, plan
from reproduce.settings import METHODS, SETTINGS
from reproduce.table import collect, csv_text, described_table
from srgan.files import write_text
from srgan.report.page import write_page


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 2 (wrong usage), 130 (stopped; the same command goes on)."""
    chosen = parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    gpus = count_gpus()
    scale: Scale = chosen.scale if chosen.scale != "auto" else ("paper" if gpus or chosen.cluster else "mini")
    found = f"{gpus} CUDA device{'s' if gpus > 1 else ''} found" if gpus else "no CUDA device found"
    console.print(f"Scale {scale}" + (f" ({found})." if chosen.scale == "auto" else "."), highlight=False)
    root: Path = chosen.runs / "table2" / scale
    names = chosen.settings or (MINI_DEFAULT if scale == "mini" else [setting.name for setting in SETTINGS])
    try:
        runs = plan(scale, names, chosen.methods, chosen.seeds, root)
    except ValueError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    outdated = [run for run in runs if run.state == OUTDATED]
    for run in outdated:
        differing = run.differing_settings((run.folder.read_record() or {})["config"])
        words = "; ".join(f"{name}: {there} there, {here} in the plan" for name, (there, here) in differing.items())
        print(f"reproduce: {run.name} was made with other settings ({words}). Remove or move", file=sys.stderr)
        print(f"  {run.folder.path}", file=sys.stderr)
    if outdated:
        return 2
    to_do = [run for run in runs if run.state != "finished" and not run.missing]
    resources = Resources(
        chosen.nodes or 1, chosen.gpus or None, scale == "paper", chosen.cpus or (8 if scale == "paper" else 1),
        chosen.hours or 24.0, chosen.jobs, chosen.sbatch | chosen.partition,
    )  # fmt: skip
    try:
        if chosen.cluster:
            return on_cluster(runs, to_do, resources, root, chosen, console)
        return here(runs, to_do, resources, gpus if scale == "paper" else 0, root, chosen, console)
    except (ValueError, RuntimeError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2


def here(
    runs: list[Run], to_do: list[Run], resources: Resources, gpus: int, root: Path, chosen: Any, console: Console
) -> int:
    """Runs what is missing on this machine and writes the table; returns the exit status.

    Raises:
        ValueError: the runs are not possible here.
    """
    if to_do and to_do[0].scale == "paper" and not gpus and not chosen.dry_run:
        raise ValueError(
            "Expected a GPU at scale paper, found no CUDA device; DRY_RUN=1 shows the plan, CLUSTER=slurm submits it."
        )
    jobs = chosen.jobs or gpus or usable_cores()
    show_plan(runs, to_do, jobs, root, console, gpus, resources.processes)
    if chosen.dry_run:
        show_commands(to_do, resources, console)
        return 0
    try:
        failed = launch(to_do, jobs, gpus, console, resources.processes) if to_do else []
    except Stopped:
        console.print("Stopped: the same command goes on.")
        return 130
    write_table(runs, root, console)
    return 1 if failed else 0


def on_cluster(
    runs: list[Run], to_do: list[Run], resources: Resources, root: Path, chosen: Any, console: Console
) -> int:
    """Submits what is neither finished nor in the queue, and shows where everything stands.

    Returns:
        The exit status: 0 submitted or finished, 1 a run that was waited for failed.

    Raises:
        ValueError: a run is not possible on such devices.
        RuntimeError: Slurm is not there, or refused.
    """
    devices = resources.processes and resources.processes * resources.nodes
    if chosen.dry_run:
        show_plan(runs, to_do, 1, root, console, devices=devices, timed=False)
        show_commands(to_do, resources, console)
        console.print("Nothing was submitted. What is in the queue already is not submitted again.", highlight=False)
        return 0
    refuse_impossible_splits(runs, devices)
    queue = Queue(root)
    show_queue(runs, queue.submit(to_do, resources), console)
    if chosen.wait:
        try:
            wait(queue, to_do, console)
        except KeyboardInterrupt:
            console.print("The jobs go on; the same command shows where they are.")
            return 130
    unfinished = [run for run in to_do if run.state != "finished"]
    if any(run.state == "finished" for run in runs):
        write_table(runs, root, console)
    return 1 if chosen.wait and unfinished else 0


def show_commands(to_do: list[Run], resources: Resources, console: Console) -> None:
    """What each process of a run is started with."""
    for run in to_do:
        words = fit_options(run, resources.processes_on_node(run), resources.nodes)
        console.print("srgan fit " + shlex.join(words), highlight=False, soft_wrap=True)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options; the Makefile's variables carry the same names. Empty values mean the default."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.table2", description=__doc__)
    parser.add_argument("--scale", default="auto", choices=("auto", "mini", "paper"))
    parser.add_argument(
        "--settings", default=[], type=options.settings, help="rows of Table I, e.g. 'A_64-128 C_32-32'; or all"
    )
    parser.add_argument("--methods", default=list(METHODS), type=_methods, help="sn, sr or both")
    parser.add_argument("--seeds", default=[1], type=options.seeds, help="one run for each, e.g. '1 2 3'")
    parser.add_argument("--jobs", default=0, type=options.count, help="processes at a time (default: cores, or GPUs)")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs and tables go")
    parser.add_argument(
        "--dry-run", default=False, type=options.yes, help="1: show the plan and the commands, run nothing"
    )
    parser.add_argument("--gpus", default=0, type=options.count, help="of each run (on each node); default: the plan's")
    cluster = parser.add_argument_group("on a cluster; --jobs is then the number of runs at a time (default: all)")
    cluster.add_argument("--cluster", default="", choices=("", "slurm"), help="submit the runs instead")
    cluster.add_argument("--nodes", default=1, type=options.count, help="of each run")
    cluster.add_argument("--cpus", default=0, type=options.count, help="of each process (default: 8, at scale mini 1)")
    cluster.add_argument("--hours", default=24.0, type=_hours, help="limit of a job; longer runs go on in the next")
    cluster.add_argument("--partition", default={}, type=_partition, help="of the cluster (default: the cluster's)")
    cluster.add_argument("--sbatch", default={}, type=_sbatch, help="more of sbatch's options: 'account=gan mem=64G'")
    cluster.add_argument("--wait", default=False, type=options.yes, help="1: show progress until all runs have ended")
    return parser.parse_args(arguments)


def _methods(text: str) -> list[str]:
    methods = text.replace(",", " ").split() or list(METHODS)
    if not set(methods) <= set(METHODS):
        raise argparse.ArgumentTypeError(f"expected sn, sr or both, found {text!r}")
    return methods


def _hours(text: str) -> float:
    return float(text or 0)


def _partition(text: str) -> dict[str, str]:
    return {"partition": text} if text else {}


def _sbatch(text: str) -> dict[str, Any]:
    """Options as sbatch names them, without their dashes; those without a value are switches."""
    pairs = [word.lstrip("-").partition("=") for word in text.split()]
    return {name: value if equals else True for name, equals, value in pairs}


def write_table(runs: list[Run], root: Path, console: Console) -> None:
    """Markdown, CSV and page from the runs' files; the markdown goes to the terminal too."""
    scale = runs[0].scale
    rows = collect(runs)
    text = described_table(rows, scale)
    write_text(root / "table2.md", text)
    write_text(root / "table2.csv", csv_text(rows, scale))
    write_front(rows, scale, root)
    write_page(root, root / "table2.html")
    console.print(Markdown(text) if console.is_terminal else text, highlight=False, soft_wrap=True)
    for name in ("table2.md", "table2.csv", "table2.html"):
        console.print(f"{root / name}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
