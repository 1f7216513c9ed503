"""A run's histories as plotly figures, in the sections in which the page shows them.

A figure is a dictionary of plotly's "data" and "layout" and of what `page/page.js` has to know: "title", "note" (shown
below it), "time" (its horizontal axis is the iteration, so that marks and the slider's moment are drawn in it) and
"overlay" (in a comparison its last line, one for each run, goes into one plot).

A trace whose "meta" names a history gets its values from there: a heat map all of them, a line those at the moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from srgan.metrics.verdicts import is_lower_better, summarize
from srgan.report.reading import Recording, Rows, is_number, number_names
from srgan.report.thinning import kept_positions, kept_times, rounded
from srgan.runs import SpectraHistory, SpectralLayer

Figure = dict[str, Any]
Section = dict[str, Any]
History = dict[str, Any]

MOST_TIMES = 250
MOST_POSITIONS = 128  # of k per layer
MOST_ROWS = 400  # of losses; half as many of gradient norms
MOST_HISTOGRAMS = 60
HISTOGRAM_BINS = 48
SHARE = [0, 1.03]

COLORS = ("#3B82C4", "#D55E00", "#009E73", "#CC79A7", "#C99700", "#7B61C9", "#8A8F98", "#56B4E9")
"""Of lines, told apart on white and on black, by lightness too (after Okabe and Ito)."""
DASHES = ("solid", "dash", "dot")

SCORES = {
    "FID": "Fréchet distance to the real images (Inception features); lower is better",
    "FID_cls": "Fréchet distance to the real images (features of a classifier of this data); lower is better",
    "IS": "Inception score; higher is better",
    "IS_cls": "Inception score by a classifier of this data; higher is better",
    "modes": "how many kinds of image the generator still makes; higher is better",
    "modes_kl": "how unevenly the modes are hit (KL to the data); lower is better",
    "KID": "kernel distance to the real images; lower is better",
    "precision": "share of generated images that look real",
    "recall": "share of the real images that the generator covers",
    "density": "how densely real neighbourhoods are hit",
    "coverage": "share of real neighbourhoods that are hit",
}


def sections(run: Recording, most_values: int) -> tuple[list[Section], dict[str, History]]:
    """Everything that is drawn of a run. Every run has the same sections, those without figures a "missing" sentence.

    Args:
        run: which.
        most_values: spectral values to keep, over all times, layers and k.

    Returns:
        the sections, and the histories by name: "times" [T] and "values" [K][T].
    """
    spectra, histories = _spectra(run, most_values)
    losses, outputs = _losses(run)
    return [spectra, _ranks(run), _scores(run), losses, _gradients(run)], histories | outputs


def numbers(run: Recording) -> tuple[list[tuple[SpectralLayer, list[int]]], list[list[str]]]:
    """The table of layers, whose cells follow the slider.

    Returns:
        each layer with the indexes of its cells, and of each cell its text at `times(run)`.
    """
    rows, cells = [], []
    for layer in run.spectra.layers if run.spectra else []:
        history = run.spectra
        kept = kept_spectra(run)
        summary = summarize(history.spectra[layer.name], run.thresholds)
        columns = (summary.tail_mean, summary.effective_rank, summary.stable_rank, history.sigma_1[layer.name])
        rows.append((layer, list(range(len(cells), len(cells) + 5))))
        cells += [[f"{value:.4g}" for value in column[kept]] for column in columns]
        states = ["collapsed" if collapsed else "holds" for collapsed in summary.collapsed[kept]]
        cells.append(states if layer.is_judged else ["not judged"] * len(kept))
    return rows, cells


def times(run: Recording) -> list[int]:
    """Iterations at which the slider stops: of spectra, else of whatever there is."""
    if run.spectra is not None:
        found: list[int] = run.spectra.iterations[kept_spectra(run)].tolist()
        return found
    return sorted({0, *run.folder.read_samples(), *(int(row["iteration"]) for row in [*run.losses, *run.scores])})


def kept_spectra(run: Recording) -> np.ndarray:
    """Indexes of the records of spectra that a page keeps."""
    assert run.spectra is not None
    return kept_times(run.spectra.iterations, MOST_TIMES, run.required)


def _spectra(run: Recording, most_values: int) -> tuple[Section, dict[str, History]]:
    """Each layer's spectrum at the moment, and over time as a heat map."""
    title = "Spectra of the discriminator’s layers"
    if run.spectra is None:
        missing = "No spectra were recorded (spectra.every is 0, or the run has just begun)."
        return _section(title, "", [], missing), {}
    layers = _wide_layers(run.spectra)
    skipped = [layer.name for layer in run.spectra.layers if layer.rank == 1]
    kept = kept_spectra(run)
    most_positions = min(MOST_POSITIONS, max(most_values // (len(kept) * max(len(layers), 1)), 24))
    groups, histories = [], {}
    for layer in layers:
        spectra, positions = run.spectra.spectra[layer.name], kept_positions(layer.rank, most_positions)
        values = spectra[kept][:, positions]
        times = run.spectra.iterations[kept].tolist()
        histories[layer.name] = {"times": times, "values": [rounded(row, 3) for row in values.T]}
        share = rounded((positions + 1) / layer.rank)
        curves = [_line("at the first record", share, rounded(values[0], 3), 6, dash="dot")]
        if run.best:
            at = np.searchsorted(run.spectra.iterations[kept], run.best["iteration"], side="right") - 1
            curves += [_line(f"at the best {run.best['score']}", share, rounded(values[max(at, 0)], 3), 0, dash="dash")]
        curves += [_line("at the slider’s iteration", share, [], 1) | {"meta": layer.name}]
        heat = {"type": "heatmap", "y": rounded((positions + 0.5) / layer.rank), "meta": layer.name}
        figures = [
            _figure(
                "at the slider’s iteration",
                curves,
                f"k / N (N = {layer.rank})",
                SHARE,
                "σₖ / σ₁",
                SHARE,
                overlay=True,
                spectrum=True,
            ),
            _figure("over training", [heat], "iteration", None, "k / N", [0, 1]),
        ]
        groups.append({"title": layer.name, "figures": figures})
    caption = (
        "The spectrum of a layer: its singular values σₖ over the largest, σ₁, from k = 1 to N, at the slider’s "
        "iteration as a curve and over training as colour. A curve that hugs the top uses all its directions; one that "
        "falls at once uses few."
    )
    if skipped:
        caption += f" Not shown: {', '.join(skipped)}, which has one singular value."
    if len(kept) < len(run.spectra.iterations):
        caption += f" {len(kept)} of {len(run.spectra.iterations)} records are kept on this page."
    return _section(title, caption, groups, name="spectra"), histories


def _ranks(run: Recording) -> Section:
    """What summarizes the spectra, a line for each layer."""
    title, thresholds = "Tail mean and ranks", run.thresholds
    if run.spectra is None:
        return _section(title, "", [], "No spectra were recorded.")
    kept = kept_spectra(run)
    layers = _wide_layers(run.spectra)
    numbers = {layer.name: summarize(run.spectra.spectra[layer.name], thresholds) for layer in layers}
    ranks = {layer.name: layer.rank for layer in layers}
    quantities = {
        "tail mean": {name: summary.tail_mean for name, summary in numbers.items()},
        "effective rank / N": {name: summary.effective_rank / ranks[name] for name, summary in numbers.items()},
        "stable rank / N": {name: summary.stable_rank / ranks[name] for name, summary in numbers.items()},
    }
    times = run.spectra.iterations[kept].tolist()
    figures = [
        _over_time(title, _layer_lines({name: (times, rounded(y[kept])) for name, y in lines.items()}), SHARE)
        for title, lines in quantities.items()
    ]
    caption = (
        f"Tail mean: average of σₖ/σ₁ over k > N/4; spectral collapse is called when it falls below "
        f"{thresholds.tail_mean} of its largest value in {thresholds.layers:.0%} of the convolutions. Effective rank: "
        "exp of the entropy of σ/Σσ (Roy & Vetterli 2007). Stable rank: Σσ²/σ₁². Both run from 1 to N and are divided "
        "by N here."
    )
    return _section(title, caption, [{"title": "", "figures": figures}])


def _scores(run: Recording) -> Section:
    """A plot for each score; in a comparison a line for each run."""
    columns = _columns(run.scores, len(run.scores))
    figures = [
        _over_time(
            name,
            [_line("", *column, 0) | {"mode": "lines+markers"}],
            note=SCORES.get(name, "lower is better" if is_lower_better(name) else ""),
            overlay=True,
        )
        for name, column in columns.items()
        if not name.endswith("_std")
    ]
    missing = "" if figures else "No scores were recorded (scores.every is 0, or no evaluation has been reached)."
    caption = "On generated images, at each evaluation. How they are measured stands under the protocol below."
    return _section("Scores", caption, [{"title": "", "figures": figures}] if figures else [], missing)


def _losses(run: Recording) -> tuple[Section, dict[str, History]]:
    """What D and G minimize, and how D sees both kinds of images."""
    columns = _columns(run.losses, MOST_ROWS)
    plots = (
        (
            "losses",
            {"discriminator": "loss/discriminator", "generator": "loss/generator"},
            "What the two nets minimize. A discriminator loss that stays near zero: it tells all images apart and "
            "learns no more.",
            None,
        ),
        (
            "mean outputs of D",
            {"real images": "score/real", "generated images": "score/fake"},
            "On a training batch: the higher, the more real.",
            None,
        ),
        (
            "accuracy of D",
            {"real images": "accuracy/real", "generated images": "accuracy/fake"},
            "Share of a training batch that D takes for what it is.",
            [-0.02, 1.03],
        ),
    )
    figures, missing = [], []
    for title, names, note, limits in plots:
        lines = [
            _line(name, *columns[column], k, DASHES[k])
            for k, (name, column) in enumerate(names.items())
            if column in columns
        ]
        if lines:
            figures.append(_over_time(title, lines, limits, note=note))
        else:
            missing.append(title)
    outputs, histories = _outputs(run)
    figures += outputs
    missing += [] if outputs else ["distributions of D’s outputs"]
    words = f"Not recorded by this run: {', '.join(missing)}." if missing else ""
    groups = [{"title": "", "figures": figures}] if figures else []
    return _section("Losses and the discriminator", "", groups, words, alone=True), histories


def _outputs(run: Recording) -> tuple[list[Figure], dict[str, History]]:
    """Distributions of D's outputs at the moment, in bins that all times share."""
    history = run.outputs
    if history is None:
        return [], {}
    kept = kept_times(history.iterations, MOST_HISTOGRAMS, run.required)
    times = history.iterations[kept].tolist()
    finite = np.concatenate([values[np.isfinite(values)] for values in history.outputs.values()])
    low, high = np.percentile(finite, [0.1, 99.9]).tolist() if len(finite) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    lines, histories = [], {}
    for k, (kind, values) in enumerate(history.outputs.items()):
        inside = np.clip(np.nan_to_num(values[kept].astype(float), nan=low), low, high)
        shares = np.array([np.histogram(row, edges)[0] for row in inside]) / values.shape[1]
        histories[f"outputs/{kind}"] = {"times": times, "values": [rounded(row) for row in shares.T]}
        line = _line(kind, rounded((edges[:-1] + edges[1:]) / 2), [], k, DASHES[k])
        line["line"]["shape"] = "hvh"
        lines.append(line | {"meta": f"outputs/{kind}"})
    images = next(iter(history.outputs.values())).shape[1]
    note = (
        f"At the slider’s iteration, on the same {images:,} images of each kind. Train above test: D has memorized; "
        "real apart from generated: D wins."
    )
    highest = max(value for history in histories.values() for row in history["values"] for value in row)
    limits = [0, 1.05 * highest]
    return [_figure("D outputs", lines, "D(x)", [low, high], "share of images", limits, note=note)], histories


def _gradients(run: Recording) -> Section:
    figures = []
    for net in ("discriminator", "generator"):
        rows = [{"iteration": row["iteration"]} | row.get(net, {}) for row in run.gradients]
        columns = _columns(rows, MOST_ROWS // 2)
        if columns:
            positive = {name: (times, [value or None for value in norms]) for name, (times, norms) in columns.items()}
            figures.append(_over_time(net, _layer_lines(positive)))
            figures[-1]["layout"]["yaxis"]["type"] = "log"
    caption = (
        "L2 norm of the last update’s gradient, per layer, on a logarithmic axis. Norms that fall towards zero "
        "together: that net has stopped learning."
    )
    missing = "" if figures else "Not recorded by this run: gradient norms per layer."
    groups = [{"title": "", "figures": figures}] if figures else []
    return _section("Gradients", caption, groups, missing, alone=True)


def _section(title: str, caption: str, groups: Sequence[Any], missing: str = "", **flags: Any) -> Section:
    """The flag "alone" keeps a section out of comparisons."""
    return {"title": title, "caption": caption if groups else "", "groups": groups, "missing": missing, **flags}


def _figure(
    title: str,
    data: Sequence[Any],
    x_title: str,
    x_range: Sequence[float] | None,
    y_title: str,
    y_range: Sequence[float] | None,
    **flags: Any,
) -> Figure:
    axes = {"xaxis": {"title": {"text": x_title}}, "yaxis": {"title": {"text": y_title}}}
    for name, limits in (("xaxis", x_range), ("yaxis", y_range)):
        if limits:
            axes[name]["range"] = list(limits)
    return {"title": title, "data": data, "layout": axes, "time": x_title == "iteration", **flags}


def _over_time(title: str, lines: Sequence[Any], limits: Sequence[float] | None = None, **flags: Any) -> Figure:
    return _figure(title, lines, "iteration", None, "", limits, **flags)


def _line(name: str, x: Sequence[Any], y: Sequence[Any], color: int, dash: str = "solid") -> dict[str, Any]:
    style = {"color": COLORS[color % len(COLORS)], "dash": dash, "width": 1.7}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": style}


def _layer_lines(columns: Mapping[str, tuple[list[Any], list[Any]]]) -> list[dict[str, Any]]:
    """Layers of a block, like "blocks.0", share a colour; their place in the block decides the dash."""
    blocks: dict[str, list[str]] = {}
    for name in columns:
        parts = name.split(".")
        numbered = next((k for k, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
        blocks.setdefault(".".join(parts[: numbered + 1]), []).append(name)
    return [
        _line(name, *columns[name], color, DASHES[place % len(DASHES)])
        for color, names in enumerate(blocks.values())
        for place, name in enumerate(names)
    ]


def _wide_layers(history: SpectraHistory) -> list[SpectralLayer]:
    return [layer for layer in history.layers if layer.rank > 1]


def _columns(rows: Rows, most: int) -> dict[str, tuple[list[int], list[float | None]]]:
    """The numbers of rows by name, as iterations and values, thinned out evenly in time."""
    if not rows:
        return {}
    iterations = np.array([row["iteration"] for row in rows])
    kept = kept_times(iterations, most)
    return {
        name: (iterations[kept].tolist(), rounded(_values([rows[k].get(name) for k in kept])))
        for name in number_names(rows)
    }


def _values(values: Iterable[Any]) -> np.ndarray:
    return np.array([value if is_number(value) else np.nan for value in values], float)
