"""`make reproduce-figures`: draws the paper's figures from the runs that there are, and says what is missing."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from reproduce.figures.catalogue import chosen_figures
from reproduce.figures.index import Drawn, Index
from reproduce.figures.model import Gap, PaperFigure, Picture
from reproduce.figures.sources import Sources
from reproduce.plan import REPOSITORY, Scale
from srgan.pictures import AxisScale, save, style

FORMATS = ("png", "pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (nothing could be drawn), 2 (wrong usage)."""
    chosen = parse(arguments)
    console = Console()
    scale: Scale = chosen.scale if chosen.scale != "auto" else detected_scale(chosen.runs)
    sources = Sources(chosen.runs, scale, chosen.seed)
    part = scale if chosen.seed == 1 else f"{scale}-seed{chosen.seed}"
    index = Index(chosen.runs / "figures" / part, scale, chosen.seed)
    try:
        figures = chosen_figures(chosen.figures)
    except ValueError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    count = 0
    for figure in figures:
        drawn, gaps = draw(figure, sources, chosen.axes, chosen.formats, index.folder)
        index.replace(figure, chosen.axes, drawn, gaps)
        count += len(drawn)
        console.print(f"Fig. {figure.label}: {figure.title}", highlight=False, soft_wrap=True)
        for picture in drawn:
            console.print(f"  {', '.join(picture.files)}", highlight=False, soft_wrap=True)
        for gap in gaps:
            words = f"  not drawn: {gap.reason} {gap.command and '-> ' + gap.command}"
            console.print(words.rstrip(), highlight=False, soft_wrap=True, markup=False)
    index.write()
    console.print(f"{count} pictures, listed in {index.folder / 'index.md'} and index.html", highlight=False)
    return 0 if count else 1


def draw(
    figure: PaperFigure, sources: Sources, axes: AxisScale, formats: Sequence[str], folder: Path
) -> tuple[list[Drawn], list[Gap]]:
    """Draws one figure's pictures into a folder; what could not be drawn comes back as gaps."""
    drawn: list[Drawn] = []
    gaps: list[Gap] = []
    suffix = "-log" if figure.has_spectra and axes == "log" else ""
    with style():
        for part in figure.draw(sources, axes):
            if isinstance(part, Picture):
                name = f"{figure.file_label}-{part.name}{suffix}"
                for form in formats:
                    save(part.figure, folder / f"{name}.{form}")
                runs = [os.path.relpath(run.folder.path, sources.runs) for run in part.runs]
                drawn.append(
                    Drawn([f"{name}.{form}" for form in formats], f"{part.caption} Scale {sources.scale}.", runs)
                )
            elif part not in gaps:
                gaps.append(part)
    return drawn, gaps


def detected_scale(runs: Path) -> Scale:
    """Paper if a run of Table II has been begun at it, else mini."""
    return "paper" if any((runs / "table2" / "paper").glob("*/*/run.json")) else "mini"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Options; the Makefile's variables carry the same names. Empty values mean the default."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.figures", description=__doc__)
    parser.add_argument(
        "--scale", default="auto", choices=("auto", "mini", "paper"), help="auto: paper if it was begun"
    )
    parser.add_argument("--figures", default=[], type=_numbers, help="numbers, e.g. '2 4 8' (default: all)")
    parser.add_argument("--axes", default="linear", type=_axes, help="of sigma_k / sigma_1: linear or log")
    parser.add_argument("--formats", default=["png"], type=_formats, help="png, pdf or both (default: png)")
    parser.add_argument("--seed", default=1, type=lambda text: int(text or 1), help="of the runs")
    parser.add_argument("--runs", default=REPOSITORY / "runs", type=Path, help="where runs are; figures go beside them")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected numbers of figures such as '2 4 8', found {text!r}")
    return [int(word) for word in words]


def _axes(text: str) -> str:
    if text not in ("", "linear", "log"):
        raise argparse.ArgumentTypeError(f"expected linear or log, found {text!r}")
    return text or "linear"


def _formats(text: str) -> list[str]:
    words = text.replace(",", " ").split() or ["png"]
    if not set(words) <= set(FORMATS):
        raise argparse.ArgumentTypeError(f"expected png, pdf or both, found {text!r}")
    return [form for form in FORMATS if form in words]


if __name__ == "__main__":
    sys.exit(main())
