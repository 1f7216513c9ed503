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
from srgan.checkpoints.sizes import check_sizes, memory_problem
from srgan.constraints.nets import Nets

TRAINING_ALONE = {
    "compile", "compile_mode", "discriminator_optimizer", "feature_matching", "generator_batch_multiplier",
    "generator_optimizer", "generator_update_after", "iterations", "linear_decay", "loss", "micro_batch_size", "n_dis",
}  # fmt: skip
"""Settings of the training that its networks do not depend on."""


def rebuild_nets(checkpoint: RunCheckpoint) -> Nets:
    """Both networks with the checkpoint's weights, not compiled.

    Raises:
        ValueError: the settings are of another version, or the weights of other networks or not finite.
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

    Args:
        kind: annotation of the result.
        value: what YAML or JSON hold, an Enum's member by name; `check_class_paths` has passed its classes.
        setting: its dotted name, for messages.

    Raises:
        ValueError: the value is of another kind, or its class has other parameters.
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
