"""Trains runs on this machine: several processes at a time, one progress display, stopped and resumed at will."""

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def check_gpus(needs: Mapping[Run, int], gpus: int) -> None:
    """ValueError unless each run's processes find a GPU each; on the CPU (`gpus` 0) all do."""
    largest = max(needs.values(), default=0)
    if gpus and largest > gpus:
        names = ", ".join(run.name for run, need in needs.items() if need > gpus)
        raise ValueError(
            f"Expected {largest} GPUs, found {gpus}, for: {names}. Set GPUS={gpus} to train each run on so many "
            "with more accumulation, choose other rows by SETTINGS, or submit to a cluster: CLUSTER=slurm."
        )


def choose_gpus(need: int, taken: Iterable[Sequence[int]], gpus: int, jobs: int) -> list[int] | None:
    """Which GPUs the next run gets: the least busy; None while too few are free, [] on the CPU (`gpus` 0).

    More runs at a time (`jobs`) than there are GPUs share them evenly; `taken` are those of the active runs.
    """
    if not gpus:
        return []
    load = Counter(gpu for some in taken for gpu in some)
    free = sorted((gpu for gpu in range(gpus) if load[gpu] < math.ceil(jobs / gpus)), key=lambda gpu: load[gpu])
    return free[:need] if len(free) >= need else None


def threads_of_each(needs: Iterable[int], gpus: int, jobs: int) -> int:
    """CPU threads of each process: an even share of the cores beside GPUs, else one, so that results do not vary."""
    if not gpus:
        return 1
    processes = min(sum(sorted(needs, reverse=True)[:jobs]), gpus * math.ceil(jobs / gpus))
    return max(1, usable_cores() // max(1, processes))


def launch(runs: Sequence[Run], jobs: int, gpus: int, options: Options, console: Console) -> list[Run]:
    """Trains runs, up to `jobs` at a time, each once the one that it starts from has finished.

    Each run is its own `srgan fit` on one thread or on GPUs of its own, so its result does not depend on the
    others. Runs share a GPU only where `jobs` exceeds what the `gpus` hold (0: the CPU).

    Returns:
        The runs that failed, or that waited for one that did; the log of each is `log.txt` in its folder.

    Raises:
        ValueError: there are fewer GPUs than a run needs.
        Stopped: after a signal, once every process has ended with its state saved, or been killed.
    """
    needs = {run: options.processes(run) for run in runs}
    check_gpus(needs, gpus)
    threads = threads_of_each(needs.values(), gpus, jobs)
    waiting, failed = list(runs), list[Run]()
    active: dict[Run, subprocess.Popen[bytes]] = {}
    taken: dict[Run, list[int]] = {}  # run under way -> its GPUs
    with _signals() as received, Display(runs) as display:
        try:
            while (waiting or active) and not received:
                for run in [run for run in waiting if run.is_ready][: jobs - len(active)]:
                    chosen = choose_gpus(needs[run], taken.values(), gpus, jobs)
                    if chosen is None:
                        break
                    waiting.remove(run)
                    taken[run], active[run] = chosen, _start(run, options, chosen, threads)
                if not active:
                    break  # what waits does so for a run that failed
                for run in [run for run, process in active.items() if process.poll() is not None]:
                    _kill(process := active.pop(run))  # what is left of a run of several processes
                    del taken[run]
                    if process.returncode:
                        failed.append(run)
                        with Progress.external_write_mode():
                            text = f"[red]failed[/] {run.name}: see {run.folder.path / 'log.txt'}"
                            console.print(text, highlight=False, soft_wrap=True)
                display.update(list(active), [run for run in runs if run not in waiting and run not in active])
                time.sleep(POLL_SECONDS)
        finally:
            _stop(list(active.values()))
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


class Display:
    """A bar for the whole and, on a terminal, one for each active run, within a `with`.

    The whole counts iterations of all runs, so the time to go comes from iterations done per second.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.done = {run: max(run.first_iteration, run.iterations_done) for run in runs}
        total = sum(run.iterations for run in runs)
        self.whole = Progress("iterations of all runs", total, done=sum(self.done.values()))
        self.bars: dict[Run, Progress] = {}

    def update(self, active: Sequence[Run], ended: Sequence[Run]) -> None:
        """Shows where the active runs are, and how many have ended, well or not."""
        for run in [run for run in self.bars if run not in active]:
            self.bars.pop(run).close()
        reports = {run: report for run in active if (report := run.folder.read_progress())}
        for run, report in reports.items():
            if run not in self.bars:
                self.bars[run] = Progress(run.name, report["iterations"], not self.whole.in_lines, report["iteration"])
            self.bars[run].update(report["iteration"] - self.bars[run].n)
            self.done[run] = max(self.done[run], report["iteration"])
        self.done |= {run: run.iterations for run in ended}
        states = [f"{len(ended)} of {len(self.done)} runs"]
        if self.whole.in_lines:
            states += [f"{run.name} {at['iteration']:,} of {at['iterations']:,}" for run, at in reports.items()]
        self.whole.set_postfix_str("; ".join(states), refresh=False)
        self.whole.update(sum(self.done.values()) - self.whole.n)

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        for bar in (*self.bars.values(), self.whole):
            bar.close()
