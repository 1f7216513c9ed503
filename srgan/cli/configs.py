"""The configuration files that come with the package, by name; `srgan configs` shows them. No torch in here."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from srgan.utils.files import expanded


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
    return path_of(name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def with_paths(arguments: Sequence[str]) -> list[str]:
    """Each option with its value as `--option=value`; `-c NAME` as `--config=PATH`. A file of that name wins."""
    joined: list[str] = []
    for argument in arguments:
        if re.match("--?[A-Za-z]", argument) or not joined or "=" in joined[-1]:
            joined.append(re.sub("^-c(?==|$)", "--config", argument))
        else:
            joined[-1] += f"={argument}"
    return [re.sub("^--config=(.*)", _config_path, argument, flags=re.DOTALL) for argument in joined]


def _config_path(option: re.Match[str]) -> str:
    path = expanded(option[1])
    return f"--config={path if path.is_file() else path_of(option[1])}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="srgan configs",
        description="List the configurations that srgan fit knows by name (-c digits -c sr-s), or print one. A YAML "
        "file of your own is given by its path. Later ones override earlier ones.",
    )
    parser.add_argument("name", nargs="?", help="configuration to print")
    if name := parser.parse_args(arguments).name:
        print(path_of(name).read_text(encoding="utf-8"), end="")
        return 0
    width = max(map(len, names()))
    for known in names():
        print(f"{known:{width}}  {first_sentence(known)}")
    return 0
