"""Scale mini in one picture: samples of both methods beside real images, modes over training, one layer's spectrum."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from reproduce.plan.run import FINISHED
from reproduce.plan.settings import METHODS, Method
from reproduce.results.table import ResultsTable
from srgan.plotting import ACCENT, MUTED, PAGE_WIDTH, RATIO_LABEL, save, style
from srgan.runs.recorded import RecordedRun, recorded_run

COLOURS: Mapping[Method, str] = {"sn": MUTED, "sr": ACCENT}
SHOWN = 0.5  # of a grid's sides
ALT = (
    "Top: real images, samples under SN and under SR-s from the same latents. Bottom: modes (of 1,000) over "
    "training with a narrow and with a wide discriminator, a line for each seed, and the spectrum of one layer at the "
    "end."
)
Pairs = Sequence[Mapping[Method, RecordedRun]]


def save_table_picture(table: ResultsTable, path: Path) -> bool:
    """Draws the rows of the narrowest and the widest discriminator; tells whether any row has both methods.

    Args:
        table: of scale mini; samples and the spectrum are of the first seed that both methods finished.
        path: of the PNG.
    """
    rows = _pairs_by_width(table)
    if not rows:
        return False
    narrow, wide = min(rows), max(rows)
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, 4.6), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[1.1, 1], squeeze=False)[:, 0]
        _samples(above.subplots(1, 3), rows[narrow][0])
        modes, others, spectrum = below.subplots(1, 3)
        _modes(modes, rows[narrow], narrow)
        _modes(others, rows[wide], wide)
        others.sharey(modes)
        _spectrum(spectrum, rows[narrow][0])
        figure.legend(*modes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        save(figure, path)
    return True


def _pairs_by_width(table: ResultsTable) -> dict[int, Pairs]:
    """D's channels -> finished runs of both methods, a pair for each seed, of the first row that has any."""
    found: dict[int, dict[str, list[dict[Method, RecordedRun]]]] = {}
    done = table.runs[table.runs.state == FINISHED]
    for (channels, name, _), pair in done.groupby(["discriminator_channels", "setting", "seed"], sort=False):
        recorded = {line.method: recorded_run(line.folder) for line in pair.itertuples()}
        runs = {method: run for method, run in recorded.items() if run is not None}
        if set(runs) == set(METHODS):
            found.setdefault(channels, {}).setdefault(name, []).append(runs)
    return {channels: next(iter(rows.values())) for channels, rows in found.items()}


def _samples(axes: Sequence[Axes], pair: Mapping[Method, RecordedRun]) -> None:
    pictures = {"real images": pair["sn"].folder.real_images}
    for run in pair.values():
        samples = run.folder.read_samples()
        if samples:
            pictures[f"{run.label} at {max(samples):,}"] = samples[max(samples)]
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, picture) in zip(axes, pictures.items(), strict=False):
        if picture.exists():
            image = imread(picture)
            height, width = (round(SHOWN * side) for side in image.shape[:2])
            axis.imshow(image[:height, :width], interpolation="nearest")
            axis.set_title(title)


def _modes(axis: Axes, pairs: Pairs, channels: int) -> None:
    for number, pair in enumerate(pairs):
        for method, run in pair.items():
            shown = [(row["iteration"], row["modes"]) for row in run.scores]
            label = run.label if number == 0 else None
            axis.plot(*zip(*shown, strict=True), color=COLOURS[method], marker=".", linewidth=1, label=label)
    axis.set_title(f"modes of 1,000, D {channels} channels")
    axis.set_xlabel("iteration")
    axis.set_ylim(0, 1000)


def _spectrum(axis: Axes, pair: Mapping[Method, RecordedRun]) -> None:
    """Of the last convolution that counts for a collapse."""
    for method, run in pair.items():
        if run.spectra is not None and (judged := list(run.spectra.judged())):
            values = run.spectra.spectra[judged[-1]][-1]
            axis.plot(range(1, len(values) + 1), values, color=COLOURS[method], marker=".", linewidth=1)
            axis.set_title(f"{judged[-1]} at the end")
    axis.set_xlabel("k")
    axis.set_ylabel(RATIO_LABEL)
    axis.set_ylim(0, 1.05)


def iteration_axis(axis: Axes, ticks: int = 5) -> None:
    """Labels x."""
    axis.set_xlabel("iteration")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.locator_params(axis="x", nbins=ticks)
