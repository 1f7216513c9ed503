"""Table II beside our numbers, from the runs' JSON files alone: cells, markdown and CSV."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame

from reproduce.plan.run import FINISHED, Scale
from reproduce.plan.settings import METHODS, Cell, Method, Setting
from reproduce.plan.table_runs import TableRun
from reproduce.results.significance import compare, in_words, judged_in_words
from srgan.collapse import is_lower_better
from srgan.runs.folder import RunFolder


@dataclass(frozen=True)
class Ours:
    """Our side of one cell: all finished seeds of one setting and method.

    Attributes:
        folders: of the finished runs, by seed.
        records: content of their run.json.
        gap: what is missing and why, e.g. "seed 2: to do"; None if every planned seed is there.
    """

    folders: dict[int, RunFolder]
    records: list[dict[str, Any]]
    gap: str | None

    @property
    def reported(self) -> dict[int, dict[str, float]]:
        """Scores of each seed that has any: the last, or the best before a mode collapse (as the paper)."""
        pairs = zip(self.folders, self.records, strict=True)
        return {seed: record["reported"] for seed, record in pairs if record["reported"]}

    def scores(self, name: str) -> list[float]:
        """One reported score of each seed."""
        return [scores[name] for scores in self.reported.values() if name in scores]

    def final_scores(self, name: str) -> list[float]:
        """One score of each seed by the field's protocol, at its last iteration."""
        return [final["scores"][name] for final in self.finals if is_number(final["scores"].get(name))]

    @property
    def finals(self) -> list[dict[str, Any]]:
        """Final scores of the seeds that have any, with their iteration and protocol."""
        return [final for folder in self.folders.values() if (final := folder.read_final())]

    def collapses(self, verdict: str) -> int:
        """How many seeds collapsed, by "mode_collapse" or "spectral_collapse"; runs without scores have no verdict."""
        verdicts = [record["verdicts"][verdict] for record in self.records]
        return sum(found["collapsed"] for found in verdicts if found)


@dataclass(frozen=True)
class Row:
    """One setting: the paper's two cells and ours."""

    setting: Setting
    ours: dict[Method, Ours]
    batch_size: int
    discriminator_channels: int

    def paper(self, method: Method) -> Cell:
        return self.setting.sn if method == "sn" else self.setting.sr


def collect(runs: Iterable[TableRun]) -> list[Row]:
    """Reads what there is; a run that is missing leaves a gap with its reason."""
    grouped: dict[Setting, dict[Method, list[TableRun]]] = {}
    for run in runs:
        grouped.setdefault(run.setting, {}).setdefault(run.method, []).append(run)
    rows = []
    for setting, methods in grouped.items():
        first = next(iter(methods.values()))[0]
        ours = {method: _ours(found) for method, found in methods.items()}
        rows.append(Row(setting, ours, first.batch_size, first.discriminator_channels))
    return rows


def _ours(runs: Sequence[TableRun]) -> Ours:
    finished = [run for run in runs if run.state == FINISHED]
    records = [run.folder.read_record() or {} for run in finished]
    unfinished = [run for run in runs if run.state != FINISHED]
    gap: str | None
    if len({run.state for run in unfinished}) == 1 and not finished:
        gap = unfinished[0].state
    else:
        gap = "; ".join(f"seed {run.seed}: {run.state}" for run in unfinished) or None
    return Ours({run.seed: run.folder for run in finished}, records, gap)


def score_names(scale: Scale) -> tuple[str, str]:
    """Our FID and IS: by another network and another name at scale mini."""
    return ("FID", "IS") if scale == "paper" else ("FID_cls", "IS_cls")


def change(before: float, after: float) -> str:
    """SR against SN in per cent."""
    return f"{100 * (after / before - 1):+.0f} %"


def mean_and_deviation(values: Sequence[float]) -> str:
    """Over seeds, with the deviation of the sample. Two decimals below 100, as the paper; none above; four below 1."""
    mean = statistics.mean(values)
    decimals = 0 if mean >= 100 else 2 if abs(mean) >= 1 else 4
    deviation = f" ± {statistics.stdev(values):.{decimals}f}" if len(values) > 1 else ""
    return f"{mean:.{decimals}f}{deviation}"


def verdict_words(row: Row, method: Method) -> tuple[str, str]:
    """(paper, ours): "no", "MC + SC", or counts over several seeds."""
    paper = "MC + SC" if row.paper(method).collapsed else "no"
    ours = row.ours.get(method)
    if ours is None or not ours.records:
        return paper, "–"
    count = len(ours.records)
    words = []
    for short, verdict in (("MC", "mode_collapse"), ("SC", "spectral_collapse")):
        collapsed = ours.collapses(verdict)
        if collapsed:
            words.append(short if count == 1 else f"{short} {collapsed}/{count}")
    return paper, " + ".join(words) or "no"


def layout(rows: Sequence[Row], scale: Scale) -> tuple[list[str], list[list[dict[str, Any]]]]:
    """Header and cells of the table: "text", "kind" for the page's colours, and "runs", the finished ones by name."""
    fid, inception = score_names(scale)
    coverage = ["modes"] if scale == "mini" else []
    header = ["Setting", "batch, CH", "FID paper SN → SR", f"{fid} ours SN → SR", "IS paper SN → SR"]
    header += [f"{score} ours SN → SR" for score in (inception, *coverage)]
    header += [f"collapse {method.upper()} paper / ours" for method in METHODS]
    return header, [_line(row, fid, [inception, *coverage]) for row in rows]


def _line(row: Row, fid: str, others: Sequence[str]) -> list[dict[str, Any]]:
    sn, sr = row.setting.sn, row.setting.sr
    kind = "ours" if any(ours.records for ours in row.ours.values()) else "gap"
    runs = {
        f"{method.upper()} seed {seed}": folder
        for method, ours in row.ours.items()
        for seed, folder in ours.folders.items()
    }
    cells: list[dict[str, Any]] = [
        {"text": row.setting.name},
        {"text": f"{row.batch_size}, {row.discriminator_channels}"},
        {"text": f"{sn.FID:.2f} → {sr.FID:.2f} ({change(sn.FID, sr.FID)})"},
        {"text": _pair(row, fid), "kind": kind, "runs": runs},
        {"text": f"{sn.IS:.2f} → {sr.IS:.2f} ({change(sn.IS, sr.IS)})"},
    ]
    cells += [{"text": _pair(row, score), "kind": kind} for score in others]
    for method in METHODS:
        verdicts = verdict_words(row, method)
        collapsed = any(words not in ("no", "–") for words in verdicts)
        cells.append({"text": " / ".join(verdicts), "kind": "collapsed" if collapsed else ""})
    return cells


def markdown(rows: Sequence[Row], scale: Scale) -> str:
    """The table for the terminal and the README."""
    header, lines = layout(rows, scale)
    return markdown_table(header, [[cell["text"] for cell in line] for line in lines])


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Cells as the text of a table."""
    return "".join("| " + " | ".join(line) + " |\n" for line in [header, ["---"] * len(header), *lines])


def _pair(row: Row, score: str) -> str:
    """Ours as "SN → SR (change)"; with the difference to the paper where the score is the paper's."""
    shown = [_cell(row, method, score) for method in METHODS]
    if len(set(shown)) == 1 and not any(ours.records for ours in row.ours.values()):
        return shown[0]
    relative = change_of_ours(row, score)
    return " → ".join(shown) + (f" ({relative})" if relative else "")


def _cell(row: Row, method: Method, score: str) -> str:
    """One side of a pair, with what is missing of it."""
    ours = row.ours.get(method)
    found = ours.scores(score) if ours else []
    if ours is None or not found:
        return (ours.gap if ours else None) or "–"
    difference = difference_to_paper(row, method, score)
    text = mean_and_deviation(found) + (f" [{difference:+.2f}]" if difference is not None else "")
    return f"{text} without {ours.gap}" if ours.gap else text


def change_of_ours(row: Row, score: str) -> str | None:
    """SR against SN in per cent; None unless both have the same seeds."""
    pair = [row.ours.get(method) for method in METHODS]
    sn, sr = pair
    if not sn or not sr or not sn.folders or sn.folders.keys() != sr.folders.keys() or not sn.scores(score):
        return None
    return change(statistics.mean(sn.scores(score)), statistics.mean(sr.scores(score)))


def significance(rows: Sequence[Row], scale: Scale) -> str:
    """What the pairs of runs, both methods with one setting and seed, say in words; "" without a pair."""
    reported = [[row.ours[method].reported for method in METHODS] for row in rows if row.ours.keys() >= set(METHODS)]
    several_seeds = any(len(sn) > 1 for sn, _ in reported)
    say = judged_in_words if several_seeds else in_words
    words = []
    for score in score_names(scale):
        pairs = [(sn[seed][score], sr[seed][score]) for sn, sr in reported for seed in sn if seed in sr]
        if pairs:
            first, second = zip(*pairs, strict=True)
            words.append(say("SR ahead of SN", score, compare(first, second, is_lower_better(score))))
    if words and not several_seeds:
        words.append("One seed of each setting decides nothing: another one, or another processor, turns signs round.")
    return " ".join(words)


def provenance(rows: Sequence[Row]) -> str:
    """Which code made the numbers: commits, "+" where the work tree differed."""
    commits = {
        str(record.get("commit"))[:8] + ("+" if str(record.get("commit")).endswith("+") else "")
        for row in rows
        for ours in row.ours.values()
        for record in ours.records
    }
    if not commits:
        return ""
    return f"Commit {', '.join(sorted(commits))}" + (": runs of different code." if len(commits) > 1 else ".")


def final_scores(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of the final scores (means over seeds), one line per setting and method that has any."""
    recorded = [(row.setting.name, method, ours, ours.finals) for row in rows for method, ours in row.ours.items()]
    measured = [final["scores"] for *_, finals in recorded for final in finals]
    names = list(dict.fromkeys(name for scores in measured for name, value in scores.items() if is_number(value)))
    lines = []
    for setting, method, ours, finals in recorded:
        if finals:
            found = [ours.final_scores(name) for name in names]
            iteration = max(final["iteration"] for final in finals)
            cells = [mean_and_deviation(values) if values else "–" for values in found]
            lines.append([setting, method.upper(), f"{iteration:,}", *cells])
    return ["Setting", "method", "iteration", *names], lines


def legend_of_final(rows: Sequence[Row]) -> str:
    """What the final scores are of, by the protocols that the runs recorded."""
    finals = [final for row in rows for ours in row.ours.values() for final in ours.finals]
    protocols = list(dict.fromkeys(_protocol_words(final["protocol"]) for final in finals))
    several = "by several protocols, not to be compared with one another: " if len(protocols) > 1 else "with "
    return (
        f"Scores of the last iteration {several}{'; '.join(protocols)}; also of runs that collapsed before. The table "
        "above has the protocol in training."
    )


def _protocol_words(protocol: dict[str, Any]) -> str:
    splits = protocol["inception_splits"]
    words = f"{protocol['num_fake_images']:,} images, {splits} split{'s' if splits > 1 else ''}"
    if protocol["intra_fid_classes"]:
        words += f", FID_intra over {protocol['intra_fid_classes']} classes of {protocol['intra_fid_images']:,} images"
    return words


def is_number(value: Any) -> bool:
    """Of a score: neither absent nor one value per class."""
    return isinstance(value, int | float)


def described_table(rows: Sequence[Row], scale: Scale) -> str:
    """Markdown with its legend, and a table of the final scores where there are any."""
    text = f"{markdown(rows, scale)}\n{LEGEND[scale]} {LEGEND_OF_ALL} {provenance(rows)}\n"
    if words := significance(rows, scale):
        text += f"\n{words}\n"
    header, lines = final_scores(rows)
    if lines:
        text += f"\n{legend_of_final(rows)}\n\n{markdown_table(header, lines)}"
    return text


def difference_to_paper(row: Row, method: Method, score: str) -> float | None:
    """Ours - paper, where both are the same score."""
    found = row.ours[method].scores(score) if method in row.ours else []
    if score not in ("FID", "IS") or not found:
        return None
    paper: float = getattr(row.paper(method), score)
    return statistics.mean(found) - paper


def csv_text(rows: Sequence[Row], scale: Scale) -> str:
    """One line per setting and method, every number in a column of its own; empty where there is none."""
    fid, inception = score_names(scale)
    scores = [fid, inception, *(["modes", "modes_kl"] if scale == "mini" else [])]
    table: list[dict[str, Any]] = []
    for row in rows:
        for method, ours in row.ours.items():
            paper = row.paper(method)
            line: dict[str, Any] = {
                "setting": row.setting.name, "method": method, "scale": scale, "batch_size": row.batch_size,
                "discriminator_channels": row.discriminator_channels, "paper_IS": paper.IS,
                "paper_IS_std": paper.IS_std, "paper_FID": paper.FID, "paper_FID_std": paper.FID_std,
                "paper_collapsed": paper.collapsed, "seeds": " ".join(map(str, ours.folders)), "gap": ours.gap,
            }  # fmt: skip
            for score in scores:
                found = ours.scores(score)
                line[score] = statistics.mean(found) if found else None
                line[f"{score}_std"] = statistics.stdev(found) if len(found) > 1 else None
                line[f"{score}_difference"] = difference_to_paper(row, method, score)
            for name in final_scores([row])[0][3:]:
                found = ours.final_scores(name)
                line[f"final_{name}"] = statistics.mean(found) if found else None
            line["commits"] = " ".join(sorted({str(record.get("commit")) for record in ours.records}))
            line["mode_collapses"] = ours.collapses("mode_collapse") if ours.records else None
            line["spectral_collapses"] = ours.collapses("spectral_collapse") if ours.records else None
            table.append(line)
    return str(DataFrame(table, dtype=object).to_csv(index=False, lineterminator="\n"))


LEGEND = {
    "mini": (
        "Scale mini: stacked digits (scikit-learn), 16 x 16, nets and batches scaled down; FID_cls and IS_cls by a "
        "classifier trained on the digits, modes of 1,000. Not comparable with the paper's numbers, only with "
        "one another: the columns to compare are the changes from SN to SR."
    ),
    "small": (
        "Scale small: CIFAR-10 at 16 x 16, widths a quarter of the paper's, its rates, 10,000 iterations; FID_cls and "
        "IS_cls by a classifier trained on the images. Not comparable with the paper's numbers, only with one another."
    ),
    "paper": "Scale paper: the protocol of the paper; [ours - paper] in brackets.",
}
LEGEND_OF_ALL = (
    "MC: mode collapse (by medians of three evaluations), SC: spectral collapse. As in the paper, a run that collapsed "
    "shows its best evaluation before the collapse, any other its last. SC, a tail mean below half its largest "
    "value in half of the layers, goes by all singular values; under SR-s, which lets those beyond i fall (Fig. 7c), "
    "by the first i."
)
