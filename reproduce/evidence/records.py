"""What is kept of a campaign's runs: a line of evidence.json for each. No torch in here."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import hypot, nan
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import kendalltau

from reproduce.plan.run import SEED, Run
from reproduce.plan.variants import SN
from srgan.collapse import (
    CollapseThresholds,
    Verdict,
    is_lower_better,
    mode_collapse,
    running_median,
    tail_mean,
)
from srgan.runs.recorded import RecordedRun, recorded_run
from srgan.utils.files import write_text

BASELINE = SN.label
LATE = 0.75
"""Share of a run after which its evaluations count as its end."""
EARLY = 0.1
"""Share of a run up to which its gradients count as those of its beginning."""
LEARNED = 0.25
"""Share of a run after which a rising FID is no part of its beginning."""
SUNK = 0.9
"""Times its largest so far, below which the mean tail has begun to sink."""

Columns = dict[str, list[float]]
"""The column "iteration" and others: a value for each record."""


@dataclass(frozen=True)
class Evidence:
    """One run."""

    setting: str  # row of Table I at scale small, or "digits, D 6" for an experiment on the embedded digits
    method: str  # label of its variant, e.g. "SR-s after SN"
    seed: int  # Random seed
    iterations: int  # its length
    commit: str  # of the code
    processor: str  # it ran on
    scores: Columns  # for each evaluation
    # iteration of the SN checkpoint with the same seed that it started from; None for a fresh start
    branch: int | None = None
    seconds: float | None = None  # training and scoring
    tails: Columns = field(default_factory=dict)  # of each 3x3 convolution of D the tail mean of sigma_k / sigma_1
    # the mean over k <= N / 2, which SR-s with i = 0.5 N holds; what is beyond may fall (Fig. 7c)
    held: Columns = field(default_factory=dict)
    # of D "loss" and "gradient", the norm over all layers. "scaled gradient", not of the first pairs: each layer's norm
    # (of weight and bias together) times sigma_1 of its weight, which growth of the weights would leave as it is
    signals: Columns = field(default_factory=dict)
    mode_collapse: int | None = None  # iteration of the verdict, None for none
    spectral_collapse: int | None = None  # iteration of the verdict, None for none
    # PNG beside evidence.json, a quarter of the sample grid at its end; None in the first runs
    samples: str | None = None
    # of the last iteration, the share of generated images near real ones; None where not measured
    precision: float | None = None
    # of the last iteration, the share of real images near generated ones; None where not measured
    recall: float | None = None
    # mean and largest of D's 3x3 convolutions at the last record; None where not kept
    sigma_1: list[float] | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return self.setting, self.method, self.seed

    def _part(self, columns: Mapping[str, Sequence[float]], name: str, after: float, until: float = 1.0) -> np.ndarray:
        """The values of a column between two shares of the run."""
        iterations = np.array(columns["iteration"])
        inside = (iterations > after * self.iterations) & (iterations <= until * self.iterations)
        return np.array(columns[name])[inside]

    def late(self, score: str) -> float:
        """Median of the evaluations of the last quarter."""
        return float(np.median(self._part(self.scores, score, after=LATE)))

    def smooth(self, score: str) -> np.ndarray:
        """`[T]`, running medians of three evaluations."""
        return running_median(np.array(self.scores[score]), CollapseThresholds().evaluations)

    def best(self, score: str) -> float:
        """Of the running medians: a single lucky evaluation makes no best."""
        smooth = self.smooth(score)
        return float(smooth.min() if is_lower_better(score) else smooth.max())

    def collapses(self, evaluations: int) -> bool:
        """Whether its modes collapse, judged by medians of so many evaluations."""
        return self._mode_collapse(evaluations).collapsed

    def _mode_collapse(self, evaluations: int) -> Verdict:
        rows = [dict(zip(self.scores, row, strict=True)) for row in zip(*self.scores.values(), strict=True)]
        return mode_collapse(rows, CollapseThresholds(evaluations=evaluations))

    def continuing(self, parent: "Evidence") -> "Evidence":
        """With its SN run's rows up to the branch: what is best, largest or early may lie there.

        But for the verdict of spectral collapse, which needs more than is kept here.
        """
        whole = replace(
            self,
            scores=_joined(parent.scores, self.scores),
            tails=_joined(parent.tails, self.tails),
            held=_joined(parent.held, self.held),
            signals=_joined(parent.signals, self.signals),
        )
        return replace(whole, mode_collapse=whole._mode_collapse(CollapseThresholds().evaluations).iteration)

    def without_histories(self) -> "Evidence":
        """What the comparison of scales needs of it."""
        scores = {name: values for name, values in self.scores.items() if name in ("iteration", "FID_cls", "modes")}
        return replace(self, scores=scores, tails={}, held={}, signals={})

    def early(self, signal: str) -> float:
        """Median of the records of the first tenth; NaN without one."""
        values = self._part(self.signals, signal, after=0, until=EARLY)
        return float(np.median(values)) if len(values) else nan

    @property
    def p_of_rising(self) -> float:
        """Of Kendall's test for an upward trend of FID_cls after the first quarter, one-sided."""
        scores = self._part(self.scores, "FID_cls", after=LEARNED)
        return float(kendalltau(np.arange(len(scores)), scores, alternative="greater").pvalue)

    @property
    def mean_tail(self) -> np.ndarray:
        """`[T]`, over the 3x3 convolutions."""
        return _mean_of_layers(self.tails)

    @property
    def mean_held(self) -> np.ndarray:
        """`[T]`, over the 3x3 convolutions."""
        return _mean_of_layers(self.held)

    @property
    def fall(self) -> float:
        """The mean tail at the last record over its largest: 1 for spectra that never sank."""
        return float(over_largest_so_far(self.mean_tail)[-1])

    @property
    def kept_gradient(self) -> float:
        """D's gradient norm at the end over that of the beginning, medians: what is left of it."""
        late = self._part(self.signals, "gradient", after=LATE)
        return float(np.median(late) / self.early("gradient"))

    def scale(self, after: float, until: float) -> float:
        """sigma_1 of D's raw weights, a mean weighted by their gradients: its median between two shares of the run.

        NaN where it was not recorded.
        """
        if "scaled gradient" not in self.signals:
            return nan
        scaled, norms = (self._part(self.signals, name, after, until) for name in ("scaled gradient", "gradient"))
        return float(np.median(scaled / norms)) if len(norms) else nan

    @property
    def sinking(self) -> int | None:
        """The first iteration from which on the mean tail stays below `SUNK` of its largest."""
        after = np.flatnonzero(over_largest_so_far(self.mean_tail) >= SUNK)[-1] + 1
        return int(self.tails["iteration"][after]) if after < len(self.tails["iteration"]) else None


def over_largest_so_far(values: np.ndarray) -> np.ndarray:
    """`[T]` -> `[T]`: 1 as long as they rise."""
    ratios: np.ndarray = values / np.maximum.accumulate(values)
    return ratios


def _mean_of_layers(columns: Mapping[str, Sequence[float]]) -> np.ndarray:
    mean: np.ndarray = np.mean([values for name, values in columns.items() if name != "iteration"], axis=0)
    return mean


def _joined(first: Columns, then: Columns) -> Columns:
    """Columns of a run up to the first record of the one that started from it, and then that one's."""
    kept = sum(iteration < then["iteration"][0] for iteration in first["iteration"])
    return {name: first[name][:kept] + values for name, values in then.items() if name in first}


def with_their_past(runs: Sequence[Evidence]) -> list[Evidence]:
    """Each run that started from one of SN with that one's rows before, where it is among them.

    Not from one on another processor: that is another run, though its seed is the same.
    """
    found = {run.key: run for run in runs}
    parents = [found.get((run.setting, BASELINE, run.seed)) if run.branch else None for run in runs]
    return [
        run.continuing(parent) if parent and parent.processor == run.processor else run
        for run, parent in zip(runs, parents, strict=True)
    ]


def evidence_of(run: Run, setting: str, samples: Path | None = None) -> Evidence:
    """Of a run's files, in four digits.

    Args:
        run: one that has recorded something.
        setting: see `Evidence`.
        samples: folder for its samples, beside evidence.json; None: they are not kept.
    """
    recorded = recorded_run(run.folder)
    assert recorded is not None
    record, rows, final = recorded.record, recorded.scores, recorded.final_scores
    scores = [name for name, value in rows[0].items() if value is not None and name != "iteration"] if rows else []
    method, seed = run.label or recorded.label, int(run.flat[SEED])
    grid = recorded.folder.read_samples().get(record["iterations"])
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
        scores=_columns([row["iteration"] for row in rows], {name: [row[name] for row in rows] for name in scores}),
        mode_collapse=recorded.collapse_iteration("mode_collapse"),
        spectral_collapse=recorded.collapse_iteration("spectral_collapse"),
        samples=picture,
        precision=_rounded(final["precision_cls"]) if "precision_cls" in final else None,
        recall=_rounded(final["recall_cls"]) if "recall_cls" in final else None,
        **_of_spectra(recorded),
    )


def _of_spectra(run: RecordedRun) -> dict[str, Any]:
    """The fields that spectra, losses and gradients decide; none without spectra."""
    spectra = run.spectra
    if spectra is None:
        return {}
    times = {int(iteration): time for time, iteration in enumerate(spectra.iterations)}
    norms = {row["iteration"]: row["discriminator"] for row in run.gradients if row["iteration"] in times}
    losses = [row for row in run.losses if row["iteration"] in norms]

    def scaled(iteration: int) -> float:
        time = times[iteration]
        return hypot(*(sigma_1[time] * norms[iteration][layer] for layer, sigma_1 in spectra.sigma_1.items()))

    whole = {name: spectra.spectra[name] for name in spectra.judged()}
    last = [float(spectra.sigma_1[name][-1]) for name in whole]
    return {
        "tails": _columns(spectra.iterations, {name: tail_mean(values) for name, values in whole.items()}),
        "held": _columns(
            spectra.iterations, {name: values[:, : values.shape[1] // 2].mean(axis=1) for name, values in whole.items()}
        ),
        "signals": _columns(
            [row["iteration"] for row in losses],
            {
                "loss": [row["loss/discriminator"] for row in losses],
                "gradient": [hypot(*norms[row["iteration"]].values()) for row in losses],
                "scaled gradient": [scaled(row["iteration"]) for row in losses],
            },
        ),
        "sigma_1": [_rounded(float(np.mean(last))), _rounded(max(last))],
    }


def _save_quarter(grid: Path, path: Path) -> None:
    """Of a grid with an even number of rows, the upper left one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(grid) as whole:
        whole.crop((0, 0, whole.width // 2 + 1, whole.height // 2 + 1)).save(path, optimize=True)


def _columns(iterations: Iterable[int], columns: Mapping[str, Iterable[float]]) -> Columns:
    rounded = {name: [_rounded(value) for value in values] for name, values in columns.items()}
    return {"iteration": [int(iteration) for iteration in iterations], **rounded}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def joined(*groups: Iterable[Evidence]) -> list[Evidence]:
    """One record of each run, in order: the one with the most evaluations, of such the last."""
    found: dict[tuple[str, str, int], Evidence] = {}
    for run in (run for group in groups for run in group):
        before = found.get(run.key)
        if before is None or len(run.scores["iteration"]) >= len(before.scores["iteration"]):
            found[run.key] = run
    return [found[key] for key in sorted(found)]


def write_evidence(path: Path, runs: Iterable[Evidence]) -> None:
    """One line for each run, in order, without what was not recorded; what the file held of other runs stays."""
    kept = [
        {name: value for name, value in asdict(run).items() if value not in (None, {})}
        for run in joined(read_evidence(path), runs)
    ]
    lines = ",\n".join(map(json.dumps, kept))
    write_text(path, f"[\n{lines}\n]\n")


def read_evidence(path: Path) -> list[Evidence]:
    """What there is; [] without the file."""
    return [Evidence(**run) for run in json.loads(path.read_text())] if path.exists() else []
