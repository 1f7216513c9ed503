"""The base of all callbacks: a run folder, and the iteration as the clock."""

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


class RunCallback(pl.Callback):
    """Acts every so many iterations (0: never), at the last one, and (if `at_start`) before the first.

    Never twice within `min_seconds`. Only the first process acts, or all to share the work (`on_all_ranks`); the first
    alone writes files. `folder` and the `thresholds` of warnings are set before training starts.
    """

    at_start = False
    on_all_ranks = False
    min_seconds = 0.0
    folder: RunFolder
    thresholds = CollapseThresholds()

    def __init__(self, every: int) -> None:
        if every < 0:
            raise ValueError(f"Expected `every` of at least 0 iterations (0: never), found {every}.")
        self.every = every
        self.acted = -inf  # time

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        """Looks at the module after `module.iteration` iterations and writes down what it sees."""

    def warn(self, module: AdversarialTraining, name: str, message: str) -> None:
        """On the terminal and in `warnings.jsonl`: what goes wrong, its likely cause and what to do."""
        self.folder.append_row(self.folder.warnings, {"iteration": module.iteration, "name": name, "message": message})
        with Progress.external_write_mode():
            print(f"{self.folder.path}: {name} at iteration {module.iteration}: {message}", file=sys.stderr, flush=True)

    def missing(self, module: AdversarialTraining) -> str | None:
        """What a run that has trained to its end still lacks of this callback's."""
        return None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, AdversarialTraining)
        if self.every and self.at_start and pl_module.iteration == 0 and self._acts_here(trainer):
            self.act(trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        assert isinstance(pl_module, AdversarialTraining)
        now = time.monotonic()
        is_due = self.every and self.is_due(pl_module) and now - self.acted >= self.min_seconds
        if is_due and self._acts_here(trainer):
            self.acted = now
            self.act(trainer, pl_module)

    def _acts_here(self, trainer: pl.Trainer) -> bool:
        return trainer.is_global_zero or self.on_all_ranks

    def is_due(self, module: AdversarialTraining) -> bool:
        return module.iteration % self.every == 0 or module.iteration == module.iterations


def recovery_hint(module: AdversarialTraining, checkpoint: str = "CKPT") -> str:
    """What to change from a checkpoint on: the learning rates, or SR-s unless it is on already."""
    or_sr, option = ("", "") if module.constraint.is_remedy else (" or SR-s", "-c sr-s ")
    return f"lower learning rates{or_sr}: srgan fit ... {option}--run NEW --from-checkpoint {checkpoint}"


def resume_hint(folder: RunFolder, module: AdversarialTraining) -> str:
    if not folder.checkpoint.exists():
        return "There is no checkpoint yet: start again with lower learning rates, in another --run folder."
    hint = recovery_hint(module, shlex.quote(str(folder.checkpoint)))
    return f"The last healthy checkpoint is kept: resume from it with {hint}"
