"""What the commands of this package print alike."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from srgan.checkpoints import RunCheckpoint
from srgan.runs import SHOWN_SCORES

NARROWEST_NAME = 16  # columns
UNLIMITED = 10_000  # columns: a table that goes into a file or a pipe is never folded


def number(value: float) -> str:
    """Three significant digits."""
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "∞"
    if value < 1e3:
        return f"{value:.3g}"
    return f"{value:.0f}" if value < 1e5 else f"{value:.0e}"


def new_table(name: str, text: str, numbers: Sequence[str]) -> Table:
    """Columns: a name that may be folded, a text that may not, and numbers."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(name, overflow="fold", min_width=NARROWEST_NAME)
    table.add_column(text, no_wrap=True)
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def show(table: Table) -> None:
    """On a terminal as wide as it is; in a file, a pipe, or where numbers would be cut off, as wide as it takes."""
    console, unlimited = Console(), Console(width=UNLIMITED)
    if not console.is_terminal or console.width < unlimited.measure(table).minimum:
        console = Console(width=unlimited.measure(table).maximum, soft_wrap=True)
    console.print(table)


def complain(command: str, error: Exception) -> int:
    """Says what was wrong; returns the exit status for wrong input."""
    print(f"srgan {command}: {error}", file=sys.stderr)
    return 2


def scores_of(row: Mapping[str, float | None]) -> str:
    """The main scores of an evaluation, short."""
    return ", ".join(f"{name} {value:.4g}" for name in SHOWN_SCORES if (value := row.get(name)) is not None)


def scores_at(checkpoint: RunCheckpoint) -> dict[str, float | None]:
    """What the run scored at the checkpoint's iteration, by the files beside it; empty if it did not."""
    rows = checkpoint.run.read_scores() if checkpoint.run else []
    return next((row for row in rows if row["iteration"] == checkpoint.iteration), {})


def short_headline(checkpoint: RunCheckpoint) -> str:
    """What a checkpoint of ours is, for a picture."""
    name = checkpoint.run.path.name if checkpoint.run else checkpoint.path.name
    return f"{name}: {checkpoint.constraint}, iteration {checkpoint.iteration:,}"


def headline(checkpoint: RunCheckpoint) -> str:
    """The same with the path, and with scores where they are known."""
    scores = scores_of(scores_at(checkpoint))
    what = f"{checkpoint.path}: {checkpoint.constraint}, iteration {checkpoint.iteration:,}"
    return f"{what}, {scores}" if scores else what
