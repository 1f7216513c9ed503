"""Checks of the text of settings before the parser reads it: what YAML accepts silently is refused, with its line.

YAML keeps the last of two equal keys, so a file that was pasted together would lose its first section. A constraint
given by its class starts from that class's defaults: the parser would keep settings of the same name from before.
"""

import codecs
import json
import pydoc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from srgan import constraints
from srgan.cli.fit_options import LINKS, as_settings, settings_of
from srgan.constraints.regularize import METHODS

CONSTRAINT = "model.constraint"
SUFFIXES = (".yaml", ".yml", ".json")


class Text(NamedTuple):
    """Settings below `prefix` in YAML, from `origin`: a file or an option."""

    origin: str
    prefix: str
    content: str


def with_settings_read(arguments: list[str]) -> list[str]:
    """The arguments (`--option=value`), a file with the short name of a method as its text with the name spelled out.

    ValueError if a file is not UTF-8, has an alias or a setting twice, or sets what follows from other settings.
    """
    read: list[str] = []
    for argument in arguments:
        option, _, value = argument.partition("=")
        path = value if option in (f"--{CONSTRAINT}", f"--{CONSTRAINT}.class_path") else ""
        if text := _text_of(option, value):
            found = values_of(text)
            check_links(text, found)
            path = found[f"{CONSTRAINT}.class_path"].value if f"{CONSTRAINT}.class_path" in found else ""
            method = found.get(CONSTRAINT)
            if method is not None and method.value in METHODS and option == "--config":
                start, end = method.start_mark.index, method.end_mark.index
                argument = f"--config={text.content[:start]}{settings_of(method.value)}{text.content[end:]}"
        if defaults := defaults_of(path):
            read.append(f"--config={defaults}")
        read.append(argument)
    return read


def defaults_of(path: str) -> str | None:
    """JSON with all default settings of a constraint's class; None for other words, or where one has no default."""
    try:
        made = getattr(constraints, path, None) or pydoc.locate(path)
        if isinstance(made, type) and issubclass(made, constraints.Constraint):
            return json.dumps({"model": {"constraint": as_settings(made())}})
        return None
    except (pydoc.ErrorDuringImport, TypeError):  # the parser will say why
        return None


def _text_of(option: str, value: str) -> Text | None:
    """The settings in an option's value, or in the file that it names; None for any other value."""
    prefix = "" if option == "--config" else option.removeprefix("--")
    if value and (not prefix or value.endswith(SUFFIXES)) and Path(value).is_file():
        return Text(f"'{value}'", prefix, _read(Path(value)))
    return Text(repr(value), prefix, value) if value.startswith(("{", "[", "&")) else None


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        line = content.count(b"\n", 0, error.start) + 1
        found = "one in UTF-16" if utf16 else f"byte {content[error.start]:#04x} in line {line}"
        raise ValueError(f"Expected settings in UTF-8 in '{path}', found {found}. Save it as UTF-8.") from None


def check_links(text: Text, found: Mapping[str, yaml.ScalarNode]) -> None:
    """ValueError, with the line, if one of the settings that were found in a text follows from others."""
    for target, (sources, compute) in LINKS.items():
        if target in found and not _follows(found[target], [found.get(source) for source in sources], compute):
            raise ValueError(
                f"Expected no {target} in {text.origin}, since it follows {' and '.join(sources)}, found one in line "
                f"{_line(found[target])}. Set {sources[0]}."
            )


def _follows(given: yaml.ScalarNode, sources: list[yaml.ScalarNode | None], compute: Callable[..., Any]) -> bool:
    """Whether a setting has the value that its sources imply, as in the config.yaml of a run."""
    try:
        made: object = compute(*(int(source.value) for source in sources if source is not None))
        return int(given.value) == made
    except (ValueError, TypeError):
        return False


def values_of(text: Text) -> dict[str, yaml.ScalarNode]:
    """Dotted name -> node of each scalar setting of a text; empty if it is no YAML, as the parser will say.

    ValueError for an alias, which may contain itself or expand without bound, or a setting that is given twice.
    """
    origin, prefix, content = text
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(content, yaml.SafeLoader)):
            raise ValueError(f"Expected settings without YAML aliases (*name) in {origin}, found one. Write them out.")
        return dict(_scalars(yaml.compose(content, yaml.SafeLoader), prefix, origin))
    except (yaml.YAMLError, RecursionError):
        return {}


def _scalars(node: yaml.Node | None, name: str, origin: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Those at or below a node of this name."""
    if isinstance(node, yaml.ScalarNode):
        yield name, node
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _scalars(item, f"{name}.{place}", origin)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for place, (key, value) in enumerate(node.value):
            is_name = isinstance(key, yaml.ScalarNode)
            setting = f"{name}.{key.value if is_name else f'#{2 * place}'}".removeprefix(".")
            if setting in lines:
                raise ValueError(
                    f"Expected each setting once in {origin}, found {setting} in lines {lines[setting]} and "
                    f"{_line(key)}, of which the first would be lost. Make one of them."
                )
            lines[setting] = _line(key)
            yield from () if is_name else _scalars(key, setting, origin)
            yield from _scalars(value, setting, origin)


def _line(node: yaml.Node) -> int:
    """Counted from 1."""
    return int(node.start_mark.line) + 1
