"""Runs what a plan misses: several processes at a time, one progress display, stopped and resumed at will."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from reproduce.plan import REPOSITORY, PlannedRun

POLL_SECONDS = 0.5
SECONDS_BETWEEN_LINES = 60.0  # where no terminal shows the bars
SECONDS_TO_STOP = 60.0


class Stopped(Exception):
    """By a signal; the processes of the runs have ended."""


def launch(runs: Sequence[PlannedRun], jobs: int, gpus: int, console: Console) -> list[PlannedRun]:
    """Trains all runs that are not finished, `jobs` at a time.

    Each run is its own `srgan fit` on one thread (or one GPU), so its result does not depend on the others.

    Args:
        runs: what is missing; each must be possible.
        jobs: processes at a time.
        gpus: CUDA devices to share out; 0 for the CPU.
        console: where to show progress.

    Returns:
        The runs that failed; the log of each is `log.txt` in its folder.

    Raises:
        Stopped: after a signal, once every process has ended; most have saved their state, the others
            go on from their last checkpoint.
    """
    waiting, active, failed = list(runs), dict[PlannedRun, tuple[subprocess.Popen[bytes], int]](), list[PlannedRun]()
    free_slots = list(range(jobs))
    display = _Display(runs, console)
    with _signals() as received, display.progress:
        try:
            while (waiting or active) and not received:
                while waiting and free_slots:
                    run, slot = waiting.pop(0), free_slots.pop(0)
                    active[run] = (_start(run, slot % gpus if gpus else None), slot)
                for run, (process, slot) in list(active.items()):
                    if process.poll() is not None:
                        del active[run]
                        free_slots.append(slot)
                        if process.returncode:
                            failed.append(run)
                            console.print(f"[red]failed[/] {run.name}: see {run.folder.path / 'log.txt'}")
                display.update(list(active), len(runs) - len(waiting) - len(active))
                time.sleep(POLL_SECONDS)
        finally:
            _stop([process for process, _ in active.values()])
    if received:
        raise Stopped
    return failed


def _start(run: PlannedRun, gpu: int | None) -> subprocess.Popen[bytes]:
    """A process in a session of its own: signals reach it through us alone."""
    environment = os.environ | {"OMP_NUM_THREADS": "1" if gpu is None else str(os.cpu_count())}
    if gpu is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # a share of the machine's, perhaps
        environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
    run.folder.path.mkdir(parents=True, exist_ok=True)
    with (run.folder.path / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "srgan", "fit", *run.command],
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
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
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


class _Display:
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
