"""What `srgan fit` makes of its command line: short names of methods, refusals of options that do not apply, messages.

Training steps its optimizers itself and counts in iterations, so some options of Lightning's Trainer would do nothing,
or harm, without a word: they are refused with what to use instead.
"""

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
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

from srgan import constraints
from srgan.cli.parser_messages import INSTEAD
from srgan.constraints import METHODS, Constraint, SpectralMap, SpectralRegularization
from srgan.training.checks import PRECISIONS
from srgan.training.module import optimizer_steps

REFUSED_CALLBACKS: dict[type[pl.Callback], str] = {
    ModelCheckpoint: "Set --checkpoints.every and --checkpoints.keep_every.",
    GradientAccumulationScheduler: INSTEAD["accumulate_grad_batches"],
    StochasticWeightAveraging: "It would replace the weights behind the optimizers.",
    WeightAveraging: "It would replace the weights behind the optimizers.",
    LearningRateFinder: "Set the learning_rate of --model.generator_optimizer and of the discriminator's.",
    BatchSizeFinder: "Set --data.init_args.batch_size.",
    BackboneFinetuning: "Both nets train from the first iteration on.",
    ModelPruning: "It would change the weights behind the optimizers.",
}
RENAMED = {
    "--seed_everything": "--model.seed",
    "--optimizer": "--model.generator_optimizer and --model.discriminator_optimizer",
    "--lr_scheduler": "--model.linear_decay",
}
"""Arguments that people may expect -> what does that here."""

SHORT = "--sr."
"""How options of spectral regularization begin that are spelled out as `--model.constraint.init_args...`."""


def _same(value: int) -> int:
    return value


LINKS: dict[str, tuple[tuple[str, ...], Callable[..., int]]] = {
    "model.networks.init_args.image_size": (("data.init_args.image_size",), _same),
    "data.init_args.n_dis": (("model.n_dis",), _same),
    "data.init_args.seed": (("model.seed",), _same),
    "trainer.max_steps": (("model.iterations", "model.n_dis"), optimizer_steps),
}
"""Setting that follows others, and is not set by itself -> those, and what makes it of them."""


def check_arguments(arguments: list[str]) -> None:
    """Refuses arguments that are not there.

    Raises:
        ValueError: with what to use instead.
    """
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
    """Refuses settings of the Trainer with another precision than those that training goes with.

    Raises:
        ValueError: with what to use instead.
    """
    if "precision" not in trainer:
        raise ValueError("Expected settings of the Trainer under trainer, found none. Leave out 'trainer'.")
    if str(trainer.precision) not in ("None", "32", "bf16", *PRECISIONS):
        raise ValueError(
            f"Expected --trainer.precision {' or '.join(PRECISIONS)}, found {trainer.precision}: weights stay in full "
            "precision, and penalties do not go with the loss scaling of float16. Set --trainer.precision bf16-mixed."
        )


def check_callbacks(trainer: pl.Trainer) -> None:
    """Refuses callbacks that do not go with two optimizers stepped by hand.

    Raises:
        ValueError: with what to use instead.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        for kind, instead in REFUSED_CALLBACKS.items():
            if isinstance(callback, kind):
                raise ValueError(
                    f"Expected no callback {type(callback).__name__}, which does not apply here. {instead}"
                )


def spelled_out(arguments: list[str]) -> list[str]:
    """The arguments with the long form of short ones.

    `--model.constraint NAME`, of METHODS, becomes the settings that it stands for; `--sr.scale X` becomes a setting of
    `SpectralRegularization`, and `--sr.fraction X`, or any other name that it has not, one of its spectral map.
    """
    own = {field.name for field in fields(SpectralRegularization)}
    spelled: list[str] = []
    for argument in arguments:
        if argument.startswith(SHORT):
            setting = argument.removeprefix(SHORT)
            of_map = "" if setting.partition("=")[0].partition(".")[0] in own else "spectral_map.init_args."
            argument = f"--model.constraint.init_args.{of_map}{setting}"
        name = argument.removeprefix("--model.constraint=")
        if name in METHODS and (name != argument or spelled[-1:] == ["--model.constraint"]):
            argument = argument.removesuffix(name) + settings_of(name)
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
    if isinstance(value, Constraint | SpectralMap):
        return {"class_path": _path(value)} | ({"init_args": arguments} if arguments else {})
    return arguments


def _path(value: object) -> str:
    """The class's public path, as in configs/, else that of its module."""
    name = type(value).__name__
    module = "srgan.constraints" if hasattr(constraints, name) else type(value).__module__
    return f"{module}.{name}"
