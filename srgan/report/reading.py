"""One run's files as the compact record that a page holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from srgan.metrics.verdicts import (
    CollapseThresholds,
    is_lower_better,
    mode_collapse,
    spectral_collapse,
    summarize,
)
from srgan.report.finding import FoundRun
from srgan.report.thinning import histograms, kept_positions, kept_times, pack_spectra, rounded
from srgan.report.words import summary
from srgan.runs import RunFolder, SpectraHistory, flatten_settings

Columns = dict[str, list[float | None]]
Required = Sequence[int | None]

MOST_TIMES = 250
MOST_POSITIONS = 128  # of k per layer
MOST_ROWS = 400  # of losses and of gradient norms
MOST_HISTOGRAMS = 60
HISTOGRAM_BINS = 48


def read_run(run: FoundRun, most_values: int) -> tuple[dict[str, Any], bytes]:
    """Everything that the page shows of a run but its samples.

    Args:
        run: which.
        most_values: spectral values to keep, over all times, layers and k.

    Returns:
        what goes into JSON, and the packed spectra, layer after layer in the order of "layers".
    """
    record, folder = run.record, run.folder
    rows, history = folder.read_scores(), folder.read_spectra()
    verdicts, final_verdicts = read_verdicts(record, rows, history)
    best = best_evaluation(rows)
    evaluations = [int(row["iteration"]) for row in rows]
    required: Required = [*(verdict["iteration"] for verdict in verdicts.values() if verdict), *evaluations]
    spectra, packed = _spectra(history, required, most_values, thresholds_of(record))
    flat = flatten_settings(record["config"])
    progress = folder.read_progress() or {}
    content = {
        "key": run.key,
        "path": str(folder.path),
        "constraint": record["constraint"],
        "summary": summary(flat),
        "status": record["status"],
        "error": record.get("error"),
        "iterations": record["iterations"],
        "reached": progress.get("iteration"),
        "parent": record.get("parent"),
        "verdicts": verdicts,
        "verdicts_final": final_verdicts,
        "thresholds": asdict(thresholds_of(record)),
        "best": best,
        "lower_is_better": [name for name in _number_names(rows) if is_lower_better(name)],
        "scores": _columns(rows, len(rows)),
        "final": folder.read_final(),
        "losses": _columns(folder.read_losses(), MOST_ROWS),
        "gradients": _gradients(folder.read_gradients()),
        "outputs": _outputs(folder, required),
        "warnings": folder.read_warnings(),
        "command": record["command"],
        "config": [[key, "null" if value is None else str(value)] for key, value in flat.items()],
        "protocol": [[key, str(value)] for key, value in (folder.read_protocol() or {}).items()],
        "provenance": _provenance(record),
    }
    return content | spectra, packed


def thresholds_of(record: Mapping[str, Any]) -> CollapseThresholds:
    """Those of the verdicts, else those of the settings, else the defaults."""
    stored = (record.get("verdicts") or {}).get("thresholds") or record["config"].get("verdicts") or {}
    known = {field.name for field in fields(CollapseThresholds)}
    return CollapseThresholds(**{key: value for key, value in stored.items() if key in known})


def read_verdicts(
    record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], history: SpectraHistory | None
) -> tuple[dict[str, Any], bool]:
    """The verdicts of run.json, else those that the files allow so far.

    Returns:
        "mode_collapse" and "spectral_collapse", each {"collapsed", "iteration"} or None where nothing can be said;
        whether they are final.
    """
    kinds = ("mode_collapse", "spectral_collapse")
    if stored := record.get("verdicts"):
        return {kind: stored.get(kind) for kind in kinds}, record["status"] == "finished"
    thresholds = thresholds_of(record)
    modes = asdict(mode_collapse(rows, thresholds)) if rows else None
    if history is None or not len(history.iterations):
        return {"mode_collapse": modes, "spectral_collapse": None}, False
    spectral = asdict(spectral_collapse(history.iterations, history.judged(), thresholds))
    return {"mode_collapse": modes, "spectral_collapse": spectral}, False


def best_evaluation(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The evaluation of the lowest FID, else of the highest IS: "iteration", "score", "value"."""
    for prefix in ("FID", "IS"):
        name = next((name for name in _number_names(rows) if name.startswith(prefix)), None)
        scored = [row for row in rows if name and _is_number(row.get(name))]
        if name and scored:
            best = min if is_lower_better(name) else max
            row = best(scored, key=lambda row: float(row[name]))
            return {"iteration": row["iteration"], "score": name, "value": row[name]}
    return None


def _spectra(
    history: SpectraHistory | None, required: Required, most_values: int, thresholds: CollapseThresholds
) -> tuple[dict[str, Any], bytes]:
    """Layers, times, the numbers per layer over time, and the packed spectra themselves."""
    if history is None or not len(history.iterations):
        return {"times": [], "layers": [], "recorded_times": 0}, b""
    positions = {layer.name: kept_positions(layer.rank, MOST_POSITIONS) for layer in history.layers}
    most_times = min(MOST_TIMES, max(most_values // sum(map(len, positions.values())), 100))
    kept = kept_times(history.iterations, most_times, required)
    most_positions = max(most_values // (len(kept) * len(history.layers)), 24)
    layers, packed = [], []
    for layer in history.layers:
        at = kept_positions(layer.rank, min(MOST_POSITIONS, most_positions))
        numbers = summarize(history.spectra[layer.name], thresholds, judged=layer.judged)
        packed.append(pack_spectra(history.spectra[layer.name][kept][:, at]))
        layers.append(
            {
                "name": layer.name,
                "shape": layer.shape,
                "N": layer.rank,
                "judged": layer.name in history.judged(),
                "k": (at + 1).tolist(),
                "tail_mean": rounded(numbers.tail_mean[kept]),
                "effective_rank": rounded(numbers.effective_rank[kept]),
                "stable_rank": rounded(numbers.stable_rank[kept]),
                "sigma_1": rounded(history.sigma_1[layer.name][kept]),
                "collapsed": numbers.collapsed[kept].astype(int).tolist(),
            }
        )
    times = history.iterations[kept].tolist()
    return {"times": times, "layers": layers, "recorded_times": len(history.iterations)}, b"".join(packed)


def _outputs(folder: RunFolder, required: Required) -> dict[str, Any] | None:
    """Distributions of D's outputs in bins that all times share."""
    history = folder.read_outputs()
    if history is None or not len(history.iterations):
        return None
    kept = kept_times(history.iterations, MOST_HISTOGRAMS, required)
    finite = [values[np.isfinite(values)] for values in history.outputs.values()]
    low, high = np.percentile(np.concatenate(finite), [0.1, 99.9]).tolist() if sum(map(len, finite)) else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return {
        "iterations": history.iterations[kept].tolist(),
        "low": low,
        "high": high,
        "images": next(iter(history.outputs.values())).shape[1],
        "counts": {
            kind: histograms(np.nan_to_num(values[kept], nan=low), low, high, HISTOGRAM_BINS)
            for kind, values in history.outputs.items()
        },
        "means": {kind: rounded(values[kept].mean(axis=1)) for kind, values in history.outputs.items()},
    }


def _gradients(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Norms per net and layer as columns."""
    if not rows:
        return None
    found: dict[str, Any] = {"recorded": len(rows)}
    for net in ("generator", "discriminator"):
        columns = _columns([{"iteration": row["iteration"]} | row.get(net, {}) for row in rows], MOST_ROWS // 2)
        found |= {"iterations": columns.pop("iteration"), net: columns}
    return found


def _columns(rows: Sequence[Mapping[str, Any]], most: int) -> dict[str, Any]:
    """Rows as columns of numbers, thinned out evenly in time; {} for no rows."""
    if not rows:
        return {}
    iterations = np.array([row["iteration"] for row in rows])
    kept = kept_times(iterations, most)
    columns: dict[str, Any] = {"iteration": iterations[kept].tolist()}
    for name in _number_names(rows):
        values = [rows[k].get(name) for k in kept]
        columns[name] = rounded(np.array([value if _is_number(value) else np.nan for value in values]))
    return columns


def _number_names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of what any row holds as a number, the iteration excepted, in order of appearance."""
    names = (name for row in rows for name, value in row.items() if name != "iteration" and _is_number(value))
    return list(dict.fromkeys(names))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _provenance(record: Mapping[str, Any]) -> list[list[str]]:
    """Where, when and with what it ran."""
    seconds = record.get("seconds")
    memory = record.get("peak_memory") or {}
    resumed = record.get("resumed_at") or []
    found = {f"hardware: {key}": value for key, value in (record.get("hardware") or {}).items()}
    found |= {
        "commit": record.get("commit"),
        "started": record.get("started"),
        "ended": record.get("ended"),
        "training time": _duration(seconds) if seconds else None,
        "resumed at iteration": ", ".join(map(str, resumed)) or None,
    }
    found |= {f"largest memory, {key}": f"{size / 2**30:.1f} GiB" for key, size in memory.items()}
    found |= {f"version of {name}": value for name, value in (record.get("versions") or {}).items()}
    return [[key, str(value)] for key, value in found.items() if value is not None]


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
