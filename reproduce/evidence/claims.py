"""What the runs of a campaign say together to the paper's claims, and to ours. No torch in here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan

from reproduce.evidence.measures import (
    FID,
    FIRST_HALF,
    GRADIENT,
    IS,
    LOST_RECALL,
    RECALL,
    TAIL,
    Measure,
    Pair,
    in_digits,
)
from reproduce.evidence.records import BASELINE, Evidence
from reproduce.plan.variants import BRANCH, EQUATION_10, RATE_CONTROL, SCALE_CONTROL, SR_D, SR_S, SR_S_AFTER_SN
from reproduce.results.significance import INCONCLUSIVE, LEVEL, UNABLE, decided_by_signs, in_words, sign_test
from srgan.collapse import CollapseThresholds

Judges = Mapping[str, Sequence[int]]
"""Setting -> seeds of the pairs that judge a claim, as registered in LOG.md; any other pair is exploratory."""
METHODS = (BASELINE, SR_S.label, SR_D.label)
CONTROLS = (SCALE_CONTROL.label, RATE_CONTROL.label)
"""Whether SR-s's gain comes from the scale of D's raw weights: the larger a weight, the less a step turns it."""
SWITCHED, EQ_10 = SR_S_AFTER_SN.label, EQUATION_10.label
SHOWN_METHODS = (*METHODS, SWITCHED, *CONTROLS, EQ_10)
DEFAULT = ("C_64-32",)
"""What `make reproduce-collapse` runs by default, and README shows."""
SEEDS = (1, 2, 3, 4, 5)
BATCH_16: Judges = {"C_16-32": SEEDS}
BATCH_64: Judges = {"C_64-32": SEEDS}
REGISTERED: Judges = {**BATCH_16, **BATCH_64}
AFTER_FOUR: Judges = {"C_64-32": (2, 3, 4, 5)}
"""These judge what was seen in the first four pairs, those of C_16-32 and the first of C_64-32."""
SUPPORTED, CONTRADICTED = "supported", "contradicted"
EXPLORATORY = "exploratory"
BY_CONSTRUCTION = f"{SUPPORTED}, by construction"
"""Supported by the runs, and by the null model too: the projection does it to noise, whatever D learns."""
DECISIONS = {True: SUPPORTED, False: CONTRADICTED, None: INCONCLUSIVE}


@dataclass(frozen=True)
class Answer:
    """What the runs of one setting say to one claim."""

    place: str  # in the paper; "ours" where the paper claims nothing
    claim: str  # in our words
    words: str  # the numbers, with n
    # of one-sided tests at 5 %: `SUPPORTED`, `CONTRADICTED` or `INCONCLUSIVE`, this with how many pairs there are
    # before all registered ones are; `UNABLE`; `EXPLORATORY` without a registered pair; `BY_CONSTRUCTION`
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """That a measure is better, or larger, under a method than under a baseline, in pairs that both have it."""

    place: str  # in the paper, or "ours"
    claim: str  # in our words
    method: str  # of METHODS, or one beside them
    measure: Measure  # what is compared
    judges: Judges  # the pairs that judge it
    baseline: str = BASELINE  # what the method is compared with

    def answer(self, runs: Sequence[Evidence]) -> Answer | None:
        """None without a pair where none was registered."""
        pairs = paired(runs, self.method, self.baseline)
        pairs = [pair for pair in pairs if not any(isnan(self.measure.of(side)) for side in pair)]
        if not pairs:
            return _without_pairs(self, runs)
        judging, others = _apart(pairs, self.judges)
        compared = self.measure.compared(judging or pairs)
        words = in_words(f"{self.method} {self.measure.relation} {self.baseline}", self.measure.label, compared)
        if judging and others:
            words += f" In the other pairs: {self.measure.compared(others).ahead} of {len(others)}."
        verdict = _verdict(compared.ahead, compared.behind, compared.n, judging, self.judges)
        if verdict == CONTRADICTED:
            words += f" Of the opposite: p = {sign_test(compared.behind, compared.n):.2g}."
        by_noise = [self.measure.noise(runs[0].setting, method) for method in (self.method, self.baseline)]
        if all(by_noise):
            words += " By noise alone: {} {}, {} {}.".format(*self._noise_in_words(by_noise))
            if verdict == SUPPORTED and min(by_noise[0]) > max(by_noise[1]):
                verdict = BY_CONSTRUCTION
        return Answer(self.place, self.claim, words, verdict)

    def _noise_in_words(self, by_noise: Sequence[Sequence[float]]) -> list[str]:
        both = zip((self.method, self.baseline), by_noise, strict=True)
        return [word for method, values in both for word in (method, in_digits(values))]


@dataclass(frozen=True)
class Count:
    """That something happens to runs of SN and not to those of a method: a sign test over the pairs that differ.

    McNemar's test, exact.
    """

    place: str  # in the paper, or "ours"
    claim: str  # in our words
    method: str  # of METHODS
    happens: Callable[[Evidence], bool]  # to a run
    judges: Judges  # the pairs that judge it
    older: Callable[[Evidence], bool] | None = None  # an earlier rule, whose counts stand beside

    def answer(self, runs: Sequence[Evidence]) -> Answer | None:
        """None without a pair where none was registered."""
        pairs = paired(runs, self.method)
        if not pairs:
            return _without_pairs(self, runs)
        judging, others = _apart(pairs, self.judges)
        shown = judging or pairs
        happened = [(self.happens(first), self.happens(second)) for first, second in shown]
        sn, sr = (sum(side) for side in zip(*happened, strict=True))
        sn_alone, sr_alone = happened.count((True, False)), happened.count((False, True))
        n = sn_alone + sr_alone
        p = sign_test(sn_alone, n)
        words = (
            f"SN in {sn}, {self.method} in {sr} of {len(shown)} (one-sided sign test where they differ: p = {p:.2g})."
        )
        if judging and others:
            words += " In the other pairs: {} and {} of {}.".format(*_counts(others, self.happens), len(others))
        if self.older:
            words += " Judged by single evaluations: {} and {}.".format(*_counts(shown, self.older))
        verdict = _verdict(sn_alone, sr_alone, n, judging, self.judges)
        return Answer(self.place, self.claim, words, verdict)


@dataclass(frozen=True)
class BeyondNoise:
    """That a measure of the spectra under a method ends outside of what noise alone makes of it: what D has learned."""

    claim: str  # in our words
    method: str  # of METHODS
    measure: Measure  # one that the null model has
    below: bool  # whether it ends below what noise makes of it; else above

    def answer(self, runs: Sequence[Evidence]) -> Answer | None:
        """None without a run or a null model. The runs raised the question: exploratory."""
        values = [self.measure.of(run) for run in runs if run.method == self.method]
        noise = self.measure.noise(runs[0].setting, self.method)
        if not values or not noise:
            return None
        beyond = sum(value < min(noise) if self.below else value > max(noise) for value in values)
        side = "below" if self.below else "above"
        words = (
            f"{self.measure.label}: {in_digits(values)}, by noise alone {in_digits(noise)}; {side} "
            f"it in {beyond} of {len(values)} (one-sided sign test p = {sign_test(beyond, len(values)):.2g})."
        )
        return Answer("ours", self.claim, words, EXPLORATORY)


FROM_SN = f", from SN's checkpoint at {BRANCH:,} on"


def _collapses(run: Evidence) -> bool:
    return run.collapses(CollapseThresholds().evaluations)


def _collapses_once(run: Evidence) -> bool:
    return run.collapses(evaluations=1)


ONE, DOUBLED = CONTROLS
CLAIMS: tuple[Comparison | Count | BeyondNoise, ...] = (
    Comparison("IV", "FID is better under SR-s than under SN (primary)", "SR-s", FID, REGISTERED),
    Comparison("IV", "IS is better under SR-s than under SN", "SR-s", IS, REGISTERED),
    Comparison("IV-B", f"FID is better under SR-d than under SN{FROM_SN}", "SR-d", FID, REGISTERED),
    Comparison("IV-B", f"IS is better under SR-d than under SN{FROM_SN}", "SR-d", IS, REGISTERED),
    Comparison("ours", f"FID is better under SR-s than under SN{FROM_SN}", SWITCHED, FID, BATCH_64),
    Comparison("ours", f"FID is better under SR-s than under SR-d, both{FROM_SN}", SWITCHED, FID, BATCH_64, "SR-d"),
    Comparison("ours", f"FID is better under {SWITCHED} than under SR-s from the start", SWITCHED, FID, {}, "SR-s"),
    Comparison("IV-B", f"FID is better under {EQ_10} than under SN{FROM_SN}", EQ_10, FID, BATCH_64),
    Comparison("ours", f"FID is better under {EQ_10} than under SR-d, both{FROM_SN}", EQ_10, FID, BATCH_64, "SR-d"),
    Comparison("ours", f"FID is better under SR-s than under {ONE}", "SR-s", FID, BATCH_64, ONE),
    Comparison("ours", f"FID is better under {ONE} than under SN", ONE, FID, BATCH_64),
    Comparison("ours", f"FID is better under SR-s than under {DOUBLED}", "SR-s", FID, BATCH_64, DOUBLED),
    Comparison("ours", f"FID is better under {DOUBLED} than under SN", DOUBLED, FID, BATCH_64),
    Comparison("ours", "recall is higher under SR-s than under SN", "SR-s", RECALL, {"C_64-32": (5,)}),
    Comparison("ours", "recall is lower under SR-d than under SN", "SR-d", LOST_RECALL, {"C_64-32": (5,)}),
    Comparison("ours", f"recall is higher under {SWITCHED} than under SN", SWITCHED, RECALL, {"C_64-32": (4, 5)}),
    Count("IV", "modes collapse under SN, not under SR-s", "SR-s", _collapses, REGISTERED, _collapses_once),
    Count("IV-B", "modes collapse under SN, not under SR-d", "SR-d", _collapses, REGISTERED, _collapses_once),
    Count(
        "ours",
        "after the first quarter FID rises under SN, not under SR-s",
        "SR-s",
        lambda run: run.p_of_rising <= LEVEL,
        AFTER_FOUR,
    ),
    Comparison("ours", "SR-s keeps the tail of the spectra from falling", "SR-s", TAIL, BATCH_16),
    Comparison("II-C", "SR-d keeps the tail of the spectra from falling", "SR-d", TAIL, BATCH_16),
    Comparison("II-C", "SR-s holds the first half of the spectra, which sinks under SN", "SR-s", FIRST_HALF, BATCH_64),
    Comparison("II-C", "SR-d holds the first half of the spectra, which sinks under SN", "SR-d", FIRST_HALF, BATCH_64),
    BeyondNoise("the first half of the spectra sinks under SN below that of noise", BASELINE, FIRST_HALF, below=True),
    BeyondNoise("the tail of the spectra sinks under SR-s below that of noise", "SR-s", TAIL, below=True),
    BeyondNoise("SR-d holds more of the spectra's first half than noise gives it", "SR-d", FIRST_HALF, below=False),
    Comparison("ours", "D's gradients die under SN and live on under SR-s", "SR-s", GRADIENT, AFTER_FOUR),
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


def _apart(pairs: Sequence[Pair], judges: Judges) -> tuple[list[Pair], list[Pair]]:
    """Those that judge a claim, and the others."""
    judging = [pair for pair in pairs if pair[0].seed in judges.get(pair[0].setting, ())]
    return judging, [pair for pair in pairs if pair not in judging]


def _without_pairs(claim: Comparison | Count, runs: Sequence[Evidence]) -> Answer | None:
    setting = runs[0].setting
    if setting not in claim.judges:
        return None
    return Answer(claim.place, claim.claim, "No pair has been run.", _decided(0, 0, 0, 0, len(claim.judges[setting])))


def _verdict(ahead: int, behind: int, n: int, judging: Sequence[Pair], judges: Judges) -> str:
    """By sign tests over n pairs that differ, of those that judge."""
    return _decided(ahead, behind, n, len(judging), len(judges[judging[0][0].setting])) if judging else EXPLORATORY


def _decided(ahead: int, behind: int, n: int, there: int, registered: int) -> str:
    if 0.5**registered > LEVEL:
        return UNABLE
    if there < registered:
        return f"{INCONCLUSIVE}: {there} of {registered} pairs"
    return DECISIONS[decided_by_signs(ahead, behind, n)]


def _counts(pairs: Sequence[Pair], happens: Callable[[Evidence], bool]) -> tuple[int, int]:
    return sum(happens(first) for first, _ in pairs), sum(happens(second) for _, second in pairs)
