"""README.md's findings and picture; in docs/ the evidence, the mini table and the page on scale."""

import shutil
import sys
from collections.abc import Sequence

from pandas import DataFrame
from rich.console import Console

from reproduce.evidence.claims import DEFAULT, FID, paired
from reproduce.evidence.null_curves import COMMITTED, null_table, read_curves, save_null_picture
from reproduce.evidence.page import save_hero, write_pages
from reproduce.evidence.records import Evidence, read_evidence, with_their_past, write_evidence, write_lines
from reproduce.experiments.scale import tables_with_evidence, timing_table
from reproduce.launcher.options import Options
from reproduce.plan.run import EVIDENCE, FINISHED, REPOSITORY, states
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import MINI_DEFAULT, default_seeds, table_runs
from reproduce.plan.variants import SCALE_CONTROL, SR_D, SR_S, SR_S_AFTER_SN
from reproduce.results.generated import markdown_table, put_into
from reproduce.results.picture import save_table_picture
from reproduce.results.table import ResultsTable, described_table
from srgan.utils.files import write_text

RUNS = REPOSITORY / "runs"
MINI = EVIDENCE / "table2-mini.md"
README = REPOSITORY / "README.md"
SCALE_PAGE = REPOSITORY / "docs" / "explanation" / "scale.md"
FINDINGS = {  # what the README says -> the variant in the evidence
    "SR-s from the start": SR_S,
    "SN at unit scale from the start (SR-s with i = 1)": SCALE_CONTROL,
    "SR-s, switched on at iteration 2,000 of an SN run": SR_S_AFTER_SN,
    "SR-d as in the authors' code, switched on at the same iteration: not recommended": SR_D,
}
HEAD_OF_MINI = """# Table II in miniature

This table is made by `make reproduce-table2` (two cores) and `make readme`. It has one row of each group of the paper's
Table II, three seeds each, with small networks on embedded digits. Rows keep the paper's names; the column "batch, CH"
has the batch size and D's channels here. The rows in which the paper's SN collapses have a narrow D (6 or 8 channels),
the others a wide one (12 or 20); C_64-32 and E_256-32 have the same D and differ in batch size.

At this scale few runs collapse by the rules below, and the spectra do not decay under SN (last panel; under SR-s the
values beyond N/2 fall). What it can show is how good and how steady the scores are. The learning rate, ten times the
paper's, was chosen on other seeds so that no D dies; a flat curve of modes would be one. The
[log](../explanation/log.md) has more seeds.

![Real images, samples under SN and SR-s, modes (of 1,000) over training with a narrow and a wide discriminator, one
layer's spectrum](table2-mini.png)

"""


def readme(options: Options) -> int:
    """`make readme`: puts what is recorded, and the table of finished seeds, into README.md and docs/."""
    if (samples := RUNS / "collapse" / "samples").is_dir():
        shutil.copytree(samples, EVIDENCE / "samples", dirs_exist_ok=True)
    recorded = read_evidence(RUNS / "collapse" / "evidence.json")
    write_pages(write_evidence(EVIDENCE / "evidence.json", recorded), EVIDENCE, Console())
    committed = evidence()
    put_into(README, "findings", findings(committed))
    save_hero(committed, EVIDENCE / "hero.png")
    curves, known = read_curves(RUNS / "null-model" / "null_model.json"), read_curves(COMMITTED)
    settings = ["method", "persistence", "shape", "matrices"]
    if len(curves) and curves[settings].equals(known[settings]):  # those of other settings stay where they are
        write_lines(COMMITTED, curves.to_dict("records"))
    write_evidence(EVIDENCE / "scale.json", read_evidence(RUNS / "scale" / "scale.json"))
    save_null_picture(read_curves(COMMITTED), with_their_past(committed), COMMITTED.with_suffix(".png"))
    for part, text in parts_of_scale_page().items():
        put_into(SCALE_PAGE, part, text)
    root = RUNS / "table2" / "mini"
    of_seeds = [table_runs("mini", MINI_DEFAULT, METHODS, [seed], root) for seed in default_seeds("mini")]
    finished = [run for runs in of_seeds if all(run.state == FINISHED for run in runs) for run in runs]
    if not finished:
        missing = states([run for run in of_seeds[0] if run.state != FINISHED])
        print(f"readme: not finished yet: {missing}. First: make reproduce-table2 SCALE=mini", file=sys.stderr)
        return 1
    mini = ResultsTable(finished, "mini")
    save_table_picture(mini, MINI.with_suffix(".png"))
    write_text(MINI, HEAD_OF_MINI + described_table(mini))
    return 0


def evidence() -> list[Evidence]:
    """What is committed, of the setting that `make reproduce-collapse` runs by default."""
    return [run for run in read_evidence(EVIDENCE / "evidence.json") if run.setting in DEFAULT]


def findings(runs: Sequence[Evidence]) -> str:
    """The README's table: a line for each method that is set against SN."""
    lines = []
    for name, variant in FINDINGS.items():
        compared = FID.compared(paired(runs, variant.label))
        change = f"**{compared.change:+.0%}** (95 % interval {compared.interval_text})"
        lines.append([name, change, f"{compared.ahead} of {compared.n} seeds"])
    return markdown_table(DataFrame(lines, columns=["Method", "FID_cls relative to SN", "Better in"]))


def parts_of_scale_page() -> dict[str, str]:
    """Name -> tables, of what is committed."""
    runs = with_their_past(evidence())
    return {
        "null-model": markdown_table(null_table(read_curves(COMMITTED), runs)),
        "timing": markdown_table(timing_table(runs)),
        "scale": tables_with_evidence(read_evidence(EVIDENCE / "scale.json")),
    }
