"""Which runs a table needs, the command of each, and how far it is. No torch in here."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from reproduce.settings import SETTINGS, Method, Setting
from srgan.files import cache_folder
from srgan.runs import RunFolder, flatten_settings

Scale = Literal["mini", "paper"]
REPOSITORY = Path(__file__).parents[1]

OUTDATED = "made with other settings"
# One setting of each group, the cheapest that shows the group's width.
MINI_DEFAULT = ("A_64-128", "B_128-64", "C_32-32", "D_128-256", "E_256-64")
PREPARED_IMAGENET = "data/imagenet128"  # as configs/imagenet128.yaml says


class PlannedRun(ABC):
    """A run that a launcher can make: a name, a folder, and a command that makes or resumes it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For people."""

    @property
    @abstractmethod
    def folder(self) -> RunFolder:
        """Where it goes."""

    @property
    @abstractmethod
    def settings(self) -> list[str]:
        """What distinguishes the run, as options of `srgan fit`."""

    @property
    def missing(self) -> str | None:
        """Why the run cannot be made; None if it can."""
        return None

    @property
    def devices(self) -> int:
        """Processes that train the run together, one GPU each."""
        return 1

    @property
    def command(self) -> list[str]:
        """Options of `srgan fit` that make or resume this run, to be typed in the repository's folder."""
        return [*self.settings, "--run", str(self.folder.path)]

    @property
    def state(self) -> str:
        """In words: "finished", "not run: why", "cut at iteration t", "to do", or `OUTDATED`."""
        if self.missing:
            return self.missing
        record = self.folder.read_record()
        if record is None:
            return "to do"
        if self.differing_settings(record["config"]):
            return OUTDATED
        if record["status"] == "finished":
            return "finished"
        failure = f", failed: {record['error']}" if record["status"] == "failed" else ""
        return f"cut at iteration {self.iterations_done}{failure}"

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that the plan decides, by their dotted names; all others have their defaults."""
        words = self.settings
        chosen: dict[str, Any] = {}
        for option, value in zip(words[::2], words[1::2], strict=True):
            if option == "-c":
                chosen |= configuration(value)
            elif option != "--from-checkpoint":
                chosen[option.removeprefix("--")] = yaml.safe_load(value)
        return chosen

    def differing_settings(self, recorded: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Settings of a recorded run that are not those of this plan: name -> (there, here)."""
        found = flatten_settings(recorded)
        return {
            name: (found.get(name), value) for name, value in self.chosen.items() if not _same(found.get(name), value)
        }

    @property
    def iterations_done(self) -> int:
        progress = self.folder.read_progress()
        return progress["iteration"] if progress else 0


@dataclass(frozen=True)
class Run(PlannedRun):
    """One training run of a table.

    Attributes:
        setting: the row.
        method: the column.
        seed: of everything random in it.
        scale: "paper" (the real thing) or "mini" (same code, small nets, embedded images).
        root: the folder of all runs of the table.
    """

    setting: Setting
    method: Method
    seed: int
    scale: Scale
    root: Path

    @property
    def name(self) -> str:
        return f"{self.setting.name} {self.method.upper()} seed {self.seed}"

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.root / self.setting.name / f"{self.method}-seed{self.seed}")

    @property
    def missing(self) -> str | None:
        on_disk = self.scale == "mini" or self.setting.dataset != "imagenet128" or prepared_imagenet().exists()
        return None if on_disk else f"not run: first srgan prepare imagenet ROOT {PREPARED_IMAGENET}"

    @property
    def data(self) -> str:
        """Whether the run's images are here, and how they come here."""
        if self.missing:
            return self.missing.removeprefix("not run: ")
        if self.scale == "mini":
            return "embedded"
        downloaded = REPOSITORY / "data"
        present = {
            "cifar10": (downloaded / "cifar-10-batches-py").exists(),
            "stl10": (downloaded / "stl10_binary").exists() or any(shrunk_stl10()),
            "imagenet128": True,
        }
        return "present" if present[self.setting.dataset] else "will be downloaded"

    @property
    def devices(self) -> int:
        """Four for ImageNet, as the authors; with its micro-batch set, only power steps depend on it."""
        return 4 if self.scale == "paper" and self.setting.dataset == "imagenet128" else 1

    @property
    def constraint(self) -> str:
        """Configuration of the method: SN, or the paper's compensation for this row."""
        return "sn" if self.method == "sn" else self.setting.compensation

    @property
    def batch_size(self) -> int:
        return self.setting.batch_size if self.scale == "paper" else mini_batch_size(self.setting)

    @property
    def discriminator_channels(self) -> int:
        channels = self.setting.discriminator_channels
        return channels if self.scale == "paper" else mini_channels(channels)

    @property
    def settings(self) -> list[str]:
        base = self.setting.dataset if self.scale == "paper" else "mini"
        return [
            *("-c", f"configs/{base}.yaml", "-c", f"configs/{self.constraint}.yaml"),
            *("--data.init_args.batch_size", str(self.batch_size)),
            *("--model.networks.init_args.discriminator_channels", str(self.discriminator_channels)),
            *("--model.seed", str(self.seed)),
        ]


@cache
def configuration(path: str) -> dict[str, Any]:
    """A file of `configs/` by dotted names. Read once: a plan asks for its runs' settings again and again."""
    return flatten_settings(yaml.safe_load((REPOSITORY / path).read_text()))


def prepared_imagenet() -> Path:
    """What a finished `srgan prepare imagenet` leaves where the configuration expects it."""
    return REPOSITORY / PREPARED_IMAGENET / "state.json"


def shrunk_stl10() -> Iterator[Path]:
    """What `STL10Data` keeps of its training images."""
    return (cache_folder() / "images").glob("stl10-32-*-train.npy")


def _same(there: Any, here: Any) -> bool:
    """Equal, where YAML reads numbers like 4e-3 as text."""
    try:
        return float(there) == float(here)
    except (TypeError, ValueError):
        return bool(there == here)


def mini_channels(channels: int) -> int:
    """Discriminator widths at scale mini, in the order of the paper (32, 64, 128, 256 -> 6, 8, 12, 20)."""
    return 4 + channels // 16


def mini_batch_size(setting: Setting) -> int:
    """Batches at scale mini: sqrt(2 batch), which keeps the order of the rows (8 ... 2048 -> 4 ... 64)."""
    return round(math.sqrt(2 * setting.batch_size))


def plan(scale: Scale, names: Iterable[str], methods: Iterable[Method], seeds: Iterable[int], root: Path) -> list[Run]:
    """All runs of a table, in the paper's order, method and seed innermost.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    names, methods, seeds = list(names), list(methods), list(seeds)
    known = [setting.name for setting in SETTINGS]
    for name in names:
        if name not in known:
            raise ValueError(f"Expected settings of Table I, found {name!r}. They are: {', '.join(known)}.")
    rows = [setting for setting in SETTINGS if setting.name in names]
    return [Run(setting, method, seed, scale, root) for setting in rows for seed in seeds for method in methods]
