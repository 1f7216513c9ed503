"""Kills: of a run, of the launcher of runs, of a job of a cluster. The same command goes on, to the same bits."""

import io
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import submitit.local.local
from rich.console import Console
from submitit import LocalExecutor
from submitit.core.submission import submitit_main

import reproduce.launcher.local
from faults.forks import Child, Ended, children_of
from faults.subject import KINDS, differences, end_here, run_of, train, watch_writes
from faults.trials import Attempt, Outcome, Trial, World
from reproduce.launcher.options import Options
from reproduce.launcher.slurm import FitJob
from srgan.cli.main import main

KILLS_IN_A_ROW = 4
POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


# The process of a run.


def again_and_again(world: World, folder: Path, run_once: Callable[[], Ended], deadly: signal.Signals) -> Outcome:
    """Runs until a run is not killed by the deadly signal, at most so many times; then once more, undisturbed."""
    kills = 0
    for _ in range(KILLS_IN_A_ROW):
        ended = run_once()
        if ended.problem or ended.status not in (0, -deadly):
            return _failed(kills, ended)
        if ended.status == 0:
            break
        kills += 1
    return finish(world, folder, kills)


def kill_at_random(attempt: Attempt) -> Outcome:
    """Kills a run at random moments of its life, again and again, until it has finished."""
    world, draw, folder, _ = attempt

    def run_once() -> Ended:
        moment = draw.uniform(0, world.cpu_seconds)

        def watch(child: Child) -> None:
            if child.cpu_seconds >= moment:
                child.kill()

        return Child(lambda: train(folder)).wait(watch=watch)

    return again_and_again(world, folder, run_once, signal.SIGKILL)


def kill_at_a_write(kind: str) -> Trial:
    """Kills a run right before some change of its files of one kind, again and again."""

    def trial(attempt: Attempt) -> Outcome:
        world, draw, folder, _ = attempt

        def run_once() -> Ended:
            left = [draw.randrange(world.writes.count(kind))]

            def note(found: str, event: str) -> None:
                if found == kind:
                    if not left[0]:
                        end_here()
                    left[0] -= 1

            return Child(lambda: _train_watched(folder, note)).wait()

        return again_and_again(world, folder, run_once, signal.SIGKILL)

    return trial


def kill_within_a_write(attempt: Attempt) -> Outcome:
    """The kernel kills a run during a write, which leaves half a row or half a checkpoint."""
    world, draw, folder, _ = attempt

    def run_once() -> Ended:
        left, size = [draw.randrange(len(world.writes))], int(10 ** draw.uniform(0, 5))

        def note(kind: str, event: str) -> None:
            if not left[0]:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            left[0] -= 1

        return Child(lambda: _train_watched(folder, note)).wait()

    return again_and_again(world, folder, run_once, signal.SIGXFSZ)


def _train_watched(folder: Path, note: Callable[[str, str], None]) -> int:
    watch_writes(folder, note)
    return train(folder)


def stop(attempt: Attempt) -> Outcome:
    """Asks a run politely to stop, at a random moment, once or twice: its record says what is missing."""
    world, draw, folder, _ = attempt
    stops = 0
    for _ in range(KILLS_IN_A_ROW):
        moments = [draw.uniform(world.cpu_seconds / 10, world.cpu_seconds) for _ in range(draw.choice([1, 1, 2]))]
        number, moments = draw.choice(POLITE), sorted(moments)

        def watch(child: Child, moments: list[float] = moments, number: int = number) -> None:
            if moments and child.cpu_seconds >= moments[0] and (folder / "run.json").exists():
                moments.pop(0)
                child.kill(number)

        planned = len(moments)
        ended = Child(lambda: train(folder)).wait(watch=watch)
        record = run_of(folder).folder.read_record() or {}
        if ended.problem:
            return _failed(stops, ended)
        if ended.status == 0:
            break
        stops += planned - len(moments)
        # Before the trainer is set up and after it has ended, nobody handles signals: it ends as by a kill.
        if ended.status > 0 and (record.get("status") != "stopped" or not record.get("missing")):
            return Outcome(stops, f"exit status {ended.status}, but run.json says {record.get('status')}: {ended.said}")
    return finish(world, folder, stops)


def finish(world: World, folder: Path, kills: int) -> Outcome:
    """The same command once more, undisturbed, and the comparison."""
    ended = Child(lambda: train(folder)).wait()
    if ended.status or ended.problem:
        return _failed(kills, ended)
    return Outcome(kills, differences(folder, world.reference))


def _failed(count: int, ended: Ended) -> Outcome:
    return Outcome(count + 1, ended.problem or f"exit status {ended.status}: {ended.said[-400:]}")


# The launcher, and a job of a cluster.


class ForkedPopen:
    """`subprocess.Popen` for `python -m MODULE ...` that forks instead of starting Python anew."""

    def __init__(self, words: list[str], **settings: Any) -> None:
        def action() -> int:
            environment = settings.get("env")
            if environment is not None:
                os.environ.clear()
                os.environ.update(environment)
            os.chdir(settings.get("cwd") or ".")
            for descriptor, key in ((1, "stdout"), (2, "stderr")):
                if settings.get(key) is not None:
                    os.dup2(settings[key].fileno(), descriptor)
            return _module(words[words.index("-m") + 1 :])

        self.child = Child(action, new_session=settings.get("start_new_session", False))
        self.pid, self.args = self.child.pid, words

    def poll(self) -> int | None:
        return self.child.poll()

    def wait(self, timeout: float | None = None) -> int:
        return self.child.wait(seconds=timeout or 300.0).status

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.child.kill()

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.child.kill(number)

    @property
    def returncode(self) -> int | None:
        return self.child.status


def _module(words: list[str]) -> int:
    """What `python -m` would do with these modules."""
    name, *options = words
    if name == "srgan":
        return main(options)
    if name == "submitit.local._local":
        submitit.local.local.Controller(Path(options[0])).run()
        return 0
    assert name == "submitit.core._submit", name
    import sys

    sys.argv = ["submit", *options]
    submitit_main()
    return 0


def _fork_instead_of_starting() -> None:
    import subprocess

    forked = SimpleNamespace(**vars(subprocess) | {"Popen": ForkedPopen})
    vars(reproduce.launcher.local)["subprocess"] = forked
    vars(submitit.local.local)["subprocess"] = forked


def kill_launcher(attempt: Attempt) -> Outcome:
    """Kills what `make reproduce-...` starts runs with, sometimes with the runs, and types it again."""
    world, draw, folder, _ = attempt
    runs = [run_of(folder / name) for name in ("one", "two")]

    def action() -> int:
        _fork_instead_of_starting()
        reproduce.launcher.local.POLL_SECONDS = 0.05
        return len(reproduce.launcher.local.launch(runs, 2, 0, Options(), Console(file=io.StringIO())))

    kills, orphans = 0, list[int]()
    for _ in range(2):
        rows, with_runs = draw.randrange(10), draw.random() < 0.5

        def watch(child: Child, rows: int = rows, with_runs: bool = with_runs) -> None:
            if _rows(runs[0].folder.losses) >= rows and (started := children_of(child.pid)):
                child.kill()
                orphans.extend(started)
                if with_runs:
                    _kill_all(started)

        ended = Child(action).wait(watch=watch)
        if ended.problem or ended.status not in (0, -signal.SIGKILL):
            return _failed(kills, ended)
        if ended.status == 0:
            break
        kills += 1
    logs = [run.folder.path / "log.txt" for run in runs]
    return _once_more(world, action, kills, orphans, [run.folder.path for run in runs], logs)


def kill_job(attempt: Attempt) -> Outcome:
    """Kills a job that submitit has started, at its controller or in its task, and submits it again."""
    world, draw, folder, _ = attempt
    run = run_of(folder / "run")
    job = FitJob(Options().fit_options(run), folder / "log.txt")

    def action() -> int:
        _fork_instead_of_starting()
        executor = LocalExecutor(folder / "jobs")
        executor.update_parameters(timeout_min=5)
        submitted: Any = executor.submit(job)
        while submitted._process.poll() is None:
            time.sleep(0.02)
        return int(bool(submitted._process.returncode))

    kills, orphans = 0, list[int]()
    for _ in range(3):
        rows, whom = draw.randrange(10), draw.choice(["task", "controller", "both"])

        def watch(child: Child, rows: int = rows, whom: str = whom) -> None:
            controllers = children_of(child.pid)
            tasks = [task for controller in controllers for task in children_of(controller)]
            if _rows(run.folder.losses) >= rows and tasks:
                _kill_all({"task": tasks, "controller": controllers, "both": controllers + tasks}[whom])
                orphans.extend(tasks)
                child.kill()

        ended = Child(action).wait(watch=watch)
        if ended.status == 0:
            break
        kills += 1
    return _once_more(world, action, kills, orphans, [run.folder.path], [folder / "log.txt"])


def _once_more(
    world: World, action: Callable[[], int], kills: int, orphans: list[int], folders: list[Path], logs: list[Path]
) -> Outcome:
    """The same once more, undisturbed; what kills left behind is ended only then. And the comparison of each run."""
    ended = Child(action).wait()
    _kill_all(orphans)
    if ended.status or ended.problem:
        return Outcome(kills, f"exit status {ended.status}: {ended.said} {[log.read_text()[-300:] for log in logs]}")
    return Outcome(kills, next(filter(None, (differences(folder, world.reference) for folder in folders)), None))


def _kill_all(processes: list[int]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _rows(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


TRIALS: dict[str, tuple[Trial, int]] = {
    "process, at a random moment": (kill_at_random, 60),
    **{f"process, before a write: {kind}": (kill_at_a_write(kind), 16) for kind in KINDS},
    "process, during a write": (kill_within_a_write, 24),
    "launcher": (kill_launcher, 12),
    "job of submitit": (kill_job, 12),
    "graceful stop, once or twice": (stop, 32),
}
"""Name -> trial, and how many kills are wanted."""
