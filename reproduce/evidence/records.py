"""What the runs of a campaign recorded, small enough to keep. No torch in here."""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from math import hypot, nan
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.stats import kendalltau

from reproduce.plan.table_runs import TableRun
from srgan.collapse import (
    CollapseThresholds,
    Verdict,
    is_lower_better,
    mode_collapse,
    running_median,
    tail_mean,
)
from srgan.utils.files import write_text

BASELINE = "SN"
CONTROLS = SCALE_CONTROL, RATE_CONTROL = "SR-s with i = 1", "SN with D's rate doubled"
"""Methods that ask whether SR-s's gain comes from the scale of D's raw weights.

The length of Adam's steps does not depend on the scale of a gradient, so they turn a weight the less, the larger it is.
The one brings each convolution's sigma_1 to 1 as SR-s does: W <- W / sigma_1, which leaves what D computes as it was.
The other leaves the weights alone and doubles all of D's steps, its linear layer's and biases' too.
"""
BRANCH = 2_000
"""The iteration of SN's checkpoint from which others go on, fixed before any run: a fifth of the training."""
SWITCHED = "SR-s after SN"
"""SR-s from the checkpoint from which SR-d goes on."""
EQUATION_10 = "SR-d by Eq. 10"
"""SR-d in the paper's form, from that checkpoint: W_SR in the forward pass, the raw weights left alone."""
LATE = 0.75
"""Share of a run after which its evaluations count as its end."""
EARLY = 0.1
"""Share of a run up to which its gradients count as those of its beginning."""
LEARNED = 0.25
"""Share of a run after which a rising FID is no part of its beginning."""
SUNK = 0.9
"""Times its largest so far, below which the mean tail has begun to sink."""


@dataclass(frozen=True)
class Evidence:
    """One finished run.

    Attributes:
        setting: row of Table I.
        method: label of its constraint, "SN", "SR-s" or "SR-d", or a constant above.
        seed: of everything random in it.
        branch: iteration of the SN checkpoint with the same seed from which it went on; None if it began from nothing.
        iterations: its length.
        commit: of the code.
        processor: it ran on.
        seconds: training and scoring.
        scores: "iteration" and each score -> one value for each evaluation.
        tails: "iteration" and each 3x3 convolution of D -> tail mean of sigma_k / sigma_1 at each record.
        held: the same of the mean over k <= N / 2, which SR-s with i = 0.5 N holds; what is beyond may fall (Fig. 7c).
        signals: "iteration" and of D "loss" and "gradient", the norm over all layers, at each record: what simpler
            warnings could go by. "scaled gradient", not of the first pairs: each layer's norm (of weight and bias
            together) times sigma_1 of its weight, which growth of the weights would leave as it is.
        mode_collapse: iteration of the verdict, None for none.
        spectral_collapse: iteration of the verdict, None for none.
        samples: a quarter of the sample grid at its end, a PNG in base64; None without one, as in the first runs.
        precision: of the last iteration, the share of generated images near real ones; None where it was not measured.
        recall: of the last iteration, the share of real images near generated ones; None likewise.
    """

    setting: str
    method: str
    seed: int
    branch: int | None
    iterations: int
    commit: str
    processor: str
    seconds: float
    scores: dict[str, list[float]]
    tails: dict[str, list[float]]
    held: dict[str, list[float]]
    signals: dict[str, list[float]]
    mode_collapse: int | None
    spectral_collapse: int | None
    samples: str | None = None
    precision: float | None = None
    recall: float | None = None

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

    def best(self, score: str) -> float:
        """Of the running medians of three evaluations: a single lucky one makes no best."""
        smooth = running_median(np.array(self.scores[score]), CollapseThresholds().evaluations)
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
    def rise(self) -> float:
        """FID at the end over the best FID: 1 for a run that never got worse."""
        return self.late("FID_cls") / self.best("FID_cls")

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


def _joined(first: Mapping[str, list[float]], then: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """Columns of a run up to the first record of the one that went on from it, and then that one's."""
    kept = sum(iteration < then["iteration"][0] for iteration in first["iteration"])
    return {name: first[name][:kept] + values for name, values in then.items() if name in first}


def with_their_past(runs: Sequence[Evidence]) -> list[Evidence]:
    """Each run that went on from one of SN with that one's rows before, where it is among them.

    Not from one on another processor: that is another run, though its seed is the same.
    """
    found = {run.key: run for run in runs}
    parents = [found.get((run.setting, BASELINE, run.seed)) if run.branch else None for run in runs]
    return [
        run.continuing(parent) if parent and parent.processor == run.processor else run
        for run, parent in zip(runs, parents, strict=True)
    ]


def evidence_of(run: TableRun) -> Evidence:
    """Of a finished run's files, in four digits."""
    folder = run.folder
    record, spectra = folder.read_record(), folder.read_spectra()
    assert record is not None
    assert spectra is not None
    rows, losses, gradients = folder.read_scores(), folder.read_losses(), folder.read_gradients()
    times = {int(iteration): time for time, iteration in enumerate(spectra.iterations)}
    norms = {row["iteration"]: row["discriminator"] for row in gradients if row["iteration"] in times}
    recorded = [row for row in losses if row["iteration"] in norms]

    def scaled(iteration: int) -> float:
        time = times[iteration]
        return hypot(*(sigma_1[time] * norms[iteration][layer] for layer, sigma_1 in spectra.sigma_1.items()))

    verdicts = record["verdicts"]
    judged = spectra.judged()
    whole = {name: spectra.spectra[name] for name in judged}
    tails = {name: tail_mean(values) for name, values in whole.items()}
    held = {name: values[:, : values.shape[1] // 2].mean(axis=1) for name, values in whole.items()}
    scores = [name for name in rows[0] if rows[0][name] is not None and name != "iteration"]
    grid = folder.read_samples().get(record["iterations"])
    final = (folder.read_final() or {}).get("scores", {})
    return Evidence(
        setting=run.setting.name,
        method=_method(record, judged),
        seed=run.seed,
        branch=record["parent"]["iteration"] if record["parent"] else None,
        iterations=record["iterations"],
        commit=record["commit"],
        processor=record["hardware"]["device"],
        seconds=record["seconds"],
        scores=_columns([row["iteration"] for row in rows], {name: [row[name] for row in rows] for name in scores}),
        tails=_columns(spectra.iterations, tails),
        held=_columns(spectra.iterations, held),
        signals=_columns(
            [row["iteration"] for row in recorded],
            {
                "loss": [row["loss/discriminator"] for row in recorded],
                "gradient": [hypot(*norms[row["iteration"]].values()) for row in recorded],
                "scaled gradient": [scaled(row["iteration"]) for row in recorded],
            },
        ),
        mode_collapse=verdicts["mode_collapse"]["iteration"],
        spectral_collapse=verdicts["spectral_collapse"]["iteration"],
        samples=_quarter(grid) if grid else None,
        precision=_rounded(final["precision_cls"]) if "precision_cls" in final else None,
        recall=_rounded(final["recall_cls"]) if "recall_cls" in final else None,
    )


def _method(record: Mapping[str, Any], judged: Mapping[str, np.ndarray]) -> str:
    """By what a run is, whatever it was called."""
    label, model = str(record["constraint"]["label"]), record["config"]["model"]
    if all(values.shape[1] == 1 for values in judged.values()):  # what SR-s with i = 1 holds is sigma_1 alone
        return SCALE_CONTROL
    if label == "SR-s" and record["parent"] and record["parent"]["constraint"] == BASELINE:
        return SWITCHED
    if label == "SR-d" and model["constraint"]["init_args"]["mode"] == "reparametrization":
        return EQUATION_10
    of_D, of_G = (model[f"{net}_optimizer"]["learning_rate"] for net in ("discriminator", "generator"))
    return RATE_CONTROL if label == BASELINE and of_D == 2 * of_G else label


def _quarter(path: Path) -> str:
    """Of a grid with an even number of rows, the upper left one."""
    file = BytesIO()
    with Image.open(path) as grid:
        grid.crop((0, 0, grid.width // 2 + 1, grid.height // 2 + 1)).save(file, "PNG", optimize=True)
    return b64encode(file.getvalue()).decode()


def _columns(iterations: Iterable[int], columns: Mapping[str, Iterable[float]]) -> dict[str, list[float]]:
    rounded = {name: [_rounded(value) for value in values] for name, values in columns.items()}
    return {"iteration": [int(iteration) for iteration in iterations], **rounded}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def write_evidence(path: Path, runs: Iterable[Evidence]) -> None:
    """One line for each run, in order; what the file held of other runs stays."""
    found = {run.key: run for run in [*read_evidence(path), *runs]}
    lines = ",\n".join(json.dumps(asdict(found[key])) for key in sorted(found))
    write_text(path, f"[\n{lines}\n]\n")


def read_evidence(path: Path) -> list[Evidence]:
    """What there is; [] without the file."""
    return [Evidence(**run) for run in json.loads(path.read_text())] if path.exists() else []
