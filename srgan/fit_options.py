"""What `srgan fit` makes of its command line: short names of methods, refusals of options that do not apply, messages.

Training steps its optimizers itself and counts in iterations, so some options of Lightning's Trainer would do nothing,
or harm, without a word: they are refused with what to use instead.
"""

import json
import re
from collections.abc import Callable, Iterator
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
from srgan.constraints.methods import METHODS
from srgan.extras import advice
from srgan.joining import PRECISIONS
from srgan.training import optimizer_steps

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
"""Option of the Trainer that the parser does not take, since it would do nothing, or harm -> what to use instead."""

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
GONE = {
    "--seed_everything": "--model.seed",
    "--optimizer": "--model.generator_optimizer and --model.discriminator_optimizer",
    "--lr_scheduler": "--model.linear_decay",
}
"""Arguments that people may expect -> what does that here."""


def _same(value: int) -> int:
    return value


LINKS: dict[str, tuple[tuple[str, ...], Callable[..., int]]] = {
    "model.networks.init_args.image_size": (("data.init_args.image_size",), _same),
    "data.init_args.n_dis": (("model.n_dis",), _same),
    "data.init_args.seed": (("model.seed",), _same),
    "trainer.max_steps": (("model.iterations", "model.n_dis"), optimizer_steps),
}
"""Setting that follows others, and is not set by itself -> those, and what makes it of them."""


def refuse_arguments(arguments: list[str]) -> None:
    """Refuses arguments that are not there.

    Raises:
        ValueError: with what to use instead.
    """
    instead = {gone: f"Set {option}." for gone, option in GONE.items()}
    instead |= {f"--trainer.{name}": way_out for name, way_out in INSTEAD.items()}
    for target, (sources, _) in LINKS.items():
        followed = f"It follows {' and '.join(f'--{source}' for source in sources)}."
        instead |= {f"--{target}": followed, f"--{target.replace('.init_args', '')}": followed}
    for argument in arguments:
        name = argument.partition("=")[0]
        for gone, way_out in instead.items():
            if name == gone or name.startswith(f"{gone}."):
                raise ValueError(f"Expected no {name}, which does not apply here. {way_out}")


def refuse_precision(trainer: Namespace) -> None:
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


def refuse_callbacks(trainer: pl.Trainer) -> None:
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


def with_methods(arguments: list[str]) -> list[str]:
    """The arguments, `--model.constraint NAME` with one of METHODS spelled out as the settings that it stands for."""
    spelled: list[str] = []
    for argument in arguments:
        name = argument.removeprefix("--model.constraint=")
        if name in METHODS and (name != argument or spelled[-1:] == ["--model.constraint"]):
            argument = argument.removesuffix(name) + settings_of(name)
        spelled.append(argument)
    return spelled


def settings_of(method: str) -> str:
    """JSON of the class that a method's name stands for."""
    made = METHODS[method]()
    arguments: dict[str, Any] = {}
    if compensation := getattr(made, "compensation", None):
        arguments["compensation"] = {"class_path": _path(compensation)}
    if scale := getattr(made, "scale", None):
        arguments["scale"] = scale
    return json.dumps({"class_path": _path(made)} | ({"init_args": arguments} if arguments else {}))


def _path(value: object) -> str:
    """The class's public path, as in configs/, else that of its module."""
    name = type(value).__name__
    module = "srgan.constraints" if hasattr(constraints, name) else type(value).__module__
    return f"{module}.{name}"


PARSING = ("jsonargparse", "argparse", "yaml", "importlib", "typeshed_client")
"""Packages whose exceptions are about text, not about what a constructor makes of its values."""


def reason_of(error: BaseException) -> str:
    """What was wrong with settings, in a sentence: that of the constructor that refused them, else the parser's own.

    The parser catches what a constructor raises, and wraps its words into those about every type that a setting may
    have; the exception itself stays its cause.
    """
    refusals = [one for one in _chain(error) if not _raised_in(one).startswith(PARSING)]
    if refusals and not isinstance(refusals[0], ImportError):
        return "\n".join([line for line in str(refusals[0]).splitlines() if line.strip()])
    return essence(str(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those that it was raised from, the innermost last."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _raised_in(error: BaseException) -> str:
    """The module whose line raised it."""
    traceback, module = error.__traceback__, PARSING[0]
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return module


def essence(message: str) -> str:
    """A parser's message as one sentence: which setting, what was expected, what was found.

    For a setting of several types, or one inside others, the parser tells of every type and every level; what counts
    is the innermost setting. Messages that are no parser's stay, in at most three lines.
    """
    missing = re.search(r"No module named '([\w.]+)'", message)
    if missing and (sentence := advice(missing[1])):
        return sentence
    if message.endswith("arguments are required: data"):
        return (
            "Expected a configuration with data, found none. Add one: -c digits is embedded, srgan configs lists all."
        )
    refused = re.search(r"Group 'trainer' does not accept option '(\w+)'", message)
    if refused and refused[1] in INSTEAD:
        return f"Expected no trainer.{refused[1]}, which does not apply here. {INSTEAD[refused[1]]}"
    keys = re.findall(r'Parser key "([^"]+)"', message)
    if not keys:
        inner = re.search(r"^  - (Expected (?!an? ).*)", message, re.MULTILINE)  # what a constructor says, in a union
        if inner:
            return inner[1]
        return "\n".join([line for line in message.splitlines() if line.strip()][:3])
    setting = ".".join(keys)
    lacking = re.search(r"Problem with given class_path '([\w.]+)':\s+.*arguments are required: (\w+)", message)
    if lacking:
        return (
            f"Expected {lacking[2]} for the {lacking[1].rpartition('.')[2]} of --{setting}, found none. Add "
            f"--{setting}.init_args.{lacking[2]} VALUE."
        )
    innermost = message[message.rindex("Parser key") :]
    named = re.search(r"Expected a dot import path string: (.*)", innermost)
    problem = re.search(
        r"(Option '.*' is not accepted|No module named .*|has no attribute .*|does not exist.*)", innermost
    )
    expected = [
        "" if "NoneType" in kind or kind.startswith("path") else _in_words(kind)
        for kind in re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", innermost, re.MULTILINE)
    ]
    found = re.search(r"(?:Got value|Given value): (.*)", innermost)
    if named:
        methods = f", or one of {', '.join(METHODS)}" if setting == "model.constraint" else ""
        return f"Expected the path of a class for --{setting}{methods}; found {named[1]}."
    if problem or not any(expected) or not found:
        first = problem[1] if problem else " ".join(innermost.partition(":")[2].split())
        return f"Expected other settings for --{setting}: {first}."
    return f"Expected {' or '.join(filter(None, expected))} for --{setting}, found {found[1]}."


def _in_words(kind: str) -> str:
    """A type as the parser names it, e.g. "<class 'int'>" or "typing.Literal['adam', 'rmsprop']"."""
    choices = re.fullmatch(r"typing\.Literal\[(.*)\]", kind)
    return f"one of {choices[1]}" if choices else re.sub(r"<class '(?:.*\.)?(\w+)'>", r"\1", kind)
