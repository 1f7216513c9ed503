"""The paper's claims about Table II, recomputed from the numbers: the paper's own, and ours where there are any.

Numbers are a table with a row for each setting and columns "FID sn", "FID sr", "IS sn", ..., "modes sn", ... (whether
any run mode-collapsed) and "spectra sn", ...; the last are absent where they are not told apart from mode collapse.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pandas import DataFrame, Series

from reproduce.plan.run import Scale
from reproduce.plan.settings import METHODS, SETTINGS, Cell, Method
from reproduce.results.table import Row, score_names


class Finding(NamedTuple):
    """What the numbers say of a claim; `holds` is None where they cannot decide it."""

    words: str
    holds: bool | None


class Claim(NamedTuple):
    """One sentence of the paper.

    Attributes:
        place: in the paper.
        words: what it says, in ours.
        of_numbers: the same from the numbers of any settings, at least one; None where they lack what it is about.
        of_published_scores: whether it is a figure that only FID and IS as published can meet.
    """

    place: str
    words: str
    of_numbers: Callable[[DataFrame], Finding | None]
    of_published_scores: bool = False

    def recompute(self, numbers: DataFrame) -> Finding | None:
        """What the numbers say; None where there are none to say it from."""
        return self.of_numbers(numbers) if len(numbers) else None


def table_of(cells: Mapping[str, Mapping[Method, Mapping[str, float | bool]]]) -> DataFrame:
    """Setting -> method -> numbers, as the claims read them."""
    rows = {
        setting: {f"{name} {method}": value for method, cell in of_methods.items() for name, value in cell.items()}
        for setting, of_methods in cells.items()
    }
    return DataFrame.from_dict(rows, orient="index")


def published() -> DataFrame:
    """The 26 rows of Table II, of which the paper reports both collapses together."""
    cells: dict[str, dict[Method, Cell]] = {setting.name: {"sn": setting.sn, "sr": setting.sr} for setting in SETTINGS}
    return table_of(
        {
            name: {method: {"FID": cell.FID, "IS": cell.IS, "modes": cell.collapsed} for method, cell in both.items()}
            for name, both in cells.items()
        }
    )


def measured(rows: Sequence[Row], scale: Scale) -> DataFrame:
    """Ours: settings of which both methods have finished, means over the seeds."""
    fid, inception = score_names(scale)
    return table_of(
        {
            row.setting.name: {
                method: {
                    "FID": statistics.mean(cell.scores(fid)),
                    "IS": statistics.mean(cell.scores(inception)),
                    "modes": cell.collapses("mode_collapse") > 0,
                    "spectra": cell.collapses("spectral_collapse") > 0,
                }
                for method, cell in row.ours.items()
            }
            for row in rows
            if sum(bool(cell.scores(fid)) for cell in row.ours.values()) == len(METHODS)
        }
    )


def collapses(numbers: DataFrame) -> Finding:
    """SN collapses in ten of 26 settings, SR in none."""
    sn, sr = (int(numbers[f"modes {method}"].sum()) for method in METHODS)
    return Finding(f"SN in {sn}, SR in {sr} of {len(numbers)}", sn > 0 and sr == 0)


def side_by_side(numbers: DataFrame) -> Finding:
    """Mode collapse and spectral collapse go together."""
    if "spectra sn" not in numbers:
        return Finding("the table marks both as one", None)
    cells = {
        f"{setting} {method.upper()}": (row[f"modes {method}"], row[f"spectra {method}"])
        for setting, row in numbers.iterrows()
        for method in METHODS
    }
    together = sum(modes and spectra for modes, spectra in cells.values())
    apart = [name for name, (modes, spectra) in cells.items() if modes != spectra]
    if not together and not apart:
        return Finding("nothing collapses", None)
    return Finding(f"together in {together}, apart in {len(apart)} of {len(cells)}" + _named(apart), not apart)


def better(score: str, numbers: DataFrame) -> Finding:
    """SR outperforms SN everywhere."""
    gain = (numbers[f"{score} sr"] - numbers[f"{score} sn"]) * (-1 if score == "FID" else 1)
    worse = list(numbers.index[gain <= 0])
    return Finding(f"in {len(numbers) - len(worse)} of {len(numbers)}" + _named(worse, "not in "), not worse)


def changes(score: str, numbers: DataFrame) -> Series:
    """Of FID or IS from SN to SR in each setting, in per cent."""
    return 100 * (numbers[f"{score} sr"] / numbers[f"{score} sn"] - 1)


def average_change(score: str, claimed: float, numbers: DataFrame) -> Finding:
    """The mean over settings, in per cent."""
    mean = float(changes(score, numbers).mean())
    return Finding(f"{mean:+.1f} % over {len(numbers)}", abs(mean - claimed) < 0.1)


def single_change(setting: str, score: str, claimed: float, numbers: DataFrame) -> Finding | None:
    """In one setting, in per cent."""
    if setting not in numbers.index:
        return None
    found = float(changes(score, numbers)[setting])
    return Finding(f"{found:+.1f} %", abs(found - claimed) < 0.15)  # the paper cuts and rounds


def narrow_collapse(numbers: DataFrame) -> Finding | None:
    """Group C: at 32 channels SN collapses for every batch size."""
    group = numbers[numbers.index.str.startswith("C_")]
    count = int(group["modes sn"].sum())
    return Finding(f"in {count} of {len(group)}", count == len(group)) if len(group) else None


CLAIMS = [
    Claim("II-C", "Mode collapse and spectral collapse go side by side", side_by_side),
    Claim("IV", "SN mode-collapses in some settings (10 of 26), SR in none", collapses),
    Claim("IV", "SR outperforms SN in all cases: IS", partial(better, "IS")),
    Claim("IV", "SR outperforms SN in all cases: FID", partial(better, "FID")),
    Claim("IV", "On average IS improves by 13.9 %", partial(average_change, "IS", 13.9), True),
    Claim("IV", "On average FID improves by 21.8 %", partial(average_change, "FID", -21.8), True),
    Claim("IV", "IS of E_512-64 improves by 19.4 %", partial(single_change, "E_512-64", "IS", 19.4), True),
    Claim("IV", "IS of E_2048-64 improves by 44.9 %", partial(single_change, "E_2048-64", "IS", 44.9), True),
    Claim("IV-A", "FID of E_2048-64 improves by 9.1 %", partial(single_change, "E_2048-64", "FID", -9.1), True),
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
            of_ours = of_ours._replace(holds=None)  # a figure of FID and IS says nothing of other scores
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
