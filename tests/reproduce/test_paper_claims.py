"""The paper's claims, recomputed: on its own table by hand, and on numbers that break each of them."""

from dataclasses import replace

import pytest

from reproduce.plan.settings import METHODS, SETTINGS, Method
from reproduce.plan.table_runs import table_runs
from reproduce.results.paper_claims import CLAIMS, Claim, Finding, audit, finding_words, measured, published, table_of
from reproduce.results.table import collect
from srgan.runs.folder import RunFolder

Row = dict[Method, dict[str, float | bool]]


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
    collapsed = published().query("`modes sn`")
    found = [claim_about(words).recompute(collapsed) for words in ("On average IS", "On average FID")]
    assert [finding.words for finding in found if finding] == ["+13.7 % over 10", "-18.7 % over 10"]


def made_up(FID_sn: float, FID_sr: float, modes: str = "", spectra: str = "") -> Row:
    """The same numbers for FID and 1/IS; methods that collapsed by name."""
    FID: dict[Method, float] = {"sn": FID_sn, "sr": FID_sr}
    return {m: {"FID": FID[m], "IS": 1 / FID[m], "modes": m in modes, "spectra": m in spectra} for m in METHODS}


def test_every_claim_fails_on_numbers_that_break_it() -> None:
    broken = table_of(
        {
            "C_8-32": made_up(10, 10.5, modes="sr"),
            "E_512-64": made_up(10, 10, spectra="sn"),
            "E_2048-64": made_up(10, 12),
        }
    )
    for claim in CLAIMS:
        finding = claim.recompute(broken)
        assert finding is not None
        assert finding.holds is False, claim.words


def test_the_link_is_judged_where_something_collapses() -> None:
    claim = claim_about("side by side")
    assert claim.recompute(table_of({"A_16-128": made_up(2, 1)})) == Finding("nothing collapses", None)
    both = table_of({"A_16-128": made_up(2, 1), "C_8-32": made_up(2, 1, modes="sn", spectra="sn")})
    assert claim.recompute(both) == Finding("together in 1, apart in 0 of 4", True)


def test_a_claim_without_numbers_is_left_open() -> None:
    for claim in CLAIMS:
        assert claim.recompute(table_of({})) is None
    assert finding_words(None) == "–"
    another = table_of({"A_16-128": made_up(2, 1)})
    assert claim_about("E_512-64").recompute(another) is None
    assert claim_about("group C").recompute(another) is None


def test_ours_are_settings_of_which_both_methods_have_finished(tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = collect(table_runs("mini", ["B_128-64"], METHODS, [1], tmp_path_factory.mktemp("runs")))
    assert measured(rows, "mini").empty
    record = {
        "reported": {"FID_cls": 10.0, "IS_cls": 5.0},
        "verdicts": {"mode_collapse": {"collapsed": True}, "spectral_collapse": {"collapsed": False}},
    }
    ours = {
        method: replace(cell, folders={1: RunFolder("")}, records=[record], gap=None)
        for method, cell in rows[0].ours.items()
    }
    cell = {"FID": 10.0, "IS": 5.0, "modes": True, "spectra": False}
    assert measured([replace(rows[0], ours=ours)], "mini").equals(table_of({"B_128-64": dict.fromkeys(METHODS, cell)}))
    lines = {claim.words: of_ours for claim, _, of_ours in audit([replace(rows[0], ours=ours)], "mini")}
    assert lines[claim_about("side by side").words] == Finding(
        "together in 0, apart in 2 of 2 (B_128-64 SN, B_128-64 SR)", False
    )
    assert lines[claim_about("On average IS").words] == Finding("+0.0 % over 1", None)  # another score than the paper's


def test_the_published_rows_are_the_settings() -> None:
    assert list(published().index) == [setting.name for setting in SETTINGS]
