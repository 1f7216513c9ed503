"""The evidence as pages: evidence.md for a reader of five minutes, claims.md and runs.csv with all of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template

import numpy as np
from pandas import DataFrame
from rich.console import Console

from reproduce.evidence import claims
from reproduce.evidence.claims import FID, Answer, paired
from reproduce.evidence.pictures import CAPTION, save_picture
from reproduce.evidence.records import BASELINE, EARLY, LATE, Evidence, read_evidence, with_their_past, write_evidence
from reproduce.plan.variants import SCALE_CONTROL
from reproduce.results.generated import markdown_table
from reproduce.results.significance import INCONCLUSIVE, UNABLE
from srgan.utils.files import write_text

TEMPLATES = Path(__file__).parent
DECIDED = (claims.SUPPORTED, claims.CONTRADICTED, claims.BY_CONSTRUCTION)
UNDECIDED = (INCONCLUSIVE, UNABLE, claims.EXPLORATORY)


def add_evidence(found: Iterable[Evidence], root: Path, console: Console) -> None:
    """Adds runs to a folder's `evidence.json` and writes its pages of all that it holds."""
    write_evidence(root / "evidence.json", found)
    write_pages(read_evidence(root / "evidence.json"), root, console)


def write_pages(runs: Sequence[Evidence], root: Path, console: Console) -> None:
    """`evidence.md`, `claims.md`, `runs.csv` and a picture of each setting; the results go to the terminal too."""
    whole = with_their_past(runs)
    # The one with the most runs comes first.
    settings = [setting for setting, _ in Counter(run.setting for run in runs).most_common()]
    summaries, results, sections = [], [], []
    for setting in settings:
        some = [run for run in whole if run.setting == setting]
        answered = claims.answers(some)
        summaries.append(summary_of(setting, answered))
        results.append(f"### {setting}\n\n{markdown_table(method_table(some))}\n![{CAPTION}]({setting}.png)\n")
        lines = [[one.place, one.claim, f"**{one.verdict}**", one.numbers] for one in answered]
        table = markdown_table(DataFrame(lines, columns=["section", "claim", "verdict", "numbers"]))
        sections.append(f"## {setting}\n\n{table}\n{contingency(some)}\n")
        save_picture([run for run in runs if run.setting == setting], root / f"{setting}.png")
    commits = ", ".join(sorted({run.commit[:8] + run.commit[40:] for run in runs if run.commit}))
    parts = {"summary": summaries, "results": results, "claims": sections}
    filled = {name: "\n".join(texts).rstrip() for name, texts in parts.items()} | {"commits": commits}
    for name in ("evidence", "claims"):
        write_text(
            root / f"{name}.md",
            Template((TEMPLATES / f"{name}.template.md").read_text(encoding="utf-8")).substitute(filled),
        )
    write_text(root / "runs.csv", str(run_table(whole).to_csv(index=False, lineterminator="\n")))
    console.print("\n".join([*summaries, *results]), highlight=False, soft_wrap=True)


def summary_of(setting: str, answered: Sequence[Answer]) -> str:
    """The primary claim, which comes first, and what is decided of the others."""
    primary, *others = answered
    lines = [f"**{setting}.** {primary.claim}: **{primary.verdict}**. {primary.numbers}\n"]
    decided = [[one.claim, f"**{one.verdict}**"] for one in others if one.verdict in DECIDED]
    if decided:
        lines.append(markdown_table(DataFrame(decided, columns=["claim", "verdict"])))
    counts = {kind: sum(one.verdict.startswith(kind) for one in others) for kind in UNDECIDED}
    undecided = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    lines.append(f"[Other claims](claims.md#{setting.lower()}): {undecided or 'none'}.\n")
    return "\n".join(lines)


def method_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each method: final FID by seed, and against SN; recall where it was measured."""
    seeds = sorted({run.seed for run in runs})
    late = {(run.method, run.seed): f"{FID.of(run):.1f}" for run in runs}
    recall = {(run.method, run.seed): f"{run.recall:.2f}" for run in runs if run.recall is not None}
    lines = []
    for method in [method for method in claims.SHOWN_METHODS if any(run.method == method for run in runs)]:
        against = ["–", "–", "–"]
        if method != BASELINE and (pairs := paired(runs, method)):
            compared = FID.compared(pairs)
            against = [f"{compared.ahead} of {compared.n}", f"{compared.change:+.0%}", compared.interval_text]
        by_seed = [", ".join(found.get((method, seed), "–") for seed in seeds) for found in (late, recall)]
        lines.append([method, *against, *(cells if cells.strip("–, ") else "–" for cells in by_seed)])
    span = f"seeds {', '.join(map(str, seeds))}"
    against = ["wins against SN", "relative change (geometric mean)", "95 % interval"]
    columns = ["method", *against, f"final FID_cls, {span}", "recall"]
    return DataFrame(lines, columns=columns)


def contingency(runs: Sequence[Evidence]) -> str:
    """How often mode collapse and spectral collapse coincide under SN; under SR spectra cannot collapse by the rule."""
    sn = [run for run in runs if run.method == BASELINE]
    counts = Counter((run.mode_collapse is not None, run.spectral_collapse is not None) for run in sn)
    return (
        f"Of {len(sn)} runs under SN, modes and spectra collapsed in {counts[True, True]}, modes only in "
        f"{counts[True, False]}, spectra only in {counts[False, True]}, neither in {counts[False, False]}."
    )


def run_table(runs: Sequence[Evidence]) -> DataFrame:
    """A line for each run, of runs as `answers` takes them; empty where something was not recorded."""

    def text(number: float | None, form: str = ".2f") -> str:
        return "" if number is None or np.isnan(number) else format(number, form)

    def onset(iteration: int | None) -> str:
        return "no" if iteration is None else str(iteration)

    lines = [
        {
            "setting": run.setting,
            "method": run.method,
            "seed": run.seed,
            "best FID_cls": text(run.best("FID_cls")),
            "final FID_cls": text(run.late("FID_cls")),
            "final IS_cls": text(run.late("IS_cls")),
            "tail / its maximum": text(run.fall),
            "first half": text(run.first_half.iloc[-1]),
            "gradient left": text(run.kept_gradient),
            "early σ₁": text(run.scale(after=0, until=EARLY)),
            "final σ₁": text(run.scale(after=LATE, until=1)),
            "p of a rising FID": text(run.p_of_rising, ".2g"),
            "tail decays from": onset(run.decay_onset),
            "mode collapse": onset(run.mode_collapse),
            # The scale control keeps σ₁ alone, by which nothing can be judged.
            "spectral collapse": "" if run.method == SCALE_CONTROL.label else onset(run.spectral_collapse),
            "precision": text(run.precision),
            "recall": text(run.recall, ".3f"),
            "processor": run.processor,
            "commit": run.commit,
        }
        for run in runs
    ]
    return DataFrame(lines)
