"""`make reproduce-collapse`: SN sinks into collapse, SR-s holds, and SR-d takes over SN's best checkpoint."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.launch import Stopped, launch
from reproduce.pictures import scores_picture, spectra_picture
from reproduce.plan import REPOSITORY, PlannedRun
from srgan.files import write_json, write_text
from srgan.metrics.collapse import tail_mean
from srgan.runs import RunFolder

RANKING = "FID_cls"


@dataclass(frozen=True)
class CollapseRun(PlannedRun):
    """One of the three runs.

    Attributes:
        method: configuration of the constraint.
        root: the folder of all three.
        source: checkpoint to go on from.
    """

    method: str
    root: Path
    source: Path | None = None

    @property
    def name(self) -> str:
        return f"collapse {self.method}"

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.root / self.method)

    @property
    def settings(self) -> list[str]:
        source = ["--from-checkpoint", str(self.source)] if self.source else []
        return ["-c", "configs/collapse.yaml", "-c", f"configs/{self.method}.yaml", *source]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 130 (stopped; the same command goes on)."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.collapse", description=__doc__)
    parser.add_argument("--jobs", default=0, type=lambda text: int(text or 0), help="processes (default: cores)")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs and pictures go")
    options = parser.parse_args(arguments)
    console, root = Console(), options.runs / "collapse"
    jobs = options.jobs or os.cpu_count() or 1
    sn, sr_s = CollapseRun("sn", root), CollapseRun("sr-s", root)
    try:
        for stage in (lambda: [sn, sr_s], lambda: [CollapseRun("sr-d", root, best_checkpoint(sn.folder))]):
            runs = stage()
            for run in runs:
                console.print(f"{run.name}: {run.state}", highlight=False)
            if launch([run for run in runs if run.state != "finished"], jobs, 0, console):
                return 1
    except Stopped:
        console.print("Stopped: the same command goes on.")
        return 130
    folders = {"SN": sn.folder, "SR-s": sr_s.folder, "SR-d from SN's best": RunFolder(root / "sr-d")}
    console.print(write_report(folders, root), highlight=False, soft_wrap=True)
    return 0


def best_checkpoint(folder: RunFolder) -> Path:
    """The kept checkpoint at the run's best evaluation, the last excepted."""
    rows = folder.read_scores()[:-1]
    best = min(rows, key=lambda row: float(row[RANKING]))
    return folder.checkpoint.with_name(f"{best['iteration']:08d}.ckpt")


def write_report(folders: dict[str, RunFolder], root: Path) -> str:
    """Table, pictures and summary of the three runs; returns the table."""
    scores_picture(folders, "Stacked digits 8 x 8, batch 256: SN against SR", root / "scores.png")
    summary: dict[str, Any] = {}
    lines = ["| run | iteration | FID_cls | IS_cls | modes of 1,000 | mean tail of D's 3x3 spectra |", "|" + "---|" * 6]
    for name, folder in folders.items():
        spectra_picture(folder, f"{name}: spectra of D", folder.path / "spectra.png")
        history, record = folder.read_spectra(), folder.read_record()
        assert history is not None
        assert record is not None
        summary[name] = {key: record[key] for key in ("command", "commit", "seed", "hardware", "protocol", "parent")}
        summary[name] |= {key: record[key] for key in ("seconds", "scores", "verdicts")}
        tails = {layer: tail_mean(spectra) for layer, spectra in history.judged().items()}
        for row in folder.read_scores():
            at = history.iterations.tolist().index(row["iteration"])
            tail = sum(float(values[at]) for values in tails.values()) / len(tails)
            lines.append(
                f"| {name} | {row['iteration']:,} | {row['FID_cls']:.0f} | {row['IS_cls']:.0f} | {row['modes']} "
                f"| {tail:.2f} |"
            )
        for verdict in ("mode_collapse", "spectral_collapse"):
            found = record["verdicts"][verdict]
            words = f"from iteration {found['iteration']:,} on" if found["collapsed"] else "none"
            lines.append(f"| {name} | {verdict.replace('_', ' ')}: {words} | | | | |")
    table = "\n".join(lines) + "\n"
    write_text(root / "collapse.md", table)
    write_json(root / "collapse.json", summary)
    return table


if __name__ == "__main__":
    sys.exit(main())
