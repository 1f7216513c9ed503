"""A run of an experiment: its settings, label and folder, and how far it is. No torch in here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, reduce
from pathlib import Path
from typing import Any

import yaml

from srgan.cli.configs import path_of
from srgan.runs.folder import RunFolder, flatten_settings
from srgan.utils.files import write_text

REPOSITORY = Path(__file__).parents[2]
EVIDENCE = REPOSITORY / "docs" / "evidence"

# Settings that plans, tables and figures speak of, by their dotted names.
BATCH_SIZE = "data.init_args.batch_size"
CHANNELS = "model.networks.init_args.discriminator_channels"
IMAGE_SIZE = "data.init_args.image_size"
IMAGES = "data.init_args.path"
ITERATIONS = "model.iterations"
SEED = "model.seed"

FINISHED, TO_DO, OUTDATED = "finished", "to do", "made with other settings"
PLAN = "plan.yaml"


@dataclass(frozen=True, eq=False, kw_only=True)
class Run:
    """One training run: `configs/*.yaml` one over the other, and what is changed in them."""

    name: str  # for people
    label: str | None = None  # of its method, written into run.json; None: its constraint's own
    folder: RunFolder  # where it goes
    configs: tuple[str, ...]  # files of `configs/`, by their names without suffix
    overrides: Mapping[str, Any] = field(default_factory=dict)  # further settings by their dotted names
    devices: int = 1  # processes that train it together, one GPU each
    after: "Run | None" = None  # the run whose checkpoint it starts from, once that has finished
    checkpoint: int | None = None  # iteration of that checkpoint; None: the last
    missing: str | None = None  # why it cannot be made here; None if it can

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the experiment decides, nested as in `configs/*.yaml`; all other settings have their defaults."""
        settings: dict[str, Any] = {}
        for further in (*map(configuration, self.configs), nested(self.overrides)):
            settings = merged(settings, further)
        return settings

    @cached_property
    def flat(self) -> dict[str, Any]:
        """The same by dotted names."""
        return flatten_settings(self.settings)

    @property
    def iterations(self) -> int:
        return int(self.flat[ITERATIONS])

    @property
    def on_gpu(self) -> bool:
        return bool(self.flat.get("trainer.accelerator") != "cpu")

    @property
    def source(self) -> Path | None:
        """The checkpoint to start from, of a run that has finished."""
        if self.after is None:
            return None
        last = self.after.folder.checkpoint
        return last if self.checkpoint is None else last.with_name(f"{self.checkpoint:08d}.ckpt")

    @property
    def first_iteration(self) -> int:
        """That of the checkpoint it starts from, else 0."""
        return (self.checkpoint or self.after.iterations) if self.after else 0

    @property
    def is_ready(self) -> bool:
        return self.after is None or self.after.state == FINISHED

    @property
    def iterations_done(self) -> int:
        return (self.folder.read_progress() or {"iteration": 0})["iteration"]

    @property
    def state(self) -> str:
        """`FINISHED`, `TO_DO`, `OUTDATED`, "cut at iteration t", "after NAME", or why it is missing."""
        if self.missing:
            return self.missing
        record = self.folder.read_record()
        if record is None:
            return TO_DO if self.after is None or self.is_ready else f"after {self.after.name}"
        if self.differing_settings(record["config"]):
            return OUTDATED
        if record["status"] == "finished":
            return FINISHED
        failure = f", failed: {record['error']}" if record["status"] == "failed" else ""
        return f"cut at iteration {self.iterations_done}{failure}"

    def differing_settings(self, recorded: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Settings of a recorded run that are not this one's: name -> (there, here)."""
        there = flatten_settings(recorded)
        return {name: (there.get(name), here) for name, here in self.flat.items() if not _same(there.get(name), here)}

    def write_plan(self, processes: int = 1, nodes: int = 1) -> list[str]:
        """Writes all that it takes to train or resume the run into its `plan.yaml`; returns options of `srgan fit`."""
        plan: dict[str, Any] = {"run": str(self.folder.path)}
        plan |= {"label": self.label} if self.label else {}
        plan |= {"from_checkpoint": str(self.source)} if self.source else {}
        parallel = {"trainer": {"devices": processes, "num_nodes": nodes, "strategy": "ddp"}}
        plan |= merged(self.settings, parallel if processes * nodes > 1 else {})
        text = f"# {self.name}. To make it again elsewhere: srgan fit -c {PLAN} --run FOLDER\n"
        path = self.folder.path / PLAN
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text + yaml.safe_dump(plan, sort_keys=False))
        return ["-c", str(path)]


def count_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@cache
def configuration(name: str) -> dict[str, Any]:
    """A file of `configs/`, read once."""
    content: dict[str, Any] = yaml.safe_load(path_of(name).read_text(encoding="utf-8"))
    return content


def merged(base: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings over nested settings. Another class drops the arguments of the one before."""
    result = dict(base)
    for key, value in further.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            same_class = value.get("class_path", before.get("class_path")) == before.get("class_path")
            value = merged(before, value) if same_class else value
        result[key] = value
    return result


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in flat.items():
        *outer, last = name.split(".")
        reduce(lambda inner, key: inner.setdefault(key, {}), outer, result)[last] = value
    return result


def states(runs: Iterable[Run]) -> str:
    """Names of some runs by their states, e.g. "to do: A_64-128 SN seed 1, ...; cut at iteration 5: ..."."""
    by_state: dict[str, list[str]] = {}
    for run in runs:
        by_state.setdefault(run.state, []).append(run.name)
    return "; ".join(f"{state}: {', '.join(names)}" for state, names in by_state.items())


def _same(there: Any, here: Any) -> bool:
    """Equal, where YAML reads numbers like 4e-3 as text."""
    try:
        return float(there) == float(here)
    except (TypeError, ValueError):
        return bool(there == here)
