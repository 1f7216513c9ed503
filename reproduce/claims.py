"""What the runs of a campaign say together to the paper's claims, and to ours. No torch in here."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy.stats import PermutationMethod, pearsonr, rankdata

from reproduce.evidence import BRANCH, SUNK, Evidence
from reproduce.significance import LEVEL, compare, in_words
from srgan.metrics.verdicts import CollapseThresholds

Measure = Callable[[Evidence], float]
BASELINE = "SN"


def paired(runs: Sequence[Evidence], method: str) -> list[tuple[Evidence, Evidence]]:
    """Runs of SN and of a method with one setting and seed."""
    found = {run.key: run for run in runs}
    baselines = [run for run in runs if run.method == BASELINE]
    others = [(run, found.get((run.setting, method, run.seed))) for run in baselines]
    return [(sn, other) for sn, other in others if other]


@dataclass(frozen=True)
class Answer:
    """What the runs say to one claim of the paper.

    Attributes:
        place: in the paper.
        claim: in our words.
        words: the numbers, with n.
        holds: None where so many runs cannot decide it.
    """

    place: str
    claim: str
    words: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        return {True: "shown here", False: "refuted here", None: "not decided"}[self.holds]


def answers(runs: Sequence[Evidence]) -> list[Answer]:
    """To the claims that were registered before the runs (LOG.md)."""
    found: list[Answer | None] = []
    for place, method in (("IV", "SR-s"), ("IV-B", "SR-d")):
        start = "" if method == "SR-s" else f", from SN's checkpoint at {BRANCH:,} on"
        for score, late in (("FID", "FID_cls"), ("IS", "IS_cls")):
            claim = f"{score} is better under {method} than under SN{start}"
            found.append(
                _in_pairs(runs, place, claim, method, f"{late} at the end", partial(Evidence.late, score=late))
            )
    for method in ("SR-s", "SR-d"):
        found += _modes(runs, method)
    for method in ("SR-s", "SR-d"):
        claim = f"{method} keeps the tail of the spectra from falling"
        found.append(_in_pairs(runs, "II-C", claim, method, "mean tail at the end over its largest", _fall))
    claim = "SR-s holds the first half of the spectra, which sinks under SN"
    found.append(_in_pairs(runs, "II-C", claim, "SR-s", "mean of the first half at the end", _held))
    claim = "D's gradients die under SN and live on under SR-s"
    label = "D's gradient norm at the end over that of the first tenth"
    found.append(_in_pairs(runs, "ours", claim, "SR-s", label, lambda run: run.kept_gradient))
    found += _links(runs)
    return [answer for answer in found if answer]


def _fall(run: Evidence) -> float:
    return run.fall


def _held(run: Evidence) -> float:
    return float(run.mean_held[-1])


def _in_pairs(
    runs: Sequence[Evidence], place: str, claim: str, method: str, label: str, measure: Measure
) -> Answer | None:
    """A method against SN in pairs of one setting and seed; None without a pair."""
    pairs = [(measure(sn), measure(other)) for sn, other in paired(runs, method)]
    if not pairs:
        return None
    first, second = zip(*pairs, strict=True)
    compared = compare(first, second, lower_is_better=label.startswith("FID"))
    relation = "ahead of" if label.startswith(("FID", "IS")) else "above"
    return Answer(place, claim, in_words(f"{method} {relation} {BASELINE}", label, compared), compared.holds)


def _modes(runs: Sequence[Evidence], method: str) -> list[Answer]:
    """Whether modes collapse under SN in most seeds and under SR in none; by the rule, and by a trend of FID."""
    pairs = paired(runs, method)
    if not pairs:
        return []

    def count(judge: Callable[[Evidence], bool]) -> list[int]:
        return [sum(map(judge, side)) for side in zip(*pairs, strict=True)]

    def answer(claim: str, counts: list[int], further: str) -> Answer:
        sn, sr = counts
        words = f"{BASELINE} in {sn}, {method} in {sr} of {len(pairs)}{further}."
        holds = None if 0.5 ** len(pairs) > LEVEL else sn > len(pairs) / 2 and sr == 0
        return Answer("IV" if method == "SR-s" else "IV-B", claim, words, holds)

    single = count(lambda run: run.collapses(evaluations=1))
    return [
        answer(
            f"modes collapse under SN in most seeds, under {method} in none",
            count(lambda run: run.collapses(CollapseThresholds().evaluations)),
            f"; judged by single evaluations {single[0]} and {single[1]}",
        ),
        answer(
            f"after the first quarter FID rises under SN in most seeds, under {method} in none",
            count(lambda run: run.p_of_rising <= LEVEL),
            f" (Kendall's test for a trend, p <= {LEVEL})",
        ),
    ]


def _links(runs: Sequence[Evidence]) -> list[Answer]:
    """How mode collapse goes with the tail and with the first half of the spectra; [] for fewer than four runs."""
    if len(runs) < 4:
        return []
    counts = Counter((run.mode_collapse is not None, run.spectral_collapse is not None) for run in runs)
    verdicts = (
        f"Verdicts: both {counts[True, True]}, modes alone {counts[True, False]}, spectra alone "
        f"{counts[False, True]}, neither {counts[False, False]}."
    )
    leads = [run.mode_collapse - run.sinking for run in runs if run.sinking is not None and run.mode_collapse]
    if leads:
        verdicts += (
            f" Where the tail sank and modes collapsed, it fell below {SUNK} of its largest {np.median(leads):,.0f} "
            f"iterations before the mode collapse (median of {len(leads)}; {min(leads):,} to {max(leads):,})."
        )
    return [
        _link(runs, "mode collapse comes with the fall of the tail", _fall, verdicts),
        _link(runs, "mode collapse comes with the fall of the first half", _held, ""),
    ]


def _link(runs: Sequence[Evidence], claim: str, measure: Measure, further: str) -> Answer:
    """The rank correlation of FID's rise with the fall of a part of the spectra; p by permuting the runs."""
    rises, falls = rankdata([run.rise for run in runs]), rankdata([-measure(run) for run in runs])

    def permuted(alternative: Literal["greater", "less"]) -> Any:
        method = PermutationMethod(rng=np.random.default_rng(0))
        return pearsonr(rises, falls, alternative=alternative, method=method)

    found = permuted("greater")
    words = (
        f"rank correlation of FID's rise (end over best) with it over {len(runs)} runs: {found.statistic:+.2f} "
        f"(one-sided p = {found.pvalue:.2g}). {further}"
    )
    holds = True if found.pvalue <= LEVEL else False if permuted("less").pvalue <= LEVEL else None
    return Answer("II-C", claim, words.strip(), holds)


def answer_table(runs: Sequence[Evidence]) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each claim."""
    lines = [[answer.place, answer.claim, f"**{answer.verdict}**", answer.words] for answer in answers(runs)]
    return ["section", "claim", "verdict", "numbers"], lines


def table(runs: Sequence[Evidence]) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each run."""
    header = ["setting", "method", "seed", "FID_cls best", "at the end", "IS_cls at the end", "tail / its largest"]
    header += ["first half", "p of a rising FID", "tail sinks from", "mode collapse", "spectral collapse"]
    lines = []
    for run in runs:
        numbers = [run.best("FID_cls"), run.late("FID_cls"), run.late("IS_cls"), run.fall, run.mean_held[-1]]
        numbers.append(run.p_of_rising)
        onsets = [run.sinking, run.mode_collapse, run.spectral_collapse]
        words = ["no" if onset is None else f"{onset:,}" for onset in onsets]
        lines.append([run.setting, run.method, str(run.seed), *(f"{number:.2f}" for number in numbers), *words])
    return header, lines
