"""The classes that settings in a checkpoint may name, checked before anything is imported."""

import inspect
import pydoc
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from srgan.utils.optional_packages import advice

PACKAGE = "srgan."
BUILT = ("model", "data", "scores")
"""Settings of a run of which objects are built again."""
OBJECTS = ("networks", "constraint", "loss")
"""Settings of "model" that are always objects."""


def check_class_paths(settings: Mapping[str, Any], origin: Path, allowed: Collection[str] = ()) -> None:
    """Raises ValueError for settings of a run that would import code from elsewhere.

    Args:
        settings: resolved.
        origin: the file that they are from.
        allowed: class paths that the user trusts beside this package's.
    """
    model = settings.get("model")
    objects = {name: model.get(name) for name in OBJECTS} if isinstance(model, Mapping) else {"model": model}
    for name, value in ({"data": settings.get("data")} | objects).items():
        if not isinstance(value, Mapping):  # a text would name a class, or a file with the settings of one
            raise ValueError(
                f"Expected an object's settings for {name} in '{origin}', found {value!r}. Nothing of it was imported. "
                "Take a checkpoint that srgan fit wrote."
            )
    named = set(_class_paths([settings.get(name) for name in BUILT])) - set(allowed)
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


def _is_ours(path: str) -> bool:
    """Whether a path below this package leads to a class that is defined in it, not to one that a module imported.

    True, too, for one whose module needs an extra that is not installed: nothing can be built of it.
    """
    try:
        found = pydoc.locate(path)
    except pydoc.ErrorDuringImport as error:
        missing = error.value
        return isinstance(missing, ModuleNotFoundError) and advice(missing.name) is not None
    return inspect.isclass(found) and found.__module__.startswith(PACKAGE)


def _class_paths(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        if "class_path" in settings:
            yield str(settings["class_path"])
        settings = settings.values()
    elif not isinstance(settings, list | tuple):
        return
    for value in settings:
        yield from _class_paths(value)
