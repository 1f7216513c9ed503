"""A run's histories as plotly figures, in the sections in which the page shows them.

A figure is a dictionary of plotly's "data" and "layout" and of what `page/page.js` has to know: "title"; "group", a
heading above it; "note", shown below it; "time", whether its horizontal axis is the iteration, so that marks and the
slider's moment are drawn in it; "overlay", whether in a comparison the last lines of all runs go into one plot.
A trace whose "meta" names a history gets its values from there: a heat map all of them, a line those at the moment.
A run that started from another run's checkpoint has the parent's curves, dotted and pale, before its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from srgan.collapse import EMA, is_lower_better
from srgan.runs.folder import SpectralLayer
from srgan.runs.recorded import RecordedRun, Rows, is_number, number_names
from srgan.utils.downsampling import kept_times, rounded

Figure = dict[str, Any]
Section = dict[str, Any]
History = dict[str, Any]
Column = tuple[list[int], list[float | None]]  # iterations and values

MOST_TIMES = 250
MOST_POSITIONS = 128  # of k per layer
MOST_ROWS = 400  # of losses; half as many of gradient norms
MOST_HISTOGRAMS = 60
HISTOGRAM_BINS = 48
SHARE = (0, 1.03)  # limits of an axis
PALE = 0.55  # opacity of what a parent recorded

COLORS = ("#3B82C4", "#D55E00", "#009E73", "#CC79A7", "#C99700", "#7B61C9", "#8A8F98", "#56B4E9")
"""Of lines, told apart on white and on black (after Okabe and Ito)."""
DASHES = ("solid", "dash", "dot")

PLAYERS = {
    "losses": {"discriminator": "loss/discriminator", "generator": "loss/generator"},
    "mean outputs of D": {"real images": "logits/real", "generated images": "logits/fake"},
    "accuracy of D": {"real images": "accuracy/real", "generated images": "accuracy/fake"},
}
"""Plots of what is recorded of both nets: title -> line -> key in losses.jsonl."""


def sections(run: RecordedRun, most: int, past: RecordedRun | None = None) -> tuple[list[Section], dict[str, History]]:
    """Everything that is drawn of a run; sections without figures say why. Histories by name: "times", "values" [K][T].

    Of spectra `most` values are kept, over all times, layers and k. `past` is the parent until the run started from it.
    """
    if past:
        (parts, histories), (earlier, before) = sections(run, most // 2), sections(past, most // 2)
        for part, parents in zip(parts, earlier, strict=True):
            _put_before(part["figures"], parents["figures"], run.label, f"{past.label} (parent)")
        return parts, histories | {f"{name} (parent)": history for name, history in before.items()}
    (spectra, histories), (outputs, distributions) = _spectra(run, most), _outputs(run)
    return [spectra, _ranks(run), _scores(run), _players(run, outputs), _gradients(run)], histories | distributions


def _put_before(figures: Sequence[Figure], parents: Sequence[Figure], label: str, parent_label: str) -> None:
    """Into each plot over time, the lines and heat maps of the same plot of the parent."""
    found = {(figure["group"], figure["title"]): figure["data"] for figure in parents if figure["time"]}
    for figure in figures:
        earlier = [_of_parent(trace, parent_label) for trace in found.get((figure["group"], figure["title"]), ())]
        for trace in figure["data"] if earlier else ():
            trace["name"] = trace.get("name") or label
        figure["data"] = [*earlier, *figure["data"]]


def _of_parent(trace: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Pale, a line also dotted; a heat map gets its values from the parent's history."""
    changed = {"meta": f"{trace['meta']} (parent)"} if "meta" in trace else {"line": trace["line"] | {"dash": "dot"}}
    return {**trace, "name": label, "opacity": PALE, **changed}


def numbers(run: RecordedRun) -> tuple[list[tuple[SpectralLayer, list[int]]], list[list[str]]]:
    """The table of layers: each with the indexes of its cells, and of each cell its text at `times(run)`."""
    rows: list[tuple[SpectralLayer, list[int]]] = []
    cells: list[list[str]] = []
    if run.spectra is None:
        return rows, cells
    kept, summaries = kept_spectra(run), run.spectra.summaries(run.thresholds)
    for layer in run.spectra.layers:
        summary = summaries[layer.name]
        columns = (summary.tail_mean, summary.effective_rank, summary.stable_rank, run.spectra.sigma_1[layer.name])
        rows.append((layer, list(range(len(cells), len(cells) + 5))))
        cells += [[f"{value:.4g}" for value in column[kept]] for column in columns]
        states = ["collapsed" if collapsed else "holds" for collapsed in summary.collapsed[kept]]
        cells.append(states if layer.is_judged else ["not judged"] * len(kept))
    return rows, cells


def times(run: RecordedRun) -> list[int]:
    """Iterations at which the slider stops: of spectra, else of whatever there is."""
    if run.spectra:
        return [int(iteration) for iteration in run.spectra.iterations[kept_spectra(run)]]
    return sorted({0, *run.folder.read_samples(), *(int(row["iteration"]) for row in [*run.losses, *run.scores])})


def kept_spectra(run: RecordedRun) -> np.ndarray:
    """Indexes of the records of spectra that a page keeps."""
    return kept_times(run.spectra.iterations, MOST_TIMES, run.required) if run.spectra else np.array([], int)


def _spectra(run: RecordedRun, most_values: int) -> tuple[Section, dict[str, History]]:
    """Each layer's spectrum at the moment, and over time as a heat map."""
    layers, kept = _wide_layers(run), kept_spectra(run)
    figures, histories = [], {}
    most_positions = min(MOST_POSITIONS, max(most_values // max(len(kept) * len(layers), 1), 24))
    for layer in layers:
        assert run.spectra
        iterations, positions = run.spectra.iterations[kept], kept_times(np.arange(layer.rank), most_positions)
        values = run.spectra.spectra[layer.name][kept][:, positions]
        histories[layer.name] = _history(iterations, values, 3)
        share = rounded((positions + 1) / layer.rank)
        curves = [_line("at the first record", share, rounded(values[0], 3), 6, "dot")]
        if run.best:
            at = max(int(np.searchsorted(iterations, run.best["iteration"], side="right")) - 1, 0)
            curves.append(_line(f"at the best {run.best['score']}", share, rounded(values[at], 3), 0, "dash"))
        curves.append(_line("at the slider’s iteration", share, [], 1) | {"meta": layer.name})
        heat = {"type": "heatmap", "y": rounded((positions + 0.5) / layer.rank), "meta": layer.name}
        horizontal, vertical = _axis(f"k / N (N = {layer.rank})", SHARE), _axis("σₖ / σ₁", SHARE)
        title = "at the slider’s iteration"
        figures.append(_figure(title, curves, horizontal, vertical, layer.name, overlay=True, spectrum=True))
        figures.append(_over_time("over training", [heat], _axis("k / N", (0, 1)), group=layer.name))
    caption = (
        "The spectrum of a layer: its singular values σₖ over the largest, σ₁, from k = 1 to N, at the slider’s "
        "iteration as a curve and over training as colour. A layer with a flat curve uses all directions, one whose "
        "curve drops at once only a few. Layers with a single singular value are left out."
    )
    if run.spectra and len(kept) < len(run.spectra.iterations):
        caption += f" {len(kept)} of {len(run.spectra.iterations)} records are kept on this page."
    missing = "No spectra were recorded (spectra.every is 0, or the run has just begun)."
    title = "Spectra of the discriminator’s layers"
    return _section(title, caption, figures, "" if layers else missing, name="spectra"), histories


def _ranks(run: RecordedRun) -> Section:
    """What summarizes the spectra, a line for each layer."""
    kept, summaries = kept_spectra(run), run.spectra.summaries(run.thresholds) if run.spectra else {}
    lines: dict[str, dict[str, Column]] = {"tail mean": {}, "effective rank / N": {}, "stable rank / N": {}}
    for layer in _wide_layers(run):
        summary = summaries[layer.name]
        values = (summary.tail_mean, summary.effective_rank / layer.rank, summary.stable_rank / layer.rank)
        for columns, column in zip(lines.values(), values, strict=True):
            columns[layer.name] = (times(run), rounded(column[kept]))
    caption = (
        "Tail mean: average of σₖ/σ₁ over k > N/4. Spectral collapse: it is below "
        f"{run.thresholds.tail_mean} of its largest value in {run.thresholds.layers:.0%} of the convolutions (under "
        "SR-s, over the i values that it holds). Effective rank: exp of the entropy of σ/Σσ (Roy & Vetterli 2007). "
        "Stable rank: Σσ²/σ₁². Both lie between 1 and N and are divided by N here."
    )
    figures = [_over_time(title, _layer_lines(own), _axis("", SHARE)) for title, own in lines.items() if own]
    return _section("Tail mean and ranks", caption, figures, "" if figures else "No spectra were recorded.")


def _scores(run: RecordedRun) -> Section:
    """A plot for each score; in a comparison a line for each run."""
    figures = []
    for name, column in _columns(run.scores, len(run.scores)).items():
        if not name.removesuffix(EMA).endswith("_std"):
            line = _line("", *column, 0) | {"mode": "lines+markers"}
            note = "lower is better" if is_lower_better(name) else "higher is better"
            figures.append(_over_time(name, [line], overlay=True, note=note))
    caption = "Of generated images, at each evaluation. The protocol below says how they are measured."
    missing = "No scores were recorded (scores.every is 0, or no evaluation has been reached)."
    return _section("Scores", caption, figures, "" if figures else missing)


def _players(run: RecordedRun, outputs: list[Figure]) -> Section:
    """What D and G minimize, and how D sees both kinds of images."""
    columns = _columns(run.losses, MOST_ROWS)
    figures = []
    for title, keys in PLAYERS.items():
        present = [(name, columns[key]) for name, key in keys.items() if key in columns]
        lines = [_line(name, *column, k, DASHES[k]) for k, (name, column) in enumerate(present)]
        if lines:
            figures.append(_over_time(title, lines, _axis("", (-0.02, 1.03) if "accuracy" in title else None)))
    missing = [title for title in PLAYERS if title not in {figure["title"] for figure in figures}]
    missing += [] if outputs else ["distributions of D’s outputs"]
    caption = (
        "Losses: what the two networks minimize; a discriminator whose loss stays near zero tells all images apart and "
        "stops learning. Mean outputs: on a training batch; higher is more real. Accuracy: the share of a training "
        "batch that D classifies correctly."
    )
    words = f"Not recorded by this run: {', '.join(missing)}." if missing else ""
    return _section("Losses and the discriminator", caption, figures + outputs, words, alone=True)


def _outputs(run: RecordedRun) -> tuple[list[Figure], dict[str, History]]:
    """Distributions of D's outputs at the moment, in bins that all times share."""
    history = run.outputs
    if history is None:
        return [], {}
    kept = kept_times(history.iterations, MOST_HISTOGRAMS, run.required)
    finite = np.concatenate([values[np.isfinite(values)] for values in history.outputs.values()])
    low, high = np.percentile(finite, [0.1, 99.9]).tolist() if len(finite) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    lines, histories, highest = [], {}, 0.0
    for k, (kind, values) in enumerate(history.outputs.items()):
        inside = np.clip(np.nan_to_num(values[kept].astype(float), nan=low), low, high)
        shares = np.array([np.histogram(row, edges)[0] for row in inside]) / values.shape[1]
        highest = max(highest, float(shares.max()))
        histories[f"outputs/{kind}"] = _history(history.iterations[kept], shares)
        lines.append(_line(kind, rounded((edges[:-1] + edges[1:]) / 2), [], k, DASHES[k]) | {"meta": f"outputs/{kind}"})
        lines[-1]["line"]["shape"] = "hvh"
    note = (
        f"At the slider’s iteration, on the same {values.shape[1]:,} images of each kind. Train above test: D has "
        "memorized its training images. Real apart from generated: D wins."
    )
    horizontal, vertical = _axis("D(x)", (low, high)), _axis("share of images", (0, 1.05 * highest))
    return [_figure("outputs of D", lines, horizontal, vertical, note=note)], histories


def _gradients(run: RecordedRun) -> Section:
    figures = []
    for net in ("discriminator", "generator"):
        rows = [{"iteration": row["iteration"]} | row.get(net, {}) for row in run.gradients]
        columns = _columns(rows, MOST_ROWS // 2)
        positive = {name: (x, [value or None for value in norms]) for name, (x, norms) in columns.items()}
        if positive:
            found = [value for _, norms in positive.values() for value in norms if value]
            labels = "D2" if found and max(found) < 300 * min(found) else 1  # 1, 2, 5 over few decades
            figures.append(_over_time(net, _layer_lines(positive), {"type": "log", "dtick": labels}))
    caption = (
        "L2 norm of the last update’s gradient, per layer, on a logarithmic axis. If all norms of a network fall "
        "towards zero, it has stopped learning."
    )
    missing = "" if figures else "Not recorded by this run: gradient norms per layer."
    return _section("Gradients", caption, figures, missing, alone=True)


def _section(title: str, caption: str, figures: Sequence[Figure], missing: str, **flags: Any) -> Section:
    """Flags: "name", of the page's style, and "alone", which keeps it out of comparisons."""
    return {"title": title, "caption": caption if figures else "", "figures": figures, "missing": missing, **flags}


def _figure(title: str, data: Sequence[Any], xaxis: Any, yaxis: Any, group: str = "", **flags: Any) -> Figure:
    layout = {"xaxis": xaxis, "yaxis": yaxis}
    return {"title": title, "group": group, "data": data, "layout": layout, "time": False, **flags}


def _over_time(title: str, data: Sequence[Any], yaxis: Any = None, **flags: Any) -> Figure:
    return _figure(title, data, _axis("iteration"), yaxis or {}, **flags) | {"time": True}


def _axis(title: str, limits: Sequence[float] | None = None) -> dict[str, Any]:
    return {"title": {"text": title}} | ({"range": list(limits)} if limits else {})


def _line(name: str, x: Sequence[Any], y: Sequence[Any], color: int, dash: str = "solid") -> dict[str, Any]:
    style = {"color": COLORS[color % len(COLORS)], "dash": dash, "width": 1.7}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": style}


def _layer_lines(columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """Layers of a block, like "blocks.0", share a colour; their place in the block decides the dash."""
    blocks: dict[str, list[str]] = {}
    for name in columns:
        blocks.setdefault(name.rpartition(".")[0] or name, []).append(name)
    return [
        _line(name, *columns[name], color, DASHES[place % len(DASHES)])
        for color, names in enumerate(blocks.values())
        for place, name in enumerate(names)
    ]


def _wide_layers(run: RecordedRun) -> list[SpectralLayer]:
    """Those that have more than one singular value."""
    return [layer for layer in run.spectra.layers if layer.rank > 1] if run.spectra else []


def _history(iterations: np.ndarray, values: np.ndarray, digits: int = 4) -> History:
    """Of `[T]` and `[T, K]`."""
    return {"times": iterations.tolist(), "values": [rounded(row, digits) for row in values.T]}


def _columns(rows: Rows, most: int) -> dict[str, Column]:
    """The numbers of rows by name, thinned out evenly in time."""
    kept = [rows[k] for k in kept_times(np.array([row["iteration"] for row in rows]), most)]
    times = [row["iteration"] for row in kept]
    names = number_names(rows)
    columns = {name: [value if is_number(value := row.get(name)) else np.nan for row in kept] for name in names}
    return {name: (times, rounded(np.array(column))) for name, column in columns.items()}
