"""The list of figures, and how they are written: pictures, a page for each figure, and index.md of all pages."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from reproduce.figures.hyperparameter_figures import figure_8, figure_11, figure_12
from reproduce.figures.runs import Picture, Sources
from reproduce.figures.training_figures import figure_2, figure_4, figure_5, figure_6, figure_7, figures_15_to_22
from reproduce.launcher.options import Options
from reproduce.results.table import LEGEND
from srgan.plotting import AxisScale, save, style
from srgan.utils.files import write_text


class PaperFigure(NamedTuple):
    numbers: tuple[int, ...]  # in the paper, e.g. (15, 16, ..., 22)
    title: str  # what the paper shows there
    groups: tuple[str, ...]  # names in `Sources` of the runs that it shows
    draw: Callable[[Sources, AxisScale], Iterator[Picture]]  # makes its pictures
    has_spectra: bool = True  # whether the axes of sigma_k / sigma_1 can be linear or log

    @property
    def label(self) -> str:
        """E.g. "2" or "15-22"."""
        return "-".join(str(number) for number in dict.fromkeys((self.numbers[0], self.numbers[-1])))

    @property
    def file_label(self) -> str:
        """How its files begin, e.g. "fig02"."""
        return f"fig{self.label:0>2}"


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
    """The figures of these numbers, in the paper's order; all for none. ValueError if one is no figure here."""
    wanted = set(numbers)
    if unknown := wanted.difference(*(figure.numbers for figure in FIGURES)):
        raise ValueError(
            f"Expected figures among {', '.join(figure.label for figure in FIGURES)}, found "
            f"{', '.join(map(str, sorted(unknown)))}. See docs/figures.md."
        )
    return [figure for figure in FIGURES if not wanted or wanted & set(figure.numbers)]


def figures(options: Options) -> int:
    """`make reproduce-figures`: draws the paper's figures from the finished runs, and says what is missing."""
    chosen, console, count = chosen_figures(options.figures), Console(soft_wrap=True), 0
    sources = Sources(options.runs, options.scale, options.seed, options.with_images())
    folder = options.runs / "figures" / (options.scale + (f"-seed{options.seed}" if options.seed != 1 else ""))
    for figure in chosen:
        names, gaps = draw(figure, sources, options, folder)
        count += len(names)
        lines = [f"Fig. {figure.label}: {figure.title}", *(f"  {name}" for name in names)]
        console.print("\n".join([*lines, *(f"  not drawn: {gap}" for gap in gaps)]), highlight=False, markup=False)
    pages = [folder / f"{figure.file_label}{log}.md" for figure in FIGURES for log in ("", "-log")]
    about = f"{LEGEND[sources.scale]} Numbers are those of arXiv:1908.10999; pictures are drawn from run files."
    parts = [f"# Figures of scale {sources.scale}, seed {sources.seed}", about]
    parts += [page.read_text(encoding="utf-8") for page in pages if page.exists()]
    write_text(folder / "index.md", "\n\n".join(parts) + "\n")
    console.print(f"{count} files, listed in {folder / 'index.md'}", highlight=False)
    return 0 if count else 1  # nothing could be drawn


def draw(figure: PaperFigure, sources: Sources, options: Options, folder: Path) -> tuple[list[str], list[str]]:
    """Draws one figure's pictures into a folder, and writes its page; those of before that are not drawn again go.

    Returns the names of the files, and sentences on what is missing.
    """
    log = "-log" if figure.has_spectra and options.axes == "log" else ""
    command = f"make reproduce-figures SCALE={sources.scale} FIGURES={figure.numbers[0]}" + " AXES=log" * bool(log)
    command += f" SEED={sources.seed}" if sources.seed != 1 else ""
    files = []
    paragraphs = [f"## Fig. {figure.label}{log.replace('-', ' ')}: {figure.title}", f"`{command}`"]
    with style():
        for picture in figure.draw(sources, options.axes):
            names = [f"{figure.file_label}-{picture.name}{log}.{form}" for form in options.formats]
            for name in names:
                save(picture.figure, folder / name)
            files += names
            paragraphs += [f"![{name}]({name})" for name in names if name.endswith(".png")]
            runs = ", ".join(os.path.relpath(run.folder.path, sources.runs) for run in picture.runs)
            links = ", ".join(f"[{name}]({name})" for name in names)
            paragraphs.append(f"{links}: {picture.caption} Scale {sources.scale}. Runs: {runs}.")
    gaps = [gap for group in figure.groups if (gap := sources.gap(group))]
    if not files and not gaps:
        gaps = ["None of the finished runs shows this."]
    for old in folder.glob(f"{figure.file_label}-*"):
        if old.name not in files and old.stem.endswith("-log") == bool(log) and old.suffix != ".md":
            old.unlink()
    paragraphs += [f"Not drawn: {gap}" for gap in gaps]
    write_text(folder / f"{figure.file_label}{log}.md", "\n\n".join(paragraphs))
    return files, gaps
