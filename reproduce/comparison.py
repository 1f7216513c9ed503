"""What is made of a few finished runs that are compared: a table, a page, pictures, a summary to share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from reproduce.run import Run
from reproduce.run_pictures import present_scores, scores_picture, spectra_picture
from reproduce.table import markdown_table
from srgan.files import write_json, write_text
from srgan.metrics.verdicts import tail_mean
from srgan.report.page import write_page
from srgan.runs import RunFolder

KEPT = ("command", "commit", "seed", "hardware", "parent", "seconds", "verdicts")
"""What the summary keeps of a run's record."""


@dataclass(frozen=True)
class Comparison:
    """Finishes an experiment.

    Attributes:
        name: of the files, e.g. "collapse" for collapse.md, collapse.json and collapse.html.
        title: of the page, and of the picture of the scores.
        root: where to write.
    """

    name: str
    title: str
    root: Path

    def __call__(self, runs: Sequence[Run], console: Console) -> None:
        """Writes everything; the table goes to the terminal too."""
        folders, root = {run.name: run.folder for run in runs}, self.root
        scores_picture(folders, self.title, root / "scores.png")
        runs_folder = (folder for folder in root.resolve().parents if folder.name == "runs")
        above = next(runs_folder, root.resolve().parent)
        scores = present_scores([folder.read_scores() for folder in folders.values()])
        header = ["run", "iteration", *scores, "mean tail of D's 3x3 spectra"]
        summary: dict[str, Any] = {}
        lines: list[list[str]] = []
        for name, folder in folders.items():
            spectra_picture(folder, f"{name}: spectra of D", folder.path / "spectra.png")
            record = folder.read_record() or {}
            summary[name] = {key: _relative(record[key], above) for key in KEPT}
            summary[name] |= {"protocol": folder.read_protocol(), "scores": folder.read_scores()}
            lines += [[name, *cells] for cells in _rows(folder, record, scores)]
        table = markdown_table(header, lines)
        write_text(root / f"{self.name}.md", table)
        write_json(root / f"{self.name}.json", summary)
        section = {"title": "Evaluations", "paragraphs": [], "table": {"groups": None, "header": header, "rows": lines}}
        write_json(root / "front.json", {"title": self.title, "sections": [section]})
        write_page(root, root / f"{self.name}.html")
        console.print(table, highlight=False, soft_wrap=True)


def _relative(value: Any, base: Path) -> Any:
    """Paths inside a record as they are below a folder, so that a summary tells nothing of the machine."""
    if isinstance(value, dict):
        return {key: _relative(inner, base) for key, inner in value.items()}
    if isinstance(value, list):
        return [_relative(inner, base) for inner in value]
    return value.removeprefix(f"{base}/") if isinstance(value, str) else value


def _rows(folder: RunFolder, record: dict[str, Any], names: Sequence[str]) -> list[list[str]]:
    """A line for each evaluation, and one for each verdict."""
    history = folder.read_spectra()
    assert history is not None
    tails = [tail_mean(history.spectra[layer]) for layer in history.judged()]
    lines = []
    for row in folder.read_scores():
        at = max(0, int((history.iterations <= row["iteration"]).sum()) - 1)  # the record at or last before
        tail = sum(float(values[at]) for values in tails) / len(tails)
        scores = [f"{row[name]:.0f}" if row[name] >= 100 else f"{row[name]:.2f}" for name in names]
        lines.append([f"{row['iteration']:,}", *scores, f"{tail:.2f}"])
    for verdict in ("mode_collapse", "spectral_collapse"):
        found = record["verdicts"][verdict]
        words = f"from iteration {found['iteration']:,} on" if found["collapsed"] else "none"
        lines.append([f"{verdict.replace('_', ' ')}: {words}", *[""] * (len(names) + 1)])
    return lines
