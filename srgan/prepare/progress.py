"""What a person sees while images are prepared."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Count = Callable[[int], None]


class Reporter:
    """Bars on a terminal; elsewhere a line when a stage begins and when it ends. All on stderr."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    def say(self, text: str) -> None:
        """One line; names that are no UTF-8 are shown escaped."""
        print(printable(text), file=sys.stderr, flush=True)

    @contextmanager
    def listing(self, root: Path) -> Iterator[Count]:
        """Counts files while they are listed."""
        with self.console.status(f"listing {escape(str(root))}") as status:
            yield lambda count: status.update(f"listing {escape(str(root))}: {count:,} files")

    @contextmanager
    def bar(self, task: str, total: int, done: int, out: Path) -> Iterator[Count]:
        """Counts images; the function that it yields is told how many more are done."""
        terminal = self.console.is_terminal
        start, made = time.monotonic(), 0
        if not terminal:
            self.say(f"{out}: {task} {total:,} images" + (f", {done:,} done before" if done else ""))
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, disable=not terminal) as progress:
            bar = progress.add_task(task, total=total, completed=done, rate="")

            def advance(count: int) -> None:
                nonlocal made
                made += count
                progress.update(bar, advance=count, rate=f"{made / (time.monotonic() - start):,.0f} images/s")

            yield advance
        if made:
            seconds = time.monotonic() - start
            self.say(f"{out}: {task}: {made:,} images in {seconds:,.1f} s, {made / seconds:,.0f} images/s")


def printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
