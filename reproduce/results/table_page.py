"""What the page of a table shows on top of its runs: `front.json`, which `srgan report` renders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproduce.plan.run import Scale
from reproduce.results.paper_claims import DIFFERENCES, audit, changes, finding_words, published
from reproduce.results.table import (
    LEGEND,
    LEGEND_OF_ALL,
    Row,
    final_scores,
    layout,
    legend_of_final,
    provenance,
    significance,
)
from srgan.utils.files import write_json

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
    header, lines = layout(rows, scale)
    for cell in (cell for line in lines for cell in line if "runs" in cell):
        cell["runs"] = [[name, folder.path.relative_to(root).as_posix()] for name, folder in cell["runs"].items()]
    paragraphs = [LEGEND[scale], f"{LEGEND_OF_ALL} {provenance(rows)} Paper: arXiv:1908.10999."]
    paragraphs += [words] if (words := significance(rows, scale)) else []
    return {"title": "Table II", "paragraphs": paragraphs, "table": {"groups": None, "header": header, "rows": lines}}


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
    collapsed = published().query("`modes sn`")
    averages = {score: f"{changes(score, collapsed).mean():+.1f} %" for score in ("IS", "FID")}
    return {"title": "Paper audit", "paragraphs": [AUDIT.format(**averages)], "table": table}


def _differences() -> Section:
    header = ["", "the paper", "the authors' code", "srgan"]
    table = {"groups": None, "header": header, "rows": [list(line) for line in DIFFERENCES]}
    words = "Where the paper and its published code say different things, which no number here decides."
    return {"title": "Paper and code", "paragraphs": [words], "table": table}
