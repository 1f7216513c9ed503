"""What the runs of a campaign say together to the paper's claims, and to ours. No torch in here."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import permutations
from math import isnan
from operator import attrgetter

import numpy as np

from reproduce.evidence import BASELINE, BRANCH, Evidence
from reproduce.significance import LEVEL, Pairs, compare, decided, in_words, sign_test
from srgan.metrics.verdicts import CollapseThresholds, is_lower_better

Pair = tuple[Evidence, Evidence]
Judges = Mapping[str, Sequence[int]]
"""Setting -> seeds of the pairs that judge a claim, as registered in LOG.md; any other pair is exploratory."""
METHODS = (BASELINE, "SR-s", "SR-d")
CONTROL = "SR-s, i = 0.125 N"
"""SR-s with i = 1 of 8 singular values: it scales the raw weights as SR-s does, and compensates nothing."""
SEEDS = (1, 2, 3, 4, 5)
REGISTERED: Judges = {"C_16-32": SEEDS, "C_64-32": SEEDS}
TAIL: Judges = {"C_16-32": SEEDS}
FIRST_HALF: Judges = {"C_16-32": (3, 4, 5), "C_64-32": SEEDS}
LATER: Judges = {"C_64-32": (2, 3, 4, 5)}
"""Of what was seen in the first four pairs, those of C_16-32 and the first of C_64-32."""
CONTROLLED: Judges = {"C_64-32": SEEDS}
ENDED = {"C_16-32"}
"""Settings without further runs."""


@dataclass(frozen=True)
class Measure:
    """What of a run is compared.

    Attributes:
        label: in our words.
        of: a positive number of a run, NaN where it was not recorded.
        relation: what the method is to the baseline where it is better, or larger.
        lower_is_better: of the number.
    """

    label: str
    of: Callable[[Evidence], float]
    relation: str = "above"
    lower_is_better: bool = False


FALL = Measure("mean tail at the end over its largest", attrgetter("fall"))
HELD = Measure("mean of the first half at the end", lambda run: float(run.mean_held[-1]))
KEPT = Measure("D's gradient norm at the end over that of the first tenth", attrgetter("kept_gradient"))


def _at_the_end(score: str) -> Measure:
    return Measure(f"{score} at the end", partial(Evidence.late, score=score), "ahead of", is_lower_better(score))


def paired(runs: Sequence[Evidence], method: str, baseline: str = BASELINE) -> list[Pair]:
    """Runs of SN, or another baseline, and of a method with one setting and seed."""
    found = {run.key: run for run in runs}
    others = [(run, found.get((run.setting, method, run.seed))) for run in runs if run.method == baseline]
    return [(first, second) for first, second in others if second]


@dataclass(frozen=True)
class Answer:
    """What the runs say to one claim.

    Attributes:
        place: in the paper; "ours" where the paper claims nothing.
        claim: in our words.
        words: the numbers, with n.
        verdict: "shown here", "refuted here" or "not decided", each from a one-sided test at 5 %, once all the
            registered runs are there; before that, how many there are; "exploratory" where no registered run is.
    """

    place: str
    claim: str
    words: str
    verdict: str


def answers(runs: Sequence[Evidence]) -> list[Answer]:
    """To the claims that were registered before the runs (LOG.md), and to those that came while they ran."""
    found = [*_score_answers(runs), *_collapse_answers(runs), *_spectra_answers(runs), *_links(runs)]
    several = len({run.setting for run in runs}) > 1
    return [replace(answer, verdict="exploratory") for answer in found] if several else found


def _score_answers(runs: Sequence[Evidence]) -> Iterator[Answer]:
    for place, method in (("IV", "SR-s"), ("IV-B", "SR-d")):
        start = "" if method == "SR-s" else f", from SN's checkpoint at {BRANCH:,} on"
        for score in ("FID_cls", "IS_cls"):
            primary = " (primary)" if (method, score) == ("SR-s", "FID_cls") else ""
            claim = f"{score.removesuffix('_cls')} is better under {method} than under SN{start}{primary}"
            yield from _in_pairs(runs, place, claim, method, _at_the_end(score))
    for claim, method, baseline in (
        ("it is not the weights' scale alone: FID is better under SR-s than with i = 1", "SR-s", CONTROL),
        ("it is the weights' scale: FID is better with i = 1 than under SN", CONTROL, BASELINE),
    ):
        yield from _in_pairs(runs, "ours", claim, method, _at_the_end("FID_cls"), CONTROLLED, baseline)


def _spectra_answers(runs: Sequence[Evidence]) -> Iterator[Answer]:
    for method, place in (("SR-s", "ours"), ("SR-d", "II-C")):
        claim = f"{method} keeps the tail of the spectra from falling"
        yield from _in_pairs(runs, place, claim, method, FALL, TAIL)
    claim = "SR-s holds the first half of the spectra, which sinks under SN"
    yield from _in_pairs(runs, "II-C", claim, "SR-s", HELD, FIRST_HALF)
    claim = "D's gradients die under SN and live on under SR-s"
    yield from _in_pairs(runs, "ours", claim, "SR-s", KEPT, LATER)


def _in_pairs(
    runs: Sequence[Evidence],
    place: str,
    claim: str,
    method: str,
    measure: Measure,
    judges: Judges = REGISTERED,
    baseline: str = BASELINE,
) -> Iterator[Answer]:
    """A method against SN, or another baseline, in pairs of one setting and seed that both have the measure."""
    pairs = [pair for pair in paired(runs, method, baseline) if not any(isnan(measure.of(side)) for side in pair)]
    if not pairs:
        return
    judging, others = _apart(pairs, judges)

    def measured(some: Sequence[Pair]) -> Pairs:
        first, second = ([measure.of(side) for side in sides] for sides in zip(*some, strict=True))
        return compare(first, second, measure.lower_is_better)

    compared = measured(judging or pairs)
    words = in_words(f"{method} {measure.relation} {baseline}", measure.label, compared)
    if judging and others:
        words += f" In the other pairs: {measured(others).ahead} of {len(others)}."
    yield Answer(place, claim, words, _verdict(compared.holds, judging, judges))


def _apart(pairs: Sequence[Pair], judges: Judges) -> tuple[list[Pair], list[Pair]]:
    """Those that judge a claim, and the others."""
    judging = [pair for pair in pairs if pair[0].seed in judges.get(pair[0].setting, ())]
    return judging, [pair for pair in pairs if pair not in judging]


def _verdict(holds: bool | None, judging: Sequence[Pair], judges: Judges) -> str:
    """Of pairs of one setting."""
    if not judging:
        return "exploratory"
    setting = judging[0][0].setting
    return _decision(holds, setting, len(judging), len(judges[setting]), "pairs")


def _decision(holds: bool | None, setting: str, count: int, registered: int, units: str) -> str:
    if setting in ENDED and count < registered:
        return f"not decided: ended at {count} of {registered} {units}"
    if 0.5**registered > LEVEL:
        return f"not decided: {registered} {units} cannot ({count} so far)"
    if count < registered:
        return f"not decided: {count} of {registered} {units} so far"
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
    yield from _counted(runs, "ours", claim, "SR-s", lambda run: run.p_of_rising <= LEVEL, judges=LATER)


def _counted(
    runs: Sequence[Evidence],
    place: str,
    claim: str,
    method: str,
    judge: Callable[[Evidence], bool],
    further: str = "",
    judges: Judges = REGISTERED,
) -> Iterator[Answer]:
    """How many of each side are judged so; a sign test over the pairs that differ (McNemar's, exact)."""
    pairs = paired(runs, method)
    if not pairs:
        return
    judging, others = _apart(pairs, judges)
    shown = judging or pairs
    sn, sr = _counts(shown, judge)
    differing = [judge(first) for first, second in shown if judge(first) != judge(second)]
    alone, n = sum(differing), len(differing)
    p = sign_test(alone, n)
    words = f"SN in {sn}, {method} in {sr} of {len(shown)} (one-sided sign test where they differ: p = {p:.2g})."
    if judging and others:
        words += " In the other pairs: {} and {} of {}.".format(*_counts(others, judge), len(others))
    yield Answer(place, claim, words + further, _verdict(decided(p, sign_test(n - alone, n)), judging, judges))


def _counts(pairs: Sequence[Pair], judge: Callable[[Evidence], bool]) -> tuple[int, int]:
    return sum(judge(first) for first, _ in pairs), sum(judge(second) for _, second in pairs)


def _links(runs: Sequence[Evidence]) -> list[Answer]:
    """How mode collapse goes with the tail and with the first half of the spectra; [] for fewer than four runs."""
    runs = sorted(runs, key=lambda run: run.seed)
    runs = [run for run in runs if run.method in METHODS and run.seed in REGISTERED.get(run.setting, (run.seed,))]
    if len(runs) < 4:
        return []
    counts = Counter((run.mode_collapse is not None, run.spectral_collapse is not None) for run in runs)
    verdicts = (
        f" Verdicts: both {counts[True, True]}, modes alone {counts[True, False]}, spectra alone "
        f"{counts[False, True]}, neither {counts[False, False]}."
    )
    return [
        _link(runs, "mode collapse comes with the fall of the tail", FALL, verdicts),
        _link(runs, "mode collapse comes with the fall of the first half", HELD, ""),
    ]


def _link(runs: Sequence[Evidence], claim: str, measure: Measure, further: str) -> Answer:
    """Whether, of two runs of one setting and method, the one whose FID rises more has the spectra that fall more.

    Kendall's S, summed over settings and methods. Its p is exact, over all orders of a setting's seeds: differences
    between methods count for nothing, and runs of one seed, which have noise and images in common, stay together.
    """
    groups: dict[str, dict[str, list[Evidence]]] = {}
    for run in runs:
        groups.setdefault(run.setting, {}).setdefault(run.method, []).append(run)
    concordance, pairs, by_chance = 0, 0, [np.zeros(1)]
    for methods in groups.values():
        signs = []
        for group in methods.values():
            rises = _order([run.rise for run in group])
            falls = _order([-measure.of(run) for run in group])
            concordance += int((rises * falls).sum()) // 2
            pairs += int((rises * falls != 0).sum()) // 2
            signs.append((rises, falls, [run.seed for run in group]))
        seeds = sorted({run.seed for group in methods.values() for run in group})
        by_chance.append(np.array([sum(_shuffled(*sign, order) for sign in signs) for order in permutations(seeds)]))
    sums = reduce(np.add.outer, by_chance)
    p, p_of_opposite = float(np.mean(sums >= concordance)), float(np.mean(sums <= concordance))
    words = (
        f"of {pairs} pairs of runs of one setting and method, the one whose FID rises more (end over best) has fallen "
        f"further in {(pairs + concordance) // 2} (one-sided p = {p:.2g}, over all orders of the seeds).{further}"
    )
    setting = runs[0].setting
    verdict = "exploratory"
    if setting in REGISTERED:
        registered = len(METHODS) * len(REGISTERED[setting])
        verdict = _decision(decided(p, p_of_opposite), setting, len(runs), registered, "runs")
    return Answer("II-C", claim, words, verdict)


def _order(values: Sequence[float]) -> np.ndarray:
    """`[n]` -> `[n, n]`: 1 where the row's value is the larger, -1 where the column's is."""
    found: np.ndarray = np.sign(np.subtract.outer(values, values)).astype(int)
    return found


def _shuffled(rises: np.ndarray, falls: np.ndarray, seeds: Sequence[int], order: Sequence[int]) -> int:
    """Kendall's S with the falls of the seeds in another order."""
    places = [seeds.index(seed) for seed in order if seed in seeds]
    return int((rises * falls[np.ix_(places, places)]).sum()) // 2


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
        "the same, scaled",
        "p of a rising FID",
        "tail sinks from",
        "mode collapse",
        "spectral collapse",
    ]
    lines = []
    for run in runs:
        numbers = [run.best("FID_cls"), run.late("FID_cls"), run.late("IS_cls"), run.fall, run.mean_held[-1]]
        numbers += [run.kept_gradient, run.kept_scaled_gradient]
        onsets = [run.sinking, run.mode_collapse, run.spectral_collapse]
        words = ["no" if onset is None else f"{onset:,}" for onset in onsets]
        shown = ["–" if np.isnan(number) else f"{number:.2f}" for number in numbers] + [f"{run.p_of_rising:.2g}"]
        lines.append([run.setting, run.method, str(run.seed), *shown, *words])
    return header, lines
