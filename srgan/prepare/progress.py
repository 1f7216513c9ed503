"""What a person sees while images are prepared."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from srgan.progress import Progress

Count = Callable[[int], None]


class Reporter:
    """Bars on a terminal; elsewhere a line when a stage begins and ends, and a line a minute. All on stderr."""

    def say(self, text: str) -> None:
        """One line; names that are no UTF-8 are shown escaped."""
        print(printable(text), file=sys.stderr, flush=True)

    @contextmanager
    def listing(self, root: Path) -> Iterator[Count]:
        """Counts files while they are listed; the function that it yields is told how many are."""
        with Progress(printable(f"listing the files of {root}"), None) as progress:
            yield lambda count: progress.advance(count - progress.done)

    @contextmanager
    def stage(self, task: str, total: int, done: int, out: Path) -> Iterator[Count]:
        """Counts images; the function that it yields is told how many more are done."""
        start = time.monotonic()
        self.say(f"{out}: {task} {total:,} images" + (f", {done:,} done before" if done else ""))
        with Progress(task, total, done=done) as progress:
            yield progress.advance
        made, seconds = progress.done - done, time.monotonic() - start
        if made:
            self.say(f"{out}: {task}: {made:,} images in {seconds:,.1f} s, {made / seconds:,.0f} images/s")


def printable(text: str) -> str:
    """Names of files need not be UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
