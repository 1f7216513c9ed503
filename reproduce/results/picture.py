"""Scale mini in one picture: samples of both methods beside real images, modes over training, one layer's spectrum."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread
from pandas import DataFrame

from reproduce.plan.run import FINISHED
from reproduce.plan.settings import METHODS, Method
from reproduce.results.table import ResultsTable
from srgan.plotting import ACCENT, MUTED, PAGE_WIDTH, RATIO_LABEL, save, style
from srgan.runs.recorded import RecordedRun, recorded_run

COLOURS: Mapping[Method, str] = {"sn": MUTED, "sr": ACCENT}
SHOWN = 0.5  # of a grid's sides
Pairs = Sequence[Mapping[Method, RecordedRun]]


def save_table_picture(table: ResultsTable, path: Path) -> bool:
    """Draws the rows of scale mini's narrowest and widest discriminator; tells whether both methods have any.

    Samples and the spectrum are of the first seed that both methods finished.
    """
    done = table.runs[table.runs.state == FINISHED]
    both = done.groupby(["setting", "seed"]).filter(lambda pair: len(pair) == len(METHODS))
    if both.empty:
        return False
    narrow, wide = both.discriminator_channels.min(), both.discriminator_channels.max()
    of_narrow, of_wide = (_pairs(both[both.discriminator_channels == channels]) for channels in (narrow, wide))
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, 4.6), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.1, 1], squeeze=False)[:, 0]
        first = of_narrow[0]
        samples = {run: run.folder.read_samples() for run in first.values()}
        grids = {f"{run.label} at {max(found):,}": found[max(found)] for run, found in samples.items() if found}
        show_images(above.subplots(1, 3), {"real images": first["sn"].folder.real_images, **grids}, SHOWN)
        modes, others, spectrum = below.subplots(1, 3)
        _modes(modes, of_narrow, narrow)
        _modes(others, of_wide, wide)
        others.sharey(modes)
        for method, run in first.items():
            if run.spectra is not None and (judged := list(run.spectra.judged())):
                values = run.spectra.spectra[judged[-1]][-1]
                spectrum.plot(range(1, len(values) + 1), values, color=COLOURS[method], marker=".", linewidth=1)
                spectrum.set_title(f"{judged[-1]} at the end")
        spectrum.set(xlabel="k", ylabel=RATIO_LABEL, ylim=(0, 1.05))
        figure.legend(*modes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        save(figure, path)
    return True


def _pairs(runs: DataFrame) -> Pairs:
    """A pair of both methods for each seed, of the first row that there is."""
    seeds = runs[runs.setting == runs.setting.iloc[0]].groupby("seed", sort=False)
    lines = [[(line.method, recorded_run(line.folder)) for line in pair.itertuples()] for _, pair in seeds]
    return [{method: run for method, run in line if run} for line in lines]


def _modes(axis: Axes, pairs: Pairs, channels: int) -> None:
    for number, pair in enumerate(pairs):
        for method, run in pair.items():
            shown = [(row["iteration"], row["modes"]) for row in run.scores]
            label = run.label if number == 0 else None
            axis.plot(*zip(*shown, strict=True), color=COLOURS[method], marker=".", linewidth=1, label=label)
    axis.set(title=f"modes of 1,000, D {channels} channels", xlabel="iteration", ylim=(0, 1000))


def show_images(axes: Sequence[Axes], pictures: Mapping[str, Path], share: float = 1.0) -> None:
    """Files of images under their titles; a share of their sides, from the upper left."""
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, path) in zip(axes, pictures.items(), strict=False):
        if path.exists():
            image = imread(path)
            height, width = (round(share * side) for side in image.shape[:2])
            axis.imshow(image[:height, :width], interpolation="nearest")
            axis.set_title(title)


def iteration_axis(axis: Axes, ticks: int = 5) -> None:
    axis.set_xlabel("iteration")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.locator_params(axis="x", nbins=ticks)
