"""The text of settings before the parser reads it: what YAML would take in silence is refused, with file and line.

YAML keeps the last of two equal keys, so a file that grew by pasting would lose its first section, and train another
experiment. Short names of methods are spelled out here, as on the command line.
"""

import codecs
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from srgan.cli.configs import OPTIONS
from srgan.cli.fit_options import LINKS, settings_of
from srgan.constraints.registry import METHODS

CONSTRAINT = "model.constraint"
SUFFIXES = (".yaml", ".yml", ".json")


class Text(NamedTuple):
    """Settings as they were given.

    Attributes:
        origin: a file, or the words of an option.
        prefix: the dotted name of the setting that they are put under; "" for a whole configuration.
        content: YAML.
    """

    origin: str
    prefix: str
    content: str


class Value(NamedTuple):
    """A setting in a text: its value, the line, counted from 1, and where in the text the value stands."""

    text: str
    line: int
    start: int
    end: int


@dataclass
class _Level:
    """A mapping or sequence that is open: the key or place of what comes next."""

    is_mapping: bool
    key: str = ""
    count: int = 0
    lines: dict[str, int] = field(default_factory=dict)

    def enter(self, event: yaml.NodeEvent) -> bool:
        """Takes note of a child; whether it is a key."""
        is_key = self.is_mapping and self.count % 2 == 0
        if is_key:
            self.key = event.value if isinstance(event, yaml.ScalarEvent) else f"#{self.count}"
        elif not self.is_mapping:
            self.key = str(self.count)
        self.count += 1
        return is_key


def with_settings_read(arguments: list[str]) -> list[str]:
    """The arguments; a file that calls a method by its short name is replaced by its text, the name spelled out.

    Raises:
        ValueError: a file is not UTF-8, refers to parts of itself, gives a setting twice, or gives one that follows
            others another value.
        OSError: a file cannot be read.
    """
    read: list[str] = []
    for place, argument in enumerate(arguments):
        option = arguments[place - 1] if place else ""
        name, equals, value = argument.partition("=")
        if argument.startswith("-"):
            option, word = (name, value) if equals else ("", "")
        else:
            word = argument
        text = _text_of(option, word)
        spelled = check_ambiguity(text) if text else None
        if spelled is not None and option in OPTIONS:
            if read[-1:] == [option] and not argument.startswith("-"):
                read.pop()
            argument = f"--config={spelled}"
        read.append(argument)
    return read


def _text_of(option: str, word: str) -> Text | None:
    """The settings in a word of the command line, or in the file that it names; None for any other word."""
    prefix = "" if option in OPTIONS else option.removeprefix("--")
    if word and (option in OPTIONS or word.endswith(SUFFIXES)) and Path(word).is_file():
        return Text(f"'{word}'", prefix, _read(Path(word)))
    return Text(repr(word), prefix, word) if option.startswith("--") and word.startswith(("{", "[", "&")) else None


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        found = "one in UTF-16" if utf16 else f"byte {content[error.start]:#04x} in line {_line(content, error.start)}"
        raise ValueError(f"Expected settings in UTF-8 in '{path}', found {found}. Save it as UTF-8.") from None


def _line(content: bytes, place: int) -> int:
    return content.count(b"\n", 0, place) + 1


def check_ambiguity(text: Text) -> str | None:
    """Refuses what stands for something else than it seems to.

    Returns:
        the text with the short name of a method spelled out; None if it has none, or is no YAML, of which the parser
        tells.

    Raises:
        ValueError: says where.
    """
    try:
        found = dict(values_of(text))
    except yaml.YAMLError:
        return None
    for target, (sources, compute) in LINKS.items():
        if target in found and not _follows(found[target], [found.get(source) for source in sources], compute):
            raise ValueError(
                f"Expected no {target} in {text.origin}, since it follows {' and '.join(sources)}, found one in line "
                f"{found[target].line}. Set {sources[0]}."
            )
    named = found.get(CONSTRAINT)
    if named is None or named.text not in METHODS:
        return None
    return text.content[: named.start] + settings_of(named.text) + text.content[named.end :]


def _follows(given: Value, sources: list[Value | None], compute: Callable[..., Any]) -> bool:
    """Whether a setting is what the settings that it follows make of it, as in the config.yaml of a run."""
    try:
        made: object = compute(*(int(source.text) for source in sources if source is not None))
        return int(given.text) == made
    except (ValueError, TypeError):
        return False


def values_of(text: Text) -> Iterator[tuple[str, Value]]:
    """Dotted name -> value of each scalar setting of a text.

    Raises:
        ValueError: an alias, which may hold itself or stand for more than fits any memory, or a setting given twice.
        yaml.YAMLError: it is no YAML.
    """
    levels: list[_Level] = []
    lines: dict[str, int] = {}
    for event in yaml.parse(text.content, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(
                f"Expected settings without YAML aliases (*name) in {text.origin}, found one. Write them out."
            )
        if isinstance(event, yaml.CollectionEndEvent):
            levels.pop()
        if not isinstance(event, yaml.NodeEvent):
            continue
        is_key = bool(levels) and levels[-1].enter(event)
        name = ".".join([text.prefix] * bool(text.prefix) + [level.key for level in levels])
        start, end = event.start_mark, event.end_mark
        assert start is not None
        assert end is not None
        line = start.line + 1
        if is_key:
            if name in lines:
                raise ValueError(
                    f"Expected each setting once in {text.origin}, found {name} in lines {lines[name]} and {line}, of "
                    "which the first would be lost. Make one of them."
                )
            lines[name] = line
        elif isinstance(event, yaml.ScalarEvent):
            yield name, Value(event.value, line, start.index, end.index)
        if isinstance(event, yaml.CollectionStartEvent):
            levels.append(_Level(isinstance(event, yaml.MappingStartEvent)))
