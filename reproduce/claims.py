"""What the runs of a campaign say together to the paper's claims, and to ours. No torch in here."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from reproduce.evidence import BASELINE, BRANCH, SUNK, Evidence, with_their_past
from reproduce.significance import LEVEL, Pairs, compare, decided, in_words, sign_test
from srgan.metrics.verdicts import CollapseThresholds, is_lower_better

Measure = Callable[[Evidence], float | None]
Pair = tuple[Evidence, Evidence]
Seen = Mapping[str, Sequence[int]]
REGISTERED = 5
"""Seeds of every setting, and so pairs."""
NONE_SEEN: Seen = {}
FIRST_TWO: Seen = {"C_16-32": (1, 2)}
FIRST_FOUR: Seen = {"C_16-32": (1, 2, 3), "C_64-32": (1,)}
"""Pairs (setting -> seeds) from which a question came; they do not answer it."""
PERMUTATIONS = 10_000


def paired(runs: Sequence[Evidence], method: str) -> list[Pair]:
    """Runs of SN and of a method with one setting and seed."""
    found = {run.key: run for run in runs}
    baselines = [run for run in runs if run.method == BASELINE]
    others = [(run, found.get((run.setting, method, run.seed))) for run in baselines]
    return [(sn, other) for sn, other in others if other]


@dataclass(frozen=True)
class Answer:
    """What the runs say to one claim.

    Attributes:
        place: in the paper; "ours" where the paper claims nothing.
        claim: in our words.
        words: the numbers, with n.
        verdict: "shown here" or "refuted here" at the 5 % level, else "not decided", with how many of the registered
            runs there are if some are missing; "exploratory" where the runs are the ones that raised the question, or
            of several settings, for which nothing was registered.
    """

    place: str
    claim: str
    words: str
    verdict: str


def answers(runs: Sequence[Evidence]) -> list[Answer]:
    """To the claims that were registered before the runs (LOG.md), and to those that came while they ran."""
    runs = with_their_past(runs)
    found = [
        *_score_answers(runs),
        *_collapse_answers(runs),
        *_spectra_answers(runs),
        *_gradient_answers(runs),
        *_links(runs),
    ]
    several = len({run.setting for run in runs}) > 1
    return [replace(answer, verdict="exploratory") for answer in found] if several else found


def _score_answers(runs: Sequence[Evidence]) -> Iterator[Answer]:
    for place, method in (("IV", "SR-s"), ("IV-B", "SR-d")):
        start = "" if method == "SR-s" else f", from SN's checkpoint at {BRANCH:,} on"
        for score, late in (("FID", "FID_cls"), ("IS", "IS_cls")):
            claim = f"{score} is better under {method} than under SN{start}"
            measure = partial(Evidence.late, score=late)
            yield from _in_pairs(runs, place, claim, method, f"{late} at the end", measure)


def _spectra_answers(runs: Sequence[Evidence]) -> Iterator[Answer]:
    for method, place in (("SR-s", "ours"), ("SR-d", "II-C")):
        claim = f"{method} keeps the tail of the spectra from falling"
        yield from _in_pairs(runs, place, claim, method, "mean tail at the end over its largest", _fall)
    claim = "SR-s holds the first half of the spectra, which sinks under SN"
    yield from _in_pairs(runs, "II-C", claim, "SR-s", "mean of the first half at the end", _held, FIRST_TWO)


def _gradient_answers(runs: Sequence[Evidence]) -> Iterator[Answer]:
    claim = "D's gradients die under SN and live on under SR-s"
    label = "D's gradient norm at the end over that of the first tenth"
    yield from _in_pairs(runs, "ours", claim, "SR-s", label, lambda run: run.kept_gradient, FIRST_FOUR)
    label += ", each layer's times its sigma_1"
    yield from _in_pairs(runs, "ours", claim, "SR-s", label, lambda run: run.kept_scaled_gradient, FIRST_FOUR)


def _fall(run: Evidence) -> float:
    return run.fall


def _held(run: Evidence) -> float:
    return float(run.mean_held[-1])


def _in_pairs(
    runs: Sequence[Evidence],
    place: str,
    claim: str,
    method: str,
    label: str,
    measure: Measure,
    seen: Seen = NONE_SEEN,
) -> Iterator[Answer]:
    """A method against SN in pairs of one setting and seed; nothing without a pair that has the measure."""
    every = [pair for pair in paired(runs, method) if None not in map(measure, pair)]
    judging, raising = _apart(every, seen)
    if not every:
        return
    relation = f"{method} {'ahead of' if label.startswith(('FID', 'IS')) else 'above'} {BASELINE}"

    def compared(pairs: Sequence[Pair]) -> Pairs:
        first, second = ([measure(side) or 0.0 for side in sides] for sides in zip(*pairs, strict=True))
        return compare(first, second, is_lower_better(label))

    shown = compared(judging or every)
    words = in_words(relation, label, shown)
    if judging and raising:
        words += f" In the pairs that raised the question: {compared(raising).ahead} of {len(raising)}."
    yield Answer(place, claim, words, _verdict(shown.holds, judging, seen))


def _apart(pairs: Sequence[Pair], seen: Seen) -> tuple[list[Pair], list[Pair]]:
    """Those that answer a question, and those that raised it."""
    raising = [pair for pair in pairs if pair[0].seed in seen.get(pair[0].setting, ())]
    return [pair for pair in pairs if pair not in raising], raising


def _verdict(holds: bool | None, judging: Sequence[Pair], seen: Seen) -> str:
    if not judging:
        return "exploratory"
    return _decision(holds, len(judging), REGISTERED - len(seen.get(judging[0][0].setting, ())), "pairs")


def _decision(holds: bool | None, count: int, expected: int, units: str) -> str:
    if count < expected:
        return f"not decided ({count} of {expected} {units})"
    return {True: "shown here", False: "refuted here", None: "not decided"}[holds]


def _collapse_answers(runs: Sequence[Evidence]) -> Iterator[Answer]:
    """Whether modes collapse under SN and not under SR: by the rule, and by a trend of FID."""
    evaluations = CollapseThresholds().evaluations
    for place, method in (("IV", "SR-s"), ("IV-B", "SR-d")):
        single = _counts(paired(runs, method), lambda run: run.collapses(evaluations=1))
        further = f" Judged by single evaluations: {single[0]} and {single[1]}."
        claim = f"modes collapse under SN, not under {method}"
        yield from _counted(runs, place, claim, method, lambda run: run.collapses(evaluations), further)
    claim = "after the first quarter FID rises under SN, not under SR-s"
    further = f" Kendall's test for a trend, p <= {LEVEL} if evaluations were independent."
    yield from _counted(runs, "ours", claim, "SR-s", lambda run: run.p_of_rising <= LEVEL, further, FIRST_FOUR)


def _counted(
    runs: Sequence[Evidence],
    place: str,
    claim: str,
    method: str,
    judge: Callable[[Evidence], bool],
    further: str,
    seen: Seen = NONE_SEEN,
) -> Iterator[Answer]:
    """How many of each side are judged so; a sign test over the pairs that differ (McNemar's, exact)."""
    every = paired(runs, method)
    judging, raising = _apart(every, seen)
    if not every:
        return
    pairs = judging or every
    sn, sr = _counts(pairs, judge)
    alone = [judge(first) for first, second in pairs if judge(first) != judge(second)]
    p, p_of_opposite = sign_test(sum(alone), len(alone)), sign_test(len(alone) - sum(alone), len(alone))
    words = (
        f"{BASELINE} in {sn}, {method} in {sr} of {len(pairs)} (one-sided sign test where they differ: p = {p:.2g})."
    )
    if judging and raising:
        counts = _counts(raising, judge)
        words += f" In the pairs that raised the question: {counts[0]} and {counts[1]} of {len(raising)}."
    yield Answer(place, claim, words + further, _verdict(decided(p, p_of_opposite), judging, seen))


def _counts(pairs: Sequence[Pair], judge: Callable[[Evidence], bool]) -> tuple[int, int]:
    return sum(judge(first) for first, _ in pairs), sum(judge(second) for _, second in pairs)


def _links(runs: Sequence[Evidence]) -> list[Answer]:
    """How mode collapse goes with the tail and with the first half of the spectra; [] for fewer than four runs."""
    if len(runs) < 4:
        return []
    counts = Counter((run.mode_collapse is not None, run.spectral_collapse is not None) for run in runs)
    verdicts = (
        f" Verdicts: both {counts[True, True]}, modes alone {counts[True, False]}, spectra alone "
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


def _link(runs: Sequence[Evidence], claim: str, measure: Callable[[Evidence], float], further: str) -> Answer:
    """Whether, of two runs of one setting and method, the one whose FID rises more has the spectra that fall more.

    Kendall's S, summed over settings and methods; p by permuting the runs of each, so that differences between
    methods and settings count for nothing.
    """
    groups: dict[tuple[str, str], list[Evidence]] = {}
    for run in runs:
        groups.setdefault((run.setting, run.method), []).append(run)
    orders = [
        (_order([run.rise for run in group]), _order([-measure(run) for run in group])) for group in groups.values()
    ]
    concordance = sum(int((rises * falls).sum()) for rises, falls in orders) // 2
    pairs = sum(int((rises * falls != 0).sum()) for rises, falls in orders) // 2
    generator = np.random.default_rng(0)
    by_chance = np.zeros(PERMUTATIONS)
    for rises, falls in orders:
        for draw in range(PERMUTATIONS):
            order = generator.permutation(len(falls))
            by_chance[draw] += (rises * falls[order][:, order]).sum() / 2
    p, p_of_opposite = ((1 + (sign * by_chance >= sign * concordance).sum()) / (1 + PERMUTATIONS) for sign in (1, -1))
    words = (
        f"of {pairs} pairs of runs of one setting and method, the one whose FID rises more (end over best) has fallen "
        f"further in {(pairs + concordance) // 2} (one-sided p = {p:.2g}, permuted within setting and method).{further}"
    )
    return Answer("II-C", claim, words, _decision(decided(p, p_of_opposite), len(runs), 3 * REGISTERED, "runs"))


def _order(values: Sequence[float]) -> np.ndarray:
    """`[n]` -> `[n, n]`: 1 where the row's value is the larger, -1 where the column's is."""
    found: np.ndarray = np.sign(np.subtract.outer(values, values)).astype(int)
    return found


def answer_table(runs: Sequence[Evidence]) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each claim."""
    lines = [[answer.place, answer.claim, f"**{answer.verdict}**", answer.words] for answer in answers(runs)]
    return ["section", "claim", "verdict", "numbers"], lines


def table(runs: Sequence[Evidence]) -> tuple[list[str], list[list[str]]]:
    """Header and a line for each run."""
    header = ["setting", "method", "seed", "FID_cls best", "at the end", "IS_cls at the end", "tail / its largest"]
    header += [
        "first half",
        "gradient left",
        "p of a rising FID",
        "tail sinks from",
        "mode collapse",
        "spectral collapse",
    ]
    lines = []
    for run in with_their_past(runs):
        numbers = [run.best("FID_cls"), run.late("FID_cls"), run.late("IS_cls"), run.fall, run.mean_held[-1]]
        numbers.append(run.kept_gradient)
        onsets = [run.sinking, run.mode_collapse, run.spectral_collapse]
        words = ["no" if onset is None else f"{onset:,}" for onset in onsets]
        shown = [*(f"{number:.2f}" for number in numbers), f"{run.p_of_rising:.2g}"]
        lines.append([run.setting, run.method, str(run.seed), *shown, *words])
    return header, lines
