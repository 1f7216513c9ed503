"""Measured processes: a command with its threads, and training loops that take turns, one iteration when told.

All contenders of a comparison stay alive and work in turns, so that whatever else the machine does hits all alike. The
parent holds a `Worker` for each, and sends a line for one iteration; the worker's side is `Turns`. A contender is a
module with `train(turns, **work)`. Nothing heavy is imported here: a worker's start-up is its contender's.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

REPOSITORY = Path(__file__).resolve().parents[1]


def start(command: Sequence[str], threads: int, **options: Any) -> "subprocess.Popen[str]":
    """Starts `python -m command` in the repository on so many threads; options of `Popen`, of which env adds."""
    settings = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    settings["KMP_BLOCKTIME"] = "20"  # milliseconds that idle threads of Intel's OpenMP spin, where it is in use
    settings["PYTHONWARNINGS"] = "ignore"  # of libraries, also in the processes that Lightning starts
    env = os.environ | settings | options.pop("env", {})
    return subprocess.Popen([sys.executable, "-m", *command], cwd=REPOSITORY, env=env, text=True, **options)


class TakesTurns(Protocol):
    """Whoever says when training goes on."""

    def take(self) -> bool:
        """Ends the turn under way and waits for the next one; False if there is none."""
        ...


class Turns:
    """A worker's side, over file descriptors: a line for each turn, and one in reply when it is over."""

    def __init__(self, commands: int, replies: int) -> None:
        self.commands = os.fdopen(commands)
        self.replies = os.fdopen(replies, "w", buffering=1)
        self.started: float | None = None

    def take(self) -> bool:
        """Replies with seconds and the most memory that this process has held so far; waits for the next turn."""
        if self.started is not None:
            seconds = time.perf_counter() - self.started
            status = Path("/proc/self/status").read_text()  # of Linux; ru_maxrss begins with that of the parent
            peak_bytes = 1024 * int(status.split("VmHWM:")[1].split()[0])
            self.replies.write(json.dumps([seconds, peak_bytes]) + "\n")
        told = self.commands.readline()
        self.started = time.perf_counter()
        return bool(told)


class Worker:
    """A contender in a process of its own, through its first iteration when this returns, after `start_up_seconds`.

    `peak_bytes` is the most memory that the process has held so far (on the host), imports included. RuntimeError if it
    ended by itself; its words are on the terminal.
    """

    def __init__(self, module: str, work: Mapping[str, Any], threads: int) -> None:
        started = time.perf_counter()
        self.name = f"{module} {json.dumps(work)}"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = start(["bench.worker", module, json.dumps(work)], threads, **pipes)
        self.tell()
        self.hear()
        self.start_up_seconds = time.perf_counter() - started

    def turn(self) -> float:
        self.tell()
        return self.hear()

    def tell(self) -> None:
        """Starts one iteration."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # `hear` says why
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def hear(self) -> float:
        """Waits for its end; its seconds."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate()
            raise RuntimeError(
                f"Expected an iteration of {self.name}, found that it ended with status {self.process.returncode}. "
                "Its last words are above."
            )
        seconds: float
        seconds, self.peak_bytes = json.loads(line)
        return seconds

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.communicate()


def main() -> None:
    """A worker: the pipes are kept for turns, and what libraries print goes to the terminal."""
    module, work = sys.argv[1:]
    turns = Turns(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    import_module(module).train(turns, **json.loads(work))


if __name__ == "__main__":
    main()
