"""What `srgan fit` makes of its command line: short names of methods, refusals of options that do not apply, messages.

Training steps its optimizers itself and counts in iterations, so some options of Lightning's Trainer would do nothing,
or harm, without a word: they are refused with what to use instead.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)

from srgan.constraints.methods import METHODS

NO_VALIDATION = "There is no validation pass; --scores.every, --outputs.every and --samples.every look at a run."
CLOCK = "A run's length is --model.iterations."

INSTEAD = {
    "accumulate_grad_batches": "Set --model.micro_batch_size, which accumulates gradients within an iteration.",
    "gradient_clip_val": "The constraint bounds the discriminator; lower the learning rates if training diverges.",
    "gradient_clip_algorithm": "The constraint bounds the discriminator.",
    "overfit_batches": "Give --data a smaller set of images.",
    "min_steps": CLOCK,
    "min_epochs": CLOCK,
    "limit_val_batches": NO_VALIDATION,
    "limit_test_batches": NO_VALIDATION,
    "limit_predict_batches": NO_VALIDATION,
    "val_check_interval": NO_VALIDATION,
    "check_val_every_n_epoch": NO_VALIDATION,
    "num_sanity_val_steps": NO_VALIDATION,
    "inference_mode": NO_VALIDATION,
    "log_every_n_steps": "Set --losses.every.",
    "enable_checkpointing": "Checkpoints are what a run goes on from: set --checkpoints.every.",
    "default_root_dir": "Set --run.",
    "barebones": "Set --scores.every 0, --samples.every 0 and so on to measure nothing.",
    "reload_dataloaders_every_n_epochs": "Images of an iteration are decided by --model.seed.",
    "use_distributed_sampler": "The data modules share out the batch themselves.",
}
"""Option of the Trainer -> what to use instead. It is refused at any value but its default."""

PRECISIONS = ("32-true", "64-true", "bf16-mixed")
REFUSED_CALLBACKS: dict[type[pl.Callback], str] = {
    ModelCheckpoint: "Set --checkpoints.every and --checkpoints.keep_every.",
    GradientAccumulationScheduler: INSTEAD["accumulate_grad_batches"],
    StochasticWeightAveraging: "It would replace the weights behind the optimizers.",
    WeightAveraging: "It would replace the weights behind the optimizers.",
    LearningRateFinder: "Set --model.generator_optimizer.learning_rate and --model.discriminator_optimizer.learning_rate.",
    BatchSizeFinder: "Set --data.init_args.batch_size.",
    BackboneFinetuning: "Both nets train from the first iteration on.",
    ModelPruning: "It would change the weights behind the optimizers.",
}
GONE = {
    "--seed_everything": "--model.seed",
    "--optimizer": "--model.generator_optimizer and --model.discriminator_optimizer",
    "--lr_scheduler": "--model.linear_decay",
    "--model.networks.image_size": "--data.init_args.image_size, which the networks follow",
    "--model.networks.init_args.image_size": "--data.init_args.image_size, which the networks follow",
}
"""Arguments that people may expect -> what does that here."""


def refuse_arguments(arguments: list[str]) -> None:
    """Refuses arguments that are not there.

    Raises:
        ValueError: with what to use instead.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        for gone, instead in GONE.items():
            if name == gone or name.startswith(f"{gone}."):
                raise ValueError(f"Expected no {name}, which does not apply here. Use {instead}.")


def refuse_options(trainer: Namespace, defaults: Mapping[str, Any]) -> None:
    """Refuses options of the Trainer that would do nothing, or harm.

    Args:
        trainer: its settings.
        defaults: where they are ours, not Lightning's.

    Raises:
        ValueError: with what to use instead.
    """
    for name, instead in INSTEAD.items():
        found = trainer.get(name)
        if found is not None and found != defaults.get(name, LIGHTNING_DEFAULTS.get(name)):
            raise ValueError(f"Expected no --trainer.{name}, which does not apply here, found {found}. {instead}")


LIGHTNING_DEFAULTS = {"inference_mode": True, "barebones": False, "overfit_batches": 0.0, "accumulate_grad_batches": 1,
                      "check_val_every_n_epoch": 1, "reload_dataloaders_every_n_epochs": 0}  # fmt: skip


def refuse_built(trainer: pl.Trainer) -> None:
    """Refuses a precision or callbacks that do not go with two optimizers stepped by hand.

    Raises:
        ValueError: with what to use instead.
    """
    if trainer.precision not in PRECISIONS:
        raise ValueError(
            f"Expected a precision of {', '.join(PRECISIONS)}, found {trainer.precision}: weights stay in full "
            "precision, and spectra and penalties do not survive the loss scaling of 16 bits. Set "
            "--trainer.precision bf16-mixed."
        )
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        for kind, instead in REFUSED_CALLBACKS.items():
            if isinstance(callback, kind):
                raise ValueError(f"Expected no callback {type(callback).__name__}, which does not apply here. {instead}")


def with_methods(arguments: list[str]) -> list[str]:
    """The arguments, `--model.constraint NAME` with one of METHODS spelled out as the settings that it stands for."""
    text = "\0".join(arguments)
    return re.sub(
        r"(^|\0)--model\.constraint(?:\0|=)([a-z-]+)(?=\0|$)",
        lambda match: f"{match[1]}--model.constraint={_settings_of(match[2])}" if match[2] in METHODS else match[0],
        text,
    ).split("\0") if arguments else []


def _settings_of(method: str) -> str:
    """JSON of the class that a method's name stands for."""
    made = METHODS[method]()
    settings: dict[str, Any] = {"class_path": _path(made)}
    if compensation := getattr(made, "compensation", None):
        settings["init_args"] = {"compensation": {"class_path": _path(compensation)}}
    return json.dumps(settings)


def _path(value: object) -> str:
    return f"srgan.constraints.{type(value).__name__}"


def essence(message: str) -> str:
    """At most three lines of a parser's message: which setting, what was expected, what was found.

    A setting of several types brings an error for each of them; what counts is the one of the type that was meant.
    """
    lines = [line.strip(" -") for line in message.splitlines()]
    kept = [line for line in lines if line and not line.startswith(("usage:", "tip:", "Subtypes:", "Errors:"))]
    return "\n".join(kept[:3])
