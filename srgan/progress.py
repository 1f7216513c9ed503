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
        self.news = ""
        self.started = self.reported = 0.0
        console = Console(stderr=True)
        self.bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(),
            rich_progress.MofNCompleteColumn(), rich_progress.TimeRemainingColumn(),
            rich_progress.TextColumn("{task.fields[news]}"),
            console=console, transient=True, disable=not (show and console.is_terminal),
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        self.start()
        return self

    def start(self) -> None:
        """From here on time counts."""
        self.started = self.reported = time.monotonic()
        self.bar.start()
        self.task = self.bar.add_task(escape(self.what), total=self.total, completed=self.done, news="")

    def advance(self, count: int, news: str = "") -> None:
        """So many more are done; `news` stands behind the count."""
        self.done += count
        self.news = news
        self.bar.update(self.task, advance=count, news=escape(news))
        now = time.monotonic()
        if self.show and self.bar.disable and now - self.reported >= SECONDS_BETWEEN_LINES:
            self.reported = now
            print(self.line(now - self.started), file=sys.stderr, flush=True)

    def line(self, seconds: float) -> str:
        """How far it is after so many seconds."""
        made = self.done - self.before
        if self.total is None or made == 0:
            return f"{self.what}: {self.done:,}"
        left = _in_words(seconds / made * (self.total - self.done))
        return f"{self.what}: {self.done:,} of {self.total:,}, {left} to go  {self.news}".rstrip()

    def stop(self) -> None:
        """The bar goes."""
        self.bar.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _in_words(seconds: float) -> str:
    """Minutes, or hours where they are many."""
    count, unit = (round(seconds / 60), "minute") if seconds < 7200 else (round(seconds / 3600), "hour")
    return f"{count:,} {unit}{'s' * (count != 1)}"
