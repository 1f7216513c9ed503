"""The nets that a checkpoint describes, built from its settings by torch alone.

The parser of `srgan fit` takes a text in the place of an object, too, and imports what it names; nothing does so here.
"""

import inspect
import pydoc
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from srgan.checkpoints.reading import RunCheckpoint, nonfinite_tensor
from srgan.constraints.nets import Nets
from srgan.runs.folder import flatten_settings

TRAINING_ALONE = {
    "compile", "compile_mode", "discriminator_optimizer", "feature_matching", "generator_batch_multiplier",
    "generator_optimizer", "generator_update_after", "iterations", "linear_decay", "loss", "micro_batch_size", "n_dis",
}  # fmt: skip
"""Settings of the training that its networks do not depend on."""


def rebuild_nets(checkpoint: RunCheckpoint) -> Nets:
    """Both networks with the checkpoint's weights, not compiled.

    ValueError if the settings are of another version, or the weights of other networks or not finite.
    """
    place = f"'{checkpoint.path}'"
    if broken := nonfinite_tensor(checkpoint.weights):
        raise ValueError(
            f"Expected finite weights in {place}, found NaN or infinity in {broken}: that training had diverged. Take "
            "an earlier checkpoint."
        )
    check_sizes(checkpoint.config, place)
    settings = {name: value for name, value in checkpoint.config["model"].items() if name not in TRAINING_ALONE}
    try:
        nets: Nets = build(Nets, settings, "model")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"Expected settings that this version of srgan knows in {place}, found: {error}") from error
    except (RuntimeError, MemoryError) as error:
        if not (problem := memory_problem(error)):
            raise
        raise ValueError(f"Expected nets that fit into memory in {place}, found {problem}.") from error
    held = tuple(f"{name}." for name, _ in nets.named_children())
    try:
        nets.load_state_dict({name: tensor for name, tensor in checkpoint.weights.items() if name.startswith(held)})
    except RuntimeError as error:
        raise ValueError(f"Expected weights of the networks that {place} describes, found others: {error}") from error
    return nets


def build(kind: Any, value: Any, setting: str) -> Any:
    """The value of resolved settings: an object, from its "class_path" and "init_args", a sequence or a plain value.

    ValueError if the value is of another kind, or its class has other parameters.

    `kind` is the annotation of the result, `value` what YAML or JSON hold, an Enum's member by name, whose classes
    `check_class_paths` has passed, and `setting` its dotted name, for messages.
    """
    origin, choices = get_origin(kind), get_args(kind)
    if isinstance(value, Mapping) and origin not in (dict, Mapping) and ("class_path" in value or kind is not Any):
        return _object(choices or (kind,), value, setting)
    if isinstance(value, list) and origin in (list, tuple, Sequence):
        items = [build(choices[0], item, setting) for item in value]
        return tuple(items) if origin is tuple else items
    for member_of in (kind, *choices):
        if inspect.isclass(member_of) and issubclass(member_of, Enum) and value in member_of.__members__:
            return member_of[value]
    if isinstance(value, str) and not _fits(kind, value):
        raise ValueError(
            f"Expected the settings of {inspect.formatannotation(kind)} for {setting}, found the text {value!r}. "
            "Nothing of it was imported."
        )
    if not _fits(kind, value):
        raise ValueError(f"Expected {inspect.formatannotation(kind)} for {setting}, found {value!r}.")
    return value


def _object(kinds: tuple[Any, ...], value: Mapping[str, Any], setting: str) -> Any:
    """An object of the named class, or of the first of `kinds`."""
    wanted = tuple(object if kind is Any else kind for kind in kinds if kind is Any or inspect.isclass(kind))
    named = value.keys() <= {"class_path", "init_args"} and "class_path" in value
    made = pydoc.locate(value["class_path"]) if named else next(iter(wanted), None)
    if not inspect.isclass(made) or not issubclass(made, wanted):
        raise ValueError(f"Expected {' or '.join(map(inspect.formatannotation, kinds))} for {setting}, found {value}.")
    given = (value.get("init_args") or {}) if named else value
    try:
        inspect.signature(made).bind(**given)
    except TypeError as error:
        raise ValueError(f"Expected settings of {made.__name__} for {setting}, found others: {error}.") from None
    hints = get_type_hints(made.__init__)
    return made(**{name: build(hints.get(name, Any), one, f"{setting}.{name}") for name, one in given.items()})


def _fits(kind: Any, value: Any) -> bool:
    """Whether a plain value has the type of an annotation."""
    if kind is Any:
        return True
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind):
        return any(_fits(one, value) for one in get_args(kind)) or isinstance(value, get_origin(kind))
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else str if kind is Path else kind)


MAX_COUNT = 10**9
"""Counts and sizes from here on are typos."""
NO_COUNT = ("seed",)
ALLOCATORS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "could not create a primitive",
    "Storage size calculation overflowed",
    "numel: integer multiplication overflow",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""Parts of the messages of PyTorch, oneDNN and CUDA, in errors of one class, when there is no memory."""


def check_sizes(settings: Mapping[str, Any], origin: str) -> None:
    """ValueError, with the setting's name, for counts and sizes beyond any machine; `origin` is part of the message."""
    for name, value in flatten_settings(dict(settings)).items():
        if isinstance(value, int) and abs(value) >= MAX_COUNT and not name.endswith(NO_COUNT):
            raise ValueError(
                f"Expected sizes and counts below {MAX_COUNT:,} in {origin}, found {name} {value}. Lower it."
            )


def memory_problem(error: BaseException) -> str | None:
    """The first line of an out-of-memory error; None for any other error."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in ALLOCATORS):
        return next((line.strip() for line in str(error).splitlines() if line.strip()), "no memory left").rstrip(".")
    return None
