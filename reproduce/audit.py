"""The paper's claims about Table II, recomputed from the numbers: the paper's own, and ours where there are any."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from reproduce.run import Scale
from reproduce.settings import METHODS, SETTINGS, Method
from reproduce.table import Row, score_names


@dataclass(frozen=True)
class Measured:
    """One setting's numbers, of the paper or ours: what claims are recomputed from.

    Attributes:
        name: of the setting.
        FID: of SN and of SR.
        IS: of SN and of SR.
        mode_collapse: whether any run of SN, of SR mode-collapsed.
        spectral_collapse: the same of the spectra; {} where it is not told apart from mode collapse.
    """

    name: str
    FID: dict[Method, float]
    IS: dict[Method, float]
    mode_collapse: dict[Method, bool]
    spectral_collapse: dict[Method, bool]


@dataclass(frozen=True)
class Finding:
    """What the numbers say of a claim; `holds` is None where they cannot decide it."""

    words: str
    holds: bool | None


Recompute = Callable[[Sequence[Measured]], Finding | None]


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper.

    Attributes:
        place: in the paper.
        words: what it says, in ours.
        recompute: the same from numbers of any settings; None where there is nothing to compute it from.
        of_published_scores: whether it is a figure that only FID and IS as published can meet.
    """

    place: str
    words: str
    recompute: Recompute
    of_published_scores: bool = False


def published() -> list[Measured]:
    """The 26 rows of Table II, of which the paper reports both collapses together."""
    rows = []
    for setting in SETTINGS:
        collapsed: dict[Method, bool] = {"sn": setting.sn.collapsed, "sr": setting.sr.collapsed}
        FID: dict[Method, float] = {"sn": setting.sn.FID, "sr": setting.sr.FID}
        IS: dict[Method, float] = {"sn": setting.sn.IS, "sr": setting.sr.IS}
        rows.append(Measured(setting.name, FID, IS, collapsed, spectral_collapse={}))
    return rows


def measured(rows: Sequence[Row], scale: Scale) -> list[Measured]:
    """Ours: settings of which both methods have finished, means over the seeds."""
    found = []
    fid, inception = score_names(scale)
    for row in rows:
        ours = {method: cell for method, cell in row.ours.items() if cell.scores(fid)}
        if len(ours) == 2:
            found.append(
                Measured(
                    row.setting.name,
                    {method: statistics.mean(cell.scores(fid)) for method, cell in ours.items()},
                    {method: statistics.mean(cell.scores(inception)) for method, cell in ours.items()},
                    {method: cell.collapses("mode_collapse") > 0 for method, cell in ours.items()},
                    {method: cell.collapses("spectral_collapse") > 0 for method, cell in ours.items()},
                )
            )
    return found


def collapses(rows: Sequence[Measured]) -> Finding | None:
    """SN collapses in ten of 26 settings, SR in none."""
    if not rows:
        return None
    sn, sr = (sum(row.mode_collapse[method] for row in rows) for method in ("sn", "sr"))
    return Finding(f"SN in {sn}, SR in {sr} of {len(rows)}", sn > 0 and sr == 0)


def side_by_side(rows: Sequence[Measured]) -> Finding | None:
    """Mode collapse and spectral collapse go together."""
    if rows and not any(row.spectral_collapse for row in rows):
        return Finding("the table marks both as one", None)
    pairs = [
        (row.mode_collapse[m], row.spectral_collapse[m], f"{row.name} {m.upper()}") for row in rows for m in METHODS
    ]
    if not pairs:
        return None
    apart = [name for modes, spectra, name in pairs if modes != spectra]
    return Finding(f"apart in {len(apart)} of {len(pairs)}" + _named(apart), not apart)


def better(score: str) -> Recompute:
    """SR outperforms SN everywhere."""

    def recompute(rows: Sequence[Measured]) -> Finding | None:
        if not rows:
            return None
        sign = -1 if score == "FID" else 1
        worse = [row.name for row in rows if sign * (getattr(row, score)["sr"] - getattr(row, score)["sn"]) <= 0]
        return Finding(f"in {len(rows) - len(worse)} of {len(rows)}" + _named(worse, "not in "), not worse)

    return recompute


def mean_change(rows: Sequence[Measured], score: str) -> float:
    """Of FID or IS from SN to SR, in per cent."""
    pairs: list[dict[Method, float]] = [getattr(row, score) for row in rows]
    return statistics.mean(100 * (pair["sr"] / pair["sn"] - 1) for pair in pairs)


def average_change(score: str, claimed: float) -> Recompute:
    """The mean over settings of the change from SN to SR, in per cent."""

    def recompute(rows: Sequence[Measured]) -> Finding | None:
        if not rows:
            return None
        mean = mean_change(rows, score)
        return Finding(f"{mean:+.1f} % over {len(rows)}", abs(mean - claimed) < 0.1)

    return recompute


def single_change(setting: str, score: str, claimed: float) -> Recompute:
    """The change in one setting, in per cent."""

    def recompute(rows: Sequence[Measured]) -> Finding | None:
        for row in rows:
            if row.name == setting:
                found = 100 * (getattr(row, score)["sr"] / getattr(row, score)["sn"] - 1)
                return Finding(f"{found:+.1f} %", abs(found - claimed) < 0.15)  # the paper cuts and rounds
        return None

    return recompute


def narrow_collapse(rows: Sequence[Measured]) -> Finding | None:
    """Group C: at 32 channels SN collapses for every batch size."""
    group = [row for row in rows if row.name.startswith("C_")]
    if not group:
        return None
    count = sum(row.mode_collapse["sn"] for row in group)
    return Finding(f"in {count} of {len(group)}", count == len(group))


CLAIMS = [
    Claim("II-C", "Mode collapse and spectral collapse go side by side", side_by_side),
    Claim("IV", "SN mode-collapses in some settings (10 of 26), SR in none", collapses),
    Claim("IV", "SR outperforms SN in all cases: IS", better("IS")),
    Claim("IV", "SR outperforms SN in all cases: FID", better("FID")),
    Claim("IV", "On average IS improves by 13.9 %", average_change("IS", 13.9), of_published_scores=True),
    Claim("IV", "On average FID improves by 21.8 %", average_change("FID", -21.8), of_published_scores=True),
    Claim("IV", "IS of E_512-64 improves by 19.4 %", single_change("E_512-64", "IS", 19.4), of_published_scores=True),
    Claim("IV", "IS of E_2048-64 improves by 44.9 %", single_change("E_2048-64", "IS", 44.9), of_published_scores=True),
    Claim(
        "IV-A", "FID of E_2048-64 improves by 9.1 %", single_change("E_2048-64", "FID", -9.1), of_published_scores=True
    ),
    Claim("IV-B", "With few channels (group C) SN collapses whatever the batch", narrow_collapse),
]

# What no number in a table decides: (subject, the paper, the authors' published code, what we do).
DIFFERENCES = [
    ("Adam's beta2, ImageNet", "0.9", "0.999", "0.9 (configs/imagenet128.yaml)"),
    (
        "When SR acts",
        "after the last of the n_dis discriminator updates",
        "in every 5th iteration, after each of its discriminator updates",
        "as the code; a setting (constraints.Schedule)",
    ),
    (
        "The recorded ratios of SR-d",
        "the largest in this training",
        "not in the snapshots: a resumed run records anew",
        "in the checkpoints",
    ),
]


def audit(rows: Sequence[Row], scale: Scale) -> list[tuple[Claim, Finding | None, Finding | None]]:
    """Each claim, what the paper's numbers say of it, and what ours say."""
    theirs, ours = published(), measured(rows, scale)
    found = []
    for claim in CLAIMS:
        of_ours = claim.recompute(ours)
        if of_ours and scale != "paper" and claim.of_published_scores:
            of_ours = replace(of_ours, holds=None)  # a figure of FID and IS says nothing of other scores
        found.append((claim, claim.recompute(theirs), of_ours))
    return found


def finding_words(finding: Finding | None) -> str:
    """As one cell: whether the claim holds, and what was found."""
    if finding is None:
        return "–"
    verdict = {True: "holds: ", False: "does not hold: ", None: ""}[finding.holds]
    return verdict + finding.words


def _named(names: Sequence[str], before: str = "") -> str:
    shown = ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")
    return f" ({before}{shown})" if names else ""
