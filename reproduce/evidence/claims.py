"""What the runs of an experiment say together to the paper's claims, and to ours. No torch in here."""

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from typing import NamedTuple

from pandas import DataFrame

from reproduce.evidence.null_curves import in_digits, noise_of
from reproduce.evidence.records import BASELINE, Evidence
from reproduce.plan.variants import BRANCH, EQUATION_10, RATE_CONTROL, SCALE_CONTROL, SR_D, SR_S, SR_S_AFTER_SN
from reproduce.results.significance import INCONCLUSIVE, LEVEL, UNABLE, Pairs, compare, decide, sign_test

Pair = tuple[Evidence, Evidence]
Judges = Mapping[str, Sequence[int]]
"""Setting -> seeds of the pairs that judge a claim, as registered in LOG.md; any other pair is exploratory."""
METHODS = (BASELINE, SR_S.label, SR_D.label)
CONTROLS = (SCALE_CONTROL.label, RATE_CONTROL.label)
"""Whether SR-s's gain comes from the scale of D's raw weights: the larger a weight, the less a step turns it."""
SWITCHED, EQ_10 = SR_S_AFTER_SN.label, EQUATION_10.label
SHOWN_METHODS = (*METHODS, SWITCHED, *CONTROLS, EQ_10)
DEFAULT = ("C_64-32",)  # what `make reproduce-collapse` runs by default, and README shows
SEEDS = (1, 2, 3, 4, 5)
BATCH_16: Judges = {"C_16-32": SEEDS}
BATCH_64: Judges = {"C_64-32": SEEDS}
REGISTERED: Judges = {**BATCH_16, **BATCH_64}
AFTER_FOUR: Judges = {"C_64-32": (2, 3, 4, 5)}  # of what was seen in the pairs of C_16-32 and the first of C_64-32
SUPPORTED, CONTRADICTED = "supported", "contradicted"
EXPLORATORY = "exploratory"
BY_CONSTRUCTION = f"{SUPPORTED}, by construction"
"""Supported by the runs, and by the null model too: the projection does it to noise, whatever D learns."""
DECISIONS = {True: SUPPORTED, False: CONTRADICTED, None: INCONCLUSIVE}


class Answer(NamedTuple):
    """What the runs of one setting say to one claim."""

    place: str  # in the paper; "ours" where the paper claims nothing
    claim: str
    numbers: str  # a sentence, with n
    # `SUPPORTED`, `CONTRADICTED`, `INCONCLUSIVE` (until all registered pairs are there, with their number), `UNABLE`,
    verdict: str  # `EXPLORATORY` (without a registered pair) or `BY_CONSTRUCTION`


class Measure(NamedTuple):
    """That a number of a run is better, or larger, under a method than under a baseline."""

    label: str
    of: Callable[[Evidence], float]  # positive, NaN where it was not recorded
    relation: str = "higher"  # "is higher under SR-s than under SN"
    lower_is_better: bool = False
    of_noise: Callable[[DataFrame], float] | None = None  # the same number of a curve of the null model

    def compared(self, pairs: Sequence[Pair]) -> Pairs:
        first, second = ([self.of(run) for run in side] for side in zip(*pairs, strict=True))
        return compare(first, second, self.lower_is_better)

    def signs(self, pairs: Sequence[Pair]) -> tuple[int, int, int]:
        compared = self.compared(pairs)
        return compared.ahead, compared.behind, compared.n

    def answer(self, claim: "Claim", shown: Sequence[Pair], others: Sequence[Pair], verdict: str) -> Answer:
        compared = self.compared(shown)
        numbers = (
            f"The {self.label} is {self.relation} under {claim.method} than under {claim.baseline} in "
            f"{compared.ahead} of {compared.n} pairs (one-sided sign test: p = {compared.p():.2g}); relative change: "
            f"{compared.change_text}."
        )
        if others:
            numbers += f" In unregistered pairs: {self.compared(others).ahead} of {len(others)}."
        if verdict == CONTRADICTED:
            numbers += f" Opposite claim: p = {sign_test(compared.behind, compared.n):.2g}."
        own, of_baseline = (self.noise(shown[0][0].setting, method) for method in (claim.method, claim.baseline))
        if own and of_baseline:
            by_noise = f"{claim.method} {in_digits(own)}, {claim.baseline} {in_digits(of_baseline)}"
            numbers += f" Noise alone: {by_noise}."
            if verdict == SUPPORTED and min(own) > max(of_baseline):
                verdict = BY_CONSTRUCTION
        return Answer(claim.place, claim.claim, numbers, verdict)

    def noise(self, setting: str, method: str) -> list[float]:
        """What noise alone makes of it under a method, for each persistence; [] where there is no null model."""
        records = noise_of(setting)
        curves = records[records.method == method].groupby("persistence")
        return [self.of_noise(curve) for _, curve in curves] if self.of_noise else []


class Event(NamedTuple):
    """That something happens to the baseline's runs and not to a method's, by pairs that differ (McNemar's test)."""

    of: Callable[[Evidence], bool]  # whether it happens
    by_older_rule: Callable[[Evidence], bool] | None = None  # an earlier rule, whose counts stand beside

    def signs(self, pairs: Sequence[Pair]) -> tuple[int, int, int]:
        happened = [(self.of(first), self.of(second)) for first, second in pairs]
        ahead, behind = happened.count((True, False)), happened.count((False, True))
        return ahead, behind, ahead + behind

    def answer(self, claim: "Claim", shown: Sequence[Pair], others: Sequence[Pair], verdict: str) -> Answer:
        def counts(pairs: Sequence[Pair], happens: Callable[[Evidence], bool]) -> list[int]:
            return [sum(map(happens, side)) for side in zip(*pairs, strict=True)]

        (sn, own), (ahead, _, n) = counts(shown, self.of), self.signs(shown)
        numbers = (
            f"{claim.baseline} in {sn}, {claim.method} in {own} of {len(shown)} (one-sided sign test where they "
            f"differ: p = {sign_test(ahead, n):.2g})."
        )
        if others:
            sn, own = counts(others, self.of)
            numbers += f" In unregistered pairs: {sn} and {own} of {len(others)}."
        if self.by_older_rule:
            sn, own = counts(shown, self.by_older_rule)
            numbers += f" Based on single evaluations: {sn} and {own}."
        return Answer(claim.place, claim.claim, numbers, verdict)


class Claim(NamedTuple):
    """A claim on a method and a baseline, decided by sign tests over pairs of runs with one seed."""

    place: str  # in the paper, or "ours"
    claim: str
    method: str  # of SHOWN_METHODS
    what: Measure | Event
    judges: Judges
    baseline: str = BASELINE

    def answer(self, runs: Sequence[Evidence]) -> Answer | None:
        """None without a pair where none was registered."""
        registered = self.judges.get(runs[0].setting, ())
        pairs = paired(runs, self.method, self.baseline)
        pairs = [pair for pair in pairs if not any(isnan(self.what.of(run)) for run in pair)]
        judging = [pair for pair in pairs if pair[0].seed in registered]
        if not judging and (pairs or not registered):
            return self.what.answer(self, pairs, [], EXPLORATORY) if pairs else None
        if 0.5 ** len(registered) > LEVEL:
            verdict = UNABLE
        elif len(judging) < len(registered):
            verdict = f"{INCONCLUSIVE}: {len(judging)} of {len(registered)} pairs"
        else:
            verdict = DECISIONS[decide(*self.what.signs(judging))]
        if not judging:
            return Answer(self.place, self.claim, "No pair has been run.", verdict)
        return self.what.answer(self, judging, [pair for pair in pairs if pair not in judging], verdict)


class BeyondNoise(NamedTuple):
    """That a measure of the spectra under a method ends outside of what noise alone makes of it: what D has learned."""

    claim: str
    method: str
    measure: Measure  # one that the null model has
    below: bool  # whether it ends below what noise makes of it; else above

    def answer(self, runs: Sequence[Evidence]) -> Answer | None:
        """None without a run or a null model. The runs raised the question: exploratory."""
        values = [self.measure.of(run) for run in runs if run.method == self.method]
        noise = self.measure.noise(runs[0].setting, self.method)
        if not values or not noise:
            return None
        beyond = sum(value < min(noise) if self.below else value > max(noise) for value in values)
        numbers = (
            f"The {self.measure.label} is {in_digits(values)} in the runs and {in_digits(noise)} under noise alone. "
            f"It is {'lower' if self.below else 'higher'} in {beyond} of {len(values)} runs "
            f"(one-sided sign test: p = {sign_test(beyond, len(values)):.2g})."
        )
        return Answer("ours", self.claim, numbers, EXPLORATORY)


FID = Measure("final FID_cls", lambda run: run.late("FID_cls"), "better", lower_is_better=True)
IS = Measure("final IS_cls", lambda run: run.late("IS_cls"), "better")
TAIL = Measure(
    "final mean tail relative to its maximum",
    lambda run: run.fall,
    of_noise=lambda curve: float(curve["tail"].iloc[-1] / curve["tail"].max()),
)
FIRST_HALF = Measure(
    "final mean of the first half",
    lambda run: float(run.first_half.iloc[-1]),
    of_noise=lambda curve: float(curve.first_half.iloc[-1]),
)
RECALL = Measure(
    "final recall",
    lambda run: nan if run.recall is None else max(run.recall, 1e-5),  # half of one of 50,000 images: 0 has no ratio
)
LOST_RECALL = RECALL._replace(relation="lower", lower_is_better=True)
GRADIENT = Measure(
    "ratio of D's gradient norm in the last quarter to that in the first tenth", lambda run: run.kept_gradient
)
COLLAPSE = Event(lambda run: run.modes().collapsed, by_older_rule=lambda run: run.modes(evaluations=1).collapsed)
RISE = Event(lambda run: run.p_of_rising <= LEVEL)
FROM_SN = f" from SN's checkpoint at {BRANCH:,}"
HALF = "the first half of the spectra"
ONE, DOUBLED = CONTROLS
CLAIMS: tuple[Claim | BeyondNoise, ...] = (
    Claim("IV", "FID is better under SR-s than under SN (primary)", "SR-s", FID, REGISTERED),
    Claim("IV", "IS is better under SR-s than under SN", "SR-s", IS, REGISTERED),
    Claim("IV-B", f"FID is better under SR-d than under SN,{FROM_SN}", "SR-d", FID, REGISTERED),
    Claim("IV-B", f"IS is better under SR-d than under SN,{FROM_SN}", "SR-d", IS, REGISTERED),
    Claim("ours", f"FID is better under SR-s than under SN,{FROM_SN}", SWITCHED, FID, BATCH_64),
    Claim("ours", f"FID is better under SR-s than under SR-d, both{FROM_SN}", SWITCHED, FID, BATCH_64, "SR-d"),
    Claim("ours", f"FID is better under {SWITCHED} than under SR-s from the start", SWITCHED, FID, {}, "SR-s"),
    Claim("IV-B", f"FID is better under {EQ_10} than under SN,{FROM_SN}", EQ_10, FID, BATCH_64),
    Claim("ours", f"FID is better under {EQ_10} than under SR-d, both{FROM_SN}", EQ_10, FID, BATCH_64, "SR-d"),
    Claim("ours", f"FID is better under SR-s than under {ONE}", "SR-s", FID, BATCH_64, ONE),
    Claim("ours", f"FID is better under {ONE} than under SN", ONE, FID, BATCH_64),
    Claim("ours", f"FID is better under SR-s than under {DOUBLED}", "SR-s", FID, BATCH_64, DOUBLED),
    Claim("ours", f"FID is better under {DOUBLED} than under SN", DOUBLED, FID, BATCH_64),
    Claim("ours", "recall is higher under SR-s than under SN", "SR-s", RECALL, {"C_64-32": (5,)}),
    Claim("ours", "recall is lower under SR-d than under SN", "SR-d", LOST_RECALL, {"C_64-32": (5,)}),
    Claim("ours", f"recall is higher under {SWITCHED} than under SN", SWITCHED, RECALL, {"C_64-32": (4, 5)}),
    Claim("IV", "modes collapse under SN, not under SR-s", "SR-s", COLLAPSE, REGISTERED),
    Claim("IV-B", "modes collapse under SN, not under SR-d", "SR-d", COLLAPSE, REGISTERED),
    Claim("ours", "after the first quarter FID rises under SN, not under SR-s", "SR-s", RISE, AFTER_FOUR),
    Claim("ours", "SR-s keeps the tail of the spectra from decaying", "SR-s", TAIL, BATCH_16),
    Claim("II-C", "SR-d keeps the tail of the spectra from decaying", "SR-d", TAIL, BATCH_16),
    Claim("II-C", f"{HALF} stays up under SR-s and decays under SN", "SR-s", FIRST_HALF, BATCH_64),
    Claim("II-C", f"{HALF} stays up under SR-d and decays under SN", "SR-d", FIRST_HALF, BATCH_64),
    BeyondNoise(f"{HALF} decays further under SN than under noise alone", BASELINE, FIRST_HALF, below=True),
    BeyondNoise("the tail of the spectra decays further under SR-s than under noise alone", "SR-s", TAIL, below=True),
    BeyondNoise(f"{HALF} stays higher under SR-d than under noise alone", "SR-d", FIRST_HALF, below=False),
    Claim("ours", "D's gradients vanish under SN but not under SR-s", "SR-s", GRADIENT, AFTER_FOUR),
)
"""Those that were registered before the runs (LOG.md), and those that came while they ran."""


def answers(runs: Sequence[Evidence]) -> list[Answer]:
    """Of the runs of one setting, each with its past (`with_their_past`), to the claims on which there are some."""
    return [answer for claim in CLAIMS if (answer := claim.answer(runs))]


def paired(runs: Sequence[Evidence], method: str, baseline: str = BASELINE) -> list[Pair]:
    """Runs of SN, or another baseline, and of a method with one setting and seed."""
    found = {run.key: run for run in runs}
    others = [(run, found.get((run.setting, method, run.seed))) for run in runs if run.method == baseline]
    return [(first, second) for first, second in others if second]
