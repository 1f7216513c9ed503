"""Training loops in processes of their own that take turns: one iteration each time they are told to.

All contenders of a comparison stay alive and work in turns, so that whatever else the machine does hits all alike.
The parent holds a `Worker` for each and sends a line for one iteration; the worker's side is `Turns`. A contender is a
module with `train(turns, **work)`. `python -m bench.worker MODULE WORK` is what a `Worker` runs.

Nothing heavy is imported here: a worker's start-up is its contender's.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

REPOSITORY = Path(__file__).resolve().parents[1]
PAUSE = 0.05
"""Seconds before each turn: idle threads of an OpenMP team spin for some milliseconds after they have worked."""


class Turn(NamedTuple):
    """What a worker says of one iteration.

    Attributes:
        seconds: of wall time.
        peak_bytes: the most memory that the worker has held so far (on the host), imports included.
    """

    seconds: float
    peak_bytes: int


class TakesTurns(Protocol):
    """Whoever says when training goes on."""

    def take(self) -> bool:
        """Ends the turn under way and waits for the next one; False if there is none."""
        ...


class Turns:
    """A worker's side: `while turns.take(): iterate()`.

    Args:
        commands: file descriptor with a line for each turn; its end is the end of the work.
        replies: file descriptor for a line on each turn that is over.
    """

    def __init__(self, commands: int, replies: int) -> None:
        self.commands = os.fdopen(commands)
        self.replies = os.fdopen(replies, "w", buffering=1)
        self.started: float | None = None

    def take(self) -> bool:
        """Ends the turn under way and waits for the next one; False if there is none."""
        if self.started is not None:
            self.replies.write(json.dumps(Turn(time.perf_counter() - self.started, peak_bytes())) + "\n")
        told = self.commands.readline()
        self.started = time.perf_counter()
        return bool(told)


def peak_bytes() -> int:
    """The most memory that this process has held so far: that of all processes of a contender is not summed up."""
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Worker:
    """A contender in a process of its own, started and through its first iteration when this returns.

    Args:
        module: with `train(turns, **work)`.
        work: what it trains, of plain types.
        threads: of the process.

    Attributes:
        start_up_seconds: from the start of the process until its first iteration is done, imports included.
        turns: what it said of each turn since then.

    Raises:
        RuntimeError: the process ended by itself; its words are on the terminal.
    """

    def __init__(self, module: str, work: Mapping[str, Any], threads: int) -> None:
        started = time.perf_counter()
        self.name = f"{module} {json.dumps(work)}"
        settings = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        settings["KMP_BLOCKTIME"] = "20"  # milliseconds that idle threads of Intel's OpenMP spin, where it is in use
        settings["PYTHONWARNINGS"] = "ignore"  # of libraries, also in the processes that Lightning starts
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", module, json.dumps(work)],
            env=os.environ | settings,
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.turns: list[Turn] = []
        try:
            self.tell()
            self.first = self.hear()
        except BaseException:
            self.close()
            raise
        self.start_up_seconds = time.perf_counter() - started

    def turn(self) -> Turn:
        """One iteration."""
        time.sleep(PAUSE)
        self.tell()
        self.turns.append(self.hear())
        return self.turns[-1]

    def tell(self) -> None:
        """Starts one iteration."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def hear(self) -> Turn:
        """Waits for its end."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"Expected an iteration of {self.name}, found that it ended with status {self.process.wait()}. "
                "Its last words are above."
            )
        return Turn(*json.loads(line))

    def close(self) -> None:
        """Lets the process end."""
        self.process.communicate()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main() -> None:
    """A worker: the pipes are kept for turns, and what libraries print goes to the terminal."""
    module, work = sys.argv[1:]
    turns = Turns(os.dup(0), os.dup(1))
    os.dup2(2, 1)
    import_module(module).train(turns, **json.loads(work))


if __name__ == "__main__":
    main()
