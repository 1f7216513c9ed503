"""The messages of jsonargparse, whose texts are read only here, as one sentence each."""

import re
from traceback import walk_tb

from srgan.constraints.regularize import METHODS
from srgan.utils.optional_packages import advice

NO_VALIDATION = "There is no validation pass: set --scores.every, --outputs.every or --samples.every."
CLOCK = "Set --model.iterations."

INSTEAD = {
    "accumulate_grad_batches": "Set --model.micro_batch_size, which accumulates gradients within an iteration.",
    "gradient_clip_val": "The constraint bounds the discriminator. Lower the learning rates if training diverges.",
    "gradient_clip_algorithm": "The constraint bounds the discriminator.",
    "overfit_batches": "Use a smaller data set.",
    **dict.fromkeys(("min_steps", "min_epochs"), CLOCK),
    **dict.fromkeys(("limit_val_batches", "limit_test_batches", "limit_predict_batches"), NO_VALIDATION),
    **dict.fromkeys(("val_check_interval", "check_val_every_n_epoch", "num_sanity_val_steps"), NO_VALIDATION),
    "inference_mode": NO_VALIDATION,
    "log_every_n_steps": "Set --losses.every.",
    "enable_checkpointing": "A run resumes from its checkpoints: set --checkpoints.every.",
    "default_root_dir": "Set --run.",
    "barebones": "Set --scores.every 0, --samples.every 0 and so on to measure nothing.",
    "reload_dataloaders_every_n_epochs": "The images of an iteration follow from --model.seed.",
    "use_distributed_sampler": "The data modules split batches among devices.",
}
"""Options of the Trainer that are refused, since they would have no effect or do harm -> what to use instead."""

PARSING = ("jsonargparse", "argparse", "yaml", "importlib", "typeshed_client")
"""Packages whose exceptions are about parsing, not from the constructors of settings."""


def format_parser_error(error: BaseException) -> str:
    """Why settings are wrong, in a sentence: the message of the constructor that refused them, else the parser's.

    The parser wraps the exception of a constructor into a message about every possible type of a setting, but keeps it
    as the cause.
    """
    cause: BaseException | None = error
    while cause is not None and _raised_in(cause).startswith(PARSING):
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    if cause is None or isinstance(cause, ImportError | AttributeError):
        return format_parser_message(str(error))
    return "\n".join([line for line in str(cause).splitlines() if line.strip()])


def _raised_in(error: BaseException) -> str:
    """The module whose line raised it."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else PARSING[0]


def format_parser_message(message: str) -> str:
    """A parser's message as one sentence: which setting, what was expected, what was found.

    The parser lists every type and level of a nested setting, of which this takes the innermost. Other messages are
    kept, up to three lines.
    """
    missing = re.search(r"No module named '([\w.]+)'", message)
    if missing and (sentence := advice(missing[1])):
        return sentence
    if message.endswith("arguments are required: data"):
        return "Expected a configuration with data, found none. Add one, e.g. -c digits; srgan configs lists all."
    refused = re.search(r"Group 'trainer' does not accept option '(\w+)'", message)
    if refused and refused[1] in INSTEAD:
        return f"Expected no trainer.{refused[1]}, which does not apply here. {INSTEAD[refused[1]]}"
    keys = re.findall(r'Parser key "([^"]+)"', message)
    if not keys:
        inner = re.search(r"^  - (Expected (?!an? ).*)", message, re.MULTILINE)  # a constructor's message, in a union
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
        "" if "NoneType" in kind or kind.startswith("path") else _format_type(kind)
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


def _format_type(kind: str) -> str:
    """A type in the parser's notation, e.g. "<class 'int'>" or "typing.Literal['adam', 'rmsprop']"."""
    choices = re.fullmatch(r"typing\.Literal\[(.*)\]", kind)
    return f"one of {choices[1]}" if choices else re.sub(r"<class '(?:.*\.)?(\w+)'>", r"\1", kind)
