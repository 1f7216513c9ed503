"""`make readme`: the generated tables into README.md, the evidence into docs/."""

import sys

from rich.console import Console

from reproduce.claims import SEEDS
from reproduce.collapse import DEFAULT
from reproduce.evidence import read_evidence
from reproduce.evidence_page import add_evidence, method_table
from reproduce.generated import put_into
from reproduce.run import FINISHED, REPOSITORY, states
from reproduce.scale_page import update_scale_page
from reproduce.settings import METHODS
from reproduce.table import collect, described_table, markdown_table
from reproduce.table_runs import MINI_DEFAULT, table_runs

RUNS = REPOSITORY / "runs"
EVIDENCE = REPOSITORY / "docs" / "evidence"
README = REPOSITORY / "README.md"


def main() -> int:
    """Writes what the runs of finished seeds allow; returns 0, or 1 without such a seed, naming what is missing."""
    add_evidence(read_evidence(RUNS / "collapse" / "evidence.json"), EVIDENCE, Console())
    put("evidence", evidence_table())
    update_scale_page(RUNS)
    of_seeds = [table_runs("mini", MINI_DEFAULT, METHODS, [seed], RUNS / "table2" / "mini") for seed in SEEDS]
    table = [run for runs in of_seeds if all(run.state == FINISHED for run in runs) for run in runs]
    if not table:
        missing = states([run for run in of_seeds[0] if run.state != FINISHED])
        print(f"readme: not finished yet: {missing}. First: make reproduce-table2 SCALE=mini", file=sys.stderr)
        return 1
    put("table2-mini", described_table(collect(table), "mini"))
    return 0


def evidence_table() -> str:
    """Of what is committed, for the setting that `make reproduce-collapse` runs by default."""
    known = read_evidence(EVIDENCE / "evidence.json")
    return markdown_table(*method_table([run for run in known if run.setting in DEFAULT]))


def put(part: str, text: str) -> None:
    """Replaces what stands between the README's two comments of that name.

    Raises:
        ValueError: it does not have both.
    """
    put_into(README, part, text)


if __name__ == "__main__":
    sys.exit(main())
