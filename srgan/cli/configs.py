"""The configuration files that come with the package, by name; `srgan configs` shows them. No torch in here."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from srgan.utils.files import expanded

OPTIONS = ("-c", "--config")


def folder() -> Path:
    """Where they are: in the installed package, or beside it in a clone of the repository."""
    installed = Path(__file__).parents[1] / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"


def names() -> list[str]:
    return sorted(path.stem for path in folder().glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a name; ValueError, listing the names, if there is none."""
    if name not in names():
        raise ValueError(f"Expected a file, or one of {', '.join(names())}; found '{name}'.")
    return folder() / f"{name}.yaml"


def first_sentence(name: str) -> str:
    """Its first line, which is a comment."""
    return path_of(name).read_text().partition("\n")[0].removeprefix("# ")


def with_paths(arguments: Sequence[str]) -> list[str]:
    """The arguments, `-c NAME` with the path of the file that the name stands for. A file of that name wins."""
    found: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        if equals and option in OPTIONS:
            argument = f"{option}={_path(value)}"
        elif found and found[-1] in OPTIONS:
            argument = _path(argument)
        found.append(argument)
    return found


def _path(value: str) -> str:
    path = expanded(value)
    return str(path) if path.is_file() else str(path_of(value))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="srgan configs",
        description="List the configurations that srgan fit knows by name (-c digits -c sr-s), or print one. A YAML "
        "file of your own is given by its path. Later ones override earlier ones.",
    )
    parser.add_argument("name", nargs="?", help="configuration to print")
    if name := parser.parse_args(arguments).name:
        print(path_of(name).read_text(), end="")
        return 0
    width = max(map(len, names()))
    for known in names():
        print(f"{known:{width}}  {first_sentence(known)}")
    return 0
