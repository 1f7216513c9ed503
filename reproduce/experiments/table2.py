"""`make reproduce-table2`: Table II beside our numbers."""

import sys
from collections.abc import Sequence
from functools import partial

from rich.console import Console
from rich.markdown import Markdown

from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options
from reproduce.plan.run import Run
from reproduce.plan.table_runs import default_seeds, default_settings, table_runs
from reproduce.results.picture import save_table_picture
from reproduce.results.table import ResultsTable
from reproduce.results.table_page import described_table, write_table_page
from srgan.utils.files import write_text


def experiment(options: Options) -> Campaign:
    """The runs of the chosen rows, and their table.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    root = options.runs / "table2" / options.scale
    names = options.settings or default_settings(options.scale)
    seeds = options.seeds or default_seeds(options.scale)
    runs = table_runs(options.scale, names, options.methods, seeds, root, options.with_images())

    def finish(finished: Sequence[Run], console: Console) -> None:
        table = ResultsTable(runs, options.scale)
        text, picture = described_table(table), root / "table2.png"
        if options.scale != "mini" or not save_table_picture(table, picture):
            picture = None
        write_text(root / "table2.md", text)
        write_text(root / "table2.csv", table.csv_text())
        write_table_page(table, root, root / "table2.html", picture)
        console.print(Markdown(text) if console.is_terminal else text, highlight=False, soft_wrap=True)
        for path in (root / "table2.md", root / "table2.csv", picture, root / "table2.html"):
            if path:
                console.print(f"{path}", highlight=False, soft_wrap=True)

    return Campaign(runs, root, finish)


main = partial(perform, experiment, __doc__, "scale settings methods seeds images")

if __name__ == "__main__":
    sys.exit(main())
