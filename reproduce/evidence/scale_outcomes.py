"""The cells of "scale or spectrum", and what is kept of a run of one. No torch in here."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path
from statistics import mean
from typing import Any, Literal, NamedTuple

from reproduce.evidence.records import BASELINE, SWITCHED, Evidence
from reproduce.plan.run import CHANNELS
from srgan.runs.folder import RunFolder, flatten_settings
from srgan.utils.files import write_text

Experiment = Literal["digits", "C_64-32"]
ENDS: dict[str, tuple[int, ...]] = {"digits": (600,), "C_64-32": (5_000, 5_500, 6_000)}
"""Experiment -> evaluations whose geometric mean of FID_cls is compared, as LOG.md registered them."""


class Cell(NamedTuple):
    """A compensation and a scale.

    Attributes:
        compensation: "none", "static" or "dynamic".
        scale: "kept", or "unit": sigma_1 of the raw weight is brought to 1.
        words: what it is called.
    """

    compensation: str
    scale: str
    words: str


CELLS = {
    "sn": Cell("none", "kept", "SN"),
    "none-unit": Cell("none", "unit", "SN at unit scale"),
    "sr-s-keep": Cell("static", "kept", "SR-s, scale kept"),
    "sr-s": Cell("static", "unit", "SR-s (the authors')"),
    "sr-d-keep": Cell("dynamic", "kept", "SR-d (the authors')"),
    "sr-d-unit": Cell("dynamic", "unit", "SR-d at unit scale"),
}
"""Name in folders and files -> cell."""
OF_EVIDENCE = {BASELINE: "sn", SWITCHED: "sr-s", "SR-d": "sr-d-keep"}
"""Method of `evidence.json` -> cell of C_64-32: those that go on from SN's checkpoint at 2,000, and SN."""


@dataclass(frozen=True)
class Outcome:
    """One run of a cell.

    Attributes:
        experiment: "digits", from the start, or "C_64-32" at scale small, from SN's checkpoint at 2,000.
        width: D's channels.
        cell: of CELLS.
        seed: of everything random in it.
        iteration: of each evaluation.
        FID_cls: at each of them.
        modes: of 1,000, at each; None where the images have none.
        recall: at the last iteration; None where it was not measured, as in every run that was stopped before its end.
        sigma_1: mean and largest of D's 3x3 convolutions at the last record; None where it was not kept.
        commit: of the code.
        processor: it ran on.
    """

    experiment: str
    width: int
    cell: str
    seed: int
    iteration: list[int]
    FID_cls: list[float]
    modes: list[int] | None
    recall: float | None
    sigma_1: list[float] | None
    commit: str
    processor: str

    @property
    def key(self) -> tuple[str, int, str, int]:
        return self.experiment, self.width, self.cell, self.seed

    @property
    def score(self) -> float | None:
        """What is compared; None before the run is there."""
        scores = dict(zip(self.iteration, self.FID_cls, strict=True))
        ends = ENDS[self.experiment]
        if not all(iteration in scores for iteration in ends):
            return None
        return exp(mean(log(scores[iteration]) for iteration in ends))


def outcome_of(folder: RunFolder, experiment: Experiment, cell: str) -> Outcome | None:
    """Of a run's files, finished or not, in four digits; None before its first evaluation."""
    record, rows, spectra = folder.read_record(), folder.read_scores(), folder.read_spectra()
    if record is None or not rows:
        return None
    final = (folder.read_final() or {}).get("scores", {})
    sigma_1 = None
    if spectra is not None:
        last = [float(spectra.sigma_1[name][-1]) for name in spectra.judged()]
        sigma_1 = [_rounded(mean(last)), _rounded(max(last))]
    return Outcome(
        experiment=experiment,
        width=int(flatten_settings(record["config"])[CHANNELS]),
        cell=cell,
        seed=record["seed"],
        iteration=[row["iteration"] for row in rows],
        FID_cls=[_rounded(row["FID_cls"]) for row in rows],
        modes=[row["modes"] for row in rows] if rows[0].get("modes") is not None else None,
        recall=_rounded(final["recall_cls"]) if "recall_cls" in final else None,
        sigma_1=sigma_1,
        commit=record["commit"],
        processor=record["hardware"]["device"],
    )


def outcomes_in(root: Path) -> list[Outcome]:
    """Of all runs below a folder: `digits/D6/sr-d-unit-seed11`, `small/sr-s-keep-seed4`, whoever made them."""
    found: list[Outcome | None] = []
    places: tuple[tuple[str, Experiment], ...] = (("digits/D*", "digits"), ("small", "C_64-32"))
    for pattern, experiment in places:
        for path in sorted(root.glob(f"{pattern}/*/run.json")):
            name = re.fullmatch(r"(.+)-seed\d+", path.parent.name)
            if name and name[1] in CELLS:
                found.append(outcome_of(RunFolder(path.parent), experiment, name[1]))
    return [outcome for outcome in found if outcome]


def outcomes_of_evidence(runs: Iterable[Evidence]) -> list[Outcome]:
    """The cells of C_64-32 that `make reproduce-collapse` has."""
    return [
        Outcome(
            experiment="C_64-32",
            width=8,
            cell=OF_EVIDENCE[run.method],
            seed=run.seed,
            iteration=[int(iteration) for iteration in run.scores["iteration"]],
            FID_cls=run.scores["FID_cls"],
            modes=None,
            recall=run.recall,
            sigma_1=None,
            commit=run.commit,
            processor=run.processor,
        )
        for run in runs
        if run.setting == "C_64-32" and run.method in OF_EVIDENCE
    ]


def joined(*groups: Iterable[Outcome]) -> list[Outcome]:
    """One outcome of each run, in order: the one with the most evaluations, of such the last."""
    found: dict[Any, Outcome] = {}
    for outcome in (outcome for group in groups for outcome in group):
        if outcome.key not in found or len(outcome.iteration) >= len(found[outcome.key].iteration):
            found[outcome.key] = outcome
    return [found[key] for key in sorted(found)]


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """One line for each run; what the file held of other runs stays."""
    lines = ",\n".join(json.dumps(asdict(outcome)) for outcome in joined(read_outcomes(path), outcomes))
    write_text(path, f"[\n{lines}\n]\n")


def read_outcomes(path: Path) -> list[Outcome]:
    """What there is; [] without the file."""
    return [Outcome(**run) for run in json.loads(path.read_text())] if path.exists() else []


def scores_of(outcomes: Iterable[Outcome], experiment: str, width: int) -> dict[str, dict[int, float]]:
    """Cell -> seed -> what is compared, of runs that have it."""
    return {
        cell: {
            outcome.seed: outcome.score
            for outcome in outcomes
            if (outcome.experiment, outcome.width, outcome.cell) == (experiment, width, cell) and outcome.score
        }
        for cell in CELLS
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
