"""Checkpoints that are never half-written, on the iteration clock."""

import os
import shutil
import signal
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Checkpoint

from srgan.callbacks.clock import RunCallback
from srgan.parallel import POLITE_STOPS
from srgan.training import AdversarialTraining


class Checkpoints(RunCallback, Checkpoint):
    """Keeps `checkpoints/last.ckpt`, and all of every `keep_every` iterations; saves on a polite stop.

    Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 let the iteration end, save, and stop; a second Ctrl-C stops at once.
    It is enough that one process of a run gets the signal: all of them stop after the same iteration.
    Lightning's own ModelCheckpoint counts optimizer steps and may leave half a file behind; this one
    counts iterations and replaces files whole. Deriving from Lightning's `Checkpoint` puts it behind the
    other callbacks, so that whatever it saves has been recorded.

    Args:
        every: iterations between two saves.
        keep_every: iterations between two checkpoints that stay, as `checkpoints/<iteration>.ckpt`; 0: none.
    """

    def __init__(self, every: int = 1_000, keep_every: int = 0) -> None:
        super().__init__(every)
        self.keep_every = keep_every
        self.received: signal.Signals | None = None
        self.previous_handlers: dict[signal.Signals, Any] = {}
        self.hosts: dist.ProcessGroup | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keeps Lightning from handling signals: it would end a run unsaved, or requeue it by a file of its own."""
        trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size > 1:
            self.hosts = cast(dist.ProcessGroup, dist.new_group(backend="gloo"))
        for number in POLITE_STOPS:
            self.previous_handlers[number] = signal.signal(number, self._stop_after_iteration)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)

    def _stop_after_iteration(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)

    def _agreed_signal(self, world_size: int) -> signal.Signals | None:
        """One for all processes of the run: a signal reaches them at different moments, or one of them only.

        The hosts agree among themselves: an answer from a GPU would come only after all that it still has to do.
        """
        number = torch.tensor(int(self.received or 0))
        if world_size > 1:
            dist.all_reduce(number, dist.ReduceOp.MAX, self.hosts)
        return signal.Signals(int(number)) if number else None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves on every process, since a strategy may need them all."""
        assert isinstance(pl_module, AdversarialTraining)
        stop = self._agreed_signal(trainer.world_size)
        keep = bool(self.keep_every) and pl_module.iteration % self.keep_every == 0
        if keep or stop or (self.every and self.is_due(pl_module)):
            self._save(trainer, self.folder.checkpoint)
            if keep and trainer.is_global_zero:
                _link(
                    self.folder.checkpoint,
                    self.folder.checkpoint.with_name(f"{pl_module.iteration:08d}.ckpt"),
                )
        if stop:
            self.received = stop
            trainer.should_stop = True

    @staticmethod
    def _save(trainer: pl.Trainer, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.partial")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(path)


def _link(existing: Path, kept: Path) -> None:
    """A second name for a file that the next save replaces, not overwrites; a copy where there are no hard links."""
    kept.unlink(missing_ok=True)
    try:
        os.link(existing, kept)
    except OSError:
        partial = kept.with_name(f".{kept.name}.partial")
        shutil.copyfile(existing, partial)
        partial.replace(kept)
