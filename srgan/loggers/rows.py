"""What the recorders wrote, as rows for loggers: one per iteration, under the keys of docs/reference/keys.md.

Histories are read from where the last call ended, so that following a long run costs no more than a short one. No
torch, and no logger's package, in here.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from srgan.collapse import CollapseThresholds, ScaleGrowth, summarize
from srgan.runs.folder import OutputsHistory, RunFolder, SpectraHistory
from srgan.utils.files import parse_rows

BINS = 64
SPECTRUM_BINS = np.linspace(0, 1, BINS + 1)
MAX_POINTS = 64
"""Of a curve, and of a column of the heat map."""

Histogram = tuple[np.ndarray, np.ndarray]  # counts [B], edges [B + 1]


@dataclass
class Row:
    """What was recorded at one iteration: numbers, histograms and pictures by key; name and message of warnings."""

    iteration: int
    numbers: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)


class History:
    """Follows the growing files of a run.

    `spectra` holds of each layer with more than one singular value at most 64 points of sigma_k / sigma_1, at k / N of
    `positions`, for each of the `iterations` recorded so far.
    """

    def __init__(self, folder: RunFolder, thresholds: CollapseThresholds) -> None:
        self.folder, self.thresholds = folder, thresholds
        self.iterations: list[int] = []
        self.spectra: dict[str, list[np.ndarray]] = {}
        self.positions: dict[str, np.ndarray] = {}
        self._largest_tail_means: dict[str, float] = {}
        self._growth = ScaleGrowth()
        self._bytes_read: Counter[Path] = Counter()
        self._outputs_read = 0
        self._warnings: Counter[str] = Counter()
        self._pictured: set[int] = set()
        self._final_read = False

    def new_rows(self) -> list[Row]:
        """Rows recorded since the last call, in order of iteration."""
        rows: dict[int, Row] = {}

        def row(iteration: int) -> Row:
            return rows.setdefault(iteration, Row(iteration))

        for line in self._lines(self.folder.losses):
            row(line.pop("iteration")).numbers.update(_numbers(line))
        for line in self._lines(self.folder.gradients):
            numbers = row(line.pop("iteration")).numbers
            for player, norms in line.items():
                numbers.update(_numbers(norms, f"gradient/{player}/"))
        for line in self._lines(self.folder.warnings):
            found, name = row(line["iteration"]), line["name"]
            self._warnings[name] += 1
            found.warnings.append((name, line["message"]))
            found.numbers[f"warnings/{name.replace(' ', '_')}"] = self._warnings[name]
        if spectra := self.folder.read_spectra(first=len(self.iterations)):
            for place, iteration in enumerate(spectra.iterations.tolist()):
                self._add_spectra(row(iteration), spectra, place)
        if outputs := self.folder.read_outputs(first=self._outputs_read):
            self._outputs_read += len(outputs.iterations)
            for place, iteration in enumerate(outputs.iterations.tolist()):
                _add_outputs(row(iteration), outputs, place)
        for line in self._lines(self.folder.scores):
            row(line.pop("iteration")).numbers.update(_numbers(line, "scores/"))
        if not self._final_read and (final := self.folder.read_final()):
            self._final_read = True
            row(final["iteration"]).numbers.update(_numbers(final["scores"], "final/"))
        for iteration, picture in self.folder.read_samples().items():
            if iteration not in self._pictured:
                self._pictured.add(iteration)
                row(iteration).pictures["samples"] = picture
        return [rows[iteration] for iteration in sorted(rows)]

    def _lines(self, path: Path) -> Iterator[dict[str, Any]]:
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._bytes_read[path])
                whole = file.read().rpartition(b"\n")[0]
            self._bytes_read[path] += len(whole) + 1 if whole else 0
            yield from parse_rows(whole, path)

    def _add_spectra(self, row: Row, history: SpectraHistory, place: int) -> None:
        self.iterations.append(row.iteration)
        self._growth.add({layer.name: float(history.sigma_1[layer.name][place]) for layer in history.layers})
        judged = []
        for layer in history.layers:
            name, spectrum = layer.name, history.spectra[layer.name][place]
            row.numbers[f"spectra/{name}/sigma_1"] = float(history.sigma_1[name][place])
            row.numbers[f"spectra/{name}/relative_rate"] = self._growth.rates[name]
            if len(spectrum) == 1:
                continue
            largest = self._largest_tail_means.get(name, 0.0)
            summary = summarize(spectrum[None], self.thresholds, largest, layer.judged).at(0)
            self._largest_tail_means[name] = summary["largest_tail_mean"]
            logged = ["tail_mean", "effective_rank", "p10", "p50"] + ["collapsed"] * layer.is_judged
            judged += [summary] * layer.is_judged
            row.numbers |= {f"spectra/{name}/{key}": summary[key] for key in logged}
            row.histograms[f"spectra/{name}/histogram"] = np.histogram(spectrum.clip(0, 1), SPECTRUM_BINS)
            shown = np.linspace(0, len(spectrum) - 1, min(len(spectrum), MAX_POINTS)).round().astype(int)
            self.positions[name] = (shown + 1) / len(spectrum)
            self.spectra.setdefault(name, []).append(spectrum[shown])
        if judged:
            row.numbers["spectra/tail_mean"] = float(np.mean([summary["tail_mean"] for summary in judged]))
            row.numbers["spectra/collapsed_share"] = float(np.mean([summary["collapsed"] for summary in judged]))

    def until(self, iteration: int) -> tuple[list[int], dict[str, list[np.ndarray]]]:
        """Iterations and spectra recorded up to `iteration`."""
        count = int(np.searchsorted(self.iterations, iteration, side="right"))
        return self.iterations[:count], {name: spectra[:count] for name, spectra in self.spectra.items()}


def _add_outputs(row: Row, history: OutputsHistory, place: int) -> None:
    """Histograms of all kinds of images in the same bins, and the means."""
    kinds = {kind: outputs[place] for kind, outputs in history.outputs.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(kinds.values())), BINS)
    for kind, outputs in kinds.items():
        row.numbers[f"outputs/{kind}/mean"] = float(outputs.mean())
        row.histograms[f"outputs/{kind}/histogram"] = (np.histogram(outputs, edges)[0], edges)


def _numbers(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Without what is absent (None) and what is no number."""
    return {f"{prefix}{name}": value for name, value in values.items() if isinstance(value, (int, float))}


class RunLogger(ABC):
    """A logger that shows a run folder: the first process gives it whole rows, and the results at the end."""

    @abstractmethod
    def bind(self, folder: RunFolder, record: Mapping[str, Any]) -> None:
        """Says which run this is, before it starts; ValueError, with what to do, if the logger cannot be opened.

        `record` is what run.json starts with: "config", "parent", "commit", "command", ...
        """

    @abstractmethod
    def log_rows(self, rows: Sequence[Row], history: History) -> None:
        """Takes new rows; `history` holds all spectra up to the last of them."""

    @abstractmethod
    def summarize(self, record: Mapping[str, Any]) -> None:
        """Takes run.json as it stands at the end."""
