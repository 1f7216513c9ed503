"""The list of figures: number in the paper, what it shows, which runs it needs, what draws it."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from reproduce.figures.available_runs import Sources
from reproduce.figures.history_figures import figure_5, figure_6, figure_7
from reproduce.figures.hyperparameter_figures import figure_8, figure_11, figure_12
from reproduce.figures.model import Picture
from reproduce.figures.spectra_figures import figure_2, figure_4, figures_15_to_22
from srgan.plotting import AxisScale


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
    PaperFigure((5,), "Spectrum beside FID and IS at the same iterations", (SN,), figure_5),
    PaperFigure((6,), "Section IV-A: SN, and SR-d from SN's checkpoint", (RESUME, COLLAPSE), figure_6),
    PaperFigure((7,), "SN against SR-s from scratch", (SN, SR), figure_7),
    PaperFigure((8,), "FID and IS against i", (SN, SWEEP), figure_8, has_spectra=False),
    PaperFigure((11,), "D's outputs and objective for each i", (SN, SWEEP), figure_11, has_spectra=False),
    PaperFigure((12,), "Static against dynamic compensation", (SN, SWEEP), figure_12),
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
