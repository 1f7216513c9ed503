"""Table II beside our numbers: a line for each run, from these one for each cell (CSV), from these the Markdown."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from reproduce.plan.run import BATCH_SIZE, CHANNELS, FINISHED
from reproduce.plan.settings import METHODS, SETTINGS, Method, Scale
from reproduce.plan.table_runs import TableRun
from reproduce.results.generated import markdown_table
from reproduce.results.significance import compare
from srgan.collapse import is_lower_better
from srgan.runs.recorded import VERDICTS, recorded_run

FINAL = "final_"
SHORT = {"mode_collapse": "MC", "spectral_collapse": "SC"}
NOTHING = "–"
PAPERS_SN = "In the paper, SN"
ROWS = {setting.name: setting for setting in SETTINGS}
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
    "paper": "Scale paper: the protocol of the paper; in tables, [ours - paper] in brackets.",
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


class ResultsTable:
    """Table II of some planned runs, a line of `runs` for each; what is missing leaves a gap with its reason."""

    def __init__(self, runs: Sequence[TableRun], scale: Scale) -> None:
        self.scale = scale
        self.shown_scores = ["FID", "IS"] if scale == "paper" else ["FID_cls", "IS_cls"]
        self.shown_scores += ["modes"] if scale == "mini" else []
        self.scores = [*self.shown_scores, *(["modes_kl"] if scale == "mini" else [])]
        self.runs = DataFrame([_line_of(run, self.scores) for run in runs], dtype=object)
        self.finals = [name for name in self.runs.columns if name.startswith(FINAL)]  # final scores that any run has

    @cached_property
    def cells(self) -> DataFrame:
        """A line for each setting and method: the paper's numbers, ours over the finished seeds, collapses."""
        groups = self.runs.groupby(["setting", "method"], sort=False)
        return DataFrame([self._cell(setting, method, runs) for (setting, method), runs in groups], dtype=object)

    def _cell(self, name: str, method: Method, runs: DataFrame) -> dict[str, Any]:
        done, paper = runs[runs.state == FINISHED], getattr(ROWS[name], method)
        line: dict[str, Any] = {"setting": name, "method": method, "scale": self.scale}
        line |= runs.iloc[0][["batch_size", "discriminator_channels"]].to_dict()
        line |= {f"paper_{score}": value for score, value in paper._asdict().items()}
        line |= {"seeds": " ".join(map(str, done.seed)), "gap": gap_of(runs)}
        for score in (*self.scores, *self.finals):
            found = done[score].dropna().astype(float)
            line |= {score: found.mean(), f"{score}_std": found.std()}
            if score in self.scores:
                is_papers = score in ("FID", "IS")
                line[f"{score}_difference"] = line[score] - getattr(paper, score) if is_papers else None
        line["commits"] = " ".join(sorted(set(map(str, done.commit))))
        return line | {f"{verdict}s": int(done[verdict].sum()) if len(done) else None for verdict in VERDICTS}

    def csv_text(self) -> str:
        deviations = [f"{name}_std" for name in self.finals]
        return str(self.cells.drop(columns=deviations).to_csv(index=False, lineterminator="\n"))

    @cached_property
    def shown(self) -> DataFrame:
        """A line of texts for each setting, both methods side by side."""
        lines = []
        for name, cells in self.cells.groupby("setting", sort=False):
            of = {cell.method: cell for _, cell in cells.iterrows()}
            setting, first = ROWS[str(name)], cells.iloc[0]
            line = {"Setting": name, "batch, CH": f"{first.batch_size}, {first.discriminator_channels}"}
            for score, papers in zip(self.shown_scores, ("FID", "IS", None), strict=False):
                if papers:
                    sn, sr = getattr(setting.sn, papers), getattr(setting.sr, papers)
                    line[f"{papers} paper SN → SR"] = f"{sn:.2f} → {sr:.2f} ({_change(sn, sr)})"
                line[f"{score} ours SN → SR"] = self._pair(of, score)
            for method in METHODS:
                paper = "MC + SC" if getattr(setting, method).collapsed else "no"
                line[f"collapse {method.upper()} paper / ours"] = f"{paper} / {_collapses(of.get(method))}"
            lines.append(line)
        return DataFrame(lines)

    def _pair(self, of: dict[str, Series], score: str) -> str:
        """Ours as "SN → SR (change)"; with the difference to the paper where the score is the paper's."""
        sn, sr = of.get("sn"), of.get("sr")
        sides = [_side(sn, score), _side(sr, score)]
        if sides[0] == sides[1] and not any(cell.seeds for cell in of.values()):
            return sides[0]
        if sn is None or sr is None or sn.seeds != sr.seeds or pd.isna(sn[score]):
            return " → ".join(sides)
        return f"{' → '.join(sides)} ({_change(sn[score], sr[score])})"

    @cached_property
    def final_scores(self) -> DataFrame:
        """Texts of the final scores (means over seeds), a line for each setting and method that has any."""
        lines = []
        for _, cell in self.cells[self.cells[self.finals].notna().any(axis=1)].iterrows():
            own = self.runs[(self.runs.setting == cell.setting) & (self.runs.method == cell.method)]
            line = {"Setting": cell.setting, "method": cell.method.upper()}
            line["iteration"] = f"{int(own.final.dropna().max()):,}"
            means = {name: mean_and_deviation(cell[name], cell[f"{name}_std"]) for name in self.finals}
            lines.append(line | {name.removeprefix(FINAL): text for name, text in means.items()})
        return DataFrame(lines)

    @cached_property
    def comparison(self) -> DataFrame:
        """SR against SN over pairs of one setting and seed, by what the paper reports of SN; empty without any."""
        if set(self.runs.method) != set(METHODS):
            return DataFrame()
        collapsed = self.runs.setting.map(lambda name: ROWS[name].sn.collapsed).astype(bool)
        parts = {"collapses": self.runs[collapsed], "does not collapse": self.runs[~collapsed]}
        lines = []
        for (outcome, runs), score in product(parts.items(), self.shown_scores):
            pairs = runs.pivot(index=["setting", "seed"], columns="method", values=score).dropna()
            if len(pairs):
                settings = ", ".join(dict.fromkeys(pairs.index.get_level_values("setting")))
                compared = compare(list(pairs.sn), list(pairs.sr), is_lower_better(score))
                lines.append({
                    PAPERS_SN: f"{outcome} ({settings})", "score": score, "pairs": compared.n,
                    "SR wins": compared.ahead, "p": f"{compared.p():.2g}", "relative change": f"{compared.change:+.0%}",
                    "95 % interval": compared.interval_text, "SR is": compared.verdict,
                })  # fmt: skip
        table = DataFrame(lines)
        if lines:  # settings stand in the first line of their group only
            table[PAPERS_SN] = table[PAPERS_SN].mask(table[PAPERS_SN].duplicated(), "")
        return table


def described_table(table: ResultsTable) -> str:
    """Markdown with its legend, and a table of the final scores where there are any."""
    # Which code made the numbers: commits, "+" where the work tree differed.
    commits = sorted({str(commit)[:8] + "+" * str(commit).endswith("+") for commit in table.runs.commit.dropna()})
    provenance = f"Commit {', '.join(commits)}" + (": runs of different code." if len(commits) > 1 else ".")
    text = f"{markdown_table(table.shown)}\n{LEGEND[table.scale]} {LEGEND_OF_ALL} {provenance if commits else ''}\n"
    if len(table.comparison):
        text = f"{markdown_table(table.comparison)}\n{LEGEND_OF_COMPARISON}\n\n{text}"
    if len(table.final_scores):
        protocols = list(dict.fromkeys(table.runs.protocol.dropna()))
        several = "by several protocols, not to be compared with one another: " if len(protocols) > 1 else "with "
        text += (
            f"\nScores of the last iteration {several}{'; '.join(protocols)}; also of runs that collapsed before. The "
            f"table above has the protocol in training.\n\n{markdown_table(table.final_scores)}"
        )
    return text


def _line_of(run: TableRun, scores: Sequence[str]) -> dict[str, Any]:
    """A planned run, and where it has finished, its reported scores: the last, or the best before a mode collapse."""
    line: dict[str, Any] = {
        "setting": run.setting.name, "method": run.method, "seed": run.seed, "state": run.state,
        "batch_size": run.flat[BATCH_SIZE], "discriminator_channels": run.flat[CHANNELS],
        "folder": run.folder.path, "commit": None, "final": None, "protocol": None,
    }  # fmt: skip
    line |= dict.fromkeys([*scores, *VERDICTS])
    recorded = recorded_run(run.folder) if line["state"] == FINISHED else None
    if recorded is None:
        return line
    reported = recorded.record["reported"] or {}
    line |= {score: reported.get(score) for score in scores} | {"commit": recorded.record.get("commit")}
    line |= {verdict: bool((recorded.verdicts[verdict] or {}).get("collapsed")) for verdict in VERDICTS}
    if recorded.final:
        protocol, splits = recorded.final["protocol"], recorded.final["protocol"]["inception_splits"]
        text = f"{protocol['num_fake_images']:,} images, {splits} split{'s' if splits > 1 else ''}"
        if classes := protocol["intra_fid_classes"]:
            text += f", FID_intra over {classes} classes of {protocol['intra_fid_images']:,} images"
        line |= {"final": recorded.final["iteration"], "protocol": text}
        line |= {FINAL + name: value for name, value in recorded.final_scores.items()}
    return line


def gap_of(runs: DataFrame) -> str | None:
    """What is missing of a cell and why, e.g. "seed 2: to do"; None if every planned seed is there."""
    missing = runs[runs.state != FINISHED]
    if len(missing) == len(runs) and missing.state.nunique() == 1:
        return str(missing.state.iloc[0])
    return "; ".join(f"seed {run.seed}: {run.state}" for _, run in missing.iterrows()) or None


def mean_and_deviation(mean: float, deviation: float | None) -> str:
    """Over seeds, with the deviation of the sample. Two decimals below 100, as the paper; none above; four below 1."""
    if pd.isna(mean):
        return NOTHING
    decimals = 0 if mean >= 100 else 2 if abs(mean) >= 1 else 4
    return f"{mean:.{decimals}f}" + ("" if pd.isna(deviation) else f" ± {deviation:.{decimals}f}")


def _change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.0f} %"


def _collapses(cell: Series | None) -> str:
    """Ours: "MC + SC" of one seed, counts of several."""
    if cell is None or not cell.seeds:
        return NOTHING
    count, found = len(cell.seeds.split()), {short: cell[f"{verdict}s"] for verdict, short in SHORT.items()}
    seen = [short if count == 1 else f"{short} {number} of {count}" for short, number in found.items() if number]
    return " + ".join(seen) or f"not seen (0 of {count})"


def _side(cell: Series | None, score: str) -> str:
    """One method's score, with what is missing of it."""
    if cell is None or pd.isna(cell[score]):
        return NOTHING if cell is None or cell.gap is None else str(cell.gap)
    text = mean_and_deviation(cell[score], cell[f"{score}_std"])
    text += "" if pd.isna(cell[f"{score}_difference"]) else f" [{cell[f'{score}_difference']:+.2f}]"
    return text + (f" without {cell.gap}" if cell.gap else "")
