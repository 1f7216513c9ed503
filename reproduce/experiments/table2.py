"""`make reproduce-table2`: Table II beside our numbers."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options, with_images
from reproduce.plan.run import Run, Scale
from reproduce.plan.table_runs import TableRun, default_settings, table_runs
from reproduce.results.table import collect, csv_text, described_table
from reproduce.results.table_page import write_front
from srgan.report.page import write_page
from srgan.utils.files import write_text


def experiment(options: Options) -> Campaign:
    """The runs of the chosen rows, and their table.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    root = options.runs / "table2" / options.scale
    names = options.settings or default_settings(options.scale)
    runs = table_runs(options.scale, names, options.methods, options.seeds or [1], root, with_images(options))

    def finish(finished: Sequence[Run], console: Console) -> None:
        write_table(runs, options.scale, root, console)

    return Campaign(runs, root, finish)


def write_table(runs: Sequence[TableRun], scale: Scale, root: Path, console: Console) -> None:
    """Markdown, CSV and page from the runs' files; the markdown goes to the terminal too."""
    rows = collect(runs)
    text = described_table(rows, scale)
    write_text(root / "table2.md", text)
    write_text(root / "table2.csv", csv_text(rows, scale))
    write_front(rows, scale, root)
    write_page(root, root / "table2.html")
    console.print(Markdown(text) if console.is_terminal else text, highlight=False, soft_wrap=True)
    for name in ("table2.md", "table2.csv", "table2.html"):
        console.print(f"{root / name}", highlight=False, soft_wrap=True)


main = partial(perform, experiment, __doc__, "scale settings methods seeds images")

if __name__ == "__main__":
    sys.exit(main())
