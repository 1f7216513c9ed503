"""The command line of `srgan fit`: short names of methods, and options that do not apply.

Training steps its optimizers itself and counts in iterations, so some options of Lightning's Trainer would silently do
nothing, or harm: they are refused with what to use instead.
"""

import json
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import pytorch_lightning as pl
from jsonargparse import Namespace

from srgan import constraints
from srgan.cli.parser_messages import INSTEAD
from srgan.constraints import METHODS, Constraint, SpectralMap, SpectralRegularization
from srgan.training.checks import PRECISIONS
from srgan.training.module import optimizer_steps

REFUSED_CALLBACKS = {
    "ModelCheckpoint": "Set --checkpoints.every and --checkpoints.keep_every.",
    "GradientAccumulationScheduler": INSTEAD["accumulate_grad_batches"],
    "StochasticWeightAveraging": "It would replace the weights behind the optimizers.",
    "WeightAveraging": "It would replace the weights behind the optimizers.",
    "LearningRateFinder": "Set the learning_rate of --model.generator_optimizer and --model.discriminator_optimizer.",
    "BatchSizeFinder": "Set --data.init_args.batch_size.",
    "BackboneFinetuning": "Both networks train from the first iteration on.",
    "ModelPruning": "It would change the weights behind the optimizers.",
}
"""Callback of Lightning's -> what to use instead."""
RENAMED = {
    "--seed_everything": "--model.seed",
    "--optimizer": "--model.generator_optimizer and --model.discriminator_optimizer",
    "--lr_scheduler": "--model.linear_decay",
}
"""Option of other LightningCLIs -> what to set here."""

SHORT = "--sr."  # stands for --model.constraint.init_args.


LINKS: dict[str, tuple[tuple[str, ...], Callable[..., int]]] = {
    "model.networks.init_args.image_size": (("data.init_args.image_size",), int),
    "data.init_args.n_dis": (("model.n_dis",), int),
    "data.init_args.seed": (("model.seed",), int),
    "trainer.max_steps": (("model.iterations", "model.n_dis"), optimizer_steps),
}
"""Setting that follows from others -> those, and the function that computes it."""


def check_arguments(arguments: list[str]) -> None:
    """Raises ValueError, with what to use instead, for options that do not apply."""
    instead = {gone: f"Set {option}." for gone, option in RENAMED.items()}
    instead |= {f"--trainer.{name}": way_out for name, way_out in INSTEAD.items()}
    for target, (sources, _) in LINKS.items():
        followed = f"Set {' and '.join(f'--{source}' for source in sources)}, which it follows."
        instead |= {f"--{target}": followed, f"--{target.replace('.init_args', '')}": followed}
    for argument in arguments:
        name = argument.partition("=")[0]
        for gone, way_out in instead.items():
            if name == gone or name.startswith(f"{gone}."):
                raise ValueError(f"Expected no {name}, which does not apply here. {way_out}")


def check_precision(trainer: Namespace) -> None:
    """Raises ValueError for a precision that training does not support."""
    if "precision" not in trainer:
        raise ValueError("Expected settings of the Trainer under trainer, found none. Leave out 'trainer'.")
    if str(trainer.precision) not in ("None", "32", "bf16", *PRECISIONS):
        raise ValueError(
            f"Expected --trainer.precision {' or '.join(PRECISIONS)}, found {trainer.precision}: weights stay in full "
            "precision, and penalties do not work with the loss scaling of float16. Use --trainer.precision bf16-mixed."
        )


def check_callbacks(trainer: pl.Trainer) -> None:
    """Raises ValueError, with what to use instead, for callbacks that expect Lightning to step one optimizer."""
    for one in trainer.callbacks:  # type: ignore[attr-defined]
        for kind, instead in REFUSED_CALLBACKS.items():
            if isinstance(one, getattr(pl.callbacks, kind)):
                raise ValueError(f"Expected no callback {type(one).__name__}, which does not apply here. {instead}")


def spelled_out(arguments: list[str]) -> list[str]:
    """The arguments (`--option=value`) with short ones in their long form.

    `--model.constraint=NAME`, of METHODS, becomes the settings that it stands for; `--sr.scale=X` becomes a setting of
    `SpectralRegularization`, and `--sr.fraction=X`, or any other name that this lacks, one of its spectral map.
    """
    own = {field.name for field in fields(SpectralRegularization)}
    spelled: list[str] = []
    for argument in arguments:
        option, _, value = argument.partition("=")
        if option.startswith(SHORT):
            setting = argument.removeprefix(SHORT)
            of_map = "" if re.split("[.=]", setting)[0] in own else "spectral_map.init_args."
            argument = f"--model.constraint.init_args.{of_map}{setting}"
        elif option == "--model.constraint" and value in METHODS:
            argument = f"{option}={settings_of(value)}"
        spelled.append(argument)
    return spelled


def settings_of(method: str) -> str:
    """JSON of the class that a method's name stands for."""
    return json.dumps(as_settings(METHODS[method]()))


def as_settings(value: Any) -> Any:
    """A value as the parser takes it: constraints and spectral maps by their class, other values by their fields."""
    if not is_dataclass(value):
        return value
    arguments = {field.name: as_settings(getattr(value, field.name)) for field in fields(value)}
    if not isinstance(value, Constraint | SpectralMap):
        return arguments
    name = type(value).__name__
    module = "srgan.constraints" if hasattr(constraints, name) else type(value).__module__  # public, as in configs/
    return {"class_path": f"{module}.{name}"} | ({"init_args": arguments} if arguments else {})
