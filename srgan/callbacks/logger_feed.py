"""Hands what the recorders wrote to the loggers: they are views of the run's files, which stay the source of truth."""

import pytorch_lightning as pl

from srgan.callbacks.base import RunCallback
from srgan.loggers.rows import History, RunLogger
from srgan.training.module import AdversarialTraining


class LoggerFeed(RunCallback):
    """Gives new rows of the histories to all loggers, once a second: numbers to any, media to `RunLogger`s.

    Last among the callbacks. Every start feeds the whole history; a logger that resumes (Weights & Biases, online)
    takes what it lacks.
    """

    min_seconds = 1.0
    history: History | None = None

    def __init__(self) -> None:
        super().__init__(every=1)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Files are rolled back to the checkpoint by now: from here on they only grow."""
        if trainer.is_global_zero and trainer.loggers:
            self.history = History(self.folder, self.thresholds)
            record = self.folder.read_record() or {}
            for logger in trainer.loggers:
                logger.log_hyperparams(record["config"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._publish(trainer)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        if module.iteration < module.iterations:  # the last row is not complete before the final scores
            self._publish(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if not self.folder.lost():
            self.on_fit_end(trainer, pl_module)

    def _publish(self, trainer: pl.Trainer) -> None:
        if self.history is None or not (rows := self.history.new_rows()):
            return
        self.folder.check_not_lost()
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.log_rows(rows, self.history)
            else:
                for row in rows:
                    logger.log_metrics(row.numbers, step=row.iteration)
            logger.save()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The remaining rows and the results."""
        if self.history is None:
            return
        self._publish(trainer)
        record = self.folder.read_record() or {}
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.summarize(record)
