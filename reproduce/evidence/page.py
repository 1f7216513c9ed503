"""The evidence as pages and pictures: evidence.md for a reader of five minutes, claims.md and runs.csv with all."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogLocator, NullFormatter
from pandas import DataFrame, Series
from rich.console import Console

from reproduce.evidence import claims
from reproduce.evidence.claims import FID, METHODS, SHOWN_METHODS, Answer, paired
from reproduce.evidence.null_curves import noise_of
from reproduce.evidence.records import BASELINE, EARLY, LATE, Evidence, with_their_past
from reproduce.plan.variants import SCALE_CONTROL
from reproduce.results.generated import markdown_table
from reproduce.results.picture import iteration_axis, show_images
from reproduce.results.significance import INCONCLUSIVE, UNABLE
from srgan.plotting import ACCENT, DOTS_PER_INCH, MUTED, PAGE_WIDTH, SERIES, SeriesStyle, save, style
from srgan.utils.files import write_text

TEMPLATES = Path(__file__).parent
DECIDED = (claims.SUPPORTED, claims.CONTRADICTED, claims.BY_CONSTRUCTION)
UNDECIDED = (INCONCLUSIVE, UNABLE, claims.EXPLORATORY)
CAPTION = (
    "Scores, spectra and gradients over training: lines are medians over seeds; bands (SN, SR-s, SR-d) span all seeds; "
    "the thinnest lines are the null model, in which weights are updated by noise alone"
)
HERO_COLOURS = {BASELINE: MUTED, "SR-s": ACCENT}
HERO_LAYER = "blocks.1.conv2"  # the layer whose first half falls most under SN, averaged over the seeds
HERO_PIXELS = WIDTH, HEIGHT = (1_200, 450)
HERO_TYPE = 25 * 100 / DOTS_PER_INCH  # points: 11 pixels where the picture is 390 pixels wide, as on a phone


def write_pages(runs: Sequence[Evidence], root: Path, console: Console) -> None:
    """`evidence.md`, `claims.md`, `runs.csv` and a picture of each setting; the results go to the terminal too."""
    whole = with_their_past(runs)
    # The one with the most runs comes first.
    settings = [setting for setting, _ in Counter(run.setting for run in runs).most_common()]
    summaries, results, sections = [], [], []
    for setting in settings:
        some = [run for run in whole if run.setting == setting]
        answered = claims.answers(some)
        summaries.append(summary_of(setting, answered))
        results.append(f"### {setting}\n\n{markdown_table(method_table(some))}\n![{CAPTION}]({setting}.png)\n")
        lines = [[one.place, one.claim, f"**{one.verdict}**", one.numbers] for one in answered]
        table = markdown_table(DataFrame(lines, columns=["section", "claim", "verdict", "numbers"]))
        sections.append(f"## {setting}\n\n{table}\n{contingency(some)}\n")
        save_picture([run for run in runs if run.setting == setting], root / f"{setting}.png")
    commits = ", ".join(sorted({run.commit[:8] + run.commit[40:] for run in runs if run.commit}))
    parts = {"summary": summaries, "results": results, "claims": sections}
    filled = {name: "\n".join(texts).rstrip() for name, texts in parts.items()} | {"commits": commits}
    for name in ("evidence", "claims"):
        template = Template((TEMPLATES / f"{name}.template.md").read_text(encoding="utf-8"))
        write_text(root / f"{name}.md", template.substitute(filled))
    write_text(root / "runs.csv", str(run_table(whole).to_csv(index=False, lineterminator="\n")))
    console.print("\n".join([*summaries, *results]), highlight=False, soft_wrap=True)


def summary_of(setting: str, answered: Sequence[Answer]) -> str:
    """The primary claim, which comes first, and what is decided of the others."""
    primary, *others = answered
    lines = [f"**{setting}.** {primary.claim}: **{primary.verdict}**. {primary.numbers}\n"]
    decided = [[one.claim, f"**{one.verdict}**"] for one in others if one.verdict in DECIDED]
    if decided:
        lines.append(markdown_table(DataFrame(decided, columns=["claim", "verdict"])))
    counts = {kind: sum(one.verdict.startswith(kind) for one in others) for kind in UNDECIDED}
    undecided = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    lines.append(f"[Other claims](claims.md#{setting.lower()}): {undecided or 'none'}.\n")
    return "\n".join(lines)


def method_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each method: final FID by seed, and against SN; recall where it was measured."""
    seeds, lines = sorted({run.seed for run in runs}), []
    for method in SHOWN_METHODS:
        own = [run for run in runs if run.method == method]
        late = {run.seed: f"{FID.of(run):.1f}" for run in own}
        recall = {run.seed: f"{run.recall:.2f}" for run in own if run.recall is not None}
        by_seed = [", ".join(found.get(seed, "–") for seed in seeds) if found else "–" for found in (late, recall)]
        against = ["–", "–", "–"]
        if method != BASELINE and (pairs := paired(runs, method)):
            compared = FID.compared(pairs)
            against = [f"{compared.ahead} of {compared.n}", f"{compared.change:+.0%}", compared.interval_text]
        lines += [[method, *against, *by_seed]] if own else []
    columns = ["method", "wins against SN", "relative change (geometric mean)", "95 % interval"]
    return DataFrame(lines, columns=[*columns, f"final FID_cls, seeds {', '.join(map(str, seeds))}", "recall"])


def contingency(runs: Sequence[Evidence]) -> str:
    """How often mode collapse and spectral collapse coincide under SN; under SR spectra cannot collapse by the rule."""
    sn = [run for run in runs if run.method == BASELINE]
    counts = Counter((run.mode_collapse is not None, run.spectral_collapse is not None) for run in sn)
    return (
        f"Of {len(sn)} runs under SN, modes and spectra collapsed in {counts[True, True]}, modes only in "
        f"{counts[True, False]}, spectra only in {counts[False, True]}, neither in {counts[False, False]}."
    )


def run_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each run, of runs as `answers` takes them; empty where something was not recorded."""

    def text(number: float | None, form: str = ".2f") -> str:
        return "" if number is None or np.isnan(number) else format(number, form)

    lines = [
        {
            "setting": run.setting,
            "method": run.method,
            "seed": run.seed,
            "best FID_cls": text(run.best("FID_cls")),
            "final FID_cls": text(run.late("FID_cls")),
            "final IS_cls": text(run.late("IS_cls")),
            "tail / its maximum": text(run.fall),
            "first half": text(run.first_half.iloc[-1]),
            "gradient left": text(run.kept_gradient),
            "early σ₁": text(run.scale(after=0, until=EARLY)),
            "final σ₁": text(run.scale(after=LATE, until=1)),
            "p of a rising FID": text(run.p_of_rising, ".2g"),
            "tail decays from": run.decay_onset or "no",
            "mode collapse": run.mode_collapse or "no",
            # The scale control keeps σ₁ alone, by which nothing can be judged.
            "spectral collapse": "" if run.method == SCALE_CONTROL.label else run.spectral_collapse or "no",
            "precision": text(run.precision),
            "recall": text(run.recall, ".3f"),
            "processor": run.processor,
            "commit": run.commit,
        }
        for run in runs
    ]
    return DataFrame(lines)


def save_picture(runs: Sequence[Evidence], path: Path) -> None:
    """Of one setting: panels of FID_cls, means of D's spectra and its gradients, and below them samples."""
    samples = with_samples(runs)
    heights = [2.6, 2.1] if samples else [2.6]
    with style():
        figure = Figure(figsize=(PAGE_WIDTH, sum(heights)), layout="constrained")
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        _curves(parts[0], runs)
        if samples:
            axes = parts[1].subplots(1, len(samples), squeeze=False)[0]
            show_images(axes, {run.method: path.parent / str(run.samples) for run in samples})
            first = samples[0]
            parts[1].suptitle(f"{first.setting}: the same latents at the end, seed {first.seed}", fontsize="medium")
        save(figure, path)


def with_samples(runs: Sequence[Evidence]) -> list[Evidence]:
    """Of one setting, those of the seed with samples of the most methods, the smallest of such seeds."""
    kept = [run for method in SHOWN_METHODS for run in runs if run.method == method and run.samples]
    seeds = Counter(run.seed for run in kept)
    shown = min(seeds, key=lambda seed: (-seeds[seed], seed), default=None)
    return [run for run in kept if run.seed == shown]


def _curves(figure: SubFigure, runs: Sequence[Evidence]) -> None:
    panels = scores, spectra, gradients = figure.subplots(1, 3)
    noise = noise_of(runs[0].setting)
    noise = noise[noise.persistence == noise.persistence.min()]  # white, or nearly so: no parameter to choose
    for look, method in zip(SERIES, SHOWN_METHODS, strict=True):
        chosen = [run for run in runs if run.method == method]
        if not chosen:
            continue
        band = method in METHODS
        _median(scores, [run.scores["FID_cls"] for run in chosen], look, band, label=f"{method} (n = {len(chosen)})")
        _median(spectra, [run.first_half for run in chosen], look, band)
        _median(spectra, [run.mean_tail for run in chosen], look, band, linewidth=0.6)
        curve = noise[noise.method == method].set_index("iteration")
        spectra.plot(curve[["first_half", "tail"]], color=look.color, linewidth=0.35)
        _median(gradients, [run.signals["gradient"] for run in chosen], look, band)
    scores.set(title=f"{runs[0].setting}: FID_cls", yscale="log")
    spectra.set(title=r"$\sigma_k / \sigma_1$: k ≤ N/2; thin: k > N/4", ylim=(0, 1.02))
    gradients.set(title="norm of D's gradient", yscale="log")
    scores.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    scores.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    scores.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(*scores.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    for axis in panels:
        iteration_axis(axis, ticks=4)


def _median(axis: Axes, curves: Sequence[Series], look: SeriesStyle, band: bool, **options: Any) -> None:
    """Over seeds, on a band from the smallest to the largest; runs that branched off begin later."""
    values = pd.concat(curves, axis="columns")
    axis.plot(values.median(axis=1), color=look.color, linestyle=look.linestyle, **options)
    if band:
        low, high = values.min(axis=1), values.max(axis=1)
        axis.fill_between(values.index, low, high, color=look.color, alpha=0.18, linewidth=0)


def save_hero(runs: Sequence[Evidence], path: Path) -> None:
    """The README's picture: FID under SN and SR-s seed by seed, and what one layer's spectrum does meanwhile."""
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
    limits = {"xlim": (0, 1.1 * max(before for before, _ in scores)), "ylim": (-0.6, len(scores) + 0.2)}
    axis.set(**limits, xticks=[0, 10, 20], yticks=[])


def _layer(axis: Axes, runs: Sequence[Evidence]) -> None:
    """The mean of sigma_k / sigma_1 over k <= N / 2 in one layer, a line for each run."""
    for run in runs:
        axis.plot(run.held[HERO_LAYER], color=HERO_COLOURS[run.method], linewidth=1.2)
    axis.text(9_800, 1.02, "SR-s", color=ACCENT, fontsize=HERO_TYPE, ha="right", va="bottom")
    axis.text(600, 0.62, "SN", color=MUTED, fontsize=HERO_TYPE)
    axis.set_title("One layer: mean of $\\sigma_k/\\sigma_1$, k ≤ N/2", fontsize=HERO_TYPE, pad=8)
    axis.set(xlim=(0, runs[0].iterations), ylim=(0.5, 1.1), yticks=[0.6, 0.8, 1.0])
    axis.set_xticks([0, 5_000, 10_000], ["0", "5k", "10k"])
