"""`make reproduce-collapse`: SN, SR-s, and SR-d from SN's best checkpoint, until SN has collapsed."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from reproduce.campaign import Campaign, perform
from reproduce.comparison import Comparison
from reproduce.options import Options
from reproduce.run import Run
from srgan.runs import RunFolder


def collapse_runs(root: Path, overrides: Mapping[str, Any] | None = None) -> list[Run]:
    """SN, SR-s, SR-d."""

    def run(name: str, method: str, after: Run | None = None) -> Run:
        folder, configs = RunFolder(root / method), ("digits", "collapse", method)
        return Run(name=name, folder=folder, configs=configs, overrides=overrides or {}, after=after, checkpoint="best")

    sn = run("SN", "sn")
    return [sn, run("SR-s", "sr-s"), run("SR-d from SN's best", "sr-d", sn)]


def experiment(options: Options) -> Campaign:
    """The three runs, and their comparison."""
    root = options.runs / "collapse"
    title = "Stacked digits 8 x 8, batch 256: SN against SR"
    return Campaign(collapse_runs(root, options.overrides), root, Comparison("collapse", title, root))


main = partial(perform, experiment, __doc__, "")

if __name__ == "__main__":
    sys.exit(main())
