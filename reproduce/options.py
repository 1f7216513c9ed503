"""What the commands of the reproduction read from the Makefile's variables. Empty text means the default."""

import argparse

from reproduce.settings import SETTINGS


def settings(text: str) -> list[str]:
    """Rows of Table I, or "all"."""
    words = text.replace(",", " ").split()
    return [setting.name for setting in SETTINGS] if words == ["all"] else words


def seeds(text: str) -> list[int]:
    """Whole numbers; [1] if there are none.

    Raises:
        argparse.ArgumentTypeError: something else.
    """
    words = text.replace(",", " ").split()
    if not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as '1 2 3', found {text!r}")
    return [int(word) for word in words] or [1]


def count(text: str) -> int:
    """A whole number; 0 if there is none."""
    return int(text or 0)


def yes(text: str) -> bool:
    """Whether a switch is on."""
    return text not in ("", "0")
