"""Processes that begin with everything imported: forked, watched, killed at a moment of choice, heard."""

import fcntl
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

CPU_SECONDS_UNTIL_HUNG, SECONDS_UNTIL_HUNG = 60.0, 300.0
"""Of computing, and in all: on a busy machine a second of computing takes many."""
PIPE_BYTES = 1 << 20
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        status: exit status, or minus the signal that killed it.
        said: stdout and stderr.
        hung: whether it was killed because it took too long.
    """

    status: int
    said: str
    hung: bool

    @property
    def problem(self) -> str | None:
        """What no ending may be: a traceback or a hang."""
        if self.hung:
            return f"took longer than its limit: {self.said[-300:]}"
        return f"a traceback: {self.said[-600:]}" if "Traceback (most recent call last)" in self.said else None


@dataclass(eq=False)
class Child:
    """A forked process that does `action` and ends with the exit status that it returns."""

    action: Callable[[], int]
    new_session: bool = True
    pid: int = field(init=False)
    status: int | None = field(init=False, default=None)
    said: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.pipe, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            os.close(write)
            return
        status = 70
        try:
            if self.new_session:
                os.setsid()
            os.close(self.pipe)
            for descriptor in (1, 2):
                os.dup2(write, descriptor)
            os.close(write)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            status = self.action()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def poll(self) -> int | None:
        """Its exit status, once it has ended."""
        if self.status is None:
            while select.select([self.pipe], [], [], 0)[0] and (part := os.read(self.pipe, 1 << 16)):
                self.said += part
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                os.set_blocking(self.pipe, False)
                with suppress(BlockingIOError):  # a child of its own may hold the pipe
                    while part := os.read(self.pipe, 1 << 16):
                        self.said += part
                os.close(self.pipe)
        return self.status

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.status is None:
            os.kill(self.pid, number)

    @property
    def cpu_seconds(self) -> float:
        """What it has computed so far: a moment in its life that does not depend on the machine's load."""
        try:
            with open(f"/proc/{self.pid}/stat") as file:  # noqa: PTH123 (polled)
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def wait(
        self,
        watch: Callable[["Child"], object] = lambda child: None,
        seconds: float = SECONDS_UNTIL_HUNG,
        cpu_seconds: float = CPU_SECONDS_UNTIL_HUNG,
    ) -> Ended:
        """Waits for its end, calling `watch` again and again."""
        deadline, hung = time.monotonic() + seconds, False
        while self.poll() is None:
            watch(self)
            if time.monotonic() > deadline or self.cpu_seconds > cpu_seconds:
                hung = True
                self.kill()
            time.sleep(0.01)
        assert self.status is not None
        return Ended(self.status, self.said.decode(errors="replace"), hung)


def children_of(pid: int) -> list[int]:
    """Processes that a process has started and that are still there."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123
            return [int(child) for child in file.read().split()]
    except OSError:
        return []
