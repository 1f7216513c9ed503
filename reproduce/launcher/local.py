"""Trains runs on this machine: several processes at a time, one progress display, stopped and resumed at will."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console

from reproduce.launcher.options import Options
from reproduce.plan.run import REPOSITORY, Run
from srgan.utils.progress import Progress
from srgan.utils.provenance import usable_cores

POLL_SECONDS = 0.5
SECONDS_TO_STOP = 60.0


class Stopped(Exception):
    """By a signal; the processes of the runs have ended."""


def choose_gpus(need: int, free: Sequence[int]) -> list[int] | None:
    """Which of the free places on GPUs the next run gets, each on another GPU; None while too few are free."""
    chosen = list(dict.fromkeys(free))[:need]
    return chosen if len(chosen) == need else None


def threads_of_each(needs: Iterable[int], gpus: int, jobs: int) -> int:
    """CPU threads of each process: an even share of the cores beside GPUs, else one, so that results do not vary."""
    if not gpus:
        return 1
    processes = min(sum(sorted(needs, reverse=True)[:jobs]), gpus * math.ceil(jobs / gpus))
    return max(1, usable_cores() // max(1, processes))


def launch(runs: Sequence[Run], jobs: int, gpus: int, options: Options, console: Console) -> list[Run]:
    """Trains runs, up to `jobs` at a time, each once the one that it starts from has finished.

    Each run is its own `srgan fit` on one thread or on GPUs of its own, so its result does not depend on the others.
    Runs share a GPU only where `jobs` exceeds what the `gpus` hold (0: the CPU). Returns the runs that failed, or that
    waited for one that did. Raises Stopped after a signal, once every process has ended with its state saved.
    """
    needs = {run: options.processes(run) for run in runs}
    if gpus and (largest := max(needs.values(), default=0)) > gpus:
        names = ", ".join(run.name for run, need in needs.items() if need > gpus)
        raise ValueError(
            f"Expected {largest} GPUs, found {gpus}, for: {names}. Set GPUS={gpus} to train each run on so many "
            "with more accumulation, choose other rows by SETTINGS, or submit to a cluster: CLUSTER=slurm."
        )
    threads = threads_of_each(needs.values(), gpus, jobs)
    waiting, failed = list(runs), list[Run]()
    active: dict[Run, tuple[subprocess.Popen[bytes], list[int]]] = {}  # with the GPUs that a run has
    free = list(range(gpus)) * math.ceil(jobs / max(1, gpus))  # places on GPUs, the longest free first
    with _signals() as received, Display(runs) as display:
        try:
            while (waiting or active) and not received:
                for run in [run for run in waiting if run.is_ready][: jobs - len(active)]:
                    chosen = choose_gpus(needs[run] if gpus else 0, free)
                    if chosen is None:
                        break
                    for gpu in chosen:
                        free.remove(gpu)
                    waiting.remove(run)
                    active[run] = _start(run, options, chosen, threads), chosen
                if not active:
                    break  # what waits does so for a run that failed
                for run, (process, own) in list(active.items()):
                    if process.poll() is None:
                        continue
                    _kill(process)  # what is left of a run of several processes
                    del active[run]
                    free += own
                    if process.returncode:
                        failed.append(run)
                        with Progress.external_write_mode():
                            text = f"[red]failed[/] {run.name}: see {run.folder.path / 'log.txt'}"
                            console.print(text, highlight=False, soft_wrap=True)
                display.show(list(active), [run for run in runs if run not in waiting and run not in active])
                time.sleep(POLL_SECONDS)
        finally:
            _stop([process for process, _ in active.values()])
    if received:
        raise Stopped
    return failed + waiting


def _start(run: Run, options: Options, gpus: Sequence[int], threads: int) -> subprocess.Popen[bytes]:
    """A process in a session of its own: signals reach it through us alone."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    if gpus:
        shared = os.environ.get("CUDA_VISIBLE_DEVICES", "")  # a share of the machine's, perhaps
        names = shared.split(",") if shared else [str(gpu) for gpu in range(max(gpus) + 1)]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(names[gpu] for gpu in gpus)
    command = [sys.executable, "-m", "srgan", "fit", *options.fit_options(run)]
    with (run.folder.path / "log.txt").open("ab") as log:
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


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
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, lambda found, _: received.append(found)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Display(Progress):
    """A bar for the iterations of all runs, with where the active ones are, within a `with`."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.done = {run: max(run.first_iteration, run.iterations_done) for run in runs}
        total = sum(run.iterations for run in runs)
        super().__init__("iterations of all runs", total, done=sum(self.done.values()))

    def show(self, active: Sequence[Run], ended: Sequence[Run]) -> None:
        """Takes in how far the active runs are, and which have ended, well or not."""
        states = [f"{len(ended)} of {len(self.done)} runs"]
        for run in active:
            self.done[run] = max(self.done[run], run.iterations_done)
            states.append(f"{run.name} {self.done[run]:,} of {run.iterations:,}")
        self.done |= {run: run.iterations for run in ended}
        self.set_postfix_str("; ".join(states), refresh=False)
        self.update(sum(self.done.values()) - self.n)
