"""Every block of Python and shell in README, CONTRIBUTING and docs/ is run, page by page, as a reader goes through it.

A page's blocks share one folder and one Python namespace. What a fence says is what the reader sees:

- ```` ```python ````, ```` ```bash ````: run. `--model.iterations N` is N / 100 here, and nothing is scored.
- ```` ```bash title="..." ````: takes what the title says (hours, a GPU, an account), so every command of ours goes
  through its own parser and no further, as those of make always do.
- ```` ```python title="FILE.py" ````, `yaml`, `json`: becomes that file.
"""

import argparse
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jsonargparse
import nbformat
import pytest
from nbclient import NotebookClient

from reproduce.__main__ import main as reproduce
from srgan.cli.main import COMMANDS, main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SHORT = {
    "fit": ["--scores.every", "0", "--samples.every", "2", "--spectra.every", "1", "--losses.every", "1"],
}
"""Command -> what the test adds where a block is run."""
OTHERS = {"pip", "uv", "git", "cd", "hf", "wandb", "tensorboard"}
"""Programs that are not ours, which are not run."""


class Block(NamedTuple):
    language: str
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    found = []
    for indent, language, rest, text in FENCE.findall(page.read_text()):
        title = re.search(r'title="([^"]*)"', rest)
        found.append(Block(language, title[1] if title else "", textwrap.dedent(indent + text.removeprefix(indent))))
    return found


class Parsed(BaseException):
    """The outermost parser has understood its words."""


@contextmanager
def only_parsing(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Parsers end the program where they are done."""
    depth = 0

    def ending(parse: Callable[..., Any]) -> Callable[..., Any]:
        def parse_args(*arguments: Any, **options: Any) -> Any:
            nonlocal depth
            depth += 1
            try:
                found = parse(*arguments, **options)
            finally:
                depth -= 1
            if depth == 0:
                raise Parsed
            return found

        return parse_args

    with patch.context() as inner:
        for parser in (argparse.ArgumentParser, jsonargparse.ArgumentParser):
            inner.setattr(parser, "parse_args", ending(parser.parse_args))
        yield


def lines(text: str) -> list[list[str]]:
    """The words of each command, without comments."""
    joined = text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def run_command(words: list[str], run: bool, patch: pytest.MonkeyPatch) -> None:
    """Runs a line of a block, or lets its parser read it."""
    with patch.context() as inner:
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            inner.setenv(name, value)
            if name == "PYTHONPATH":
                inner.syspath_prepend(Path(value).resolve())
        if "srgan" in words:  # whatever launches it
            srgan(words[words.index("srgan") + 1 :], run, inner)
        elif words[0] == "make":
            make(words[1:], inner)
        elif words[0] == "python":
            assert (REPOSITORY / words[1]).exists(), words
        elif words[:2] == ["pip", "install"]:
            for extra in re.findall(r"\w+", "".join(re.findall(r"\.\[(.*)\]", words[-1]))):
                assert f"\n{extra} = [" in (REPOSITORY / "pyproject.toml").read_text(), words
        else:
            assert words[0] in OTHERS, words


def srgan(words: list[str], run: bool, patch: pytest.MonkeyPatch) -> None:
    assert words[0] in {*COMMANDS, "--help", "--version"}, words
    if run or "--help" in words:
        if "--model.iterations" in words:
            place = words.index("--model.iterations") + 1
            words[place] = str(int(words[place]) // 100)
        assert main([*words, *SHORT.get(words[0], [])]) == 0, words
        return
    with only_parsing(patch), pytest.raises(Parsed):
        raise AssertionError(f"{words}: refused with {main(words)}")


def make(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """The target is there; a reproduction's options are ones that it takes."""
    subprocess.run(["make", "--dry-run", *words], cwd=REPOSITORY, check=True, capture_output=True)
    if not words or not words[0].startswith("reproduce-"):
        return
    for word in words[1:]:
        name, _, value = word.partition("=")
        patch.setenv(name, value)
    patch.setenv("MAKEFLAGS", " -- " + " ".join(word.replace(" ", "\\ ") for word in words[1:]))
    makefile = (REPOSITORY / "Makefile").read_text()
    command = re.search(rf"^{words[0]}:.*\n.*-m reproduce ([\w-]+)", makefile, re.MULTILINE)
    assert command, words
    with only_parsing(patch), pytest.raises((Parsed, SystemExit)) as ending:
        reproduce([command[1]])
    assert ending.type is Parsed, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_page_can_be_followed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks(page)
    if not any(block.language in ("python", "bash") for block in found):
        assert page.read_text().count("```") == 2 * len(found)
        return
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in found:
        if block.title and block.language in ("python", "yaml", "json"):
            Path(block.title).write_text(block.text)
        elif block.language == "python":
            with monkeypatch.context() as patch:
                patch.syspath_prepend(tmp_path)
                exec(compile(block.text, str(page), "exec"), namespace)
        elif block.language == "bash":
            for words in lines(block.text):
                run_command(words, not block.title, monkeypatch)
        else:
            assert block.language in ("text", "yaml", "json"), block


def pictures(notebook: nbformat.NotebookNode) -> int:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    return len([output for output in outputs if "image/png" in output.get("data", {})])


def test_the_notebook_runs_and_holds_its_outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = REPOSITORY / "examples" / "regularize_your_gan.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert pictures(notebook) == 3
    assert path.stat().st_size < 400_000
    assert not any(cell.get("execution_count") for cell in notebook.cells)
    monkeypatch.setenv("ITERATIONS", "2")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert pictures(notebook) == 3


def test_the_example_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["regularize.py", "--iterations", "1"])
    runpy.run_path(str(REPOSITORY / "examples" / "regularize.py"), run_name="__main__")
    layers = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("layer")]
    assert [line[2] for line in layers] == ["1.00"] * 4  # SR-s has acted after the first step
