"""Experiments of several runs, some of which go on from others' checkpoints, and the report that compares them."""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce import options
from reproduce.figures.run_pictures import scores_picture, spectra_picture
from reproduce.launch import Stopped, launch
from reproduce.plan import REPOSITORY, PlannedRun
from reproduce.table import markdown_table
from srgan.files import write_json, write_text
from srgan.metrics.collapse import tail_mean
from srgan.report.page import write_page
from srgan.runs import SHOWN_SCORES, RunFolder


@dataclass(frozen=True)
class StagedRun(PlannedRun):
    """One run of an experiment.

    Attributes:
        title: for people.
        root: the folder of all runs.
        part: the run's folder in it.
        options: of `srgan fit`, in pairs.
        source: checkpoint to go on from.
        processes: that train it together, one GPU each.
    """

    title: str
    root: Path
    part: str
    options: tuple[str, ...]
    source: Path | None = None
    processes: int = 1

    @property
    def name(self) -> str:
        return self.title

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.root / self.part)

    @property
    def devices(self) -> int:
        return self.processes

    @property
    def settings(self) -> list[str]:
        return [*self.options, *(("--from-checkpoint", str(self.source)) if self.source else ())]


def stages_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Options that every experiment has; empty values mean the default."""
    further = "Further options go to srgan fit, for each of the runs."
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description, epilog=further)
    parser.add_argument("--jobs", default=0, type=options.count, help="runs at a time (default: cores)")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs and pictures go")
    return parser


def run_stages(
    stages: Iterable[Sequence[StagedRun]], jobs: int, gpus: int, console: Console, processes: int | None = None
) -> int:
    """Trains what is not finished, each stage after the one before.

    Args:
        stages: runs side by side; a stage is asked for once the one before has finished.
        jobs: runs at a time.
        gpus: CUDA devices to share out; 0 for the CPU.
        console: where to show progress.
        processes: of each run; None: as many as the plan says.

    Returns:
        The exit status: 0, 1 (a run failed), 2 (too few GPUs), 130 (stopped; the same command goes on).
    """
    for runs in stages:
        for run in runs:
            console.print(f"{run.name}: {run.state}", highlight=False)
        try:
            failed = launch([run for run in runs if run.state != "finished"], jobs, gpus, console, processes)
        except Stopped:
            console.print("Stopped: the same command goes on.")
            return 130
        except ValueError as error:
            print(f"reproduce: {error}", file=sys.stderr)
            return 2
        if failed:
            return 1
    return 0


def write_report(name: str, title: str, folders: Mapping[str, RunFolder], root: Path) -> str:
    """Table, page, pictures and summary of some finished runs; returns the table.

    Args:
        name: of the files, e.g. "collapse" for collapse.md, collapse.json and collapse.html.
        title: of the page, and of the picture of the scores.
        folders: by what each run is called.
        root: where to write.
    """
    scores_picture(dict(folders), title, root / "scores.png")
    above = next((folder.parent for folder in root.resolve().parents if folder.name == "runs"), root.resolve().parent)
    summary: dict[str, Any] = {}
    header = ["run", "iteration", *shown_scores(next(iter(folders.values()))), "mean tail of D's 3x3 spectra"]
    lines: list[list[str]] = []
    for run, folder in folders.items():
        spectra_picture(folder, f"{run}: spectra of D", folder.path / "spectra.png")
        record = folder.read_record()
        assert record is not None
        kept = ("command", "commit", "seed", "hardware", "protocol", "parent", "seconds", "scores", "verdicts")
        summary[run] = {key: _relative(record[key], above) for key in kept}
        lines += _rows(run, folder, record)
    table = markdown_table(header, lines)
    write_text(root / f"{name}.md", table)
    write_json(root / f"{name}.json", summary)
    section = {"title": "Evaluations", "paragraphs": [], "table": {"groups": None, "header": header, "rows": lines}}
    write_json(root / "front.json", {"title": title, "sections": [section]})
    write_page(root, root / f"{name}.html")
    return table


def _relative(value: Any, base: Path) -> Any:
    """Paths inside a record as they are below a folder, so that a summary tells nothing of the machine."""
    if isinstance(value, dict):
        return {key: _relative(inner, base) for key, inner in value.items()}
    if isinstance(value, list):
        return [_relative(inner, base) for inner in value]
    return value.removeprefix(f"{base}/") if isinstance(value, str) else value


def shown_scores(folder: RunFolder) -> list[str]:
    """FID, IS and the number of modes, by the names that they have in this run."""
    first = folder.read_scores()[0]
    return [name for name in SHOWN_SCORES if name in first]


def _rows(run: str, folder: RunFolder, record: dict[str, Any]) -> list[list[str]]:
    """A line for each evaluation, and one for each verdict."""
    history, names = folder.read_spectra(), shown_scores(folder)
    assert history is not None
    tails = {layer: tail_mean(spectra) for layer, spectra in history.judged().items()}
    lines = []
    for row in folder.read_scores():
        at = max(
            0, int((history.iterations <= row["iteration"]).sum()) - 1
        )  # the record at or last before the evaluation
        tail = sum(float(values[at]) for values in tails.values()) / len(tails)
        scores = [f"{row[name]:.0f}" if row[name] >= 100 else f"{row[name]:.2f}" for name in names]
        lines.append([run, f"{row['iteration']:,}", *scores, f"{tail:.2f}"])
    for verdict in ("mode_collapse", "spectral_collapse"):
        found = record["verdicts"][verdict]
        words = f"from iteration {found['iteration']:,} on" if found["collapsed"] else "none"
        lines.append([run, f"{verdict.replace('_', ' ')}: {words}", *[""] * (len(names) + 1)])
    return lines
