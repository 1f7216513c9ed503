"""Progress of long passes over images: a bar on a terminal, else a line a minute."""

import sys
import time
from types import TracebackType

from rich import get_console
from rich import progress as rich_progress

SECONDS_BETWEEN_LINES = 60.0


class Progress:
    """Counts images, from `with Progress(...) as progress` on.

    Args:
        what: that is counted, in words.
        total: how many there will be.
        show: False stays silent, as ranks other than zero do.
    """

    def __init__(self, what: str, total: int, show: bool = True) -> None:
        self.what = what
        self.total = total
        self.show = show
        self.done = 0
        self.started = self.reported = 0.0
        self.bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(), rich_progress.TimeRemainingColumn(),
            transient=True, disable=not (show and get_console().is_terminal),
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        self.started = self.reported = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task(self.what, total=self.total)
        return self

    def advance(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        self.bar.advance(self.task, count)
        now = time.monotonic()
        if self.show and self.bar.disable and now - self.reported >= SECONDS_BETWEEN_LINES:
            self.reported = now
            minutes = (now - self.started) / self.done * (self.total - self.done) / 60
            line = f"{self.what}: {self.done:,} of {self.total:,}, {minutes:.0f} minutes to go"
            print(line, file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()
