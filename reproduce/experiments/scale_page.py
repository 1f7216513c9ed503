"""The generated parts of docs/explanation/scale.md, and the files beside the evidence that they are made of."""

from collections.abc import Sequence
from pathlib import Path

from reproduce.evidence.null_curves import (
    COMMITTED,
    NullCurve,
    null_table,
    read_curves,
    save_null_picture,
    write_curves,
)
from reproduce.evidence.records import Evidence, read_evidence, with_their_past
from reproduce.evidence.scale_outcomes import read_outcomes, write_outcomes
from reproduce.evidence.scale_tables import timing_table
from reproduce.experiments.collapse import DEFAULT
from reproduce.experiments.scale import EVIDENCE, described_with_evidence
from reproduce.plan.run import REPOSITORY
from reproduce.results.generated import put_into
from reproduce.results.table import markdown_table

PAGE = REPOSITORY / "docs" / "explanation" / "scale.md"


def update_scale_page(runs: Path) -> None:
    """Takes over what `make null-model` and `make reproduce-scale` have left in a folder, and writes the page's parts.

    Curves of other settings than the committed ones stay where they are.
    """
    curves = read_curves(runs / "null-model" / "null_model.json")
    if _settings(curves) == _settings(read_curves(COMMITTED)):
        write_curves(COMMITTED, curves)
    write_outcomes(EVIDENCE / "scale.json", read_outcomes(runs / "scale" / "scale.json"))
    save_null_picture(read_curves(COMMITTED), _evidence(), COMMITTED.with_suffix(".png"))
    for part, text in parts().items():
        put_into(PAGE, part, text)


def parts() -> dict[str, str]:
    """Name -> table, of what is committed."""
    return {
        "null-model": markdown_table(*null_table(read_curves(COMMITTED), _evidence())),
        "timing": markdown_table(*timing_table(_evidence())),
        "scale": described_with_evidence(read_outcomes(EVIDENCE / "scale.json")),
    }


def _settings(curves: Sequence[NullCurve]) -> list[tuple[str, float, list[int], int]]:
    return [(curve.method, curve.persistence, curve.shape, curve.matrices) for curve in curves]


def _evidence() -> list[Evidence]:
    return with_their_past([run for run in read_evidence(EVIDENCE / "evidence.json") if run.setting in DEFAULT])
