"""Writes runs as one HTML file: data, styles and scripts inside, nothing fetched.

The overview is plain HTML. A run is gzip of JSON, decoded by `page/page.js` when it is opened; so is plotly.
"""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, TemplateError
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from srgan.report import words
from srgan.report.figures import numbers, sections, times
from srgan.report.overview import Section, rows_of_cards, wide_columns
from srgan.report.sample_pictures import grid_data_url, sample_strip
from srgan.runs.recorded import RecordedRun, find_runs, parent_of
from srgan.utils.files import write_text
from srgan.utils.progress import Progress

SPECTRAL_VALUES = 3_000_000  # over all runs of a page: about 7 MB of it
SAMPLE_BYTES = 12_000_000  # over all runs of a page: 16 MB of it
MOST_VALUES_OF_A_RUN = 400_000
MOST_SAMPLE_BYTES_OF_A_RUN = 3_000_000

UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError, TemplateError,
)  # fmt: skip
"""What damaged files may raise."""


@dataclass(frozen=True)
class WrittenPage:
    """How many runs a page holds, its size in bytes, and a note for each run that was left out."""

    runs: int
    size: int
    notes: list[str]


def write_page(root: Path, output: Path, title: str | None = None, front: Sequence[Section] = ()) -> WrittenPage:
    """Writes all runs in a folder and below it as one HTML file, below the sections of `front`.

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
    runs: list[RecordedRun] = []
    thumbnails: list[str | None] = []
    packed: list[tuple[str, str]] = []
    with Progress("reading runs", len(found)) as progress:
        for run in found:
            progress.update(1)
            try:
                content = _content(run, found, most_values, sample_bytes)
                _render("page.html", **_overview([run], [None]))
            except UNREADABLE as error:
                notes.append(f"{run.key}: cannot be read ({type(error).__name__}: {error})")
                continue
            runs.append(run)
            thumbnails.append(next(reversed(content["samples"].values()), None))
            packed.append((run.key, _packed(json.dumps(content, allow_nan=False, separators=(",", ":")))))
    if not runs:
        raise FileNotFoundError(f"expected a run in '{root}' that can be read, found {'; '.join(notes)}.")
    overview = _overview(runs, thumbnails) | {"front": front, "notes": notes, "runs": packed}
    overview |= {"title": title or root.resolve().name, "plotly": _packed(get_plotlyjs())}
    page = _render("page.html", **overview)
    write_text(output, page)
    return WrittenPage(len(runs), len(page.encode()), notes)


def _overview(runs: Sequence[RecordedRun], thumbnails: Sequence[str | None]) -> dict[str, Any]:
    """What the first view shows of runs; of a single one it tells whether that one can be shown."""
    return {
        "title": "", "front": (), "notes": [], "runs": [], "plotly": "",
        "rows": rows_of_cards(runs, thumbnails),
        "finished": sum(run.record["status"] == "finished" for run in runs),
        "keys": [run.key for run in runs],
    }  # fmt: skip


def _content(run: RecordedRun, found: Sequence[RecordedRun], most_values: int, sample_bytes: int) -> dict[str, Any]:
    """What `page/page.js` shows of one of the runs that were found."""
    parent, keys = parent_of(run, found), [other.key for other in found]
    drawn, histories = sections(run, most_values, past := _past(run, parent))
    marks = words.marks(run)
    moments = [(f"best {run.best['score']}", run.best["iteration"])] if run.best else []
    moments += [(mark.text, mark.iteration) for mark in marks]
    pictures = run.folder.read_samples()
    image_size = run.settings.get("data.init_args.image_size") or 0
    samples = sample_strip(pictures, image_size, [iteration for _, iteration in moments], sample_bytes)
    table, moving = numbers(run)
    protocol = run.folder.read_protocol() or {}
    return {
        "key": run.key,
        "head": _render("head.html", run=run, words=words, parent=parent, past=past, keys=keys),
        "details": _render("details.html", run=run, words=words, numbers=table, protocol=protocol),
        "protocol": json.dumps(protocol),
        "last": run.last_iteration,
        "times": times(run),
        "moments": moments,
        "marks": [_shape(mark) for mark in marks],
        "sections": drawn,
        "histories": histories,
        "numbers": moving,
        "samples": samples,
        "real_images": grid_data_url(run.folder.real_images, image_size),
        "recorded_samples": len(pictures),
    }


def _past(run: RecordedRun, parent: RecordedRun | None) -> RecordedRun | None:
    """The parent as it stood when the run started from it; None without one, or if its files cannot be read."""
    try:
        past = parent.until(run.branch or 0) if parent else None
        return past if past and past.label else None
    except UNREADABLE:
        return None


def _shape(mark: words.Mark) -> dict[str, Any]:
    """A vertical line of plotly's, with its words along it."""
    label = {"text": mark.text, "textposition": "end", "xanchor": "right", "font": {"color": mark.color, "size": 10}}
    return {
        "type": "line", "x0": mark.iteration, "x1": mark.iteration, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": mark.color, "dash": mark.dash, "width": 1.7},
        "label": label | {"yanchor": "bottom" if mark.side == "left" else "top"},  # before it is turned
    }  # fmt: skip


def link(keys: Sequence[str]) -> str:
    """The address of a run, or of a comparison of several, inside the page."""
    return "#runs=" + ",".join(quote(key, safe="") for key in keys)


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _render(template: str, **context: Any) -> str:
    """A template of the folder page; what runs hold is escaped."""
    environment = Environment(
        loader=PackageLoader("srgan.report", "page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals |= {"link": link, "asset": _asset, "wide_columns": wide_columns}
    return environment.get_template(template).render(context)


def _asset(name: str) -> Markup:
    """A file of the folder page, as it is."""
    return Markup((files("srgan.report") / "page" / name).read_text(encoding="utf-8"))
