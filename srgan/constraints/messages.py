"""How error messages name layers: those with one reason together, and a pattern that leaves them out."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase


def format_names(names: Sequence[str], most: int = 5) -> str:
    """Some names for a sentence: "'a', 'b' and 7 more"."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def format_layer(name: str) -> str:
    """The subject of a sentence about one layer; a network that is itself the layer has no name for it."""
    return f"Layer '{name}'" if name else "The layer"


def format_refusals(reasons: Mapping[str, str], chosen: Mapping[str, object] | None) -> str:
    """One message about all layers that are refused; those whose reasons differ in numbers alone share a sentence.

    Args:
        reasons: layer name -> reason, not empty.
        chosen: all layers by name, among which `exclude=` can leave these out; None where it cannot.
    """
    kinds: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        kinds.setdefault(re.sub(r"\d+", "#", reason), []).append(name)
    sentences = [
        f"{f'Layers {format_names(names)}' if names[1:] else format_layer(names[0])}: {reasons[names[0]]}"
        for names in kinds.values()
    ]
    if chosen is not None:
        pronoun = "them" if len(reasons) > 1 else "the layer"
        sentences.append(f"Or leave {pronoun} out: exclude={format_pattern(reasons, chosen)}.")
    return " ".join(sentences)


def format_pattern(names: Sequence[str] | Mapping[str, object], among: Mapping[str, object]) -> str:
    """A glob pattern that matches these names alone; the list of them if there is none."""
    first, wanted = next(iter(names)), set(names)
    parts = first.split(".")
    tails = [f"*{'.' if len(parts) > 1 else ''}{'.'.join(parts[at:])}" for at in range(len(parts))]
    heads = [".".join([*parts[:at], "*"]) for at in range(len(parts) - 1, 0, -1)]
    for pattern in [first, *reversed(tails), *heads]:
        if {name for name in among if fnmatchcase(name, pattern)} == wanted:
            return repr(pattern)
    return repr(list(names))
