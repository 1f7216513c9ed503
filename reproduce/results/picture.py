"""Scale mini in one picture: samples of both methods beside real images, modes over training, one layer's spectrum."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from reproduce.plan.run import FINISHED
from reproduce.plan.settings import METHODS, Method
from reproduce.plan.table_runs import TableRun
from srgan.plotting import PAGE_WIDTH, RATIO_LABEL, save, style
from srgan.runs.recorded import RecordedRun, recorded_run

COLOURS: Mapping[Method, str] = {"sn": "#767676", "sr": "#0072B2"}
SHOWN = 0.5  # of a grid's sides
ALT = (
    "Top: real images, samples under SN and under SR-s from the same latents. Bottom: modes over training with a "
    "narrow and with a wide discriminator, a line for each seed, and the spectrum of one layer at the end."
)
Pairs = Sequence[Mapping[Method, RecordedRun]]


def save_table_picture(runs: Sequence[TableRun], path: Path) -> bool:
    """Draws the rows of the narrowest and the widest discriminator; tells whether any row has both methods.

    Args:
        runs: of one table; samples and the spectrum are of the first seed that both methods finished.
        path: of the PNG.
    """
    rows = _pairs_by_width(runs)
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


def _pairs_by_width(runs: Sequence[TableRun]) -> dict[int, Pairs]:
    """D's channels -> finished runs of both methods, a pair for each seed, of the first row that has any."""
    found: dict[int, dict[str, list[dict[Method, RecordedRun]]]] = {}
    cells = {(run.setting.name, run.seed, run.method): run for run in runs if run.state == FINISHED}
    for name, seed in dict.fromkeys((run.setting.name, run.seed) for run in runs):
        both = {method: cells[name, seed, method] for method in METHODS if (name, seed, method) in cells}
        if len(both) == len(METHODS):
            recorded = {method: recorded_run(run.folder) for method, run in both.items()}
            pair = {method: run for method, run in recorded.items() if run is not None}
            found.setdefault(both["sn"].discriminator_channels, {}).setdefault(name, []).append(pair)
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
