"""Progress of long work: a bar on a terminal, else a line a minute. No torch in here."""

import sys
import time
from types import TracebackType

from rich import progress as rich_progress
from rich.console import Console
from rich.markup import escape

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Counts images or files, from `with Progress(...) as progress` on. On stderr: what is printed may be kept.

    Args:
        what: that is counted, in words.
        total: how many there will be; None where nobody knows.
        show: False stays silent, as ranks other than zero do.
        done: how many were done before.
    """

    def __init__(self, what: str, total: int | None, show: bool = True, done: int = 0) -> None:
        self.what = what
        self.total = total
        self.show = show
        self.before = self.done = done
        self.started = self.reported = 0.0
        console = Console(stderr=True)
        self.bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(), rich_progress.TimeRemainingColumn(),
            console=console, transient=True, disable=not (show and console.is_terminal),
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        self.started = self.reported = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task(escape(self.what), total=self.total, completed=self.done)
        return self

    def advance(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        self.bar.advance(self.task, count)
        now = time.monotonic()
        if self.show and self.bar.disable and now - self.reported >= SECONDS_BETWEEN_LINES:
            self.reported = now
            print(self.line(now - self.started), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """How far it is after so many seconds."""
        made = self.done - self.before
        if self.total is None or made == 0:
            return f"{self.what}: {self.done:,}"
        minutes = seconds / made * (self.total - self.done) / 60
        return f"{self.what}: {self.done:,} of {self.total:,}, {minutes:.0f} minutes to go"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
