"""Table II as Markdown and as a page that leads from each cell to its runs."""

from pathlib import Path
from typing import Any

from pandas import DataFrame

from reproduce.plan.run import FINISHED
from reproduce.results.generated import markdown_table
from reproduce.results.picture import ALT
from reproduce.results.table import ResultsTable
from srgan.report.page import data_url, write_page
from srgan.runs.recorded import VERDICTS

LEGEND = {
    "mini": (
        "Scale mini: stacked digits (scikit-learn), 16 × 16, networks and batches scaled down; FID_cls and IS_cls by "
        "a classifier trained on the digits; modes: how many of the 1,000 combinations are generated. Compare the "
        "changes from SN to SR, not the values with the paper's."
    ),
    "small": (
        "Scale small: CIFAR-10 at 16 × 16, a quarter of the paper's widths, its learning rates, 10,000 iterations; "
        "FID_cls and IS_cls by a classifier trained on the images. Compare the changes from SN to SR, not the values "
        "with the paper's."
    ),
    "paper": "Scale paper: the protocol of the paper; [ours - paper] in brackets.",
}
LEGEND_OF_ALL = (
    "MC: mode collapse (by medians of three evaluations), SC: spectral collapse. As in the paper, a run that collapsed "
    "shows its best evaluation before the collapse, any other its last. SC means that in at least half of the layers "
    "the tail mean (mean of σₖ/σ₁ over k > N/4) is below half its largest value so far. Under SR-s, which lets the "
    "values beyond i fall (Fig. 7c), only the first i values count."
)
LEGEND_OF_COMPARISON = (
    "SR is compared with SN in pairs of runs with the same setting and seed, separately for settings in which the "
    'paper\'s SN collapses and in which it does not. p: one-sided sign test of "SR is better", for each score '
    'separately. Relative change: geometric mean over the pairs, with Student\'s interval. "Inconclusive": neither '
    '"better" nor "worse" at the 5 % level.'
)


def described_table(table: ResultsTable) -> str:
    """Markdown with its legend, and a table of the final scores where there are any."""
    text = f"{markdown_table(table.shown)}\n{' '.join(legend(table))}\n"
    if len(table.comparison):
        text = f"{markdown_table(table.comparison)}\n{LEGEND_OF_COMPARISON}\n\n{text}"
    if len(table.final_scores):
        text += f"\n{legend_of_final(table)}\n\n{markdown_table(table.final_scores)}"
    return text


def legend(table: ResultsTable) -> list[str]:
    return [LEGEND[table.scale], f"{LEGEND_OF_ALL} {table.provenance()}"]


def legend_of_final(table: ResultsTable) -> str:
    """What the final scores are of, by the protocols that the runs recorded."""
    protocols = list(dict.fromkeys(table.runs.protocol.dropna()))
    several = "by several protocols, not to be compared with one another: " if len(protocols) > 1 else "with "
    return (
        f"Scores of the last iteration {several}{'; '.join(protocols)}; also of runs that collapsed before. The table "
        "above has the protocol in training."
    )


def write_table_page(table: ResultsTable, root: Path, output: Path, picture: Path | None = None) -> None:
    """The page of the runs below a folder, with the table, the comparison and its picture on top."""
    cells = {"header": list(table.shown.columns), "rows": _cells(table, root)}
    paragraphs = [*legend(table), "Paper: arXiv:1908.10999."]
    front: list[dict[str, Any]] = [{"title": "Table II", "paragraphs": paragraphs, "table": cells}]
    if len(table.comparison):
        shown = {"picture": data_url(picture.read_bytes(), "png"), "alt": ALT} if picture else {}
        front.insert(0, _section("SR against SN", LEGEND_OF_COMPARISON, table.comparison) | shown)
    if len(table.final_scores):
        front.append(_section("Final scores", legend_of_final(table), table.final_scores))
    write_page(root, output, f"Table II, scale {table.scale}: SN-GAN against SR-GAN", front)


def _section(title: str, paragraph: str, frame: DataFrame) -> dict[str, Any]:
    rows = [[{"text": str(cell)} for cell in line] for line in frame.itertuples(index=False)]
    return {"title": title, "paragraphs": [paragraph], "table": {"header": list(frame.columns), "rows": rows}}


def _cells(table: ResultsTable, root: Path) -> list[list[dict[str, Any]]]:
    """The texts that are shown, with what the page colours and links."""
    rows = []
    for line in table.shown.to_dict("records"):
        done = table.runs[(table.runs.setting == line["Setting"]) & (table.runs.state == FINISHED)]
        row = []
        for name, text in line.items():
            cell: dict[str, Any] = {"text": text}
            if "ours SN" in name:
                cell["kind"] = "ours" if len(done) else "gap"
            if name == f"{table.fid} ours SN → SR":
                cell["runs"] = [
                    [f"{run.method.upper()} seed {run.seed}", run.folder.relative_to(root).as_posix()]
                    for _, run in done.sort_values(["method", "seed"]).iterrows()
                ]
            if name.startswith("collapse"):
                own = done[done.method == name.split()[1].lower()]
                cell["kind"] = "collapsed" if "MC" in text or own[list(VERDICTS)].any(axis=None) else ""
            row.append(cell)
        rows.append(row)
    return rows
