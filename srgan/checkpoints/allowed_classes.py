"""Which classes the settings in a checkpoint may name. They are judged before anything is imported.

Settings name a class by a "class_path". The parser would also take a text, or the path of a YAML file, in the place of
an object, so a text is refused wherever the class that is to be built does not ask for one.
"""

import inspect
import pydoc
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from srgan.utils.optional_packages import advice

PACKAGE = "srgan."
KNOWN = {"model": "srgan.training.AdversarialTraining", "scores": "srgan.callbacks.ScoreRecorder"}
"""Settings without a class path of their own -> what they build."""
NOT_HERE = object()
"""A class of ours whose module needs an extra that is not installed, so that nothing can be built of it."""


def check_class_paths(settings: Mapping[str, Any], origin: Path, allowed: Collection[str] = ()) -> None:
    """Raises ValueError for settings of a run that would import code from elsewhere.

    Args:
        settings: resolved; of them "model", "data" and "scores" are built again.
        origin: the file that they are from.
        allowed: class paths that the user trusts beside this package's.
    """
    built = {"data": settings.get("data")} | {
        name: {"class_path": path, "init_args": settings.get(name)} for name, path in KNOWN.items()
    }
    named = set(_class_paths(built)) - set(allowed)
    third_party = sorted(path for path in named if not path.startswith(PACKAGE))
    if third_party:
        raise ValueError(
            f"Expected classes of srgan in the settings of '{origin}', found {', '.join(third_party)}. Nothing of it "
            f"was imported. If you trust that code, add --allow {third_party[0]}"
        )
    if unknown := sorted(path for path in named if not _is_ours(path)):
        raise ValueError(
            f"Expected classes that this version of srgan has in the settings of '{origin}', found "
            f"{', '.join(unknown)}. Take the version that wrote it."
        )
    for name, settings_of in built.items():
        for place in _misplaced_texts(settings_of, None, name, allowed):
            raise ValueError(
                f"Expected an object's settings at {place} in '{origin}', found a text, which could name any code. "
                "Nothing of it was imported. Take a checkpoint that srgan fit wrote."
            )


def _is_ours(path: str) -> bool:
    """Whether a path below this package leads to a class that is defined in it, not to one that a module imported."""
    found = _located(path)
    return found is NOT_HERE or (inspect.isclass(found) and found.__module__.startswith(PACKAGE))


def _located(path: str) -> Any:
    """What a path leads to: an object, nothing, or `NOT_HERE`."""
    try:
        return pydoc.locate(path)
    except pydoc.ErrorDuringImport as error:
        missing = error.value
        return NOT_HERE if isinstance(missing, ModuleNotFoundError) and advice(missing.name) else None


def _class_paths(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        if "class_path" in settings:
            yield str(settings["class_path"])
        settings = settings.values()
    elif not isinstance(settings, list | tuple):
        return
    for value in settings:
        yield from _class_paths(value)


def _misplaced_texts(settings: Any, kind: Any, place: str, allowed: Collection[str]) -> Iterator[str]:
    """Places of texts where `kind`, a class or an annotation, does not take one."""
    if isinstance(settings, str):
        if kind is not NOT_HERE and not _takes_text(kind):
            yield place
    elif isinstance(settings, Mapping) and "class_path" in settings:
        path = str(settings["class_path"])
        if path not in allowed:  # the user's own are as they are
            yield from _misplaced_texts(settings.get("init_args") or {}, _located(path), place, allowed)
    elif isinstance(settings, Mapping):
        hints = _parameters(kind)
        for name, value in settings.items():
            expected = NOT_HERE if kind is NOT_HERE else hints.get(name)
            yield from _misplaced_texts(value, expected, f"{place}.{name}", allowed)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _misplaced_texts(value, kind, place, allowed)


def _parameters(kind: Any) -> dict[str, Any]:
    """Parameter -> annotation of what builds `kind`, or the class in an annotation such as `FinalProtocol | None`."""
    classes = [kind, *get_args(kind)]
    made = next((one for one in classes if inspect.isclass(one) and one.__module__.startswith(PACKAGE)), None)
    return get_type_hints(made.__init__) if made else {}


def _takes_text(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return True
    return annotation in (str, Path) or any(map(_takes_text, get_args(annotation)))
