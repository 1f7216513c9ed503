"""`make reproduce-resume`, Section IV-A: E_2048-64 under SN up to its collapse, then SN and SR-d from there."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from reproduce import options
from reproduce.calibrate import count_gpus
from reproduce.launch import usable_cores
from reproduce.plan import Run, Scale
from reproduce.settings import SETTINGS
from reproduce.stages import StagedRun, run_stages, stages_parser, write_report
from srgan.runs import RunFolder


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
    parser = stages_parser("reproduce.resume", __doc__)
    parser.add_argument("--scale", default="auto", choices=("auto", "mini", "paper"))
    parser.add_argument("--gpus", default=0, type=options.count, help="of each run; default: the plan's")
    chosen, extra = parser.parse_known_args(arguments)
    console, gpus = Console(), count_gpus()
    scale: Scale = chosen.scale if chosen.scale != "auto" else ("paper" if gpus else "mini")
    root = chosen.runs / "resume" / scale
    row = next(setting for setting in SETTINGS if setting.name == "E_2048-64")
    planned = Run(row, "sn", 1, scale, root)
    obstacle = planned.missing or (
        "Expected a GPU at scale paper, found no CUDA device." if scale == "paper" and not gpus else None
    )
    if obstacle:
        print(f"reproduce: {obstacle}", file=sys.stderr)
        return 2
    start, sn, sr_d = stages(planned, LENGTHS[scale], extra)
    jobs, shared = chosen.jobs or gpus or usable_cores(), gpus if scale == "paper" else 0
    if status := run_stages([[start], [sn, sr_d]], jobs, shared, console, chosen.gpus or None):
        return status
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
