"""Writes runs as one HTML file: data, styles and scripts inside, nothing fetched.

The overview is plain HTML. A run is gzip of JSON, decoded by `page/page.js` when it is opened; so is plotly.
"""

import base64
import gzip
import io
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, TemplateError
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from srgan.report import summary
from srgan.report.figures import numbers, sections, times
from srgan.runs.recorded import RecordedRun, find_runs, parent_of
from srgan.utils.downsampling import kept_times
from srgan.utils.files import write_text
from srgan.utils.progress import Progress

if TYPE_CHECKING:
    from pandas import DataFrame

SPECTRAL_VALUES = 3_000_000  # over all runs of a page: about 7 MB of it
SAMPLE_BYTES = 16_000_000  # of the page, over all runs
MOST_VALUES_OF_A_RUN = 400_000
MOST_SAMPLE_BYTES_OF_A_RUN = 4_000_000
LARGEST_SIDE = 528  # pixels of a sample grid
QUALITY = 80  # of its WebP file

UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError, TemplateError,
)  # fmt: skip
"""What damaged files may raise."""


def write_page(
    root: Path, output: Path, title: str | None = None, front: Sequence[tuple[str, "DataFrame", str]] = ()
) -> tuple[int, list[str]]:
    """Writes all runs in a folder and below it as one HTML file, below tables: of each a heading, itself, a legend.

    A row whose first cell is the name of a folder with runs has links to them.

    Returns how many runs the page holds, and a note for each that was left out. Raises FileNotFoundError if there is no
    such folder, or no run in it, NotADirectoryError for a file, and IsADirectoryError if the output is a folder.
    """
    found, notes = find_runs(root)
    if output.is_dir():
        raise IsADirectoryError(f"expected a file to write, found the folder '{output}'. Name a file in it.")
    most_values = min(MOST_VALUES_OF_A_RUN, SPECTRAL_VALUES // len(found))
    sample_bytes = min(MOST_SAMPLE_BYTES_OF_A_RUN, SAMPLE_BYTES // len(found))
    runs: list[RecordedRun] = []
    thumbnails: dict[str, str] = {}
    packed: dict[str, str] = {}
    with Progress("reading runs", len(found)) as progress:
        for run in found:
            progress.update(1)
            try:
                content = _content(run, found, most_values, sample_bytes)
                _render("page.html", **_overview([run], {}), runs={})
            except UNREADABLE as error:
                notes.append(f"{run.key}: cannot be read ({type(error).__name__}: {error})")
                continue
            runs.append(run)
            if content["samples"]:
                thumbnails[run.key] = next(reversed(content["samples"].values()))
            packed[run.key] = _packed(json.dumps(content, allow_nan=False, separators=(",", ":")))
    if not runs:
        raise FileNotFoundError(f"expected a run in '{root}' that can be read, found {'; '.join(notes)}.")
    overview = _overview(runs, thumbnails) | {"front": front, "notes": notes, "runs": packed}
    overview |= {"title": title or root.resolve().name, "plotly": _packed(get_plotlyjs())}
    write_text(output, _render("page.html", **overview))
    return len(runs), notes


def _overview(runs: Sequence[RecordedRun], thumbnails: Mapping[str, str]) -> dict[str, Any]:
    """What the first view shows of runs; of a single one it tells whether that one can be shown."""
    return {
        "rows": summary.rows_of_cards(runs, thumbnails),
        "finished": sum(run.record["status"] == "finished" for run in runs),
        "keys": [run.key for run in runs],
    }


def _content(run: RecordedRun, found: Sequence[RecordedRun], most_values: int, sample_bytes: int) -> dict[str, Any]:
    """What `page/page.js` shows of one of the runs that were found."""
    parent, keys = parent_of(run, found), [other.key for other in found]
    drawn, histories = sections(run, most_values, past := _past(run, parent))
    marks = summary.marks(run)
    moments = [(f"best {run.best['score']}", run.best["iteration"])] if run.best else []
    moments += [(mark.text, mark.iteration) for mark in marks]
    pictures = run.folder.read_samples()
    image_size = run.settings.get("data.init_args.image_size") or 0
    table, moving = numbers(run)
    protocol, command = run.folder.read_protocol() or {}, shlex.join(run.record["command"])
    context = {"run": run, "summary": summary, "parent": parent, "past": past, "keys": keys, "numbers": table}
    context |= {"protocol": protocol, "command": command}
    return {
        "key": run.key,
        "head": _render("head.html", **context),
        "details": _render("details.html", **context),
        "protocol": json.dumps(protocol),
        "last": run.last_iteration,
        "times": times(run),
        "moments": moments,
        "marks": [_shape(mark) for mark in marks],
        "sections": drawn,
        "histories": histories,
        "numbers": moving,
        "samples": sample_strip(pictures, image_size, [iteration for _, iteration in moments], sample_bytes),
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


def _shape(mark: summary.Mark) -> dict[str, Any]:
    """A vertical line of plotly's, with its words along it."""
    label = {"text": mark.text, "textposition": "end", "xanchor": "right", "font": {"color": mark.color, "size": 10}}
    return {
        "type": "line", "x0": mark.iteration, "x1": mark.iteration, "yref": "paper", "y0": 0, "y1": 1,
        "line": {"color": mark.color, "dash": mark.dash, "width": 1.7},
        "label": label | {"yanchor": "bottom" if mark.side == "left" else "top"},  # before it is turned
    }  # fmt: skip


def sample_strip(
    pictures: Mapping[int, Path], image_size: int, required: Iterable[int | None], budget: int
) -> dict[int, str]:
    """As many of a run's grids as fit: iteration -> data URL, in order.

    `pictures` maps iterations to PNGs; unreadable ones are left out. Of the `required` iterations the grid at or before
    each stays. `budget` is the length of all URLs together.
    """
    urls = {t: url for t in sorted(pictures) if (url := grid_data_url(pictures[t], image_size))}
    times = np.array(list(urls), int)
    for most in range(max(len(times), 2), 1, -1):
        kept = times[kept_times(times, most, required)].tolist()
        if sum(len(urls[t]) for t in kept) <= budget:
            break
    return {t: urls[t] for t in kept}


def grid_data_url(path: Path, image_size: int) -> str | None:
    """A recorded grid of images of so many pixels, as WebP; None if it is missing or cut short."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except OSError:
        return None
    if image_size <= 32:  # enlarged in the grid, so that half its width holds all
        picture = picture.reduce(2)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return data_url(file.getvalue(), "webp")


def data_url(picture: bytes, kind: str) -> str:
    """A picture inside a page; kind: "webp" or "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _render(template: str, **context: Any) -> str:
    """A template of the folder page; what runs hold is escaped."""
    templates = PackageLoader("srgan.report", "page")
    environment = Environment(loader=templates, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"link": _link, "asset": _asset, "wide_columns": _wide_columns}
    return environment.get_template(template).render(context)


def _link(keys: Sequence[str]) -> str:
    """The address of a run, or of a comparison of several, inside the page."""
    return "#runs=" + ",".join(quote(key, safe="") for key in keys)


def _asset(name: str) -> Markup:
    """A file of the folder page, as it is."""
    return Markup((files("srgan.report") / "page" / name).read_text(encoding="utf-8"))


def _wide_columns(table: "DataFrame") -> list[bool]:
    """Which columns hold words, set flush left."""
    return [any(len(str(cell)) > 24 for cell in table[name]) for name in table.columns]
