"""Table II as it is generated: what stands in it, its CSV, its page and its picture."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from reproduce.experiments.readme import HEAD_OF_MINI, MINI
from reproduce.experiments.table2 import main
from reproduce.plan.run import FINISHED, OUTDATED, TO_DO
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, table_runs
from reproduce.results.generated import markdown_table
from reproduce.results.picture import save_table_picture
from reproduce.results.table import PAPERS_SN, ResultsTable, mean_and_deviation
from reproduce.results.table_page import LEGEND, LEGEND_OF_ALL, LEGEND_OF_COMPARISON, described_table, write_table_page
from srgan.utils.files import write_json


def finished_run(run: TableRun, fid: float, collapsed: bool = False, final: dict[str, Any] | None = None) -> None:
    """Files of a finished run as training leaves them, with chosen scores."""
    name = "FID_cls" if run.configs[0] == "digits" else "FID"
    inception = name.replace("FID", "IS")
    rows = [{"iteration": 600, name: fid, inception: 200.0, f"{inception}_std": None, "modes": 900}]
    verdict = {"collapsed": collapsed, "iteration": 600 if collapsed else None}
    record: dict[str, Any] = {
        "status": "finished",
        "config": run.settings,
        "constraint": {"label": run.label},
        "reported": rows[0],
        "verdicts": {"mode_collapse": verdict, "spectral_collapse": verdict},
    }
    protocol = {"num_fake_images": 40_000, "inception_splits": 7, "intra_fid_classes": 2, "intra_fid_images": 90}
    if final:
        write_json(run.folder.final, {"iteration": 600, "protocol": protocol, "scores": final})
    write_json(run.folder.record, record)
    run.folder.append_row(run.folder.scores, rows[0])


def test_table_and_csv_show_both_sides_and_every_gap(tmp_path: Path) -> None:
    runs = table_runs("mini", ["B_128-64", "C_32-32"], METHODS, [1, 2], tmp_path)
    by_name = {run.name: run for run in runs}
    for seed, fid in ((1, 100.0), (2, 120.0)):
        finished_run(by_name[f"B_128-64 SN seed {seed}"], fid, collapsed=seed == 1)
        finished_run(by_name[f"B_128-64 SR seed {seed}"], fid / 2)
    table = ResultsTable(runs, "mini")
    text = markdown_table(table.shown)
    first, second = text.splitlines()[2:]
    assert "35.99 → 31.41 (-13 %)" in first
    assert "110 ± 14 → 55.00 ± 7.07 (-50 %)" in first
    assert "MC + SC / MC 1 of 2 + SC 1 of 2" in first
    assert "no / not seen (0 of 2)" in first
    assert second.count("to do") == 3
    assert list(table.runs.FID_cls.dropna()) == [100.0, 50.0, 120.0, 60.0]  # a line for each run
    lines = list(csv.DictReader(io.StringIO(table.csv_text())))
    assert [line["FID_cls"] for line in lines] == ["110.0", "55.0", "", ""]
    assert [line["mode_collapses"] for line in lines] == ["1", "0", "", ""]
    assert lines[0]["paper_FID"] == "35.99"
    assert lines[0]["seeds"] == "1 2"
    assert lines[2]["gap"] == TO_DO
    assert lines[0]["FID_cls_difference"] == ""


def test_the_committed_table_has_the_words_of_the_code() -> None:
    """`make readme` writes it, where the runs are."""
    text = MINI.read_text()
    assert text.startswith(f"{HEAD_OF_MINI}| {PAPERS_SN} | score | pairs | SR wins |")
    assert f"\n{LEGEND_OF_COMPARISON}\n\n" in text
    assert f"\n{LEGEND['mini']} {LEGEND_OF_ALL} Commit " in text


def front_of(
    table: ResultsTable, root: Path, monkeypatch: pytest.MonkeyPatch, picture: Path | None = None
) -> list[Any]:
    """What stands above the runs of a page."""
    taken: list[Any] = []
    monkeypatch.setattr("reproduce.results.table_page.write_page", lambda *arguments: taken.extend(arguments[3]))
    write_table_page(table, root, root / "page.html", picture)
    return taken


def test_the_page_leads_from_every_cell_to_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = table_runs("mini", ["B_128-64", "C_32-32"], METHODS, [1, 2], tmp_path)
    for run in runs[:3]:  # B_128-64: both seeds of SN and of SR but one
        finished_run(run, 100.0 * run.seed, collapsed=run.method == "sn")
    (_, section) = front_of(ResultsTable(runs, "mini"), tmp_path, monkeypatch)
    table = section["table"]
    assert section["title"] == "Table II"
    assert {len(line) for line in table["rows"]} == {len(table["header"])}
    first, second = table["rows"]
    linked = [path for cell in first for _, path in cell.get("runs", [])]
    assert sorted(linked) == sorted(run.folder.path.relative_to(tmp_path).as_posix() for run in runs[:3])
    assert {"text": "MC + SC / MC 2 of 2 + SC 2 of 2", "kind": "collapsed"} in first
    assert any("without seed 2: to do" in cell["text"] for cell in first)
    assert {"text": "to do", "kind": "gap"} in second


def test_unequal_seeds_are_said_and_not_compared(tmp_path: Path) -> None:
    runs = table_runs("mini", ["B_128-64"], METHODS, [1, 2], tmp_path)
    for run in runs:
        if run.name != "B_128-64 SR seed 2":
            finished_run(run, 100.0 * run.seed)
    table = ResultsTable(runs, "mini")
    assert "150 ± 71 → 100 without seed 2: to do |" in markdown_table(table.shown)
    assert [line["score"] for line in table.comparison.to_dict("records")] == ["FID_cls", "IS_cls", "modes"]
    fid = table.comparison.iloc[0]
    assert (fid["In the paper, SN"], fid["pairs"], fid["SR wins"]) == ("collapses (B_128-64)", "1", "0")
    assert fid["SR is"] == "cannot reach significance"


def test_the_comparison_tells_rows_apart_by_what_the_papers_sn_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = table_runs("mini", ["A_64-128", "B_64-64", "C_64-32"], METHODS, [1, 2, 3], tmp_path)
    for run in runs:
        better = run.method == "sr" and run.setting.name != "A_64-128"
        finished_run(run, 70.0 if better else 100.0)
    comparison = ResultsTable(runs, "mini").comparison
    groups = ["collapses (B_64-64, C_64-32)", "", "", "does not collapse (A_64-128)", "", ""]
    assert list(comparison["In the paper, SN"]) == groups  # once for three scores
    fids = comparison.query("score == 'FID_cls'").to_dict("records")
    assert [(line["pairs"], line["SR wins"]) for line in fids] == [("6", "6"), ("3", "0")]
    assert [line["SR is"] for line in fids] == ["better", "cannot reach significance"]
    assert fids[0]["relative change"] == "-30%"
    assert not save_table_picture(
        ResultsTable([run for run in runs if run.method == "sn"], "mini"), tmp_path / "none.png"
    )
    assert save_table_picture(ResultsTable(runs, "mini"), tmp_path / "table2.png")
    first, _ = front_of(ResultsTable(runs, "mini"), tmp_path, monkeypatch, tmp_path / "table2.png")
    assert first["picture"].startswith("data:image/png;base64,iVBOR")


def test_scale_paper_shows_the_difference_to_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reproduce.plan.table_runs.REPOSITORY", tmp_path)
    runs = table_runs("paper", ["A_64-128", "E_512-64"], METHODS, [1], tmp_path)
    finished_run(runs[0], 21.40, final={"FID": 19.5, "IS": 8.5, "KID": 0.0123, "FID_intra_classes": [1.0, 2.0]})
    table = ResultsTable(runs, "paper")
    described = described_table(table)
    assert "21.40 [+0.25]" in described
    assert "| A_64-128 | SN | 600 | 19.50 | 8.50 | 0.0123 |" in described
    assert "with 40,000 images, 7 splits, FID_intra over 2 classes of 90 images;" in described
    assert "not run: first srgan prepare" in described
    lines = list(csv.DictReader(io.StringIO(table.csv_text())))
    assert [line["final_KID"] for line in lines] == ["0.0123", "", "", ""]
    shown, final = front_of(table, tmp_path, monkeypatch)
    assert final["title"] == "Final scores"
    assert {"text": "0.0123"} in final["table"]["rows"][0]
    assert any("[+0.25]" in cell["text"] for cell in shown["table"]["rows"][0])


def test_a_run_of_other_settings_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = table_runs("mini", ["B_128-64"], ["sn"], [1], tmp_path / "table2" / "mini")[0]
    finished_run(run, 100.0)
    assert run.state == FINISHED
    record = run.folder.read_record()
    assert record is not None
    record["config"]["data"]["init_args"]["batch_size"] = 17
    write_json(run.folder.record, record)
    assert run.state == OUTDATED
    options = ["--scale", "mini", "--settings", "B_128-64", "--methods", "sn", "--seeds", "1", "--runs", str(tmp_path)]
    assert main(options) == 2
    assert (
        f"(data.init_args.batch_size: 17 there, 16 in the plan); remove or move {run.folder.path}"
        in capsys.readouterr().err
    )


def test_one_seed_has_no_deviation() -> None:
    assert mean_and_deviation(12.345, None) == "12.35"
    assert mean_and_deviation(2.0, 2**0.5) == "2.00 ± 1.41"
    assert mean_and_deviation(1000.0, 141.4) == "1000 ± 141"
