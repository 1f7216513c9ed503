"""The first and the last callback of every run: its summary, and what hands its histories to loggers."""

import time
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import yaml

from srgan.callbacks.base import RunCallback
from srgan.callbacks.checkpoint_saver import CheckpointSaver, ImmediateStop, checkpoints_of
from srgan.collapse import Verdict, reported_scores
from srgan.loggers.rows import History, RunLogger
from srgan.runs.folder import SHOWN_SCORES
from srgan.runs.recorded import RecordedRun
from srgan.training.module import AdversarialTraining
from srgan.utils.files import write_json, write_text
from srgan.utils.progress import Progress
from srgan.utils.provenance import commit, hardware, now, peak_memory, versions


class RunRecorder(RunCallback):
    """Writes `run.json` when training starts and ends, and `progress.json` during training.

    Comes first among the callbacks: on resume it drops what was recorded beyond the checkpoint.

    Args:
        about: what is known before: "command", "config", "parent", "label" and "constraint" of `run.json`.
        marks: `RunFolder.history_marks` of the checkpoint from which the run resumes; None for a run that begins.
    """

    min_seconds = 1.0

    def __init__(self, about: dict[str, Any], marks: dict[str, list[int]] | None = None) -> None:
        super().__init__(every=1)
        self.marks = marks
        self.record: dict[str, Any] = {"status": "running", **about, "commit": commit(), "versions": versions()}
        self.started = 0.0
        self.began = 0
        self.bar: Progress | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Here rather than when training starts: a run whose last iteration was saved does not train again."""
        assert isinstance(pl_module, AdversarialTraining)
        if not trainer.is_global_zero:
            return
        # A run that starts over drops iteration 0 too: it is recorded again.
        self.began = pl_module.iteration
        self.folder.roll_back(self.marks or {}, -1 if self.marks is None else pl_module.iteration)
        before = self.folder.read_record() or {}
        self.record |= {
            "seed": pl_module.seed,
            "iterations": pl_module.iterations,
            "hardware": hardware(trainer),
            "started": before.get("started", now()),
            "seconds": before.get("seconds", 0.0),
            "resumed_at": [*before.get("resumed_at", []), pl_module.iteration] if before else [],
        }
        write_text(self.folder.config, yaml.safe_dump(self.record["config"], sort_keys=False))
        self.folder.begun = True
        write_json(self.folder.record, self.record)
        self.started = time.monotonic()
        self.bar = Progress(self.folder.path.name, pl_module.iterations, done=pl_module.iteration)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if isinstance(trainer.checkpoint_callback, CheckpointSaver):
            trainer.checkpoint_callback.trains = True
        super().on_train_start(trainer, pl_module)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        self._report(module)
        latest = (self.folder.read_scores() or [{}])[-1]
        shown = "  ".join(f"{name} {latest[name]:.4g}" for name in SHOWN_SCORES if name in latest)
        assert self.bar is not None
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update(module.iteration - self.bar.n)

    def _report(self, module: AdversarialTraining) -> None:
        """Once a second, without waiting for the disk."""
        self.folder.check_not_lost()
        progress = {"iteration": module.iteration, "iterations": module.iterations}
        write_json(self.folder.progress, progress, durable=False)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, AdversarialTraining)
        if not trainer.is_global_zero:
            return
        if self.bar is not None:
            self.bar.close()
        self._report(pl_module)
        callbacks = [one for one in trainer.callbacks if isinstance(one, RunCallback)]  # type: ignore[attr-defined]
        missing = [work for one in callbacks if (work := one.missing(pl_module))]
        if pl_module.iteration < pl_module.iterations:
            missing = [f"iterations {pl_module.iteration + 1} to {pl_module.iterations}", *missing]
        self.record |= {
            "status": "stopped" if missing else "finished",
            "missing": missing,
            "ended": now(),
            "seconds": round(self.record["seconds"] + time.monotonic() - self.started, 1),
            "peak_memory": peak_memory(trainer),
        } | outcome(RecordedRun(self.folder, self.record, self.folder.path.name))
        self.folder.check_not_lost()
        write_json(self.folder.record, self.record)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Every setting, so that a checkpoint can be scored without its run, and the marks of the histories."""
        checkpoint["srgan_config"] = self.record["config"]
        if trainer.is_global_zero:  # which writes both
            self.folder.check_not_lost()
            checkpoint["srgan_histories"] = self.folder.history_marks()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Records that a run failed, or which iterations of one that was stopped immediately are not saved."""
        if self.bar is not None:
            self.bar.close()
        if not trainer.is_global_zero or not self.folder.config.is_file() or "seed" not in self.record:
            return  # nothing was written yet, or all of it was moved
        if isinstance(exception, ImmediateStop):
            saved = checkpoints_of(trainer).saved_iteration
            first = 1 + (self.began if saved is None else saved)
            missing = f"iterations {first} to {self.record['iterations']}"
            write_json(self.folder.record, self.record | {"status": "stopped", "missing": [missing]})
        elif isinstance(exception, Exception):
            write_json(self.folder.record, self.record | {"status": "failed", "error": str(exception)})


def outcome(run: RecordedRun) -> dict[str, Any]:
    """The verdicts of a run, and the evaluation that a table reports."""
    reported = None
    if modes := run.verdicts["mode_collapse"]:
        ranking = next(name for name in run.scores[0] if name.startswith("FID"))
        reported = reported_scores(run.scores, Verdict(**modes), ranking)
    return {"reported": reported, "verdicts": {**run.verdicts, "thresholds": asdict(run.thresholds)}}


class LoggerFeed(RunCallback):
    """Gives new rows of the histories to all loggers, once a second: numbers to any, media to `RunLogger`s.

    Last among the callbacks. The files stay the source of truth: every start feeds the whole history, of which a logger
    that resumes (Weights & Biases, online) takes what it lacks.
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
