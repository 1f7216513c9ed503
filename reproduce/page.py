"""Table II as a page: every cell leads to its run's samples, spectra and record."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from reproduce.pictures import scores_picture, spectra_picture
from reproduce.plan import Scale
from reproduce.settings import METHODS
from reproduce.table import (
    LEGEND,
    LEGEND_OF_ALL,
    Row,
    change,
    change_of_ours,
    difference_to_paper,
    final_scores,
    legend_of_final,
    mean_and_deviation,
    provenance,
    score_names,
    verdict_words,
)
from srgan.files import write_text
from srgan.runs import RunFolder

STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5rem; color: #1b1f24; }
p { max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .45rem; border-bottom: 1px solid #d5d9de; }
th, td { text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { background: #f3f5f7; position: sticky; top: 0; }
thead .group { text-align: center; border-left: 2px solid #fff; }
.start { border-left: 2px solid #d5d9de; }
.ours { background: #f7fbff; }
.collapsed { color: #a40e26; font-weight: 600; }
.gap { color: #6a737d; white-space: normal; }
.links { font-size: 12px; }
.difference { color: #57606a; font-size: 12px; }
tr.group-start td { border-top: 2px solid #8c959f; }
"""


def write_page(rows: Sequence[Row], scale: Scale, path: Path) -> None:
    """Writes the page, and the pictures that it links beside the runs.

    Args:
        rows: of the table.
        scale: for names and the legend.
        path: of the HTML file; links are relative to it.
    """
    scores = [*score_names(scale), *(["modes"] if scale == "mini" else [])]
    for row in rows:
        _draw_pictures(row)
    head = "".join(f'<th class="start group" colspan="3">{name}</th>' for name in ("FID, paper", "IS, paper"))
    head += "".join(f'<th class="start group ours" colspan="3">{name}, ours</th>' for name in scores)
    head += '<th class="start group" colspan="2">collapse SN</th><th class="start group" colspan="2">collapse SR</th>'
    columns = '<th class="start">SN</th><th>SR</th><th>change</th>' * (2 + len(scores))
    columns += '<th class="start">paper</th><th>ours</th>' * 2
    body = "".join(
        _table_row(row, scores, path.parent, previous) for previous, row in zip([None, *rows], rows, strict=False)
    )
    write_text(
        path,
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Table II, scale {scale}</title><style>{STYLE}</style></head><body>
<h1>Table II: SN-GAN against SR-GAN</h1>
<p>{escape(LEGEND[scale])}</p><p>{escape(LEGEND_OF_ALL)} {escape(provenance(rows))} Paper: arXiv:1908.10999.</p>
<div class="wide"><table>
<thead><tr><th rowspan="2">Setting</th><th rowspan="2">batch, CH</th>{head}</tr><tr>{columns}</tr></thead>
<tbody>{body}</tbody></table></div>
{_final_table(rows)}</body></html>
""",
    )


def _final_table(rows: Sequence[Row]) -> str:
    """The final scores, where there are any."""
    header, lines = final_scores(rows)
    if not lines:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    return f"""<h2>Final scores</h2><p>{escape(legend_of_final(rows))}</p>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>
"""


def _draw_pictures(row: Row) -> None:
    """Spectra of each run, and the scores of both methods of each seed side by side."""
    seeds = sorted({seed for ours in row.ours.values() for seed in ours.folders})
    for seed in seeds:
        folders = {method: ours.folders[seed] for method, ours in row.ours.items() if seed in ours.folders}
        for method, folder in folders.items():
            picture = folder.path / "spectra.png"
            if not picture.exists() or picture.stat().st_mtime < folder.record.stat().st_mtime:
                spectra_picture(folder, f"{row.setting.name}, {method.upper()}, seed {seed}: spectra of D", picture)
        shared = {method.upper(): folder for method, folder in folders.items()}
        scores_picture(shared, f"{row.setting.name}, seed {seed}", _scores_path(next(iter(folders.values())), seed))


def _scores_path(folder: RunFolder, seed: int) -> Path:
    return folder.path.parent / f"scores-seed{seed}.png"


def _table_row(row: Row, scores: Sequence[str], root: Path, previous: Row | None) -> str:
    sn, sr = row.setting.sn, row.setting.sr
    cells = [f"<td>{row.setting.name}</td><td>{row.batch_size}, {row.discriminator_channels}</td>"]
    for a, b in ((sn.FID, sr.FID), (sn.IS, sr.IS)):
        cells.append(f'<td class="start">{a:.2f}</td><td>{b:.2f}</td><td>{change(a, b)}</td>')
    for score in scores:
        cells.append(_ours(row, score, root, with_links=score == scores[0]))
    for method in METHODS:
        for place, words in zip(("start", ""), verdict_words(row, method), strict=True):
            kind = "collapsed" if words not in ("no", "–") else ""
            cells.append(f'<td class="{place} {kind}">{words}</td>')
    first_of_group = previous is not None and previous.setting.group != row.setting.group
    return f'<tr class="{"group-start" if first_of_group else ""}">{"".join(cells)}</tr>\n'


def _ours(row: Row, score: str, root: Path, with_links: bool) -> str:
    """Three cells of ours: SN, SR, change."""
    gaps = {ours.gap for ours in row.ours.values()}
    if not any(ours.records for ours in row.ours.values()):
        return f'<td class="start ours gap" colspan="3">{escape(" / ".join(sorted(filter(None, gaps))))}</td>'
    cells = []
    for method in METHODS:
        ours = row.ours.get(method)
        values = ours.scores(score) if ours else []
        place = "start ours" if method == "sn" else "ours"
        if ours is None or not values:
            cells.append(f'<td class="{place} gap">{escape((ours and ours.gap) or "–")}</td>')
            continue
        text = mean_and_deviation(values)
        if ours.gap:
            text += f'<br><span class="links">without {escape(ours.gap)}</span>'
        difference = difference_to_paper(row, method, score)
        if difference is not None:
            text += f'<br><span class="difference">{difference:+.2f} to the paper</span>'
        if with_links:
            for seed, folder in ours.folders.items():
                here = os.path.relpath(folder.path, root)
                last = max(folder.read_samples().values(), default=None)
                pictures = {"spectra": "spectra.png", "scores": f"../scores-seed{seed}.png", "record": "run.json"}
                if last:
                    pictures = {"samples": f"samples/{last.name}", **pictures}
                links = [f'<a href="{here}/{file}">{word}</a>' for word, file in pictures.items()]
                lines = [f"seed {seed}: {links[0]}", ", ".join(links[1:])]
                text += f'<br><span class="links">{",<br>".join(lines)}</span>'

        cells.append(f'<td class="{place}">{text}</td>')
    cells.append(f'<td class="ours">{change_of_ours(row, score) or "–"}</td>')
    return "".join(cells)
