"""Checks of the text of settings before the parser reads it: what YAML accepts silently is refused, with its line.

YAML keeps the last of two equal keys, so a file that was pasted together would lose its first section, and train
another experiment. Short names of methods are spelled out here, as on the command line, and a constraint that is given
by its class starts from that class's defaults: the parser would keep settings of the same name from an earlier one.
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
        text, spelled = _text_of(option, value), None
        path = value if option in (f"--{CONSTRAINT}", f"--{CONSTRAINT}.class_path") else ""
        if text:
            found = settings_in(text)
            spelled = check_ambiguity(text, found)
            path = found[f"{CONSTRAINT}.class_path"].value if f"{CONSTRAINT}.class_path" in found else ""
        if defaults := defaults_of(path):
            read.append(f"--config={defaults}")
        read.append(argument if spelled is None or option != "--config" else f"--config={spelled}")
    return read


def defaults_of(path: str) -> str | None:
    """JSON with all default settings of a constraint's class; None for other words, or where one has no default."""
    try:
        made = getattr(constraints, path, None) or pydoc.locate(path)
    except pydoc.ErrorDuringImport:  # as the parser will say
        return None
    if not (isinstance(made, type) and issubclass(made, constraints.Constraint)):
        return None
    try:
        return json.dumps({"model": {"constraint": as_settings(made())}})
    except TypeError:
        return None


def _text_of(option: str, value: str) -> Text | None:
    """The settings in an option's value, or in the file that it names; None for any other value."""
    is_config = option == "--config"
    prefix = "" if is_config else option.removeprefix("--")
    if value and (is_config or value.endswith(SUFFIXES)) and Path(value).is_file():
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


def settings_in(text: Text) -> dict[str, yaml.ScalarNode]:
    """`values_of` a text; none if it is no YAML, as the parser will say."""
    try:
        return dict(values_of(text))
    except (yaml.YAMLError, RecursionError):
        return {}


def check_ambiguity(text: Text, found: Mapping[str, yaml.ScalarNode]) -> str | None:
    """A text, whose settings were found, with the short name of a method spelled out; None if it has none.

    ValueError, with the line, for a setting that follows from others.
    """
    for target, (sources, compute) in LINKS.items():
        if target in found and not _follows(found[target], [found.get(source) for source in sources], compute):
            raise ValueError(
                f"Expected no {target} in {text.origin}, since it follows {' and '.join(sources)}, found one in line "
                f"{_line(found[target])}. Set {sources[0]}."
            )
    named = found.get(CONSTRAINT)
    if named is None or named.value not in METHODS:
        return None
    start, end = named.start_mark.index, named.end_mark.index
    return text.content[:start] + settings_of(named.value) + text.content[end:]


def _follows(given: yaml.ScalarNode, sources: list[yaml.ScalarNode | None], compute: Callable[..., Any]) -> bool:
    """Whether a setting has the value that its sources imply, as in the config.yaml of a run."""
    try:
        made: object = compute(*(int(source.value) for source in sources if source is not None))
        return int(given.value) == made
    except (ValueError, TypeError):
        return False


def values_of(text: Text) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Dotted name -> node of each scalar setting of a text.

    ValueError for an alias, which may contain itself or expand without bound, or a setting that is given twice.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text.content, yaml.SafeLoader)):
        raise ValueError(f"Expected settings without YAML aliases (*name) in {text.origin}, found one. Write them out.")
    yield from _scalars(yaml.compose(text.content, yaml.SafeLoader), text.prefix, text.origin)


def _scalars(node: yaml.Node | None, name: str, origin: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Those at or below a node of this name."""
    if isinstance(node, yaml.ScalarNode):
        yield name, node
    elif isinstance(node, yaml.SequenceNode):
        for place, item in enumerate(node.value):
            yield from _scalars(item, _below(name, place), origin)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for place, (key, value) in enumerate(node.value):
            is_name = isinstance(key, yaml.ScalarNode)
            setting = _below(name, key.value if is_name else f"#{2 * place}")
            if setting in lines:
                raise ValueError(
                    f"Expected each setting once in {origin}, found {setting} in lines {lines[setting]} and "
                    f"{_line(key)}, of which the first would be lost. Make one of them."
                )
            lines[setting] = _line(key)
            yield from () if is_name else _scalars(key, setting, origin)
            yield from _scalars(value, setting, origin)


def _below(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _line(node: yaml.Node) -> int:
    """Counted from 1."""
    line: int = node.start_mark.line + 1
    return line
