"""The base of all callbacks: a run folder and the iteration as the only clock. `RateLimiter` thins looks in between."""

import shlex
import sys
import time
from math import inf
from typing import Any

import pytorch_lightning as pl

from srgan.collapse import CollapseThresholds
from srgan.runs.folder import RunFolder
from srgan.training.module import AdversarialTraining
from srgan.utils.progress import Progress


class RateLimiter:
    """Says at most once in so many seconds that something is due."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.last = -inf

    def ready(self) -> bool:
        """Whether the seconds have passed since this was last true."""
        now = time.monotonic()
        if now - self.last <= self.seconds:
            return False
        self.last = now
        return True


class RunCallback(pl.Callback):
    """Acts every so many iterations (0: never), at the last one, and (if `at_start`) before the first.

    Only the first process acts, unless the callback needs all of them (`on_all_ranks`); writing files stays with the
    first. `folder` and the `thresholds` of warnings are set before training starts.
    """

    at_start = False
    on_all_ranks = False
    """Whether every process acts, to share the work; writing files stays with the first."""
    folder: RunFolder
    thresholds = CollapseThresholds()

    def __init__(self, every: int) -> None:
        if every < 0:
            raise ValueError(f"Expected `every` of at least 0 iterations (0: never), found {every}.")
        self.every = every

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        """Looks at the module after `module.iteration` iterations and writes down what it sees."""

    def warn(self, module: AdversarialTraining, name: str, message: str) -> None:
        """Says what goes wrong, its likely cause and what to do: on the terminal and in `warnings.jsonl`."""
        self.folder.append_row(self.folder.warnings, {"iteration": module.iteration, "name": name, "message": message})
        with Progress.external_write_mode():
            print(f"{self.folder.path}: {name} at iteration {module.iteration}: {message}", file=sys.stderr, flush=True)

    def missing(self, module: AdversarialTraining) -> str | None:
        """What this callback owes a run that has trained to its end."""
        return None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, AdversarialTraining)
        if self.every and self.at_start and pl_module.iteration == 0 and self._acts_here(trainer):
            self.act(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, AdversarialTraining)
        if self.every and self._acts_here(trainer) and self.is_due(pl_module):
            self.act(trainer, pl_module)

    def _acts_here(self, trainer: pl.Trainer) -> bool:
        return trainer.is_global_zero or self.on_all_ranks

    def is_due(self, module: AdversarialTraining) -> bool:
        return module.iteration % self.every == 0 or module.iteration == module.iterations


def recovery_hint(module: AdversarialTraining, checkpoint: str = "CKPT") -> str:
    """What to change from a checkpoint on: the learning rates, or SR-s where it is not on already."""
    change, option = "lower learning rates", ""
    if not module.constraint.is_remedy:
        change, option = "lower learning rates or SR-s", "-c sr-s "
    return f"{change}: srgan fit ... {option}--run NEW --from-checkpoint {checkpoint}"


def resume_hint(folder: RunFolder, module: AdversarialTraining) -> str:
    if not folder.checkpoint.exists():
        return "There is no checkpoint yet: start again with lower learning rates, in another --run folder."
    hint = recovery_hint(module, shlex.quote(str(folder.checkpoint)))
    return f"The last healthy checkpoint is kept: resume from it with {hint}"
