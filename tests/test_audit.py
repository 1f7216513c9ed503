"""The paper's claims, recomputed: on its own table by hand, and on numbers that break each of them."""

from dataclasses import replace

import pytest

from reproduce.audit import CLAIMS, Claim, Finding, Measured, audit, finding_words, measured, published
from reproduce.settings import METHODS, SETTINGS
from reproduce.table import collect
from reproduce.table_runs import table_runs
from srgan.runs import RunFolder


def claim_about(words: str) -> Claim:
    (found,) = [claim for claim in CLAIMS if words in claim.words]
    return found


@pytest.mark.parametrize(
    ("words", "holds", "found"),
    [
        ("outperforms SN in all cases: IS", True, "in 26 of 26"),
        ("outperforms SN in all cases: FID", False, "in 25 of 26 (not in A_16-128)"),
        ("On average IS", False, "+8.0 % over 26"),
        ("On average FID", False, "-12.2 % over 26"),
        ("IS of E_512-64", True, "+19.4 %"),
        ("IS of E_2048-64", True, "+45.0 %"),
        ("FID of E_2048-64", False, "-14.4 %"),
        ("some settings (10 of 26)", True, "SN in 10, SR in 0 of 26"),
        ("group C", True, "in 4 of 4"),
        ("side by side", None, "the table marks both as one"),
    ],
)
def test_what_the_papers_table_says_of_its_claims(words: str, holds: bool | None, found: str) -> None:
    assert claim_about(words).recompute(published()) == Finding(found, holds)


def test_the_averages_of_the_collapsed_rows_are_those_that_the_page_names() -> None:
    collapsed = [row for row in published() if row.mode_collapse["sn"]]
    found = [claim_about(words).recompute(collapsed) for words in ("On average IS", "On average FID")]
    assert [finding.words for finding in found if finding] == ["+13.7 % over 10", "-18.7 % over 10"]


def made_up(name: str, sn: float, sr: float, modes: str = "", spectra: str = "") -> Measured:
    """A row with the same numbers for FID and 1/IS; methods that collapsed by name."""
    modes_of, spectra_of = ({m: m in words.split() for m in METHODS} for words in (modes, spectra))
    return Measured(name, {"sn": sn, "sr": sr}, {"sn": 1 / sn, "sr": 1 / sr}, modes_of, spectra_of)


def test_every_claim_fails_on_numbers_that_break_it() -> None:
    broken = [
        made_up("C_8-32", 10, 10.5, modes="sr"),
        made_up("E_512-64", 10, 10, spectra="sn"),
        made_up("E_2048-64", 10, 12),
    ]
    for claim in CLAIMS:
        finding = claim.recompute(broken)
        assert finding is not None
        assert finding.holds is False, claim.words


def test_a_claim_without_numbers_is_left_open() -> None:
    for claim in CLAIMS:
        assert claim.recompute([]) is None
        assert finding_words(claim.recompute([])) == "–"
    assert claim_about("E_512-64").recompute([made_up("A_16-128", 2, 1)]) is None
    assert claim_about("group C").recompute([made_up("A_16-128", 2, 1)]) is None


def test_ours_are_settings_of_which_both_methods_have_finished(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = collect(table_runs("mini", ["B_128-64"], METHODS, [1], tmp_path_factory.mktemp("runs")))
    assert measured(rows, "mini") == []
    record = {
        "reported": {"FID_cls": 10.0, "IS_cls": 5.0},
        "verdicts": {"mode_collapse": {"collapsed": True}, "spectral_collapse": {"collapsed": False}},
    }
    ours = {
        method: replace(cell, folders={1: RunFolder("")}, records=[record], gap=None)
        for method, cell in rows[0].ours.items()
    }
    (row,) = measured([replace(rows[0], ours=ours)], "mini")
    assert row == Measured(
        "B_128-64", dict.fromkeys(METHODS, 10.0), dict.fromkeys(METHODS, 5.0),
        dict.fromkeys(METHODS, True), dict.fromkeys(METHODS, False),
    )  # fmt: skip
    lines = {claim.words: of_ours for claim, _, of_ours in audit([replace(rows[0], ours=ours)], "mini")}
    assert lines[claim_about("side by side").words] == Finding("apart in 2 of 2 (B_128-64 SN, B_128-64 SR)", False)
    assert lines[claim_about("On average IS").words] == Finding("+0.0 % over 1", None)  # another score than the paper's


def test_the_published_rows_are_the_settings() -> None:
    assert [row.name for row in published()] == [setting.name for setting in SETTINGS]
