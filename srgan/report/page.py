"""Writes runs as one HTML file: data, styles and scripts inside, nothing fetched.

The data of a run is deflated and decoded when the run is opened; so is the plotting library.
"""

import base64
import gzip
import json
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from srgan.files import write_text
from srgan.report.finding import FoundRun, find_runs, parent_key
from srgan.report.overview import card, read_front, side_by_side
from srgan.report.reading import read_run
from srgan.report.sample_pictures import sample_strip

SCRIPTS = (
    "data.js",
    "elements.js",
    "plots.js",
    "layers.js",
    "moments.js",
    "sections.js",
    "run.js",
    "compare.js",
    "overview.js",
    "page.js",
)
SPECTRAL_VALUES = 6_000_000
"""Over all runs of a page: about 5 MB of it."""

SAMPLE_BYTES = 12_000_000
"""Over all runs of a page: 16 MB of it."""

MOST_VALUES_OF_A_RUN = 600_000
MOST_SAMPLE_BYTES_OF_A_RUN = 3_000_000


@dataclass(frozen=True)
class WrittenPage:
    """What a page holds: how many runs, its size in bytes, a note for everything that was left out."""

    runs: int
    size: int
    notes: list[str]


def write_page(
    root: Path, output: Path, shown: Callable[[list[FoundRun]], Iterable[FoundRun]] = lambda runs: runs
) -> WrittenPage:
    """Writes all runs below a folder as one page.

    Args:
        root: a run's folder, or one with runs below it.
        output: the HTML file.
        shown: wraps the runs to show how far reading them has come.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it.
        NotADirectoryError: it is a file.
        IsADirectoryError: the output is a folder.
    """
    found, notes = find_runs(root)
    if output.is_dir():
        raise IsADirectoryError(
            f"expected a file to write, found the folder '{output}'. Name one: {output}/report.html"
        )
    most_values = min(MOST_VALUES_OF_A_RUN, SPECTRAL_VALUES // len(found))
    sample_bytes = min(MOST_SAMPLE_BYTES_OF_A_RUN, SAMPLE_BYTES // len(found))
    runs: list[FoundRun] = []
    contents: list[dict[str, Any]] = []
    data: list[str] = []
    for run in shown(found):
        try:
            content, spectra = read_run(run, most_values)
            required = [verdict["iteration"] for verdict in content["verdicts"].values() if verdict]
            required += [content["best"]["iteration"]] if content["best"] else []
            strip = sample_strip(run.folder.read_samples(), run.record["config"], required, sample_bytes)
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:  # of files of any content
            notes.append(f"{run.key}: cannot be read ({type(error).__name__}: {error})")
            continue
        content["parent_key"] = parent_key(run, found)
        content["samples"] = {
            "iterations": strip.iterations,
            "recorded": strip.recorded,
            "quality": strip.quality,
        }
        data.append(_run_scripts(len(runs), content, spectra, strip.pictures))
        runs.append(run)
        contents.append(content)
    if not runs:
        raise FileNotFoundError(f"expected a run in '{root}' that can be read, found {'; '.join(notes)}.")
    front, front_note = read_front(root)
    notes += [front_note] if front_note else []
    title = (front or {}).get("title") or root.resolve().name
    overview = {
        "title": title,
        "runs": [card(content) for content in contents],
        "rows": side_by_side(runs, contents),
        "front": front,
        "notes": notes,
    }
    page = _fill(_asset("page.html"), title, overview, data)
    write_text(output, page)
    return WrittenPage(len(runs), len(page.encode()), notes)


def _fill(template: str, title: str, overview: dict[str, Any], data: Sequence[str]) -> str:
    """Puts everything in its place, in one pass: what was put in is not looked at again."""
    parts = {
        "title": escape(title),
        "style": _asset("page.css"),
        "overview": _json(overview),
        "runs": "\n".join(data),
        "plotly": base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode(),
        "script": "\n".join(_asset(name) for name in SCRIPTS),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _run_scripts(index: int, content: dict[str, Any], spectra: bytes, pictures: Sequence[str]) -> str:
    """A run's record and its samples, as text that the browser does not look into before the run is opened.

    The record is gzip of: the length of the JSON (uint32, little-endian), the JSON, the packed spectra.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    packed = gzip.compress(struct.pack("<I", len(text)) + text + spectra, mtime=0)
    return (
        f'<script type="text/plain" id="run-{index}">{base64.b64encode(packed).decode()}</script>\n'
        f'<script type="text/plain" id="samples-{index}">{chr(10).join(pictures)}</script>'
    )


def _json(content: Any) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (files("srgan.report") / "page" / name).read_text(encoding="utf-8")
