"""`make reproduce-figures`: draws the paper's figures from the runs that there are, and says what is missing."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from reproduce.figures.available_runs import Gap, Sources
from reproduce.figures.catalogue import PaperFigure, chosen_figures
from reproduce.figures.index import Drawn, Index
from reproduce.launcher.options import Options, read, with_images
from srgan.plotting import AxisScale, save, style


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (nothing could be drawn), 2 (wrong usage)."""
    options = read(arguments, __doc__, "scale figures axes formats seed images runs overrides", begun_scale)
    console = Console()
    part = options.scale if options.seed == 1 else f"{options.scale}-seed{options.seed}"
    try:
        figures = chosen_figures(options.figures)
        sources = Sources(options.runs, options.scale, options.seed, with_images(options))
    except ValueError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 2
    index = Index(options.runs / "figures" / part, options.scale, options.seed)
    count = 0
    for figure in figures:
        drawn = draw(figure, sources, options.axes, options.formats, index.folder)
        gaps = gaps_of(figure, sources, drawn)
        index.replace(figure, options.axes, drawn, gaps)
        count += len(drawn)
        lines = [f"Fig. {figure.label}: {figure.title}", *(f"  {', '.join(picture.files)}" for picture in drawn)]
        lines += [f"  not drawn: {gap.reason} {gap.command and '-> ' + gap.command}".rstrip() for gap in gaps]
        console.print("\n".join(lines), highlight=False, soft_wrap=True, markup=False)
    index.write()
    console.print(f"{count} pictures, listed in {index.folder / 'index.md'}", highlight=False)
    return 0 if count else 1


def draw(figure: PaperFigure, sources: Sources, axes: AxisScale, formats: Sequence[str], folder: Path) -> list[Drawn]:
    """Draws one figure's pictures into a folder."""
    drawn: list[Drawn] = []
    suffix = "-log" if figure.has_spectra and axes == "log" else ""
    with style():
        for picture in figure.draw(sources, axes):
            names = [f"{figure.file_label}-{picture.name}{suffix}.{form}" for form in formats]
            for name in names:
                save(picture.figure, folder / name)
            runs = [os.path.relpath(run.folder.path, sources.runs) for run in picture.runs]
            drawn.append(Drawn(names, f"{picture.caption} Scale {sources.scale}.", runs))
    return drawn


def gaps_of(figure: PaperFigure, sources: Sources, drawn: Sequence[Drawn]) -> list[Gap]:
    """The runs that a figure misses; or that none of those that are there shows what it is about."""
    gaps = [gap for group in figure.groups if (gap := sources.gap(group))]
    return gaps if gaps or drawn else [Gap("None of the finished runs shows this.", "")]


def begun_scale(options: Options) -> str:
    """Paper if a run of Table II has been begun at it, else mini."""
    return "paper" if any((options.runs / "table2" / "paper").glob("*/*/run.json")) else "mini"


if __name__ == "__main__":
    sys.exit(main())
