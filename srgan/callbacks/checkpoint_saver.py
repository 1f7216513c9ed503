"""Checkpoints that are never half-written, on the iteration clock."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, cast

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.callbacks import Checkpoint

from srgan.callbacks.base import RunCallback, resume_hint
from srgan.checkpoints.reading import nonfinite_tensor
from srgan.checkpoints.resume import RunCheckpointIO
from srgan.training.module import AdversarialTraining
from srgan.utils.distributed import GRACEFUL_SIGNALS
from srgan.utils.lightning_internals import keep_signal_handlers


class CheckpointSaver(RunCallback, Checkpoint):
    """Keeps `checkpoints/last.ckpt`, and all of every `keep_every` iterations; saves on a graceful stop.

    Ctrl-C, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2, to any process of the run, let the iteration end, save, and stop all
    of them; a second Ctrl-C stops at once. A signal that the process ignores, as SIGHUP under nohup, stays ignored.
    Unlike Lightning's ModelCheckpoint it counts iterations, refuses weights that are not finite and never leaves half
    a file. As a `Checkpoint` of Lightning's it runs after the other callbacks, so what it saves has been recorded.

    Args:
        every: iterations between two saves.
        keep_every: iterations between two checkpoints that stay, as `checkpoints/<iteration>.ckpt`; 0: none.
    """

    def __init__(self, every: int = 1_000, keep_every: int = 0) -> None:
        super().__init__(every)
        if every < 1 or keep_every < 0:
            raise ValueError(
                "Expected checkpoints.every of at least 1, since a run without checkpoints cannot be resumed, "
                f"and keep_every of at least 0 (none stay), found {every} and {keep_every}."
            )
        self.keep_every = keep_every
        self.received: signal.Signals | None = None
        self.saved_iteration: int | None = None
        self.stops_immediately = False
        self.trains = False  # from then on, an error is not the checkpoint's from which the run resumed
        self.previous_handlers: dict[signal.Signals, Any] = {}
        self.hosts: dist.ProcessGroup | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Installs the writer of checkpoints and the handlers of signals."""
        trainer.strategy.checkpoint_io = RunCheckpointIO()
        keep_signal_handlers(trainer)
        if trainer.world_size > 1:
            self.hosts = cast(dist.ProcessGroup, dist.new_group(backend="gloo"))
        for number in GRACEFUL_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.previous_handlers[number] = signal.signal(number, self._stop_after_iteration)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "fit")

    def _stop_after_iteration(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
        if self.stops_immediately:
            raise ImmediateStop
        signal.signal(number, _stop_immediately if number == signal.SIGINT else signal.SIG_IGN)

    def agreed_signal(self, world_size: int) -> signal.Signals | None:
        """One for all processes, which a signal reaches at different moments, or only one of them.

        The hosts agree, since a GPU would answer only after all its queued work.
        """
        number = torch.tensor(int(self.received or 0))
        if world_size > 1:
            dist.all_reduce(number, dist.ReduceOp.MAX, self.hosts)
        return signal.Signals(int(number)) if number else None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any, **kwargs: Any) -> None:
        """Saves on every process, since a strategy may need them all."""
        assert isinstance(pl_module, AdversarialTraining)
        stop = self.agreed_signal(trainer.world_size)
        keep = bool(self.keep_every) and pl_module.iteration % self.keep_every == 0
        if keep or stop or self.is_due(pl_module):
            self._save(trainer, pl_module, keep)
        if stop:
            self.received = stop
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves whatever else ended the training, a limit of Lightning's or another callback."""
        assert isinstance(pl_module, AdversarialTraining)
        if pl_module.iteration and pl_module.iteration != self.saved_iteration:
            self._save(trainer, pl_module, keep=False)

    def _save(self, trainer: pl.Trainer, module: AdversarialTraining, keep: bool) -> None:
        """Replaces the last checkpoint, after writing the one that stays; FloatingPointError for NaN or infinity."""
        if broken := nonfinite_tensor(module.state_dict()):
            raise FloatingPointError(
                f"Expected finite weights after iteration {module.iteration}, found NaN or infinity in {broken}: "
                f"training has diverged. {resume_hint(self.folder, module)}"
            )
        path = self.folder.checkpoint
        kept = [path.with_name(f"{module.iteration:08d}.ckpt")] if keep else []
        trainer.save_checkpoint(path, storage_options=kept)
        self.saved_iteration = module.iteration

    @contextmanager
    def stopping_immediately(self, trainer: pl.Trainer) -> Iterator[None]:
        """Around work that a graceful stop may cut, since all before it is saved; several processes finish theirs."""
        self.trains = True
        try:
            self.stops_immediately = trainer.world_size == 1
            yield
        except ImmediateStop:
            pass
        finally:
            self.stops_immediately = False


def checkpoints_of(trainer: pl.Trainer) -> CheckpointSaver:
    saver = trainer.checkpoint_callback
    assert isinstance(saver, CheckpointSaver)
    return saver


class ImmediateStop(BaseException):
    """By a second Ctrl-C, or by a graceful stop of work that is not worth finishing."""


def _stop_immediately(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise ImmediateStop
