"""What the runs of a campaign recorded, small enough to keep, and what they say together. No torch in here."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau, permutation_test, rankdata

from reproduce.significance import LEVEL, compare, in_words
from reproduce.table_runs import TableRun
from srgan.files import write_text
from srgan.metrics.verdicts import CollapseThresholds, is_lower_better, mode_collapse, running_median, tail_mean

BASELINE = "SN"
BRANCH = 2_000
"""The iteration of SN's checkpoint from which SR-d goes on, fixed before any run: a fifth of the training."""
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
        method: "SN", "SR-s", "SR-d".
        seed: of everything random in it.
        branch: iteration of the SN checkpoint with the same seed from which it went on; None if it began from nothing.
        iterations: its length.
        commit: of the code.
        processor: it ran on.
        seconds: training and scoring.
        scores: "iteration" and each score -> one value for each evaluation.
        tails: "iteration" and each 3x3 convolution of D -> tail mean of sigma_k / sigma_1 at each record.
        held: the same of the mean over k <= N / 2, which SR-s with i = 0.5 N holds; what is beyond may fall (Fig. 7c).
        signals: "iteration", "loss" and "gradient" of D at each record: what simpler warnings could go by.
        mode_collapse: iteration of the verdict, None for none.
        spectral_collapse: iteration of the verdict, None for none.
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

    @property
    def key(self) -> tuple[str, str, int]:
        return self.setting, self.method, self.seed

    def late(self, score: str) -> float:
        """Median of the evaluations of the last quarter."""
        late = np.array(self.scores["iteration"]) > LATE * self.iterations
        return float(np.median(np.array(self.scores[score])[late]))

    def best(self, score: str) -> float:
        """Of the running medians of three evaluations: a single lucky one makes no best."""
        smooth = running_median(np.array(self.scores[score]), CollapseThresholds().evaluations)
        return float(smooth.min() if is_lower_better(score) else smooth.max())

    def collapses(self, evaluations: int) -> bool:
        """Whether its modes collapse, judged by medians of so many evaluations."""
        rows = [dict(zip(self.scores, row, strict=True)) for row in zip(*self.scores.values(), strict=True)]
        return mode_collapse(rows, CollapseThresholds(evaluations=evaluations)).collapsed

    @property
    def p_of_rising(self) -> float:
        """Of Kendall's test for an upward trend of FID_cls after the first quarter, one-sided."""
        iterations, scores = np.array(self.scores["iteration"]), np.array(self.scores["FID_cls"])
        learned = iterations > LEARNED * self.iterations
        return float(kendalltau(iterations[learned], scores[learned], alternative="greater").pvalue)

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
        return float(self.mean_tail[-1] / self.mean_tail.max())

    @property
    def kept_gradient(self) -> float:
        """D's gradient norm at the end over that of the beginning, medians: how much of its signal D still has."""
        iterations, norms = np.array(self.signals["iteration"]), np.array(self.signals["gradient"])
        late, early = iterations > LATE * self.iterations, (iterations > 0) & (iterations <= EARLY * self.iterations)
        return float(np.median(norms[late]) / np.median(norms[early]))

    @property
    def sinking(self) -> int | None:
        """The first iteration from which on the mean tail stays below `SUNK` of its largest."""
        tail = self.mean_tail
        above = np.flatnonzero(tail >= SUNK * np.maximum.accumulate(tail))
        return int(self.tails["iteration"][above[-1] + 1]) if above[-1] + 1 < len(tail) else None


def _mean_of_layers(columns: Mapping[str, Sequence[float]]) -> np.ndarray:
    mean: np.ndarray = np.mean([values for name, values in columns.items() if name != "iteration"], axis=0)
    return mean


def evidence_of(run: TableRun) -> Evidence:
    """Of a finished run's files, in four digits."""
    folder = run.folder
    record, spectra = folder.read_record(), folder.read_spectra()
    assert record is not None
    assert spectra is not None
    rows, losses, gradients = folder.read_scores(), folder.read_losses(), folder.read_gradients()
    norms = {row["iteration"]: np.hypot.reduce(list(row["discriminator"].values())) for row in gradients}
    recorded = [row for row in losses if row["iteration"] in norms]
    verdicts = record["verdicts"]
    whole = {name: spectra.spectra[name] for name in spectra.judged()}
    tails = {name: tail_mean(values) for name, values in whole.items()}
    held = {name: values[:, : values.shape[1] // 2].mean(axis=1) for name, values in whole.items()}
    scores = [name for name in rows[0] if rows[0][name] is not None and name != "iteration"]
    return Evidence(
        setting=run.setting.name,
        method=record["constraint"]["label"].split()[0],
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
                "gradient": [norms[row["iteration"]] for row in recorded],
            },
        ),
        mode_collapse=verdicts["mode_collapse"]["iteration"],
        spectral_collapse=verdicts["spectral_collapse"]["iteration"],
    )


def _columns(iterations: Iterable[int], columns: Mapping[str, Iterable[float]]) -> dict[str, list[float]]:
    rounded = {name: [float(f"{value:.4g}") for value in values] for name, values in columns.items()}
    return {"iteration": [int(iteration) for iteration in iterations], **rounded}


def write_evidence(path: Path, runs: Iterable[Evidence]) -> None:
    """One line for each run, in order; what the file held of other runs stays."""
    found = {run.key: run for run in [*read_evidence(path), *runs]}
    lines = ",\n".join(json.dumps(asdict(found[key])) for key in sorted(found))
    write_text(path, f"[\n{lines}\n]\n")


def read_evidence(path: Path) -> list[Evidence]:
    """What there is; [] without the file."""
    return [Evidence(**run) for run in json.loads(path.read_text())] if path.exists() else []


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
    found.append(_in_pairs(runs, "ours", claim, "SR-s", label, _kept_gradient))
    found += _links(runs)
    return [answer for answer in found if answer]


def _fall(run: Evidence) -> float:
    return run.fall


def _held(run: Evidence) -> float:
    return float(run.mean_held[-1])


def _kept_gradient(run: Evidence) -> float:
    return run.kept_gradient


def _in_pairs(
    runs: Sequence[Evidence], place: str, claim: str, method: str, label: str, measure: Callable[[Evidence], float]
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


def _link(runs: Sequence[Evidence], claim: str, measure: Callable[[Evidence], float], further: str) -> Answer:
    """The rank correlation of FID's rise with the fall of a part of the spectra; p by permuting the runs."""
    rises, falls = (rankdata(values) for values in ([run.rise for run in runs], [-measure(run) for run in runs]))
    rises, falls = rises - rises.mean(), falls - falls.mean()
    scale = float(rises.std() * falls.std()) or 1.0
    found = permutation_test(
        (rises,),
        lambda order, axis: np.mean(order * falls, axis=axis) / scale,
        permutation_type="pairings",
        alternative="greater",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    p_of_opposite = np.mean(found.null_distribution <= found.statistic)
    words = (
        f"rank correlation of FID's rise (end over best) with it over {len(runs)} runs: {found.statistic:+.2f} "
        f"(one-sided p = {found.pvalue:.2g}). {further}"
    )
    holds = True if found.pvalue <= LEVEL else False if p_of_opposite <= LEVEL else None
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
