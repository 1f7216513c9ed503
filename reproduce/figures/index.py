"""What is in a folder of figures: index.json, kept over calls, and index.md made from it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reproduce.figures.available_runs import Gap
from reproduce.figures.catalogue import FIGURES, PaperFigure
from reproduce.plan.run import Scale
from srgan.plotting import AxisScale
from srgan.utils.files import write_json, write_text

SCALE_WORDS = {
    "mini": "Scale mini: stacked digits, small nets; FID_cls and IS_cls by a classifier trained on the digits.",
    "small": "Scale small: CIFAR-10 at 16 x 16, narrow nets; FID_cls and IS_cls by a classifier trained on the images.",
    "paper": "Scale paper: the protocol of the paper.",
}


class Drawn(NamedTuple):
    """One picture that was written."""

    files: list[str]  # its names in the folder, one for each format
    caption: str  # what it shows
    runs: list[str]  # folders of its runs, relative to the folder of all runs (RUNS)


class Index:
    """The figures of one folder.

    Args:
        folder: where the pictures are.
        scale: of the runs.
        seed: of the runs.
    """

    def __init__(self, folder: Path, scale: Scale, seed: int) -> None:
        self.folder, self.scale, self.seed = folder, scale, seed
        self.path = folder / "index.json"
        self.entries: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def command(self, figure: PaperFigure, axes: AxisScale) -> str:
        """What draws a figure again."""
        log = f" AXES={axes}" if figure.has_spectra and axes != "linear" else ""
        seed = f" SEED={self.seed}" if self.seed != 1 else ""
        return f"make reproduce-figures SCALE={self.scale} FIGURES={figure.numbers[0]}{log}{seed}"

    def replace(self, figure: PaperFigure, axes: AxisScale, drawn: Sequence[Drawn], gaps: Sequence[Gap]) -> None:
        """Takes in what a call has drawn of a figure; pictures of before that it did not draw again are removed."""
        key = f"{figure.label} log" if figure.has_spectra and axes == "log" else figure.label
        before = {name for picture in self.entries.get(key, {}).get("pictures", []) for name in picture["files"]}
        for name in before - {name for picture in drawn for name in picture.files}:
            (self.folder / name).unlink(missing_ok=True)
        self.entries[key] = {
            "title": figure.title,
            "command": self.command(figure, axes),
            "pictures": [picture._asdict() for picture in drawn],
            "gaps": [gap._asdict() for gap in gaps],
        }

    def write(self) -> None:
        """Writes both files."""
        order = [figure.label for figure in FIGURES]
        self.entries = dict(sorted(self.entries.items(), key=lambda entry: order.index(entry[0].split()[0])))
        write_json(self.path, self.entries)
        title = f"# Figures of scale {self.scale}, seed {self.seed}"
        write_text(self.folder / "index.md", f"{title}\n\n{self.markdown()}")

    def markdown(self) -> str:
        """Every picture with its caption, and every gap."""
        lines = [f"{SCALE_WORDS[self.scale]} Numbers are those of arXiv:1908.10999; pictures are drawn from run files."]
        for key, entry in self.entries.items():
            lines += [f"## Fig. {key}: {entry['title']}", f"`{entry['command']}`"]
            for picture in entry["pictures"]:
                lines += [f"![{name}]({name})" for name in picture["files"] if name.endswith(".png")]
                links = ", ".join(f"[{name}]({name})" for name in picture["files"])
                lines.append(f"{links}: {picture['caption']} Runs: {', '.join(picture['runs'])}.")
            for gap in entry["gaps"]:
                command = f" `{gap['command']}`" if gap["command"] else ""
                lines.append(f"Not drawn: {gap['reason']}{command}")
        return "\n\n".join(lines) + "\n"
