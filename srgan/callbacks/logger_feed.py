"""Hands what the recorders wrote to the loggers: they are views of the run's files, which stay the source of truth."""

import pytorch_lightning as pl

from srgan.callbacks.base import RateLimiter, RunCallback
from srgan.loggers.base import RunLogger
from srgan.loggers.rows import History
from srgan.training.module import AdversarialTraining


class LoggerFeed(RunCallback):
    """Gives new rows of the histories to all loggers, once a second: numbers to any, media to ours.

    Last among the callbacks. Every start feeds a logger the whole history, since what a resumed run recorded before is
    in its files; a logger that resumes (Weights & Biases, online) takes what it lacks.
    """

    history: History | None = None

    def __init__(self) -> None:
        super().__init__(every=1)
        self.rate_limiter = RateLimiter()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Files beyond the checkpoint are forgotten by now: from here on they only grow."""
        if trainer.is_global_zero and trainer.loggers:
            self.history = History(self.folder, self.thresholds)
            record = self.folder.read_record() or {}
            for logger in trainer.loggers:
                logger.log_hyperparams(record["config"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._publish(trainer)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        # The last row is not whole before the final scores.
        if module.iteration < module.iterations and self.rate_limiter.ready():
            self._publish(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._conclude(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if not self.folder.lost():  # of a folder that was moved or changed nothing more is told
            self._conclude(trainer)

    def _publish(self, trainer: pl.Trainer) -> None:
        rows = self.history.new_rows() if self.history else []
        if not rows:
            return
        assert self.history is not None
        self.folder.check_not_lost()
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_rows(rows, self.history)
            else:
                for row in rows:
                    logger.log_metrics(row.numbers, step=row.iteration)
            logger.save()

    def _conclude(self, trainer: pl.Trainer) -> None:
        """The rest of the rows, and what came out of the run."""
        if self.history is None:
            return
        self._publish(trainer)
        record = self.folder.read_record() or {}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.summarize(record)
