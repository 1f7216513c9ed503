"""A setting's evidence as one picture: scores, spectra and gradients with bands over seeds, samples."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import imread
from matplotlib.ticker import LogLocator, NullFormatter

from reproduce.evidence.claims import METHODS, SHOWN_METHODS
from reproduce.evidence.null_curves import noise_of, white
from reproduce.evidence.records import Evidence
from srgan.plotting import PAGE_WIDTH, SERIES, SeriesStyle, save, style

PICTURE = (
    "Scores, spectra and gradients over training: medians over the seeds of each method, under SN, SR-s and SR-d on "
    "bands from the smallest to the largest; hairlines: the null model, what noise alone does to the spectra"
)


def save_picture(runs: Sequence[Evidence], path: Path) -> None:
    """Of one setting: panels of FID_cls, means of D's spectra and its gradients, and below them samples.

    Args:
        runs: whose samples are named relative to the folder of the picture.
        path: of the PNG.
    """
    samples = with_samples(runs)
    heights = [2.6, 2.1] if samples else [2.6]
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        _curves(parts[0], runs)
        if samples:
            _samples(parts[1], samples, path.parent)
        save(figure, path)


def with_samples(runs: Sequence[Evidence]) -> list[Evidence]:
    """Of one setting, those of the seed with samples of the most methods, the smallest of such seeds."""
    kept = [run for method in SHOWN_METHODS for run in runs if run.method == method and run.samples]
    seeds = Counter(run.seed for run in kept)
    shown = min(seeds, key=lambda seed: (-seeds[seed], seed), default=None)
    return [run for run in kept if run.seed == shown]


def _samples(figure: SubFigure, runs: Sequence[Evidence], folder: Path) -> None:
    axes = figure.subplots(1, len(runs), squeeze=False)[0]
    for axis, run in zip(axes, runs, strict=True):
        assert run.samples
        axis.imshow(imread(folder / run.samples), interpolation="nearest")
        axis.set_title(run.method)
        axis.set_axis_off()
    figure.suptitle(f"{runs[0].setting}: the same latents at the end, seed {runs[0].seed}", fontsize="medium")


def _curves(figure: SubFigure, runs: Sequence[Evidence]) -> None:
    panels = scores, spectra, gradients = figure.subplots(1, 3)
    for look, method in zip(SERIES, SHOWN_METHODS, strict=True):
        chosen = [run for run in runs if run.method == method]
        if not chosen:
            continue
        label = f"{method} (n = {len(chosen)})"
        band = method in METHODS
        of_scores = [(run.scores["iteration"], np.array(run.scores["FID_cls"])) for run in chosen]
        _median(scores, of_scores, look, band, label)
        _median(spectra, [(run.held["iteration"], run.mean_held) for run in chosen], look, band)
        _median(spectra, [(run.tails["iteration"], run.mean_tail) for run in chosen], look, band, width=0.6)
        noise = white(noise_of(runs[0].setting)).get(method)
        if noise:
            for curve in (noise.first_half, noise.tail):
                begun = [(at, value) for at, value in zip(noise.iteration, curve, strict=True) if at > noise.start]
                spectra.plot(*zip(*begun, strict=True), color=look.color, linewidth=0.35)
        signals = [(run.signals["iteration"], np.array(run.signals["gradient"])) for run in chosen]
        _median(gradients, signals, look, band)
    scores.set_title(f"{runs[0].setting}: FID_cls")
    spectra.set_title(r"$\sigma_k / \sigma_1$: k ≤ N/2; thin: k > N/4")
    spectra.set_ylim(0, 1.02)
    gradients.set_title("norm of D's gradient")
    for axis in (scores, gradients):
        axis.set_yscale("log")
    scores.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    scores.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    scores.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(*scores.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    for axis in panels:
        axis.set_xlabel("iteration")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.locator_params(axis="x", nbins=4)


def _median(
    axis: Axes,
    curves: Sequence[tuple[list[float], np.ndarray]],
    look: SeriesStyle,
    band: bool,
    label: str | None = None,
    width: float | None = None,
) -> None:
    """Over seeds, on a band from the smallest to the largest; runs that branched off begin later."""
    iterations, values = curves[0][0], np.stack([curve for _, curve in curves])
    median = np.median(values, axis=0)
    axis.plot(iterations, median, color=look.color, linestyle=look.linestyle, linewidth=width, label=label)
    if band:
        axis.fill_between(iterations, values.min(axis=0), values.max(axis=0), color=look.color, alpha=0.18, linewidth=0)
