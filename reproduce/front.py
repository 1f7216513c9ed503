"""What the page of a table shows on top of its runs: `front.json`, which `srgan report` renders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproduce.audit import DIFFERENCES, audit, finding_words, mean_change, published
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
from srgan.files import write_json
from srgan.runs import RunFolder

Section = dict[str, Any]
AUDIT = (
    "What the paper says of Table II, recomputed from the paper's own numbers and from ours where both methods have "
    "finished. The averages over all rows are not the published ones; over the rows in which SN collapsed they are "
    "{IS} (IS) and {FID} (FID). At scale mini the scores are others, so figures of FID and IS are shown without a "
    "verdict."
)


def write_front(rows: Sequence[Row], scale: Scale, root: Path) -> None:
    """Writes `front.json` into the folder of the table's runs."""
    sections = [_table(rows, scale, root), *_final(rows), _audit(rows, scale), _differences()]
    write_json(root / "front.json", {"title": f"Table II, scale {scale}: SN-GAN against SR-GAN", "sections": sections})


def _table(rows: Sequence[Row], scale: Scale, root: Path) -> Section:
    scores = [*score_names(scale), *(["modes"] if scale == "mini" else [])]
    groups: list[list[Any]] = [["", 2], ["FID, paper", 3], ["IS, paper", 3]]
    groups += [[f"{score}, ours", 3] for score in scores]
    groups += [[f"collapse {method.upper()}", 2] for method in METHODS]
    header = ["Setting", "batch, CH", *["SN", "SR", "change"] * (2 + len(scores)), *["paper", "ours"] * 2]
    table = {"groups": groups, "header": header, "rows": [_line(row, scores, root) for row in rows]}
    paragraphs = [LEGEND[scale], f"{LEGEND_OF_ALL} {provenance(rows)} Paper: arXiv:1908.10999."]
    return {"title": "Table II", "paragraphs": paragraphs, "table": table}


def _line(row: Row, scores: Sequence[str], root: Path) -> list[Any]:
    sn, sr = row.setting.sn, row.setting.sr
    cells: list[Any] = [row.setting.name, f"{row.batch_size}, {row.discriminator_channels}"]
    for a, b in ((sn.FID, sr.FID), (sn.IS, sr.IS)):
        cells += [f"{a:.2f}", f"{b:.2f}", change(a, b)]
    for score in scores:
        for method in METHODS:
            cells.append(_ours(row, method, score, root, with_runs=score == scores[0]))
        cells.append({"text": change_of_ours(row, score) or "–", "kind": "ours"})
    for method in METHODS:
        cells += [
            {"text": words, "kind": "collapsed" if words not in ("no", "–") else ""}
            for words in verdict_words(row, method)
        ]
    return cells


def _ours(row: Row, method: Any, score: str, root: Path, with_runs: bool) -> dict[str, Any]:
    """One cell of ours: the score, what is missing of it, and its runs."""
    ours = row.ours.get(method)
    values = ours.scores(score) if ours else []
    if ours is None or not values:
        return {"text": (ours and ours.gap) or "–", "kind": "gap"}
    difference = difference_to_paper(row, method, score)
    notes = [f"without {ours.gap}"] * bool(ours.gap)
    notes += [] if difference is None else [f"{difference:+.2f} to the paper"]
    cell: dict[str, Any] = {"text": mean_and_deviation(values), "kind": "ours", "note": "; ".join(notes)}
    if with_runs:
        cell["runs"] = [[f"seed {seed}", _relative(folder, root)] for seed, folder in ours.folders.items()]
    return cell


def _relative(folder: RunFolder, root: Path) -> str:
    return folder.path.relative_to(root).as_posix()


def _final(rows: Sequence[Row]) -> list[Section]:
    header, lines = final_scores(rows)
    if not lines:
        return []
    table = {"groups": None, "header": header, "rows": lines}
    return [{"title": "Final scores", "paragraphs": [legend_of_final(rows)], "table": table}]


def _audit(rows: Sequence[Row], scale: Scale) -> Section:
    lines = []
    for claim, of_paper, of_ours in audit(rows, scale):
        cells = [
            {"text": finding_words(finding), "kind": "collapsed" if finding and finding.holds is False else ""}
            for finding in (of_paper, of_ours)
        ]
        lines.append([claim.place, claim.words, *cells])
    table = {"groups": None, "header": ["Section", "The paper says", "its Table II says", "ours says"], "rows": lines}
    collapsed = [row for row in published() if row.mode_collapse["sn"]]
    averages = {score: f"{mean_change(collapsed, score):+.1f} %" for score in ("IS", "FID")}
    return {"title": "Paper audit", "paragraphs": [AUDIT.format(**averages)], "table": table}


def _differences() -> Section:
    header = ["", "the paper", "the authors' code", "srgan"]
    table = {"groups": None, "header": header, "rows": [list(line) for line in DIFFERENCES]}
    words = "Where the paper and its published code say different things, which no number here decides."
    return {"title": "Paper and code", "paragraphs": [words], "table": table}
