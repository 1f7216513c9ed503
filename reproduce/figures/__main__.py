"""`make reproduce-figures`: draws the paper's figures from the finished runs, and says what is missing.

Beside the pictures stand index.json, kept over calls, and index.md made from it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from reproduce.figures.history_figures import figure_5, figure_6, figure_7
from reproduce.figures.hyperparameter_figures import figure_8, figure_11, figure_12
from reproduce.figures.model import Picture
from reproduce.figures.sources import Gap, Sources
from reproduce.figures.spectra_figures import figure_2, figure_4, figures_15_to_22
from reproduce.launcher.options import Options, read
from srgan.plotting import AxisScale, save, style
from srgan.utils.files import write_json, write_text

SCALES = {
    "mini": "Scale mini: stacked digits, small networks; FID_cls and IS_cls by a classifier trained on the digits.",
    "small": (
        "Scale small: CIFAR-10 at 16 × 16, narrow networks; FID_cls and IS_cls by a classifier trained on the images."
    ),
    "paper": "Scale paper: the protocol of the paper.",
}


class PaperFigure(NamedTuple):
    """One entry of the list of figures."""

    numbers: tuple[int, ...]  # in the paper, e.g. (15, 16, ..., 22)
    title: str  # what the paper shows there
    groups: tuple[str, ...]  # names in `Sources` of the runs that it shows
    draw: Callable[[Sources, AxisScale], Iterator[Picture]]  # makes its pictures
    has_spectra: bool = True  # whether the axes of sigma_k / sigma_1 can be linear or log

    @property
    def label(self) -> str:
        """E.g. "2" or "15-22"."""
        first, last = self.numbers[0], self.numbers[-1]
        return str(first) if first == last else f"{first}-{last}"

    @property
    def file_label(self) -> str:
        """How its files begin, e.g. "fig02"."""
        return "fig" + "-".join(f"{int(number):02d}" for number in self.label.split("-"))


SN, SR, SWEEP, RESUME, COLLAPSE = "table2 sn", "table2 sr", "sweep", "resume", "collapse"
# fmt: off
FIGURES = (
    PaperFigure((2,), "The last layer's spectrum over training, without collapse", (SN,), figure_2),
    PaperFigure((4,), "The same with collapse; the five groups of Table I", (SN,), figure_4),
    PaperFigure((5,), "The spectrum next to FID and IS at the same iterations", (SN,), figure_5),
    PaperFigure((6,), "Section IV-A: SN, and SR-d from SN's checkpoint", (RESUME, COLLAPSE), figure_6),
    PaperFigure((7,), "SN and SR-s from the start", (SN, SR), figure_7),
    PaperFigure((8,), "FID and IS against i", (SN, SWEEP), figure_8, has_spectra=False),
    PaperFigure((11,), "D's outputs and objective for each i", (SN, SWEEP), figure_11, has_spectra=False),
    PaperFigure((12,), "Static and dynamic compensation", (SN, SWEEP), figure_12),
    PaperFigure(tuple(range(15, 23)), "Every layer's spectrum, with collapse", (SN,), figures_15_to_22),
)
# fmt: on


def chosen_figures(numbers: Iterable[int]) -> list[PaperFigure]:
    """The figures of these numbers, in the paper's order; all if there are none.

    Raises:
        ValueError: a number that is no figure here.
    """
    wanted = set(numbers)
    known = {number for figure in FIGURES for number in figure.numbers}
    if wanted - known:
        raise ValueError(
            f"Expected figures among {', '.join(figure.label for figure in FIGURES)}, found "
            f"{', '.join(map(str, sorted(wanted - known)))}. See docs/figures.md."
        )
    return [figure for figure in FIGURES if not wanted or wanted & set(figure.numbers)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (nothing could be drawn), 2 (wrong usage)."""
    options = read(arguments, __doc__, "scale figures axes formats seed images runs overrides", begun_scale)
    console = Console()
    try:
        figures = chosen_figures(options.figures)
        sources = Sources(options.runs, options.scale, options.seed, options.with_images())
    except ValueError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    folder = options.runs / "figures" / (options.scale + (f"-seed{options.seed}" if options.seed != 1 else ""))
    index = json.loads((folder / "index.json").read_text(encoding="utf-8")) if (folder / "index.json").exists() else {}
    count = 0
    for figure in figures:
        log = figure.has_spectra and options.axes == "log"
        drawn = draw(figure, sources, options.axes, options.formats, folder)
        gaps = gaps_of(figure, sources, bool(drawn))
        key, files = figure.label + " log" * log, {name for picture in drawn for name in picture["files"]}
        for picture in index.get(key, {}).get("pictures", []):  # those of before that are not drawn again
            for name in set(picture["files"]) - files:
                (folder / name).unlink(missing_ok=True)
        command = f"make reproduce-figures SCALE={sources.scale} FIGURES={figure.numbers[0]}" + " AXES=log" * log
        command += f" SEED={sources.seed}" if sources.seed != 1 else ""
        entry = {"title": figure.title, "command": command, "pictures": drawn}
        index[key] = entry | {"gaps": [gap._asdict() for gap in gaps]}
        count += len(drawn)
        lines = [f"Fig. {figure.label}: {figure.title}", *(f"  {', '.join(picture['files'])}" for picture in drawn)]
        lines += [f"  not drawn: {gap.reason} {gap.command and '-> ' + gap.command}".rstrip() for gap in gaps]
        console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
    order = [figure.label for figure in FIGURES]
    index = dict(sorted(index.items(), key=lambda entry: order.index(entry[0].split()[0])))
    write_json(folder / "index.json", index)
    write_text(folder / "index.md", index_page(index, sources))
    console.print(f"{count} pictures, listed in {folder / 'index.md'}", highlight=False)
    return 0 if count else 1


def draw(
    figure: PaperFigure, sources: Sources, axes: AxisScale, formats: Sequence[str], folder: Path
) -> list[dict[str, Any]]:
    """Draws one figure's pictures into a folder.

    Returns:
        for each its "files", one for each format, its "caption", and the folders of its "runs" relative to RUNS.
    """
    drawn = []
    suffix = "-log" if figure.has_spectra and axes == "log" else ""
    with style():
        for picture in figure.draw(sources, axes):
            names = [f"{figure.file_label}-{picture.name}{suffix}.{form}" for form in formats]
            for name in names:
                save(picture.figure, folder / name)
            runs = [os.path.relpath(run.folder.path, sources.runs) for run in picture.runs]
            drawn.append({"files": names, "caption": f"{picture.caption} Scale {sources.scale}.", "runs": runs})
    return drawn


def gaps_of(figure: PaperFigure, sources: Sources, is_drawn: bool) -> list[Gap]:
    """The runs that a figure misses; or that none of those that are there shows what it is about."""
    gaps = [gap for group in figure.groups if (gap := sources.gap(group))]
    return gaps if gaps or is_drawn else [Gap("None of the finished runs shows this.", "")]


def index_page(index: dict[str, Any], sources: Sources) -> str:
    """Every picture with its caption, and every gap."""
    lines = [
        f"# Figures of scale {sources.scale}, seed {sources.seed}",
        f"{SCALES[sources.scale]} Numbers are those of arXiv:1908.10999; pictures are drawn from run files.",
    ]
    for key, entry in index.items():
        lines += [f"## Fig. {key}: {entry['title']}", f"`{entry['command']}`"]
        for picture in entry["pictures"]:
            lines += [f"![{name}]({name})" for name in picture["files"] if name.endswith(".png")]
            links = ", ".join(f"[{name}]({name})" for name in picture["files"])
            lines.append(f"{links}: {picture['caption']} Runs: {', '.join(picture['runs'])}.")
        for gap in entry["gaps"]:
            lines.append(f"Not drawn: {gap['reason']}" + (f" `{gap['command']}`" if gap["command"] else ""))
    return "\n\n".join(lines) + "\n"


def begun_scale(options: Options) -> str:
    """Paper if a run of Table II has been begun at it, else mini."""
    return "paper" if any((options.runs / "table2" / "paper").glob("*/*/run.json")) else "mini"


if __name__ == "__main__":
    sys.exit(main())
