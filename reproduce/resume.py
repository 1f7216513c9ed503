"""`make reproduce-resume`, Section IV-A: E_2048-64 under SN up to its collapse, then SN and SR-d from there."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from reproduce.calibrate import count_gpus
from reproduce.launch import Stopped, launch
from reproduce.plan import REPOSITORY, Run, Scale
from reproduce.settings import SETTINGS
from reproduce.stages import StagedRun, write_report
from reproduce.table2 import usable_cores
from srgan.runs import RunFolder

FURTHER = "Further options go to srgan fit, for each of the three runs."


class Length(NamedTuple):
    """Iterations under SN, and at the end of both branches."""

    branch: int
    end: int


LENGTHS: dict[Scale, Length] = {
    "paper": Length(40_000, 80_000),  # SN collapses at about 40,000 with batch 2048
    "mini": Length(300, 600),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 2 (not possible here), 130 (stopped; the same command goes on)."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.resume", description=__doc__, epilog=FURTHER)
    parser.add_argument("--scale", default="auto", choices=("auto", "mini", "paper"))
    parser.add_argument("--jobs", default=0, type=lambda text: int(text or 0), help="runs at a time")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs and pictures go")
    options, extra = parser.parse_known_args(arguments)
    console, gpus = Console(), count_gpus()
    scale: Scale = options.scale if options.scale != "auto" else ("paper" if gpus else "mini")
    root = options.runs / "resume" / scale
    row = next(setting for setting in SETTINGS if setting.name == "E_2048-64")
    planned = Run(row, "sn", 1, scale, root)
    if planned.missing:
        print(f"reproduce: {planned.missing}", file=sys.stderr)
        return 2
    start, sn, sr_d = stages(planned, LENGTHS[scale], extra)
    try:
        for runs in ([start], [sn, sr_d]):
            for run in runs:
                console.print(f"{run.name}: {run.state}", highlight=False)
            to_do = [run for run in runs if run.state != "finished"]
            if launch(to_do, options.jobs or gpus or usable_cores(), gpus if scale == "paper" else 0, console):
                return 1
    except Stopped:
        console.print("Stopped: the same command goes on.")
        return 130
    folders = {"SN": start.folder, "SN goes on": sn.folder, "SR-d takes over": sr_d.folder}
    title = f"{row.name} ({scale}): SN, and SR-d from iteration {LENGTHS[scale].branch:,}"
    console.print(write_report("resume", title, folders, root), highlight=False, soft_wrap=True)
    return 0


def stages(planned: Run, length: Length, extra: Sequence[str] = ()) -> tuple[StagedRun, StagedRun, StagedRun]:
    """SN up to the branch, and from its last checkpoint SN and SR-d side by side."""
    base = [*planned.settings, *(("--scores.every", "100") if planned.scale == "mini" else ())]
    constraint = base.index("configs/sn.yaml")

    def staged(title: str, part: str, method: str, iterations: int, source: Path | None = None) -> StagedRun:
        words = [*base[:constraint], f"configs/{method}.yaml", *base[constraint + 1 :]]
        options = (*words, "--model.iterations", str(iterations), *extra)
        return StagedRun(title, planned.root, part, options, source, planned.devices)

    checkpoint = RunFolder(planned.root / "sn-start").checkpoint
    return (
        staged(f"SN to {length.branch:,}", "sn-start", "sn", length.branch),
        staged("SN goes on", "sn", "sn", length.end, checkpoint),
        staged("SR-d takes over", "sr-d", "sr-d", length.end, checkpoint),
    )


if __name__ == "__main__":
    sys.exit(main())
