"""How every picture of this package looks, and the panels that figures share. No torch in here.

Colour never stands alone. Iterations go from light to dark on a scale whose lightness falls evenly, and from thin to
thick lines; methods and other kinds differ in lightness, line style and marker. Both survive a grey print and any kind
of colour blindness. Figures are made without pyplot, so nothing global has to be closed.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from srgan.utils.downsampling import kept_times
from srgan.utils.files import write_atomically

AxisScale = Literal["linear", "log"]
Canvas = Figure | SubFigure

FORMATS = (".png", ".pdf")
DOTS_PER_INCH = 200
PAGE_WIDTH = 7.2  # inches, the text width of a two-column paper
WIDEST_PANEL, BESIDE_PANELS = 2.6, 1.0  # inches; labels and the colour scale beside the panels
MAX_CURVES = 12
MAX_COLUMNS, STRIP_LINES, STRIP_GAP = 300, 32, 2  # of a heat map: times, lines of a layer, and between two layers
MIN_RATIO = 1e-6  # below, float32 says nothing of sigma_k / sigma_1
K_LABEL, RATIO_LABEL = r"$k / N$", r"$\sigma_k / \sigma_1$"

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture on every machine
    "figure.titlesize": 9,
    **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize", "figure.labelsize"), 8),
    **dict.fromkeys(("legend.fontsize", "xtick.labelsize", "ytick.labelsize"), 7),
    **dict.fromkeys(("axes.linewidth", "xtick.major.width", "ytick.major.width"), 0.6),
    **dict.fromkeys(("xtick.minor.width", "ytick.minor.width"), 0.4),
    **dict.fromkeys(("xtick.major.size", "ytick.major.size"), 2.5),
    **dict.fromkeys(("xtick.minor.size", "ytick.minor.size"), 1.5),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "axes.titlepad": 3.0,
    "axes.formatter.use_mathtext": True,
    "figure.dpi": 100,
    "savefig.dpi": DOTS_PER_INCH,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,  # TrueType, embedded: text stays text
}


class SeriesStyle(NamedTuple):
    """What tells one kind from another: `axis.plot(x, y, **style._asdict())`."""

    color: str
    linestyle: Any
    marker: str


# Of Okabe and Ito; lightness (L*) 0, 46, 71, 61, 70, 58, 54, and each with a line style and a marker of its own.
SERIES = (
    SeriesStyle("#000000", "-", "o"),
    SeriesStyle("#0072B2", (0, (4, 1.5)), "s"),
    SeriesStyle("#E69F00", (0, (5, 1, 1, 1)), "^"),
    SeriesStyle("#CC79A7", (0, (1, 1)), "D"),
    SeriesStyle("#56B4E9", (0, (7, 1, 1, 1, 1, 1)), "v"),
    SeriesStyle("#009E73", (0, (2, 2, 6, 2)), "P"),
    SeriesStyle("#D55E00", (0, (1, 3)), "X"),
)
MUTED, ACCENT = "#767676", "#0072B2"  # of a baseline and what is set against it, where there are these two alone
MARK = "#B2182B"  # where a verdict says that something happened


def style() -> AbstractContextManager[None]:
    """The look of all pictures, within a `with`; making and drawing a figure both belong inside."""
    return matplotlib.rc_context(STYLE)


def iteration_colours() -> Colormap:
    """Light (early) to dark (late): viridis turned round, without its lightest fifth, which is lost on white."""
    kept = matplotlib.colormaps["viridis"](np.linspace(0.82, 0.0, 256))
    return LinearSegmentedColormap.from_list("iterations", kept)


def ordered_styles(count: int) -> list[SeriesStyle]:
    """For kinds with an order: light to dark, each with a line style and a marker of its own (up to five kinds)."""
    shares = np.linspace(0.0, 1.0, count) if count > 1 else [1.0]
    colors = [to_hex(iteration_colours()(share)) for share in shares]
    return [SeriesStyle(color, *own[1:]) for color, own in zip(colors, cycle(SERIES))]


def iteration_norm(*iterations: np.ndarray) -> Normalize:
    """One colour scale for all runs that are compared, of iterations `[T]` each: 0 to the last iteration of any."""
    return Normalize(0, max([1, *(int(some[-1]) for some in iterations if len(some))]))


def spectrum_curves(
    axis: Axes,
    spectra: np.ndarray,
    iterations: np.ndarray | None = None,
    norm: Normalize | None = None,
    most: int = MAX_CURVES,
    **options: Any,
) -> list[Line2D]:
    """Curves of sigma_k / sigma_1 over k / N, one per shown iteration, in order; later ones darker and thicker.

    `spectra` are `[T, N]`, or `[N]`, at `iterations` `[T]`, without which they have one colour; `norm` is the colour
    scale, by default of these iterations. At most `most` curves are shown. `options` are those of `axis.plot`.
    """
    spectra = np.atleast_2d(spectra)
    N = spectra.shape[1]
    k = np.arange(1, N + 1) / N
    times = np.arange(len(spectra)) if iterations is None else kept_times(iterations, most)
    lines = []
    for t in times:
        own: dict[str, Any] = {}
        if iterations is not None:
            share = float((norm or iteration_norm(iterations))(iterations[t]))
            own = {"color": iteration_colours()(share), "linewidth": 0.7 + 0.6 * share, "label": f"{iterations[t]:,}"}
        if N <= 3:  # too short for a line
            own["marker"] = "o"
        lines += axis.plot(k, spectra[t], **(own | options))
    return lines


def ratio_limits(spectra: Iterable[np.ndarray], scale: AxisScale) -> tuple[float, float]:
    """Limits of the axis of sigma_k / sigma_1: 0 to 1, or on a log axis from the decade below the smallest value.

    The log axis has at least one decade and ends at `MIN_RATIO`.
    """
    if scale == "linear":
        return -0.03, 1.05
    smallest = min((float(some[some > 0].min()) for some in spectra if (some > 0).any()), default=0.1)
    smallest = min(0.1, max(smallest, MIN_RATIO))
    return float(10.0 ** np.floor(np.log10(smallest) + 1e-9)), 1.5


def ratio_axis(axis: Axes, scale: AxisScale, limits: tuple[float, float]) -> None:
    """Makes y the axis of sigma_k / sigma_1 and x that of k / N."""
    axis.set_yscale(scale)
    if scale == "log":
        axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_ylim(limits)
    axis.set_xlim(0, 1.04)
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])


def iteration_bar(figure: Canvas, axes: Sequence[Axes], norm: Normalize) -> None:
    """The colour scale, at the right of the axes."""
    bar = figure.colorbar(ScalarMappable(norm, iteration_colours()), ax=list(axes), pad=0.015, aspect=40, fraction=0.03)
    bar.set_label("iteration")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def grid_of_panels(
    titles: Sequence[str], columns: int = 5, figure: Canvas | None = None, share: bool = True, aspect: float = 0.75
) -> tuple[Canvas, list[Axes]]:
    """Small multiples, one panel for each title, at most so many `columns` in a row.

    A new `figure` is up to a page wide and as high as the panels need, whose height is `aspect` by their width. If they
    `share` their axes, inner tick labels are left out.
    """
    columns = max(1, min(columns, len(titles)))
    rows = -(-len(titles) // columns)
    if figure is None:
        width = min(PAGE_WIDTH, BESIDE_PANELS + columns * WIDEST_PANEL)
        panel = (width - BESIDE_PANELS) / columns
        lines_of_title = 1 + max(title.count("\n") for title in titles)
        height = rows * (aspect * panel + 0.14 * lines_of_title + (0.12 if share else 0.3)) + 0.6
        figure = Figure(figsize=(width, height), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False).flatten()
    axes: list[Axes] = list(grid[: len(titles)])
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title)
    for empty in grid[len(titles) :]:
        empty.remove()
    for axis in axes[-columns:]:  # the lowest of each column, also above an empty place
        axis.tick_params(labelbottom=True)
    return figure, axes


def grid_of_layers(
    spectra: Mapping[str, np.ndarray], iterations: np.ndarray, title: str, scale: AxisScale = "linear"
) -> Figure:
    """Every layer's spectrum over time, a panel each, all with the same axes (as Fig. 15 to 22).

    `spectra` maps titles of panels to `[T, N]` at `iterations` `[T]`; a single iteration has no colour scale.
    ValueError if there is nothing to draw.
    """
    if not spectra or not len(iterations):
        raise ValueError(f"Expected at least one layer and one iteration, found {len(spectra)} and {len(iterations)}.")
    figure, axes = grid_of_panels(list(spectra))
    assert isinstance(figure, Figure)
    norm, limits = iteration_norm(iterations), ratio_limits(spectra.values(), scale)
    for axis, layer in zip(axes, spectra.values(), strict=True):
        spectrum_curves(axis, layer, iterations, norm)
        ratio_axis(axis, scale, limits)
    figure.supxlabel(K_LABEL)
    figure.supylabel(RATIO_LABEL)
    figure.suptitle(title)
    if len(iterations) > 1:
        iteration_bar(figure, axes, norm)
    return figure


def heat_map(spectra: Mapping[str, Sequence[np.ndarray]], iterations: Sequence[int]) -> Figure:
    """All spectra of a run, T `[N]` of each layer at increasing `iterations`: a strip per layer, k downwards.

    One image within one pair of axes, since it is drawn while training waits.
    """
    times = np.linspace(iterations[0], iterations[-1], MAX_COLUMNS)
    shown = np.searchsorted(iterations, times, side="right") - 1  # the last record at or before each time
    strips = []
    for layer in spectra.values():
        k = np.linspace(0, len(layer[0]), STRIP_LINES, endpoint=False).astype(int)
        strip = np.stack([layer[t] for t in shown], axis=1)[k]
        strips.append(np.pad(strip, ((0, STRIP_GAP), (0, 0)), constant_values=np.nan))
    figure = Figure(figsize=(PAGE_WIDTH, 1 + 0.35 * len(strips)), layout="constrained")
    axis = figure.subplots()
    extent = (iterations[0], max(iterations[-1], iterations[0] + 1), len(strips), 0)
    image = axis.imshow(np.concatenate(strips), "viridis", vmin=0, vmax=1, aspect="auto", extent=extent)
    axis.set_yticks(np.arange(len(strips)) + 0.5, list(spectra))
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("iteration")
    figure.colorbar(image, ax=axis, label=RATIO_LABEL, pad=0.015, aspect=40, fraction=0.03)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """A figure as it looks on a screen, `[H, W, 3]` uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG or PDF, by the suffix, atomically; the same figure gives the same bytes. ValueError otherwise."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"Expected a picture named *.png or *.pdf, found '{path.name}'.")
    metadata = {"CreationDate": None} if suffix == ".pdf" else {"Software": None}
    with style():
        write_atomically(path, lambda file: figure.savefig(file, format=suffix[1:], metadata=metadata))
