"""`srgan fit`: composes a run from configuration files, trains it, or resumes it where it was stopped."""

import logging
import re
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from srgan.callbacks import (
    Checkpoints,
    GradientRecorder,
    LossRecorder,
    OutputRecorder,
    Publisher,
    RunCallback,
    RunRecorder,
    SampleGrids,
    ScoreRecorder,
    SpectraRecorder,
)
from srgan.checkpoints import read_file
from srgan.data import ImageData
from srgan.files import only_process
from srgan.memory import keep_freed_memory
from srgan.metrics.collapse import CollapseThresholds
from srgan.networks import DEFAULT_PAIR
from srgan.runs import RunFolder, flatten_settings
from srgan.tracking.view import RunView
from srgan.training import AdversarialTraining, optimizer_steps

MEASURING = {
    "losses": LossRecorder,
    "gradients": GradientRecorder,
    "spectra": SpectraRecorder,
    "outputs": OutputRecorder,
    "samples": SampleGrids,
    "scores": ScoreRecorder,
    "checkpoints": Checkpoints,
}
TRAINER_DEFAULTS = {
    "devices": 1,
    "logger": False,
    "max_epochs": -1,
    "use_distributed_sampler": False,  # the data modules share out the batch themselves
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class RunCLI(LightningCLI):
    """LightningCLI with a run folder, measuring callbacks under keys of their own, and linked settings."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--run", type=str, help="Folder of the run (required). The same folder again resumes.")
        parser.add_argument(
            "--from-checkpoint",
            type=str | None,
            default=None,
            help="Checkpoint of another run to go on from: weights, optimizers, iteration and randomness carry on.",
        )
        for key, callback in MEASURING.items():
            parser.add_lightning_class_args(callback, key)
        parser.add_class_arguments(CollapseThresholds, "verdicts")
        parser.set_defaults({"model.networks": {"class_path": f"srgan.networks.{type(DEFAULT_PAIR).__name__}"}})
        parser.link_arguments("data.init_args.image_size", "model.networks.init_args.image_size")
        parser.link_arguments("model.n_dis", "data.init_args.n_dis")
        parser.link_arguments("model.seed", "data.init_args.seed")
        parser.link_arguments(("model.iterations", "model.n_dis"), "trainer.max_steps", compute_fn=optimizer_steps)


def compose(arguments: list[str], cli: type[RunCLI] = RunCLI) -> RunCLI:
    """What the settings build: model, data, trainer."""
    return cli(
        AdversarialTraining,
        ImageData,
        subclass_mode_data=True,
        seed_everything_default=False,
        save_config_callback=None,
        trainer_defaults=TRAINER_DEFAULTS,
        run=False,
        args=arguments,
    )


def main(arguments: list[str]) -> int:
    """Trains; returns the exit status: 0 finished, 128 + signal number when stopped, 2 on wrong settings."""
    _quiet_libraries()
    if any(re.match(r"--model\.networks\.(init_args\.)?image_size\b", argument) for argument in arguments):
        print(
            "srgan fit: expected the image size in the data, which the networks follow, found one for the networks. "
            "Set --data.init_args.image_size.",
            file=sys.stderr,
        )
        return 2
    try:
        cli = compose(arguments)
    except (ValueError, FileNotFoundError, MisconfigurationException) as error:  # of what the settings build
        print(f"srgan fit: {error}", file=sys.stderr)
        return 2
    if not cli.config["run"]:
        print("srgan fit: expected a folder for the run, found none. Add --run runs/NAME.", file=sys.stderr)
        return 2
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return train(cli, arguments)
    folder = RunFolder(cli.config["run"])
    with only_process(folder.lock, f"{folder.path}: another process trains this run; waiting for it."):
        return train(cli, arguments)


def train(cli: RunCLI, arguments: list[str]) -> int:
    """Trains or resumes the composed run; returns the exit status."""
    try:
        folder, checkpoint = prepare(cli, arguments)
    except (ValueError, FileNotFoundError) as error:
        print(f"srgan fit: {error}", file=sys.stderr)
        return 2
    record = folder.read_record()
    if record and record["status"] == "finished":
        print(f"{folder.path}: finished already, {record['iterations']} iterations. Nothing to do.")
        return 0
    try:
        provide(cli)
    except (ValueError, OSError, RuntimeError) as error:  # of reading and downloading: nothing is computed here
        print(f"srgan fit: {error}", file=sys.stderr)
        return 2
    if cli.trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=True)
    saver = cli.trainer.checkpoint_callback
    assert isinstance(saver, Checkpoints)
    if cli.trainer.is_global_zero:
        stopped = f"stopped after {cli.model.iteration} iterations; the same command goes on."
        print(f"{folder.path}: " + (stopped if saver.received else f"finished, {cli.model.iterations} iterations."))
    return 128 + saver.received if saver.received else 0


def provide(cli: RunCLI) -> None:
    """Fetches data and weights before the trainer starts; on the first process, for which the others then wait.

    Raises:
        ValueError: data, nets and score protocols do not fit one another.
        OSError: data or weights are missing.
        RuntimeError: they cannot be downloaded.
    """
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    cli.datamodule.prepare_data()
    cli.datamodule.setup("fit")
    for callback in cli.trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ScoreRecorder | OutputRecorder):
            callback.refuse_impossible(cli.model.generator, cli.datamodule)


def prepare(cli: RunCLI, arguments: list[str]) -> tuple[RunFolder, str | None]:
    """Binds callbacks and loggers to the run folder; says which checkpoint to go on from.

    Raises:
        ValueError: nets, data and devices that do not fit one another, a folder that holds a run of other settings, or
            a logger that cannot be opened.
        FileNotFoundError: the checkpoint to go on from is missing.
    """
    cli.model.join(cli.trainer, cli.datamodule)
    folder = RunFolder(cli.config["run"])
    config = yaml.safe_load(cli.parser.dump(cli.config, skip_none=False, skip_link_targets=False))
    for key in ("config", "run", "from_checkpoint"):
        config.pop(key, None)
    checkpoint, parent = _source(cli, folder, config)
    recorder = RunRecorder(config, ["srgan", "fit", *arguments], parent, cli.model.constraint.words)
    thresholds = CollapseThresholds(**vars(cli.config["verdicts"]))
    callbacks: list[pl.Callback] = cli.trainer.callbacks  # type: ignore[attr-defined]
    callbacks[:] = [recorder, *callbacks, Publisher()]
    for callback in callbacks:
        if isinstance(callback, RunCallback):
            callback.folder, callback.thresholds = folder, thresholds
    for logger in cli.trainer.loggers:
        if isinstance(logger, RunView):
            logger.bind(folder, recorder.record)
    return folder, checkpoint


def _source(cli: RunCLI, folder: RunFolder, config: dict[str, Any]) -> tuple[str | None, dict[str, Any] | None]:
    """The checkpoint to go on from, and where the run once branched off: decided when it started.

    Raises:
        ValueError: the folder holds another run, or the checkpoint does not fit this one.
        FileNotFoundError: the checkpoint to branch off from is missing.
    """
    source, before = cli.config["from_checkpoint"], folder.read_record()
    parent: dict[str, Any] | None = before.get("parent") if before else None
    if before:
        _refuse_other_settings(folder, before["config"], config)
        if source and source != (parent or {}).get("checkpoint"):
            raise ValueError(
                f"Expected the run in '{folder.path}' to go on as it started, from "
                f"{(parent or {}).get('checkpoint')}, found --from-checkpoint {source}. Choose another --run folder."
            )
    if folder.checkpoint.exists():
        return str(folder.checkpoint), parent
    if not source:
        return None, None
    stored = read_file(Path(source))
    cli.model.refuse_other_draws(stored, cli.datamodule)
    iteration = stored["srgan"]["iteration"]
    if iteration >= cli.model.iterations:
        raise ValueError(
            f"Expected more iterations than the checkpoint's {iteration}, found {cli.model.iterations}. "
            "Raise --model.iterations."
        )
    return source, {"checkpoint": source, "iteration": iteration, "constraint": stored["srgan"]["constraint"]}


def _refuse_other_settings(folder: RunFolder, recorded: dict[str, Any], config: dict[str, Any]) -> None:
    """Compares what decides a result; loggers, devices, workers and the cadence of looking may change."""
    stored, wanted = flatten_settings(recorded), flatten_settings(config)
    deciding = ("model.", "data.", "scores.", "verdicts.", "outputs.", "trainer.precision", "trainer.sync_batchnorm")
    may_change = (".num_workers", "outputs.every")
    differing = sorted(
        key
        for key in stored | wanted
        if key.startswith(deciding) and not key.endswith(may_change) and stored.get(key) != wanted.get(key)
    )
    if differing:
        lines = "".join(f"\n  {key}: {stored.get(key)} there, {wanted.get(key)} here" for key in differing)
        raise ValueError(
            f"Expected the settings of the run in '{folder.path}', found others:{lines}\n"
            "Choose another --run folder; to go on from its checkpoint there, add "
            f"--from-checkpoint {shlex.quote(str(folder.checkpoint))}"
        )


def _quiet_libraries() -> None:
    """Leaves errors and our own words on the terminal."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for noise in ("torchmetrics", "pytorch_lightning", "lightning_fabric", "torch.jit"):
        warnings.filterwarnings("ignore", module=noise)
    warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
    warnings.filterwarnings("ignore", message=".*does not have many workers")
