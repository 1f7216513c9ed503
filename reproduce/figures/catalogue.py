"""The list of figures: number in the paper, what it shows, which runs it needs, what draws it."""

from collections.abc import Iterable

from reproduce.figures.history import figure_5, figure_6, figure_7
from reproduce.figures.hyperparameter import figure_8, figure_11, figure_12
from reproduce.figures.model import PaperFigure
from reproduce.figures.spectra import figure_2, figure_4, figures_15_to_22

TABLE, COLLAPSE, RESUME, SWEEP = (f"make reproduce-{name}" for name in ("table2", "collapse", "resume", "sweep"))
# fmt: off
FIGURES = (
    PaperFigure((2,), "The last layer's spectrum over training, without collapse", (TABLE,), figure_2),
    PaperFigure((4,), "The same with collapse; the five groups of Table I", (TABLE, COLLAPSE), figure_4),
    PaperFigure((5,), "Spectrum beside FID and IS at the same iterations", (TABLE, COLLAPSE), figure_5),
    PaperFigure((6,), "Section IV-A: SN, and SR-d from SN's checkpoint", (RESUME, COLLAPSE), figure_6),
    PaperFigure((7,), "SN against SR-s from scratch", (TABLE, COLLAPSE), figure_7),
    PaperFigure((8,), "FID and IS against i", (TABLE, SWEEP), figure_8, has_spectra=False),
    PaperFigure((11,), "D's outputs and objective for each i", (TABLE, SWEEP), figure_11, has_spectra=False),
    PaperFigure((12,), "Static against dynamic compensation", (TABLE, SWEEP), figure_12),
    PaperFigure(tuple(range(15, 23)), "Every layer's spectrum, with collapse", (TABLE, COLLAPSE), figures_15_to_22),
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
