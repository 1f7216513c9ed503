"""Progress of long work: a bar on a terminal, else a line a minute. No torch in here."""

import sys

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0
LINE, LINE_WITHOUT_END = "{desc}: {n_fmt} of {total_fmt}, {remaining} to go{postfix}", "{desc}: {n_fmt}{postfix}"


class Progress(tqdm):
    """Counts images or files, from `with Progress(...) as progress` on. On stderr: what is printed may be kept.

    `total` is None if unknown, `done` how many were done before; without `show` it stays silent, as ranks but zero do.
    """

    monitor_interval = 0  # no thread beside the work

    def __init__(self, what: str, total: int | None, show: bool = True, done: int = 0) -> None:
        self.in_lines = not sys.stderr.isatty()
        seconds = SECONDS_BETWEEN_LINES if self.in_lines else 0.1
        line = LINE_WITHOUT_END if total is None else LINE
        super().__init__(
            desc=what, total=total, initial=done, disable=not show, leave=False, miniters=0, mininterval=seconds,
            delay=self.in_lines * seconds, dynamic_ncols=True, bar_format=line if self.in_lines else None,
            smoothing=0,  # the time to go by all that was done so far: evaluations and pauses are part of the work
        )  # fmt: skip

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Where there is no terminal, each state is a line of its own and stays."""
        if not self.in_lines:
            super().display(msg, pos)
        elif msg is None:
            print(self, file=sys.stderr, flush=True)
