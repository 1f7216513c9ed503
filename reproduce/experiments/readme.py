"""`make readme`: README.md's findings and picture; the evidence, the mini table and the page on scale in docs/."""

import sys
from collections.abc import Sequence

from rich.console import Console

from reproduce.evidence.claims import SEEDS, paired
from reproduce.evidence.hero import save_hero
from reproduce.evidence.measures import FID
from reproduce.evidence.page import add_evidence
from reproduce.evidence.records import SWITCHED, Evidence, read_evidence
from reproduce.experiments.collapse import DEFAULT
from reproduce.experiments.scale_page import update_scale_page
from reproduce.plan.run import FINISHED, REPOSITORY, states
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import MINI_DEFAULT, table_runs
from reproduce.results.generated import put_into
from reproduce.results.table import collect, described_table, markdown_table
from srgan.utils.files import write_text

RUNS = REPOSITORY / "runs"
EVIDENCE = REPOSITORY / "docs" / "evidence"
MINI = EVIDENCE / "table2-mini.md"
README = REPOSITORY / "README.md"
FINDINGS = {
    "SR-s from the start": "SR-s",
    "SR-s, switched on at iteration 2,000 of an SN run": SWITCHED,
    "SR-d in the authors' form, switched on there: not recommended": "SR-d",
}
"""What the README says -> the method's label in the evidence."""
HEAD_OF_MINI = """# Table II in miniature

`make reproduce-table2 SEEDS="1 2 3"` on two cores, then `make readme`: one row of each group of the paper's Table II,
with small networks on embedded digits. The columns to compare are the changes from SN to SR, the paper's beside ours.

"""


def main() -> int:
    """Writes what the runs of finished seeds allow; returns 0, or 1 without such a seed, naming what is missing."""
    add_evidence(read_evidence(RUNS / "collapse" / "evidence.json"), EVIDENCE, Console())
    committed = evidence()
    put_into(README, "findings", findings(committed))
    save_hero(committed, EVIDENCE / "hero.png")
    update_scale_page(RUNS)
    of_seeds = [table_runs("mini", MINI_DEFAULT, METHODS, [seed], RUNS / "table2" / "mini") for seed in SEEDS]
    table = [run for runs in of_seeds if all(run.state == FINISHED for run in runs) for run in runs]
    if not table:
        missing = states([run for run in of_seeds[0] if run.state != FINISHED])
        print(f"readme: not finished yet: {missing}. First: make reproduce-table2 SCALE=mini", file=sys.stderr)
        return 1
    write_text(MINI, HEAD_OF_MINI + described_table(collect(table), "mini"))
    return 0


def evidence() -> list[Evidence]:
    """What is committed, of the setting that `make reproduce-collapse` runs by default."""
    return [run for run in read_evidence(EVIDENCE / "evidence.json") if run.setting in DEFAULT]


def findings(runs: Sequence[Evidence]) -> str:
    """The README's table: a line for each method that is set against SN."""
    lines = []
    for words, method in FINDINGS.items():
        compared = FID.compared(paired(runs, method))
        change = f"**{compared.change:+.0%}**{compared.change_in_words.removeprefix(f'{compared.change:+.0%}')}"
        lines.append([words, change, f"{compared.ahead} of {compared.n} seeds"])
    return markdown_table(["Method", "FID relative to SN", "Better in"], lines)


if __name__ == "__main__":
    sys.exit(main())
