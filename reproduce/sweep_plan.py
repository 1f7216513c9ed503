"""The runs of Fig. 8, 11 and 12: SN, SR-s at i = 0.25 N ... N, SR-d. No torch in here."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reproduce.plan import MINI_DEFAULT, Run, Scale, plan
from reproduce.settings import METHODS, Setting
from srgan.runs import RunFolder

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
"""i / N of SR-s, as Fig. 8 has them."""
TABLE_FRACTION = 0.5  # of configs/sr-s.yaml, with which Table II is made

# The settings of Fig. 11 and 12 are lost in the paper's text, Fig. 8 shows all groups: one setting of each.
SWEEP_DEFAULT: dict[Scale, tuple[str, ...]] = {"mini": ("A_64-128", "C_32-32"), "paper": MINI_DEFAULT}


@dataclass(frozen=True)
class SweepRun(Run):
    """A run that Table II does not have: another i, or the compensation that the table does not use for this row.

    Attributes:
        fraction: i / N of SR-s; None for SR-d.
    """

    fraction: float | None

    @property
    def name(self) -> str:
        words = "SR-d" if self.fraction is None else f"SR-s {self.fraction:g}N"
        return f"{self.setting.name} {words} seed {self.seed}"

    @property
    def folder(self) -> RunFolder:
        part = self.constraint if self.fraction is None else f"{self.constraint}-{self.fraction:g}"
        return RunFolder(self.root / self.setting.name / f"{part}-seed{self.seed}")

    @property
    def constraint(self) -> str:
        return "sr-d" if self.fraction is None else "sr-s"

    @property
    def settings(self) -> list[str]:
        fraction = ("--model.constraint.init_args.compensation.init_args.compensated_fraction", str(self.fraction))
        return [*super().settings, *(() if self.fraction is None else fraction)]


class Sweep(NamedTuple):
    """All runs of one setting and seed; those of Table II are the table's own.

    Attributes:
        setting: the row of Table I.
        sn: SN, which is SR-s at i = 1.
        static: i / N -> SR-s.
        dynamic: SR-d.
    """

    setting: Setting
    sn: Run
    static: dict[float, Run]
    dynamic: Run

    @property
    def runs(self) -> list[Run]:
        return [self.sn, *self.static.values(), self.dynamic]


def sweep_plan(scale: Scale, names: Iterable[str], seeds: Iterable[int], runs: Path) -> list[Sweep]:
    """A sweep for each setting and seed, in the paper's order.

    Args:
        scale: "mini" or "paper".
        names: rows of Table I.
        seeds: one sweep for each.
        runs: the folder that holds `table2/<scale>` and `sweep/<scale>`.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    table = plan(scale, names, METHODS, seeds, runs / "table2" / scale)
    root = runs / "sweep" / scale
    return [_sweep(sn, sr, root) for sn, sr in zip(table[::2], table[1::2], strict=True)]


def _sweep(sn: Run, sr: Run, root: Path) -> Sweep:
    static: dict[float, Run] = {
        fraction: SweepRun(sn.setting, "sr", sn.seed, sn.scale, root, fraction) for fraction in FRACTIONS
    }
    dynamic: Run = SweepRun(sn.setting, "sr", sn.seed, sn.scale, root, None)
    if sr.constraint == "sr-s":
        static[TABLE_FRACTION] = sr
    else:
        dynamic = sr
    return Sweep(sn.setting, sn, static, dynamic)
