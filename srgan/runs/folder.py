"""The files of one run, as docs/reference/run-files.md lists them: what training writes and reporting reads. No torch.

Rows and records carry checksums; a checkpoint holds the length and the checksum of each history.
"""

import os
import zlib
from collections import Counter
from dataclasses import dataclass
from math import inf, prod
from pathlib import Path
from typing import Any

import numpy as np

from srgan.collapse import CollapseThresholds, SpectrumSummary, summarize
from srgan.utils.files import RecordFile, append_json_line, flush, read_json, read_json_lines, remove_temporaries

DISCRIMINATOR_NEAR_ZERO = "discriminator loss near zero"
"""Name of a warning."""
SHOWN_SCORES = ("FID", "FID_cls", "IS", "IS_cls", "modes")
"""What tables and pictures show of an evaluation, where a run has it."""


class OtherRunError(RuntimeError):
    """Something that decides a run's results has changed since it began."""


class LostHistoryError(RuntimeError):
    """A run's folder or one of its histories was moved, removed or changed during training."""


@dataclass(frozen=True)
class SpectralLayer:
    """One layer in a spectra file.

    Attributes:
        name: qualified name inside the discriminator.
        kind: torch class of the layer, e.g. "Conv2d".
        shape: of the raw weight, e.g. [128, 128, 3, 3].
        rank: N, how many singular values it has.
        judged: how many of them, from the largest, decide on a collapse (`Constraint.judged_values`).
    """

    name: str
    kind: str
    shape: list[int]
    rank: int
    judged: int

    @property
    def is_convolution(self) -> bool:
        return len(self.shape) > 2

    @property
    def is_judged(self) -> bool:
        """Whether its spectrum decides on a spectral collapse: of convolutions other than the 1 x 1 of shortcuts."""
        return prod(self.shape[2:]) > 1


@dataclass(frozen=True)
class SpectraHistory:
    """Spectra of all layers over time.

    Attributes:
        layers: in the order of the network.
        iterations: `[T]` int64, increasing.
        sigma_1: layer name -> `[T]`, the largest singular value of the raw weight.
        spectra: layer name -> `[T, N]`, sigma_k / sigma_1.
    """

    layers: list[SpectralLayer]
    iterations: np.ndarray
    sigma_1: dict[str, np.ndarray]
    spectra: dict[str, np.ndarray]

    def judged(self) -> dict[str, np.ndarray]:
        """What decides on a spectral collapse: layer -> `[T, judged]`."""
        return {layer.name: self.spectra[layer.name][:, : layer.judged] for layer in self.layers if layer.is_judged}

    def summaries(self, thresholds: CollapseThresholds) -> dict[str, SpectrumSummary]:
        """Layer -> statistics over time."""
        return {one.name: summarize(self.spectra[one.name], thresholds, judged=one.judged) for one in self.layers}

    def first(self, count: int) -> "SpectraHistory":
        """The first records alone."""
        columns = [{name: values[:count] for name, values in one.items()} for one in (self.sigma_1, self.spectra)]
        return SpectraHistory(self.layers, self.iterations[:count], *columns)


@dataclass(frozen=True)
class OutputsHistory:
    """D's outputs on the same M images of each kind over time (Fig. 11).

    Attributes:
        iterations: `[T]` int64, increasing.
        outputs: "train", "test" (where the data set has one) and "generated" -> `[T, M]` float32, unbounded.
    """

    iterations: np.ndarray
    outputs: dict[str, np.ndarray]


class RunFolder:
    """Paths and histories of one run."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.record = self.path / "run.json"
        self.scores = self.path / "scores.jsonl"
        self.final = self.path / "final.json"
        self.losses = self.path / "losses.jsonl"
        self.gradients = self.path / "gradients.jsonl"
        self.warnings = self.path / "warnings.jsonl"
        self.outputs = RecordFile(self.path / "outputs.bin", _outputs_dtype)
        self.spectra = RecordFile(self.path / "spectra.bin", _spectra_dtype)
        self.samples = self.path / "samples"
        self.real_images = self.path / "real.png"
        self.checkpoint = self.path / "checkpoints" / "last.ckpt"
        self.previous_checkpoint = self.checkpoint.with_name("previous.ckpt")
        self.protocol = self.path / "protocol.json"
        self.progress = self.path / "progress.json"
        self.lock = self.path / "lock"
        self.written: Counter[str] = Counter()
        """Name of each history -> its bytes, as this process has rolled it back and written it."""
        self.begun = False  # whether this process trains the run, so that its folder has to be there

    def read_record(self) -> dict[str, Any] | None:
        """The content of run.json; None if there is none yet; ValueError, as for the other files, if it is damaged."""
        record = read_json(self.record)
        if record is not None and (missing := {"status", "config"} - record.keys()):
            raise ValueError(f"Expected the record of a run in '{self.record}', found no {', '.join(sorted(missing))}.")
        return record

    def read_protocol(self) -> dict[str, Any] | None:
        """How its scores are measured; None if there are none yet."""
        return read_json(self.protocol)

    def read_final(self) -> dict[str, Any] | None:
        """Its "iteration", "protocol" and "scores"; None if the run has no final scores (yet)."""
        return read_json(self.final)

    def read_progress(self) -> dict[str, int] | None:
        """Its "iteration" and "iterations"; None before the first report, or if a power cut has lost it."""
        try:
            return read_json(self.progress)
        except ValueError:
            return None

    def read_scores(self) -> list[dict[str, Any]]:
        return read_json_lines(self.scores)

    def read_losses(self) -> list[dict[str, Any]]:
        return read_json_lines(self.losses)

    def read_gradients(self) -> list[dict[str, Any]]:
        """Rows of "iteration" and, for "generator" and "discriminator", layer -> norm of the last update's gradient."""
        return read_json_lines(self.gradients)

    def read_warnings(self) -> list[dict[str, Any]]:
        """Rows of "iteration", "name" and "message"."""
        return read_json_lines(self.warnings)

    def read_outputs(self, first: int = 0) -> OutputsHistory | None:
        """Recorded outputs of D from the `first` record on; None if there are none."""
        if (found := self.outputs.read(first)) is None:
            return None
        layout, records = found
        outputs = {kind: records["outputs"][:, place] for place, kind in enumerate(layout["kinds"])}
        return OutputsHistory(records["iteration"], outputs)

    def read_spectra(self, first: int = 0) -> SpectraHistory | None:
        """Recorded spectra from the `first` record on, without one that a kill cut short; None if there are none."""
        if (found := self.spectra.read(first)) is None:
            return None
        layers, records = _layers(found[0]), found[1]
        names = [layer.name for layer in layers]
        ends = np.cumsum([layer.rank for layer in layers])
        sigma_1 = dict(zip(names, records["sigma_1"].T, strict=True))
        spectra = dict(zip(names, np.split(records["spectrum"], ends[:-1], axis=1), strict=True))
        return SpectraHistory(layers, records["iteration"], sigma_1, spectra)

    def append_row(self, history: Path, row: dict[str, Any]) -> None:
        """Appends a row to one of the histories of rows."""
        self.check_not_lost()
        self.written[history.name] += append_json_line(history, row)

    def _append_record(self, history: RecordFile, layout: dict[str, Any], values: tuple[Any, ...]) -> None:
        self.check_not_lost()
        self.written[history.path.name] += history.append(layout, np.array([values], history.dtype_of(layout)))
        self.written[history.layout.name] = history.layout.stat().st_size

    def lost(self) -> str | None:
        """Which files of this process are missing or changed, and what to do; None: all are as it wrote them."""
        if not self.config.is_file():
            return (
                f"Expected the run folder '{self.path}', found it moved or removed. Move it back and run the same "
                "command again: it resumes from the last checkpoint, or starts over if there is none."
            )
        changed = [
            f"{path.name} ({self.written[path.name]:,} bytes written, {size:,} found)"
            for path in self.histories
            if (size := path.stat().st_size if path.is_file() else 0) != self.written[path.name]
        ]
        if not changed:
            return None
        return (
            f"Expected the histories in '{self.path}' as this run wrote them, found them changed: "
            f"{', '.join(changed)}. Put them back if they were moved and run the same command again: it resumes from "
            "the last checkpoint with complete histories, or starts over if there is none."
        )

    def check_not_lost(self) -> None:
        """Raises LostHistoryError, before anything is written, if the folder is gone or a history was changed."""
        if self.begun and (words := self.lost()):
            raise LostHistoryError(words)

    def append_spectra(self, iteration: int, layers: list[SpectralLayer], sigmas: list[np.ndarray]) -> None:
        """Records the singular values `[N]` of each layer, from the largest; a zero weight has a spectrum of zeros."""
        layout = {"layers": [vars(layer) for layer in layers]}
        values = iteration, [sigma[0] for sigma in sigmas], np.concatenate([normalized(sigma) for sigma in sigmas])
        self._append_record(self.spectra, layout, values)

    def append_outputs(self, iteration: int, outputs: dict[str, np.ndarray]) -> None:
        """Records D's outputs `[M]` on each kind of images."""
        layout = {"kinds": list(outputs), "images": len(next(iter(outputs.values())))}
        self._append_record(self.outputs, layout, (iteration, np.stack(list(outputs.values()))))

    def read_samples(self) -> dict[int, Path]:
        """iteration -> picture."""
        return {int(path.stem): path for path in sorted(self.samples.glob("*.png")) if path.is_file()}

    @property
    def histories(self) -> list[Path]:
        """The files that only grow."""
        rows = [self.scores, self.losses, self.gradients, self.warnings]
        return rows + [path for history in (self.spectra, self.outputs) for path in (history.path, history.layout)]

    def history_marks(self) -> dict[str, list[int]]:
        """Name of each history -> its bytes so far and their CRC-32; all of it is on the disk when this returns."""
        marks = {}
        for path in self.histories:
            if path.exists():
                flush(path)
                content = path.read_bytes()
                marks[path.name] = [len(content), zlib.crc32(content)]
        if self.samples.exists():
            flush(self.samples)
        flush(self.path)
        return marks

    def damaged_histories(self, marks: dict[str, list[int]]) -> list[str]:
        """Names of the histories that no longer begin with what was marked."""
        damaged = []
        for path in self.histories:
            size, checksum = marks.get(path.name, (0, 0))
            content = path.read_bytes()[:size] if path.is_file() else b""
            if len(content) != size or zlib.crc32(content) != checksum:
                damaged.append(path.name)
        return damaged

    def roll_back(self, marks: dict[str, list[int]], iteration: int) -> None:
        """Drops what was recorded after `iteration`, when the marks were taken: a resumed run records it again."""
        self.written = Counter({name: size for name, (size, _) in marks.items()})
        for path in self.histories:
            if size := self.written[path.name]:
                os.truncate(path, size)
            else:
                path.unlink(missing_ok=True)
        try:
            final = self.read_final() or {}
        except ValueError:  # damaged
            final = {}
        if final.get("iteration", inf) > iteration:
            self.final.unlink(missing_ok=True)
        for sample_iteration, path in self.read_samples().items():
            if sample_iteration > iteration:
                path.unlink()
        for folder, names in (
            (self.path, "*.json"), (self.path, self.config.name), (self.samples, "*"), (self.checkpoint.parent, "*"),
        ):  # fmt: skip
            remove_temporaries(folder, names)


def flatten_settings(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted names, e.g. {"model.constraint.class_path": ...}."""
    if not isinstance(config, dict):
        return {prefix: config}
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten_settings(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def normalized(sigma: np.ndarray) -> np.ndarray:
    """sigma_k / sigma_1 of singular values `[N]` from the largest; zeros for zeros."""
    ratios: np.ndarray = sigma / max(sigma[0], np.finfo(float).tiny)
    return ratios


def _layers(layout: dict[str, Any]) -> list[SpectralLayer]:
    return [SpectralLayer(**layer) for layer in layout["layers"]]


def _spectra_dtype(layout: dict[str, Any]) -> np.dtype:
    """One record of spectra.bin: iteration, sigma_1 of each layer, all normalized spectra in a row."""
    layers = _layers(layout)
    total = sum(layer.rank for layer in layers)
    return np.dtype([("iteration", "<i8"), ("sigma_1", "<f4", (len(layers),)), ("spectrum", "<f4", (total,))])


def _outputs_dtype(layout: dict[str, Any]) -> np.dtype:
    """One record of outputs.bin: iteration, D's outputs on the images of each kind in turn."""
    return np.dtype([("iteration", "<i8"), ("outputs", "<f4", (len(layout["kinds"]), layout["images"]))])
