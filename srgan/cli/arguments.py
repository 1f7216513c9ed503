"""Parsers of commands, and arguments that several commands have."""

import argparse
from pathlib import Path
from typing import Any

from srgan.utils.files import expanded


def parser_of(command: str, description: str, **options: Any) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"srgan {command}", description=description, allow_abbrev=False, **options)


def add_allow(parser: argparse.ArgumentParser) -> None:
    """`--allow CLASS_PATH`, as often as needed: classes of the user's that the settings of a checkpoint may name."""
    parser.add_argument(
        "--allow", action="append", default=[], metavar="CLASS_PATH",
        help="class of your own that the settings name and that may be imported; may be repeated",
    )  # fmt: skip


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found '{text}'")
    return int(text)


def user_path(text: str) -> Path:
    """With `~` as the home folder."""
    try:
        return expanded(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
