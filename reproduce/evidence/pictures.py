"""The evidence as pictures: of each setting scores, spectra, gradients and samples; the README's, of one setting."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import imread
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator
from pandas import Series

from reproduce.evidence.claims import METHODS, SHOWN_METHODS, paired
from reproduce.evidence.null_curves import noise_of, white
from reproduce.evidence.records import BASELINE, Evidence
from reproduce.results.picture import iteration_axis
from srgan.plotting import ACCENT, DOTS_PER_INCH, MUTED, PAGE_WIDTH, SERIES, SeriesStyle, save, style

CAPTION = (
    "Scores, spectra and gradients over training: lines are medians over seeds; bands (SN, SR-s, SR-d) span all seeds; "
    "the thinnest lines are the null model, in which weights are updated by noise alone"
)
HERO_COLOURS = {BASELINE: MUTED, "SR-s": ACCENT}
HERO_LAYER = "blocks.1.conv2"  # the layer whose first half falls most under SN, averaged over the seeds
HERO_PIXELS = WIDTH, HEIGHT = (1_200, 450)
HERO_TYPE = 25 * 100 / DOTS_PER_INCH  # points: 11 pixels where the picture is 390 pixels wide, as on a phone


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
    noise = white(noise_of(runs[0].setting))
    for look, method in zip(SERIES, SHOWN_METHODS, strict=True):
        chosen = [run for run in runs if run.method == method]
        if not chosen:
            continue
        band = method in METHODS
        _median(scores, [run.scores["FID_cls"] for run in chosen], look, band, f"{method} (n = {len(chosen)})")
        _median(spectra, [run.first_half for run in chosen], look, band)
        _median(spectra, [run.mean_tail for run in chosen], look, band, width=0.6)
        for measure in ("first_half", "tail"):
            curve = noise[noise.method == method]
            spectra.plot(curve.iteration, curve[measure], color=look.color, linewidth=0.35)
        _median(gradients, [run.signals["gradient"] for run in chosen], look, band)
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
        iteration_axis(axis, ticks=4)


def _median(
    axis: Axes,
    curves: Sequence[Series],
    look: SeriesStyle,
    band: bool,
    label: str | None = None,
    width: float | None = None,
) -> None:
    """Over seeds, on a band from the smallest to the largest; runs that branched off begin later."""
    values = pd.concat(curves, axis="columns")
    axis.plot(values.median(axis=1), color=look.color, linestyle=look.linestyle, linewidth=width, label=label)
    if band:
        low, high = values.min(axis=1), values.max(axis=1)
        axis.fill_between(values.index, low, high, color=look.color, alpha=0.18, linewidth=0)


def save_hero(runs: Sequence[Evidence], path: Path) -> None:
    """The README's picture: FID under SN and SR-s seed by seed, and what one layer's spectrum does meanwhile.

    Args:
        runs: of one setting; the seeds that both methods have are drawn.
        path: of the PNG.

    Raises:
        ValueError: no seed has both methods.
    """
    pairs = sorted(paired(runs, "SR-s"), key=lambda pair: pair[0].seed)
    if not pairs:
        raise ValueError("Expected a seed with runs of SN and SR-s, found none. Run make reproduce-collapse first.")
    with style():
        figure = Figure(figsize=(WIDTH / DOTS_PER_INCH, HEIGHT / DOTS_PER_INCH), layout="constrained")
        scores, spectra = figure.subplots(1, 2)
        _arrows(scores, [(sn.late("FID_cls"), sr.late("FID_cls")) for sn, sr in pairs])
        _layer(spectra, [run for side in zip(*pairs, strict=True) for run in side])
        for axis in (scores, spectra):
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=HERO_TYPE)
        save(figure, path)


def _arrows(axis: Axes, scores: Sequence[tuple[float, float]]) -> None:
    """One arrow a seed, from SN's FID to SR-s's."""
    for height, (before, after) in enumerate(sorted(scores, reverse=True)):
        arrow = {"arrowstyle": "-|>", "linewidth": 2, "mutation_scale": 15, "color": ACCENT, "shrinkA": 5, "shrinkB": 0}
        axis.annotate("", (after, height), (before, height), arrowprops=arrow)
        axis.plot(before, height, "o", color=MUTED, markersize=8)
    for (method, colour), values in zip(HERO_COLOURS.items(), zip(*scores, strict=True), strict=True):
        middle = sum(values) / len(values)
        axis.text(middle, len(scores) - 0.35, method, color=colour, fontsize=HERO_TYPE, ha="center")
    axis.set_title(f"Final FID_cls, {len(scores)} seeds", fontsize=HERO_TYPE, pad=8)
    axis.set_ylim(-0.6, len(scores) + 0.2)
    axis.set_xlim(0, 1.1 * max(before for before, _ in scores))
    axis.set_xticks([0, 10, 20])
    axis.yaxis.set_major_locator(NullLocator())


def _layer(axis: Axes, runs: Sequence[Evidence]) -> None:
    """The mean of sigma_k / sigma_1 over k <= N / 2 in one layer, a line for each run."""
    for run in runs:
        axis.plot(run.held[HERO_LAYER], color=HERO_COLOURS[run.method], linewidth=1.2)
    axis.text(9_800, 1.02, "SR-s", color=ACCENT, fontsize=HERO_TYPE, ha="right", va="bottom")
    axis.text(600, 0.62, "SN", color=MUTED, fontsize=HERO_TYPE)
    axis.set_title("One layer: mean of $\\sigma_k/\\sigma_1$, k ≤ N/2", fontsize=HERO_TYPE, pad=8)
    axis.set_ylim(0.5, 1.1)
    axis.set_yticks([0.6, 0.8, 1.0])
    axis.set_xlim(0, runs[0].iterations)
    axis.set_xticks([0, 5_000, 10_000], ["0", "5k", "10k"])
