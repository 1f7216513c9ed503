"""The words for layers that a constraint cannot take: all of them at once, and how to leave them out."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

MAX_NAMES = 5


def listed(names: Sequence[str], most: int = MAX_NAMES) -> str:
    """Some names for a sentence: "'a', 'b' and 7 more"."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def layer_called(name: str) -> str:
    """How a sentence about one layer begins; a network that is itself the layer has no name for it."""
    return f"Layer '{name}'" if name else "The layer"


def words_of_refusals(refused: Mapping[str, str], chosen: Mapping[str, object] | None) -> str:
    """One text for all layers that are refused; those with one reason, up to its numbers, in one sentence.

    Args:
        refused: name -> reason, not empty.
        chosen: all layers by name, among which `exclude=` can leave these out; None where nothing can.
    """
    kinds: dict[str, list[str]] = {}
    for name, reason in refused.items():
        kinds.setdefault(re.sub(r"\d+", "#", reason), []).append(name)
    words = [
        f"{f'Layers {listed(names)}' if names[1:] else layer_called(names[0])}: {refused[names[0]]}"
        for names in kinds.values()
    ]
    if chosen is not None:
        words.append(
            f"Or leave {'them' if len(refused) > 1 else 'the layer'} out: exclude={pattern_of(refused, chosen)}."
        )
    return " ".join(words)


def pattern_of(names: Sequence[str] | Mapping[str, object], among: Mapping[str, object]) -> str:
    """A glob pattern that names these alone, or all of them in a list."""
    first, wanted = next(iter(names)), set(names)
    parts = first.split(".")
    tails = [f"*{'.' if len(parts) > 1 else ''}{'.'.join(parts[at:])}" for at in range(len(parts))]
    heads = [".".join([*parts[:at], "*"]) for at in range(len(parts) - 1, 0, -1)]
    for pattern in [first, *reversed(tails), *heads]:
        if {name for name in among if fnmatchcase(name, pattern)} == wanted:
            return repr(pattern)
    return repr(list(names))
