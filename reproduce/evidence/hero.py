"""The README's picture: FID under SN and under SR-s seed by seed, and what one layer's spectrum does meanwhile."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from reproduce.evidence.records import BASELINE, Evidence
from srgan.plotting import ACCENT, DOTS_PER_INCH, MUTED, save, style

METHODS = (BASELINE, "SR-s")
COLOURS = {BASELINE: MUTED, "SR-s": ACCENT}
LAYER = "blocks.1.conv2"  # the layer whose first half falls most under SN, averaged over the seeds
PIXELS = (1_200, 450)
TYPE = 25 * 100 / DOTS_PER_INCH  # points: 11 pixels where the picture is 390 pixels wide, as on a phone


def save_hero(runs: Sequence[Evidence], path: Path) -> None:
    """Two panels, two colours, labels on the lines.

    Args:
        runs: of one setting; the seeds that both methods have are drawn.
        path: of the PNG.

    Raises:
        ValueError: no seed has both methods.
    """
    found = {(run.method, run.seed): run for run in runs if run.method in METHODS}
    seeds = sorted(seed for method, seed in found if method == BASELINE and ("SR-s", seed) in found)
    if not seeds:
        raise ValueError("Expected a seed with runs of SN and SR-s, found none. Run make reproduce-collapse first.")
    pairs = [(found[BASELINE, seed], found["SR-s", seed]) for seed in seeds]
    with style():
        figure = Figure(figsize=(PIXELS[0] / DOTS_PER_INCH, PIXELS[1] / DOTS_PER_INCH), layout="constrained")
        scores, spectra = figure.subplots(1, 2)
        _arrows(scores, [(sn.late("FID_cls"), sr.late("FID_cls")) for sn, sr in pairs])
        _first_half(spectra, pairs)
        for axis in (scores, spectra):
            axis.spines[["top", "right"]].set_visible(False)
            axis.tick_params(labelsize=TYPE)
        save(figure, path)


def _arrows(axis: Axes, scores: Sequence[tuple[float, float]]) -> None:
    """One arrow a seed, from SN's FID to SR-s's."""
    for height, (before, after) in enumerate(sorted(scores, reverse=True)):
        arrow = {"arrowstyle": "-|>", "linewidth": 2, "mutation_scale": 15, "color": COLOURS["SR-s"], "shrinkA": 5}
        axis.annotate("", (after, height), (before, height), arrowprops=arrow)
        axis.plot(before, height, "o", color=COLOURS[BASELINE], markersize=8)
    top = len(scores) - 0.35
    for method, values in zip(METHODS, zip(*scores, strict=True), strict=True):
        axis.text(mean(values), top, method, color=COLOURS[method], fontsize=TYPE, ha="center")
    axis.set_title(f"FID after training, {len(scores)} seeds", fontsize=TYPE, pad=8)
    axis.set_ylim(-0.6, len(scores) + 0.2)
    axis.set_xlim(0, 1.1 * max(before for before, _ in scores))
    axis.set_xticks([0, 10, 20])
    axis.yaxis.set_major_locator(NullLocator())


def _first_half(axis: Axes, pairs: Sequence[tuple[Evidence, Evidence]]) -> None:
    """The mean of sigma_k / sigma_1 over k <= N / 2 in one layer, a line for each run."""
    for runs in zip(*pairs, strict=True):
        for run in runs:
            axis.plot(run.held["iteration"], run.held[LAYER], color=COLOURS[run.method], linewidth=1.2)
    axis.text(9_800, 1.02, "SR-s", color=COLOURS["SR-s"], fontsize=TYPE, ha="right", va="bottom")
    axis.text(600, 0.62, "SN", color=COLOURS[BASELINE], fontsize=TYPE)
    axis.set_title("One layer: mean of $\\sigma_k/\\sigma_1$, k ≤ N/2", fontsize=TYPE, pad=8)
    axis.set_ylim(0.5, 1.1)
    axis.set_yticks([0.6, 0.8, 1.0])
    axis.set_xlim(0, pairs[0][0].iterations)
    axis.set_xticks([0, 5_000, 10_000], ["0", "5k", "10k"])
