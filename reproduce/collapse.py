"""`make reproduce-collapse`: SN sinks into collapse, SR-s holds, and SR-d takes over SN's best checkpoint."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from reproduce.launch import Stopped, launch
from reproduce.plan import REPOSITORY
from reproduce.stages import StagedRun, write_report
from srgan.runs import RunFolder

RANKING = "FID_cls"
FURTHER = "Further options go to srgan fit, for each of the three runs."


def collapse_run(method: str, root: Path, extra: Sequence[str], source: Path | None = None) -> StagedRun:
    """One of the three runs; `source` is the checkpoint to go on from."""
    options = ("-c", "configs/collapse.yaml", "-c", f"configs/{method}.yaml", *extra)
    return StagedRun(f"collapse {method}", root, method, options, source)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 130 (stopped; the same command goes on)."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.collapse", description=__doc__, epilog=FURTHER)
    parser.add_argument("--jobs", default=0, type=lambda text: int(text or 0), help="processes (default: cores)")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs and pictures go")
    options, extra = parser.parse_known_args(arguments)
    console, root = Console(), options.runs / "collapse"
    jobs = options.jobs or os.cpu_count() or 1
    sn, sr_s = (collapse_run(method, root, extra) for method in ("sn", "sr-s"))
    try:
        for stage in (lambda: [sn, sr_s], lambda: [collapse_run("sr-d", root, extra, best_checkpoint(sn.folder))]):
            runs = stage()
            for run in runs:
                console.print(f"{run.name}: {run.state}", highlight=False)
            if launch([run for run in runs if run.state != "finished"], jobs, 0, console):
                return 1
    except Stopped:
        console.print("Stopped: the same command goes on.")
        return 130
    folders = {"SN": sn.folder, "SR-s": sr_s.folder, "SR-d from SN's best": RunFolder(root / "sr-d")}
    title = "Stacked digits 8 x 8, batch 256: SN against SR"
    console.print(write_report("collapse", title, folders, root), highlight=False, soft_wrap=True)
    return 0


def best_checkpoint(folder: RunFolder) -> Path:
    """The kept checkpoint at the run's best evaluation, the last excepted."""
    rows = folder.read_scores()[:-1]
    best = min(rows, key=lambda row: float(row[RANKING]))
    return folder.checkpoint.with_name(f"{best['iteration']:08d}.ckpt")


if __name__ == "__main__":
    sys.exit(main())
