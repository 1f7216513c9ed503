"""The configuration files that come with the package, by name; `srgan configs` shows them. No torch in here."""

import re
from collections.abc import Sequence
from pathlib import Path

from srgan.cli.arguments import parser_of
from srgan.utils.files import expanded

DESCRIPTION = """\
List the configurations that srgan fit knows by name (-c digits -c sr-s), or print one. A YAML file of your own is given
by its path. Later ones override earlier ones."""


def known() -> dict[str, Path]:
    """Name -> file, in the installed package, or beside it in a clone of the repository."""
    installed, cloned = (Path(__file__).parents[level] / "configs" for level in (1, 2))
    return {path.stem: path for path in sorted((installed if installed.is_dir() else cloned).glob("*.yaml"))}


def path_of(name: str) -> Path:
    """The file of a name; ValueError, listing the names, if there is none."""
    if name not in (files := known()):
        raise ValueError(f"Expected a file, or one of {', '.join(files)}; found '{name}'.")
    return files[name]


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
    parser = parser_of("configs", DESCRIPTION)
    parser.add_argument("name", nargs="?", help="configuration to print")
    if name := parser.parse_args(arguments).name:
        print(path_of(name).read_text(encoding="utf-8"), end="")
        return 0
    width = max(map(len, known()))
    for name in known():
        print(f"{name:{width}}  {first_sentence(name)}")
    return 0
