"""Runs of a campaign, invented: what they say is known by hand."""

from collections.abc import Iterable, Sequence
from typing import Any

from pandas import DataFrame

from reproduce.evidence.claims import Answer, answers
from reproduce.evidence.records import Evidence, evidence_from

ITERATIONS = [250, 500, 750, 1000]
STEADY: dict[str, Any] = {"fid": [40.0, 10.0, 10.0, 10.0], "tail": [0.8] * 4, "gradient": [8.0] * 3}
SIGNALS = DataFrame({"gradient": [9.0, 7.0, 2.0], "loss": [1.0, 1.5, 1.9]}, [50, 100, 900])
FID = "FID is better under SR-s than under SN (primary)"
HALF = "the first half of the spectra stays up under SR-s and decays under SN"


def run(method: str = "SN", seed: int = 1, setting: str = "C_64-32", **changes: Any) -> Evidence:
    fid = changes.pop("fid", [40.0, 10.0, 20.0, 30.0])
    tail = changes.pop("tail", [0.5, 0.8, 0.7, 0.6])
    fields: dict[str, Any] = {
        "setting": setting, "method": method, "seed": seed, "branch": None, "iterations": 1000, "commit": "abc",
        "processor": "x", "seconds": 1.0, "scores": {"iteration": ITERATIONS, "FID_cls": fid, "IS_cls": [2.0] * 4},
        "tails": {"iteration": ITERATIONS, "a": tail, "b": tail}, "held": {"iteration": ITERATIONS, "a": tail},
        "signals": {"iteration": [50, 100, 900], "gradient": changes.pop("gradient", [9.0, 7.0, 2.0])},
        "mode_collapse": None, "spectral_collapse": None,
    }  # fmt: skip
    return evidence_from(fields | changes)


def both(seeds: Iterable[int] = range(1, 6), setting: str = "C_64-32", **changes: Any) -> list[Evidence]:
    """Runs that get worse and sink under SN, and do not under SR-s."""
    sn = [run(seed=seed, setting=setting) for seed in seeds]
    return sn + [run("SR-s", seed, setting, **(STEADY | changes)) for seed in seeds]


def found(runs: Sequence[Evidence]) -> dict[str, Answer]:
    return {answer.claim: answer for answer in answers(runs)}
