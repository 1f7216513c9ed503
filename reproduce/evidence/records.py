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
DECAYED = 0.9
"""The mean tail has begun to decay when it is below this share of its largest value so far."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """One run. Each history is a table with the iterations as its index, empty where nothing was kept."""

    setting: str  # row of Table I at scale small, or "digits, D 6" for an experiment on the embedded digits
    method: str  # label of its variant, e.g. "SR-s after SN"
    seed: int
    iterations: int  # its length
    commit: str | None = None  # of the code; None outside of a repository
    processor: str
    scores: DataFrame  # of each evaluation
    # iteration of the SN checkpoint with the same seed that it started from; None for a fresh start
    branch: int | None = None
    seconds: float | None = None  # training and scoring
    tails: DataFrame = field(default_factory=DataFrame)  # tail mean of sigma_k / sigma_1 of each 3x3 convolution of D
    # its mean over k <= N / 2, which SR-s with i = 0.5 N keeps up; what is beyond may fall (Fig. 7c)
    held: DataFrame = field(default_factory=DataFrame)
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
        """With its SN run's rows up to the branch: what is best, largest or early may lie there.

        But for the verdict of spectral collapse, which needs more than is kept here.
        """
        histories = {}
        for name in ("scores", "tails", "held", "signals"):
            before, own = getattr(parent, name), getattr(self, name)
            histories[name] = pd.concat([before[before.index < own.index[0]], own], join="inner")
        whole = replace(self, **histories)
        return replace(whole, mode_collapse=whole.modes().iteration)

    def without_histories(self) -> "Evidence":
        """What the comparison of scales needs of it."""
        kept = [name for name in self.scores if name in ("FID_cls", "modes")]
        return replace(self, scores=self.scores[kept], tails=DataFrame(), held=DataFrame(), signals=DataFrame())

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
        """sigma_1 of D's raw weights, a mean weighted by their gradients: its median between two shares of the run.

        NaN where it was not recorded.
        """
        if "scaled gradient" not in self.signals:
            return float("nan")
        part = self._between(self.signals, after, until)
        return float((part["scaled gradient"] / part["gradient"]).median())


def with_their_past(runs: Sequence[Evidence]) -> list[Evidence]:
    """Each run that started from one of SN with that one's rows before, where it is among them.

    Not from one on another processor: that is another run, though its seed is the same.
    """
    sn = {(run.setting, run.seed, run.processor): run for run in runs if run.method == BASELINE}
    parents = [sn.get((run.setting, run.seed, run.processor)) if run.branch else None for run in runs]
    return [run.continuing(parent) if parent else run for run, parent in zip(runs, parents, strict=True)]


def evidence_of(
    folder: RunFolder, setting: str, method: str | None, seed: int, samples: Path | None = None
) -> Evidence:
    """Of the files of a run that has recorded something, in four digits.

    Args:
        folder: the run's.
        setting: see `Evidence`.
        method: see `Evidence`; None: as the run says.
        seed: of the run.
        samples: folder for its samples, beside evidence.json; None: they are not kept.
    """
    recorded = recorded_run(folder)
    assert recorded is not None
    record, final, method = recorded.record, recorded.final_scores, method or recorded.label
    grid = folder.read_samples().get(record["iterations"])
    picture = None
    if samples is not None and grid:
        picture = f"{samples.name}/{setting}-{method.replace(' ', '-').replace('=', '')}-seed{seed}.png"
        _save_quarter(grid, samples.parent / picture)
    return Evidence(
        setting=setting,
        method=method,
        seed=seed,
        branch=recorded.branch,
        iterations=record["iterations"],
        commit=record["commit"],
        processor=record["hardware"]["device"],
        seconds=record.get("seconds"),
        scores=_rounded(_by_iteration(recorded.scores).dropna(axis="columns", how="all")),
        mode_collapse=recorded.collapse_iteration("mode_collapse"),
        spectral_collapse=recorded.collapse_iteration("spectral_collapse"),
        samples=picture,
        precision=_in_four_digits(final["precision_cls"]) if "precision_cls" in final else None,
        recall=_in_four_digits(final["recall_cls"]) if "recall_cls" in final else None,
        **_of_spectra(recorded),
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
        "tails": _rounded(DataFrame({name: tail_mean(values) for name, values in judged.items()}, spectra.iterations)),
        "held": _rounded(DataFrame(halves, spectra.iterations)),
        "signals": _rounded(pd.concat(signals, axis="columns", join="inner")),
        "sigma_1": [_in_four_digits(float(np.mean(last))), _in_four_digits(max(last))],
    }


def _by_iteration(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    return DataFrame(rows).set_index("iteration") if rows else DataFrame()


def _in_four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def _rounded(history: DataFrame) -> DataFrame:
    return history.map(_in_four_digits)


def _save_quarter(grid: Path, path: Path) -> None:
    """Of a grid with an even number of rows, the upper left one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(grid) as whole:
        whole.crop((0, 0, whole.width // 2 + 1, whole.height // 2 + 1)).save(path, optimize=True)


def joined(*groups: Iterable[Evidence]) -> list[Evidence]:
    """One record of each run, in order: the one with the most evaluations, of such the last."""
    found: dict[tuple[str, str, int], Evidence] = {}
    for run in (run for group in groups for run in group):
        before = found.get(run.key)
        if before is None or len(run.scores) >= len(before.scores):
            found[run.key] = run
    return [found[key] for key in sorted(found)]


def write_evidence(path: Path, runs: Iterable[Evidence]) -> None:
    """One line for each run, in order, without what was not recorded; what the file held of other runs stays."""
    lines = []
    for run in joined(read_evidence(path), runs):
        fields = {name: _as_columns(value) for name, value in vars(run).items()}
        lines.append(json.dumps({name: value for name, value in fields.items() if value not in (None, {})}))
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")


def _as_columns(value: Any) -> Any:
    if not isinstance(value, DataFrame):
        return value
    return {"iteration": value.index.tolist(), **value.to_dict("list")} if len(value.columns) else {}


def read_evidence(path: Path) -> list[Evidence]:
    """What there is; [] without the file."""
    return [evidence_from(fields) for fields in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def evidence_from(fields: Mapping[str, Any]) -> Evidence:
    """Of a line of evidence.json."""
    histories = {
        name: DataFrame(value).set_index("iteration") for name, value in fields.items() if isinstance(value, dict)
    }
    return Evidence(**{**fields, **histories})
