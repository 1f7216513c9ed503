"""`srgan fit`: composes a run from configuration files, and trains or resumes it."""

import argparse
import logging
import shlex
import signal
import sys
import warnings
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from srgan import callbacks
from srgan.callbacks.checkpoint_saver import ImmediateStop, checkpoints_of
from srgan.checkpoints.rebuilding import check_sizes, memory_problem
from srgan.checkpoints.resume import start_of
from srgan.cli.config_text import with_settings_read
from srgan.cli.configs import with_paths
from srgan.cli.fit_options import LINKS, check_arguments, check_callbacks, check_precision, spelled_out
from srgan.cli.parser_messages import INSTEAD, format_parser_error
from srgan.collapse import CollapseThresholds
from srgan.data import ImageData
from srgan.loggers.rows import RunLogger
from srgan.networks import DEFAULT_PAIR
from srgan.runs.folder import LostHistoryError, OtherRunError, RunFolder
from srgan.training.module import AdversarialTraining
from srgan.utils.cpu import settle_on_cpu
from srgan.utils.distributed import is_connection_loss
from srgan.utils.files import expanded, file_lock, make_folder

MEASURING = {
    "losses": callbacks.LossRecorder,
    "gradients": callbacks.GradientRecorder,
    "spectra": callbacks.SpectraRecorder,
    "outputs": callbacks.DiscriminatorOutputRecorder,
    "samples": callbacks.SampleGridRecorder,
    "scores": callbacks.ScoreRecorder,
    "checkpoints": callbacks.CheckpointSaver,
}
TRAINER_DEFAULTS = {"devices": 1, "logger": False, "max_epochs": -1, "enable_progress_bar": False,
                    "enable_model_summary": False}  # fmt: skip

PARSER: dict[str, Any] = {
    "prog": "srgan fit",
    "usage": "%(prog)s -c NAME [-c NAME ...] --run FOLDER [options]",
    "description": "Train a generator and a discriminator under a constraint, or resume a run. Short: srgan fit --help",
    "exit_on_error": False,
}
SMALLER_NETS = "Or lower the widths, latent_dim or image_size of --model.networks.init_args and --data.init_args."
BY_A_LIMIT = (
    "by a limit of the Trainer (max_time, max_epochs, fast_dev_run, limit_train_batches) or a callback; run again "
    "without it to resume."
)
STOPPED_EARLY, FAILED = 3, 1  # exit statuses; see `main`


class RunCLI(LightningCLI):
    """LightningCLI with a run folder, measuring callbacks under their own keys, and linked settings."""

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Those of training and data; the Trainer's come last, without those that do not apply."""
        parser.add_lightning_class_args(AdversarialTraining, "model")
        parser.add_lightning_class_args(ImageData, "data", subclass_mode=True)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """None: what is random follows --model.seed."""

    def _set_seed(self) -> None:
        """Nothing: see above."""

    def instantiate_classes(self) -> None:
        """Refuses what the Trainer would ignore silently."""
        check_precision(self.config["trainer"])
        check_sizes(self.config.as_dict(), "the settings of a run")
        super().instantiate_classes()
        check_callbacks(self.trainer)

    def instantiate_trainer(self, **settings: Any) -> pl.Trainer:
        """The data modules split the batch over processes themselves."""
        return super().instantiate_trainer(**settings, use_distributed_sampler=False)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        start = "Run or checkpoint to start from: weights, optimizers, iteration and random state are kept."
        label = "Name in reports and tables; default: the method's label."
        parser.add_argument("--run", type=str, help="Output folder (required). Run again with the same one to resume.")
        parser.add_argument("--label", type=str | None, default=None, help=label)
        parser.add_argument("--from-checkpoint", type=str | None, default=None, help=start)
        for key, callback in MEASURING.items():
            parser.add_lightning_class_args(callback, key)
        parser.add_class_arguments(CollapseThresholds, "verdicts")
        parser.add_class_arguments(
            pl.Trainer, "trainer", fail_untyped=False, instantiate=False, sub_configs=True, skip=set(INSTEAD)
        )
        parser.set_defaults({f"trainer.{name}": value for name, value in TRAINER_DEFAULTS.items()})
        for action in parser._actions:
            if action.dest == "config":
                action.help = "Configuration by name (see srgan configs), or YAML file."
        parser.set_defaults({"model.networks": {"class_path": f"srgan.networks.{type(DEFAULT_PAIR).__name__}"}})
        for target, (sources, compute) in LINKS.items():
            parser.link_arguments(sources, target, compute_fn=compute)


def compose(arguments: list[str], cli: type[RunCLI] = RunCLI) -> RunCLI:
    """What the settings build: model, data, trainer.

    argparse.ArgumentError for an argument that the parser does not understand; ValueError, TypeError or
    MisconfigurationException for settings that do not fit one another; OSError if a configuration file is missing.
    """
    arguments = spelled_out(with_paths(arguments))
    check_arguments(arguments)
    composed = cli(
        AdversarialTraining,
        ImageData,
        subclass_mode_data=True,
        auto_configure_optimizers=False,
        save_config_callback=None,
        parser_kwargs=PARSER,
        run=False,
        args=with_settings_read(arguments),
    )
    for name in ("run", "from_checkpoint"):
        if composed.config.get(name):  # reproduce composes settings without a run
            composed.config[name] = str(expanded(composed.config[name]))
    return composed


def main(arguments: list[str]) -> int:
    """Trains; returns the exit status.

    0 finished, 1 failed (diverged; disk or memory full; histories or a process lost), 2 wrong settings, 3 ended before
    its last iteration by a limit of the Trainer or a callback, 128 + signal number when stopped.
    """
    _quiet_libraries()
    try:
        cli = compose(arguments)
    except (argparse.ArgumentError, TypeError, ValueError, OSError, MisconfigurationException) as error:  # of building
        return wrong(format_parser_error(error))
    except (RuntimeError, MemoryError) as error:
        if not (problem := memory_problem(error)):
            raise
        return wrong(f"Expected networks that fit into memory, found {problem}. {SMALLER_NETS}")
    if not cli.config["run"]:
        return wrong("--run is required, e.g. --run runs/NAME")
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return train(cli, arguments)
    folder = RunFolder(cli.config["run"])
    try:
        make_folder(folder.path)
        folder.lock.touch()
    except OSError as error:
        return wrong(f"--run is not a writable folder: {error}")
    with file_lock(folder.lock, f"{folder.path}: another process trains this run; waiting for it."):
        return train(cli, arguments)


def wrong(message: str) -> int:
    """Prints what is wrong with the settings; returns the exit status."""
    print(f"srgan fit: {message}", file=sys.stderr)
    return 2


def train(cli: RunCLI, arguments: list[str]) -> int:
    """Trains or resumes the composed run; returns the exit status."""
    try:
        folder, checkpoint = prepare(cli, arguments)
    except (ValueError, OSError) as error:
        return wrong(str(error))
    record = folder.read_record()
    if record and record["status"] == "finished":
        print(f"{folder.path}: already finished, {_format_iterations(record['iterations'])}.")
        return 0
    try:
        provide(cli)
    except (ValueError, OSError, RuntimeError, MemoryError) as error:  # of reading and downloading: nothing is computed
        if problem := memory_problem(error):
            error = MemoryError(f"Expected data that fit into memory, found {problem}. Choose a smaller image_size.")
        return wrong(str(error))
    if cli.trainer.strategy.root_device.type == "cpu":
        settle_on_cpu()
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=True)
    except (FloatingPointError, OSError, OtherRunError, LostHistoryError) as error:  # checkpoints stay
        lost = folder.lost() if isinstance(error, FileNotFoundError) else None
        print(f"{folder.path}: failed: {lost or error}", file=sys.stderr)
        return FAILED
    except ImmediateStop:
        print(f"{folder.path}: stopped; run the command again to resume from the last checkpoint.", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        if words := format_machine_failure(error, cli):
            print(f"{folder.path}: failed: {words}", file=sys.stderr)
            return FAILED
        if checkpoint is None or checkpoints_of(cli.trainer).trains:
            raise
        problem = f"{type(error).__name__}: {format_parser_error(error)}"
        return wrong(f"Expected a checkpoint to resume from at '{checkpoint}', found {problem}")
    return conclude(cli, folder)


def format_machine_failure(error: Exception, cli: RunCLI) -> str | None:
    """What happened and what to do if memory ran out or another process failed; None for other errors."""
    if problem := memory_problem(error):
        micro = cli.model.micro_batch_size or cli.datamodule.batch_size // cli.trainer.world_size
        return (
            f"Expected the training to fit into memory, found {problem}. Set --model.micro_batch_size below {micro} "
            f"(more, smaller backward passes per update). {SMALLER_NETS} The last checkpoint is kept."
        )
    if cli.trainer.world_size > 1 and is_connection_loss(error):
        return (
            f"Expected {cli.trainer.world_size} processes to train together, found one of them gone (killed, out of "
            "memory, or its machine is down). Run the same command again to resume from the last checkpoint."
        )
    return None


def conclude(cli: RunCLI, folder: RunFolder) -> int:
    """Prints how the training ended, by its own record; returns the exit status."""
    saver = checkpoints_of(cli.trainer)
    record = folder.read_record() if cli.trainer.is_global_zero else None
    missing = record["missing"] if record else []
    done = _format_iterations(cli.model.iteration)
    if cli.model.iteration == cli.model.iterations and not missing:
        message, status = f"finished, {done}. To see it: srgan report {shlex.quote(str(folder.path))}", 0
    elif saver.received:
        message, status = f"stopped after {done}; run the command again to resume.", 128 + saver.received
    else:
        message, status = f"stopped early after {done} {BY_A_LIMIT}", STOPPED_EARLY
    if cli.trainer.is_global_zero:
        print(f"{folder.path}: {message}" + (f" Missing: {', '.join(missing)}." if missing else ""))
    return status


def _format_iterations(count: int) -> str:
    return f"{count} iteration{'s' * (count != 1)}"


def provide(cli: RunCLI) -> None:
    """Fetches data and weights on the first process, before the others wait for it; ValueError if they do not fit."""
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    cli.datamodule.prepare_data()
    cli.datamodule.setup("fit")
    for callback in cli.trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, callbacks.ScoreRecorder | callbacks.DiscriminatorOutputRecorder):
            callback.check_possible(cli.model.generator, cli.datamodule)


def prepare(cli: RunCLI, arguments: list[str]) -> tuple[RunFolder, str | None]:
    """Binds callbacks and loggers to the run folder; returns it and the checkpoint to start from.

    ValueError if networks, data and devices do not fit one another, the folder holds a run of other settings, or a
    logger cannot be opened; FileNotFoundError if the checkpoint is missing.
    """
    cli.model.join(cli.trainer, cli.datamodule)
    folder = RunFolder(cli.config["run"])
    settings = yaml.safe_load(cli.parser.dump(cli.config, skip_none=False, skip_link_targets=False))
    options = ("config", "run", "label", "from_checkpoint")
    config = {key: value for key, value in settings.items() if key not in options}
    start = start_of(folder, config, cli.config["from_checkpoint"], cli.trainer, cli.model, cli.datamodule)
    words = cli.model.constraint.words
    about = {"command": ["srgan", "fit", *arguments], "config": config, "parent": start.parent}
    about |= {"label": cli.config["label"] or words["label"], "constraint": words}
    recorder = callbacks.RunRecorder(about, start.marks)
    thresholds = CollapseThresholds(**vars(cli.config["verdicts"]))
    attached: list[pl.Callback] = cli.trainer.callbacks  # type: ignore[attr-defined]
    attached[:] = [recorder, *attached, callbacks.LoggerFeed()]
    for callback in attached:
        if isinstance(callback, callbacks.RunCallback):
            callback.folder, callback.thresholds = folder, thresholds
    for logger in cli.trainer.loggers:
        if isinstance(logger, RunLogger):
            logger.bind(folder, recorder.record)
    return folder, start.checkpoint


def _quiet_libraries() -> None:
    """Leaves errors and srgan's own messages on the terminal."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for noise in ("torchmetrics", "pytorch_lightning", "lightning_fabric", "torch.jit"):
        warnings.filterwarnings("ignore", module=noise)
    warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
