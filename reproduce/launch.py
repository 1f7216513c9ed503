"""Runs what a plan misses: several processes at a time, one progress display, stopped and resumed at will."""

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reproduce.plan import REPOSITORY, PlannedRun

POLL_SECONDS = 0.5
SECONDS_BETWEEN_LINES = 60.0  # where no terminal shows the bars
SECONDS_TO_STOP = 60.0


class Stopped(Exception):
    """By a signal; the processes of the runs have ended."""


def launch(
    runs: Sequence[PlannedRun], jobs: int, gpus: int, console: Console, processes: int | None = None
) -> list[PlannedRun]:
    """Trains all runs that are not finished, up to `jobs` at a time.

    Each run is its own `srgan fit` on one thread or on GPUs of its own, so its result does not depend on the
    others. Runs share a GPU only where `jobs` exceeds what the GPUs hold.

    Args:
        runs: what is missing; each must be possible.
        jobs: runs at a time.
        gpus: CUDA devices to share out; 0 for the CPU.
        console: where to show progress.
        processes: of each run, one GPU each; None: as many as the plan says.

    Returns:
        The runs that failed; the log of each is `log.txt` in its folder.

    Raises:
        ValueError: there are fewer GPUs than a run needs.
        Stopped: after a signal, once every process has ended; most have saved their state, the others
            go on from their last checkpoint.
    """
    needs = {run: processes or run.devices for run in runs}
    refuse_too_few_gpus(needs, gpus)
    threads = threads_of_each(list(needs.values()), gpus, jobs)
    waiting, active, failed = list(runs), dict[PlannedRun, _Active](), list[PlannedRun]()
    display = Display(runs, console)
    with _signals() as received, display.progress:
        try:
            while (waiting or active) and not received:
                while waiting and len(active) < jobs:
                    taken = [started.gpus for started in active.values()]
                    chosen = choose_gpus(needs[waiting[0]], taken, gpus, jobs)
                    if chosen is None:
                        break
                    run = waiting.pop(0)
                    active[run] = _Active(_start(run, needs[run], chosen, threads), chosen)
                for run, started in list(active.items()):
                    if started.process.poll() is not None:
                        del active[run]
                        _kill(started.process)  # what is left of a run of several processes
                        if started.process.returncode:
                            failed.append(run)
                            console.print(f"[red]failed[/] {run.name}: see {run.folder.path / 'log.txt'}")
                display.update(list(active), len(runs) - len(waiting) - len(active))
                time.sleep(POLL_SECONDS)
        finally:
            _stop([started.process for started in active.values()])
    if received:
        raise Stopped
    return failed


class _Active(NamedTuple):
    """A run under way and the GPUs that it has."""

    process: subprocess.Popen[bytes]
    gpus: list[int]


def refuse_too_few_gpus(needs: Mapping[PlannedRun, int], gpus: int) -> None:
    """Checks that each run's processes find a GPU each; on the CPU (`gpus` 0) all do.

    Raises:
        ValueError: they do not.
    """
    largest = max(needs.values(), default=0)
    if gpus and largest > gpus:
        names = ", ".join(run.name for run, need in needs.items() if need > gpus)
        raise ValueError(
            f"Expected {largest} GPUs, found {gpus}, for: {names}. Set GPUS={gpus} to train each run on so many "
            "with more accumulation, choose other rows by SETTINGS, or submit to a cluster: CLUSTER=slurm."
        )


def choose_gpus(need: int, taken: Iterable[Sequence[int]], gpus: int, jobs: int) -> list[int] | None:
    """Which GPUs the next run gets: the least busy; None while too few are free. On the CPU none are needed.

    Args:
        need: GPUs of the run.
        taken: those of the active runs.
        gpus: how many there are; 0 for the CPU.
        jobs: runs at a time; more than there are GPUs share them evenly.
    """
    if not gpus:
        return []
    load = Counter(gpu for some in taken for gpu in some)
    runs_on_a_gpu = math.ceil(jobs / gpus)
    free = sorted((gpu for gpu in range(gpus) if load[gpu] < runs_on_a_gpu), key=lambda gpu: load[gpu])
    return free[:need] if len(free) >= need else None


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_each(needs: Sequence[int], gpus: int, jobs: int) -> int:
    """CPU threads of each process: beside GPUs, an even share of the cores for all processes at a time.

    Args:
        needs: processes of each run.
        gpus: CUDA devices; 0 for the CPU, where every process has one thread, so that results do not vary.
        jobs: runs at a time.
    """
    if not gpus:
        return 1
    processes = min(sum(sorted(needs, reverse=True)[:jobs]), gpus * math.ceil(jobs / gpus))
    return max(1, usable_cores() // max(1, processes))


def fit_options(run: PlannedRun, processes: int, nodes: int = 1) -> list[str]:
    """Options of `srgan fit` for a run on so many processes on each of so many nodes."""
    if processes * nodes == 1:
        return run.command
    several = ["--trainer.devices", str(processes), "--trainer.num_nodes", str(nodes), "--trainer.strategy", "ddp"]
    return [*run.command, *several]


def _start(run: PlannedRun, processes: int, gpus: Sequence[int], threads: int) -> subprocess.Popen[bytes]:
    """A process in a session of its own: signals reach it through us alone."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if gpus:
        shared = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # a share of the machine's, perhaps
        names = shared.split(",") if shared else [str(gpu) for gpu in range(max(gpus) + 1)]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(names[gpu] for gpu in gpus)
    run.folder.path.mkdir(parents=True, exist_ok=True)
    with (run.folder.path / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "srgan", "fit", *fit_options(run, processes)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Asks for a checkpoint and an end; insists after a minute."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + SECONDS_TO_STOP
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a run's process and those that it started, where any are left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT, SIGTERM and SIGHUP instead of dying of them."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Display:
    """A bar for the whole and one for each active run; a line a minute where there is no terminal."""

    def __init__(self, runs: Sequence[PlannedRun], console: Console) -> None:
        self.runs, self.console = runs, console
        self.progress = Progress(
            TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self.whole = self.progress.add_task("all runs", total=len(runs), unit="runs")
        self.bars: dict[PlannedRun, Any] = {}
        self.printed = time.monotonic()

    def update(self, active: list[PlannedRun], ended: int) -> None:
        for run in list(self.bars):
            if run not in active:
                self.progress.remove_task(self.bars.pop(run))
        for run in active:
            report = run.folder.read_progress() or {}
            if run not in self.bars:
                self.bars[run] = self.progress.add_task(run.name, total=None, unit="iterations")
            completed, total = report.get("iteration", 0), report.get("iterations")
            self.progress.update(self.bars[run], completed=completed, total=total)
        self.progress.update(self.whole, completed=ended)
        if not self.console.is_terminal and time.monotonic() - self.printed > SECONDS_BETWEEN_LINES:
            self.printed = time.monotonic()
            shown = ", ".join(f"{run.name} {run.iterations_done}" for run in active)
            self.console.print(f"{ended} of {len(self.runs)} runs ended; iterations: {shown}", highlight=False)
