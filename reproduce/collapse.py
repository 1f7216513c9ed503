"""`make reproduce-collapse`: SN, SR-s, and SR-d from SN's best checkpoint, until SN has collapsed."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from reproduce.launch import usable_cores
from reproduce.stages import StagedRun, run_stages, stages_parser, write_report
from srgan.runs import RunFolder

RANKING = "FID_cls"


def collapse_run(method: str, root: Path, extra: Sequence[str], source: Path | None = None) -> StagedRun:
    """One of the three runs; `source` is the checkpoint to go on from."""
    options = ("-c", "configs/collapse.yaml", "-c", f"configs/{method}.yaml", *extra)
    return StagedRun(f"collapse {method}", root, method, options, source)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 130 (stopped; the same command goes on)."""
    options, extra = stages_parser("reproduce.collapse", __doc__).parse_known_args(arguments)
    console, root = Console(), options.runs / "collapse"
    sn, sr_s = (collapse_run(method, root, extra) for method in ("sn", "sr-s"))

    def stages() -> Iterator[list[StagedRun]]:
        yield [sn, sr_s]
        yield [collapse_run("sr-d", root, extra, best_checkpoint(sn.folder))]  # known once SN has finished

    if status := run_stages(stages(), options.jobs or usable_cores(), 0, console):
        return status
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
