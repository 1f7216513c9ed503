"""What is kept of each run of an experiment: a line of evidence.json. No torch in here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from PIL import Image
from scipy.stats import kendalltau

from reproduce.plan.variants import SN
from srgan.collapse import CollapseThresholds, Verdict, is_lower_better, mode_collapse, running_median, tail_mean
from srgan.runs.folder import RunFolder
from srgan.runs.recorded import RecordedRun, recorded_run
from srgan.utils.files import write_text

BASELINE = SN.label
# Shares of a run: its end is after LATE, its beginning up to EARLY; a rise of FID counts after LEARNED.
LATE, EARLY, LEARNED = 0.75, 0.1, 0.25
DECAYED = 0.9  # the mean tail has begun to decay when it is below this share of its largest value so far


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """One run. Each history is a table with the iterations as its index, empty where nothing was kept."""

    setting: str  # row of Table I at scale small, or "digits, D 6"
    method: str  # label of its variant, e.g. "SR-s after SN"
    seed: int
    iterations: int  # its length
    commit: str | None = None  # of the code; None outside of a repository
    processor: str
    scores: DataFrame  # of each evaluation
    branch: int | None = None  # iteration of the SN checkpoint that it started from; None for a fresh start
    seconds: float | None = None  # training and scoring
    tails: DataFrame = field(default_factory=DataFrame)  # tail mean of sigma_k / sigma_1 of each 3x3 convolution of D
    held: DataFrame = field(default_factory=DataFrame)  # its mean over k <= N / 2, which SR-s with i = 0.5 N keeps up
    # of D "loss" and "gradient", the norm over all layers. "scaled gradient", not of the first pairs: each layer's norm
    # (of weight and bias together) times sigma_1 of its weight, which growth of the weights would leave as it is
    signals: DataFrame = field(default_factory=DataFrame)
    mode_collapse: int | None = None  # iteration of the verdict, None for none
    spectral_collapse: int | None = None  # iteration of the verdict, None for none
    samples: str | None = None  # PNG beside evidence.json, a quarter of the last sample grid; None in the first runs
    precision: float | None = None  # at the last iteration, the share of generated images near real ones
    recall: float | None = None  # at the last iteration, the share of real images near generated ones
    sigma_1: list[float] | None = None  # mean and largest of D's 3x3 convolutions at the last record

    @property
    def key(self) -> tuple[str, str, int]:
        return self.setting, self.method, self.seed

    def _between(self, values: DataFrame, after: float, until: float = 1.0) -> Any:
        """The part of a history, or of a column of it, between two shares of the run."""
        return values[(values.index > after * self.iterations) & (values.index <= until * self.iterations)]

    def late(self, score: str) -> float:
        """Median of the evaluations of the last quarter."""
        return float(self._between(self.scores[score], after=LATE).median())

    def smooth(self, score: str) -> Series:
        """Running medians of three evaluations."""
        values = running_median(self.scores[score].to_numpy(), CollapseThresholds().evaluations)
        return Series(values, self.scores.index)

    def best(self, score: str) -> float:
        """Of the running medians: a single lucky evaluation makes no best."""
        return float(self.smooth(score).min() if is_lower_better(score) else self.smooth(score).max())

    def modes(self, evaluations: int = CollapseThresholds().evaluations) -> Verdict:
        """Whether its modes collapse, judged by medians of so many evaluations."""
        return mode_collapse(self.scores.reset_index().to_dict("records"), CollapseThresholds(evaluations=evaluations))

    def continuing(self, parent: "Evidence") -> "Evidence":
        """With its SN run's rows up to the branch, but for spectral collapse, which needs more than is kept here."""
        histories = {}
        for name in ("scores", "tails", "held", "signals"):
            before, own = getattr(parent, name), getattr(self, name)
            histories[name] = pd.concat([before[before.index < own.index[0]], own], join="inner")
        whole = replace(self, **histories)
        return replace(whole, mode_collapse=whole.modes().iteration)

    @property
    def p_of_rising(self) -> float:
        """Of Kendall's test for an upward trend of FID_cls after the first quarter, one-sided."""
        scores = self._between(self.scores["FID_cls"], after=LEARNED)
        return float(kendalltau(np.arange(len(scores)), scores, alternative="greater").pvalue)

    @property
    def mean_tail(self) -> Series:
        return self.tails.mean(axis=1)

    @property
    def first_half(self) -> Series:
        return self.held.mean(axis=1)

    @property
    def fall(self) -> float:
        """The mean tail at the last record over its largest: 1 for spectra that never decayed."""
        return float(self.mean_tail.iloc[-1] / self.mean_tail.max())

    @property
    def decay_onset(self) -> int | None:
        """The first iteration from which on the mean tail stays below `DECAYED` of its largest."""
        tail = self.mean_tail
        last_above = tail.index[tail / tail.cummax() >= DECAYED][-1]
        below = tail.index[tail.index > last_above]
        return int(below[0]) if len(below) else None

    @property
    def kept_gradient(self) -> float:
        """D's gradient norm at the end over that of the beginning, medians: what is left of it."""
        norms = self.signals["gradient"]
        return float(self._between(norms, after=LATE).median() / self._between(norms, after=0, until=EARLY).median())

    def scale(self, after: float, until: float) -> float:
        """Median of sigma_1 of D's raw weights, weighted by gradients, between two shares of the run; else NaN."""
        part = self._between(self.signals.reindex(columns=["gradient", "scaled gradient"]), after, until)
        return float((part["scaled gradient"] / part["gradient"]).median())


def with_their_past(runs: Sequence[Evidence]) -> list[Evidence]:
    """Each run that started from one of SN with that one's rows before, if it is there, from the same processor."""
    sn = {(run.setting, run.seed, run.processor): run for run in runs if run.method == BASELINE}
    parents = [sn.get((run.setting, run.seed, run.processor)) if run.branch else None for run in runs]
    return [run.continuing(parent) if parent else run for run, parent in zip(runs, parents, strict=True)]


def evidence_of(
    folder: RunFolder, setting: str, method: str | None, seed: int, samples: Path | None = None
) -> Evidence:
    """Of the files of a run that has recorded something, in four digits.

    `method` None is what the run says; `samples` is a folder for its samples, beside evidence.json, if they are kept.
    """
    recorded = recorded_run(folder)
    assert recorded is not None
    record, final, method = recorded.record, recorded.final_scores, method or recorded.label
    picture = None
    if samples is not None and (grid := folder.read_samples().get(record["iterations"])):
        picture = f"{samples.name}/{setting}-{method.replace(' ', '-').replace('=', '')}-seed{seed}.png"
        samples.mkdir(parents=True, exist_ok=True)
        with Image.open(grid) as whole:  # the upper left quarter of a grid with an even number of rows
            quarter = whole.crop((0, 0, whole.width // 2 + 1, whole.height // 2 + 1))
            quarter.save(samples.parent / picture, optimize=True)
    measured = {
        "scores": by_iteration(recorded.scores).dropna(axis="columns", how="all"),
        "precision": final.get("precision_cls"),
        "recall": final.get("recall_cls"),
        **_of_spectra(recorded),
    }
    return Evidence(
        setting=setting,
        method=method,
        seed=seed,
        branch=recorded.branch,
        iterations=record["iterations"],
        commit=record["commit"],
        processor=record["hardware"]["device"],
        seconds=record.get("seconds"),
        samples=picture,
        mode_collapse=recorded.collapse_iteration("mode_collapse"),
        spectral_collapse=recorded.collapse_iteration("spectral_collapse"),
        **{name: _in_four_digits(value) for name, value in measured.items()},
    )


def _of_spectra(run: RecordedRun) -> dict[str, Any]:
    """The fields that spectra, losses and gradients decide; none without spectra."""
    spectra = run.spectra
    if spectra is None:
        return {}
    judged = {name: spectra.spectra[name] for name in spectra.judged()}
    last = [float(spectra.sigma_1[name][-1]) for name in judged]
    halves = {name: values[:, : values.shape[1] // 2].mean(axis=1) for name, values in judged.items()}
    sigma_1 = DataFrame(spectra.sigma_1, spectra.iterations)
    norms = DataFrame([row["discriminator"] for row in run.gradients], [row["iteration"] for row in run.gradients])
    scaled = (norms.reindex(columns=sigma_1.columns) * sigma_1).dropna(how="all")
    losses = DataFrame(list(run.losses), columns=["iteration", "loss/discriminator"]).set_index("iteration")
    signals = {
        "loss": losses["loss/discriminator"],
        "gradient": np.sqrt(norms.pow(2).sum(axis=1)),
        "scaled gradient": np.sqrt(scaled.pow(2).sum(axis=1)),
    }
    return {
        "tails": DataFrame({name: tail_mean(values) for name, values in judged.items()}, spectra.iterations),
        "held": DataFrame(halves, spectra.iterations),
        "signals": pd.concat(signals, axis="columns", join="inner"),
        "sigma_1": [float(np.mean(last)), max(last)],
    }


def by_iteration(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    """What a run has recorded, a line for each iteration; empty without any."""
    return DataFrame(list(rows)).set_index("iteration") if rows else DataFrame()


def _in_four_digits(value: Any) -> Any:
    """A number, those of a list or of a table; None stays."""
    if isinstance(value, DataFrame):
        return value.map(_in_four_digits)
    if isinstance(value, list):
        return [_in_four_digits(number) for number in value]
    return value if value is None else float(f"{value:.4g}")


def joined(*groups: Iterable[Evidence]) -> list[Evidence]:
    """One record of each run, in order: the one with the most evaluations, of such the last."""
    longest = sorted((run for group in groups for run in group), key=lambda run: len(run.scores))
    found = {run.key: run for run in longest}
    return [found[key] for key in sorted(found)]


def write_evidence(path: Path, runs: Iterable[Evidence]) -> list[Evidence]:
    """Adds runs to a file, one line for each, in order, without what was not recorded; returns all that it holds."""
    found, lines = joined(read_evidence(path), runs), []
    for run in found:
        fields = dict(vars(run))
        for name, value in vars(run).items():
            if isinstance(value, DataFrame):
                columns = value.reset_index(names="iteration").to_dict("list")
                fields[name] = columns if len(value.columns) else None
        lines.append({name: value for name, value in fields.items() if value is not None})
    write_lines(path, lines)
    return found


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """JSON with a line for each record."""
    write_text(path, "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return records


def read_evidence(path: Path) -> list[Evidence]:
    """What there is; [] without the file."""
    return [evidence_from(fields) for fields in read_lines(path)]


def evidence_from(fields: Mapping[str, Any]) -> Evidence:
    tables = {name: DataFrame(value) for name, value in fields.items() if isinstance(value, dict)}
    return Evidence(**{**fields, **{name: table.set_index("iteration") for name, table in tables.items()}})
