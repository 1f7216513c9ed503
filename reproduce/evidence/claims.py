"""What the runs of a campaign say together to the paper's claims, and to ours. No torch in here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import isnan

import numpy as np

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
from reproduce.evidence.records import BASELINE, BRANCH, EQUATION_10, RATE_CONTROL, SCALE_CONTROL, SWITCHED, Evidence
from reproduce.results.significance import LEVEL, decided, decided_by_signs, in_words, sign_test
from srgan.collapse import CollapseThresholds

Judges = Mapping[str, Sequence[int]]
"""Setting -> seeds of the pairs that judge a claim, as registered in LOG.md; any other pair is exploratory."""
METHODS = (BASELINE, "SR-s", "SR-d")
SEEDS = (1, 2, 3, 4, 5)
BATCH_16: Judges = {"C_16-32": SEEDS}
BATCH_64: Judges = {"C_64-32": SEEDS}
REGISTERED: Judges = {**BATCH_16, **BATCH_64}
AFTER_FOUR: Judges = {"C_64-32": (2, 3, 4, 5)}
"""These judge what was seen in the first four pairs, those of C_16-32 and the first of C_64-32."""
ENDED = {"C_16-32"}
"""Settings without further runs."""
SHOWN, REFUTED, UNDECIDED, EXPLORATORY = "shown here", "refuted here", "not decided", "exploratory"
BY_CONSTRUCTION = f"{SHOWN}, by construction"
"""Shown by the runs, and by the null model too: the projection does it to noise, whatever D learns."""
HOPELESS = f"{UNDECIDED}, whatever comes"
DECISIONS = {True: SHOWN, False: REFUTED, None: UNDECIDED}


@dataclass(frozen=True)
class Answer:
    """What the runs of one setting say to one claim.

    Attributes:
        place: in the paper; "ours" where the paper claims nothing.
        claim: in our words.
        words: the numbers, with n.
        verdict: "shown here", "refuted here" or "not decided", each from a one-sided test at 5 %, once all the
            registered runs are there; before that, how many there are, and whether the others can still decide;
            "exploratory" where no registered run is; "by construction" where noise alone shows it, too.
    """

    place: str
    claim: str
    words: str
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """That a measure is better, or larger, under a method than under a baseline, in pairs that both have it.

    Attributes:
        place: in the paper, or "ours".
        claim: in our words.
        method: of METHODS, or one beside them.
        measure: what is compared.
        judges: the pairs that judge it.
        baseline: what the method is compared with.
    """

    place: str
    claim: str
    method: str
    measure: Measure
    judges: Judges
    baseline: str = BASELINE

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
        if verdict == REFUTED:
            words += f" Of the opposite: p = {sign_test(compared.behind, compared.n):.2g}."
        by_noise = [self.measure.noise(runs[0].setting, method) for method in (self.method, self.baseline)]
        if all(by_noise):
            words += " By noise alone: {} {}, {} {}.".format(*self._noise_in_words(by_noise))
            if verdict == SHOWN and min(by_noise[0]) > max(by_noise[1]):
                verdict = BY_CONSTRUCTION
        return Answer(self.place, self.claim, words, verdict)

    def _noise_in_words(self, by_noise: Sequence[Sequence[float]]) -> list[str]:
        both = zip((self.method, self.baseline), by_noise, strict=True)
        return [word for method, values in both for word in (method, in_digits(values))]


@dataclass(frozen=True)
class Count:
    """That something happens to runs of SN and not to those of a method: a sign test over the pairs that differ.

    McNemar's test, exact.

    Attributes:
        place: in the paper, or "ours".
        claim: in our words.
        method: of METHODS.
        happens: to a run.
        judges: the pairs that judge it.
        older: an earlier rule, whose counts stand beside.
    """

    place: str
    claim: str
    method: str
    happens: Callable[[Evidence], bool]
    judges: Judges
    older: Callable[[Evidence], bool] | None = None

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
class Link:
    """That, of two runs of one method, the one whose FID rises more (end over best) has a measure that falls more.

    Kendall's S, summed over the methods. Its p is exact, over all orders of the seeds: differences between methods
    count for nothing, and runs of one seed, which have noise and images in common, stay together.

    Attributes:
        claim: in our words.
        measure: what falls.
        judges: setting -> seeds of the runs of all methods that judge it.
    """

    claim: str
    measure: Measure
    judges: Judges

    def answer(self, runs: Sequence[Evidence]) -> Answer | None:
        """None for fewer than four runs."""
        runs = sorted((run for run in runs if run.method in METHODS and run.seed in SEEDS), key=lambda run: run.seed)
        if len(runs) < 4:
            return None
        setting, groups = runs[0].setting, [[run for run in runs if run.method == method] for method in METHODS]
        signs = []
        for group in groups:
            rises = _order([run.rise for run in group])
            falls = _order([-self.measure.of(run) for run in group])
            signs.append((rises, falls, [run.seed for run in group]))
        concordance = sum(int((rises * falls).sum()) // 2 for rises, falls, _ in signs)
        pairs = sum(int((rises * falls != 0).sum()) // 2 for rises, falls, _ in signs)
        orders = permutations(sorted({run.seed for run in runs}))
        by_chance = np.array([sum(_shuffled(*sign, order) for sign in signs) for order in orders])
        p, p_of_opposite = float(np.mean(by_chance >= concordance)), float(np.mean(by_chance <= concordance))
        words = (
            f"of {pairs} pairs of runs of one method, the one whose FID rises more (end over best) has fallen further "
            f"in {(pairs + concordance) // 2} (one-sided p = {p:.2g}, over all orders of the seeds)."
        )
        registered = len(METHODS) * len(self.judges.get(setting, ()))
        if not registered:
            verdict = EXPLORATORY
        elif len(runs) < registered:
            verdict = _unfinished(setting, f"{len(runs)} of {registered} runs")
        else:
            verdict = DECISIONS[decided(p, p_of_opposite)]
        return Answer("II-C", self.claim, words, verdict)


@dataclass(frozen=True)
class BeyondNoise:
    """That a measure of the spectra under a method ends outside of what noise alone makes of it: what D has learned.

    Attributes:
        claim: in our words.
        method: of METHODS.
        measure: one that the null model has.
        below: whether it ends below what noise makes of it; else above.
    """

    claim: str
    method: str
    measure: Measure
    below: bool

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


CLAIMS: tuple[Comparison | Count | BeyondNoise | Link, ...] = (
    Comparison("IV", "FID is better under SR-s than under SN (primary)", "SR-s", FID, REGISTERED),
    Comparison("IV", "IS is better under SR-s than under SN", "SR-s", IS, REGISTERED),
    Comparison("IV-B", f"FID is better under SR-d than under SN{FROM_SN}", "SR-d", FID, REGISTERED),
    Comparison("IV-B", f"IS is better under SR-d than under SN{FROM_SN}", "SR-d", IS, REGISTERED),
    Comparison("ours", f"FID is better under SR-s than under SN{FROM_SN}", SWITCHED, FID, BATCH_64),
    Comparison("ours", f"FID is better under SR-s than under SR-d, both{FROM_SN}", SWITCHED, FID, BATCH_64, "SR-d"),
    Comparison("ours", f"FID is better under {SWITCHED} than under SR-s from the start", SWITCHED, FID, {}, "SR-s"),
    Comparison("IV-B", f"FID is better under {EQUATION_10} than under SN{FROM_SN}", EQUATION_10, FID, BATCH_64),
    Comparison(
        "ours", f"FID is better under {EQUATION_10} than under SR-d, both{FROM_SN}", EQUATION_10, FID, BATCH_64, "SR-d"
    ),
    Comparison("ours", f"FID is better under SR-s than under {SCALE_CONTROL}", "SR-s", FID, BATCH_64, SCALE_CONTROL),
    Comparison("ours", f"FID is better under {SCALE_CONTROL} than under SN", SCALE_CONTROL, FID, BATCH_64),
    Comparison("ours", f"FID is better under SR-s than under {RATE_CONTROL}", "SR-s", FID, BATCH_64, RATE_CONTROL),
    Comparison("ours", f"FID is better under {RATE_CONTROL} than under SN", RATE_CONTROL, FID, BATCH_64),
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
    Link("mode collapse comes with the fall of the tail", TAIL, BATCH_16),
    Link("mode collapse comes with the fall of the first half", FIRST_HALF, BATCH_64),
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
    verdict = _unfinished(setting, f"0 of {len(claim.judges[setting])} pairs")
    return Answer(claim.place, claim.claim, "No pair has been run.", verdict)


def _verdict(ahead: int, behind: int, n: int, judging: Sequence[Pair], judges: Judges) -> str:
    """By sign tests over n pairs; those that are missing may all go one way or all the other."""
    if not judging:
        return EXPLORATORY
    setting = judging[0][0].setting
    missing = len(judges[setting]) - len(judging)
    outcome = decided_by_signs(ahead + missing, behind + missing, n + missing)
    if not missing:
        return DECISIONS[outcome]
    return _unfinished(setting, f"{len(judging)} of {len(judges[setting])} pairs", hopeless=outcome is None)


def _unfinished(setting: str, count: str, hopeless: bool = False) -> str:
    if setting in ENDED:
        return f"{UNDECIDED}: ended at {count}"
    return f"{HOPELESS if hopeless else UNDECIDED}: {count} so far"


def _counts(pairs: Sequence[Pair], happens: Callable[[Evidence], bool]) -> tuple[int, int]:
    return sum(happens(first) for first, _ in pairs), sum(happens(second) for _, second in pairs)


def _order(values: Sequence[float]) -> np.ndarray:
    """`[n]` -> `[n, n]`: 1 where the row's value is the larger, -1 where the column's is."""
    found: np.ndarray = np.sign(np.subtract.outer(values, values)).astype(int)
    return found


def _shuffled(rises: np.ndarray, falls: np.ndarray, seeds: Sequence[int], order: Sequence[int]) -> int:
    """Kendall's S with the falls of the seeds in another order."""
    places = [seeds.index(seed) for seed in order if seed in seeds]
    return int((rises * falls[np.ix_(places, places)]).sum()) // 2
