"""Table II as it is generated: what stands in it, its CSV, its picture, and what the command writes."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from reproduce.__main__ import main
from reproduce.experiments.readme import HEAD_OF_MINI, MINI
from reproduce.plan.run import FINISHED, OUTDATED, TO_DO
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, table_runs
from reproduce.results.generated import markdown_table
from reproduce.results.picture import save_table_picture
from reproduce.results.table import (
    LEGEND,
    LEGEND_OF_ALL,
    LEGEND_OF_COMPARISON,
    PAPERS_SN,
    ResultsTable,
    described_table,
    mean_and_deviation,
)
from srgan.utils.files import write_json


def finished_run(run: TableRun, fid: float, collapsed: bool = False, final: dict[str, Any] | None = None) -> None:
    """Files of a finished run as training leaves them, with chosen scores."""
    name = "FID_cls" if run.configs[0] == "digits" else "FID"
    inception = name.replace("FID", "IS")
    rows = [{"iteration": 600, name: fid, inception: 200.0, f"{inception}_std": None, "modes": 900}]
    verdict = {"collapsed": collapsed, "iteration": 600 if collapsed else None}
    record: dict[str, Any] = {
        "status": "finished",
        "command": "srgan fit",
        "iterations": 600,
        "seed": run.seed,
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


def test_the_command_writes_table_csv_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "table2" / "mini"
    for run in table_runs("mini", ["B_128-64"], METHODS, [1], root):
        finished_run(run, 100.0)
    options = ["--scale", "mini", "--settings", "B_128-64", "--seeds", "1", "--runs", str(tmp_path)]
    assert main(["table2", *options]) == 0
    shown = capsys.readouterr().out
    assert (root / "table2.md").read_text() in shown.replace("\r", "")
    for name in ("table2.md", "table2.csv", "table2.html", "table2.png"):
        assert str(root / name) in shown
        assert (root / name).stat().st_size
    front = (root / "table2.html").read_text().partition('<table class="front">')[2].partition("Runs side by side")[0]
    assert '<a href="#runs=B_128-64%2Fsr-seed1">sr-seed1</a>' in front
    assert "FID_cls ours SN → SR" in front


def test_unequal_seeds_are_said_and_not_compared(tmp_path: Path) -> None:
    runs = table_runs("mini", ["B_128-64"], METHODS, [1, 2], tmp_path)
    for run in runs:
        if run.name != "B_128-64 SR seed 2":
            finished_run(run, 100.0 * run.seed)
    table = ResultsTable(runs, "mini")
    assert "150 ± 71 → 100 without seed 2: to do |" in markdown_table(table.shown)
    assert [line["score"] for line in table.comparison.to_dict("records")] == ["FID_cls", "IS_cls", "modes"]
    fid = table.comparison.iloc[0]
    assert (fid["In the paper, SN"], fid["pairs"], fid["SR wins"]) == ("collapses (B_128-64)", 1, 0)
    assert fid["SR is"] == "cannot reach significance"


def test_the_comparison_tells_rows_apart_by_what_the_papers_sn_does(tmp_path: Path) -> None:
    runs = table_runs("mini", ["A_64-128", "B_64-64", "C_64-32"], METHODS, [1, 2, 3], tmp_path)
    for run in runs:
        better = run.method == "sr" and run.setting.name != "A_64-128"
        finished_run(run, 70.0 if better else 100.0)
    comparison = ResultsTable(runs, "mini").comparison
    groups = ["collapses (B_64-64, C_64-32)", "", "", "does not collapse (A_64-128)", "", ""]
    assert list(comparison["In the paper, SN"]) == groups  # once for three scores
    fids = comparison.query("score == 'FID_cls'").to_dict("records")
    assert [(line["pairs"], line["SR wins"]) for line in fids] == [(6, 6), (3, 0)]
    assert [line["SR is"] for line in fids] == ["better", "cannot reach significance"]
    assert fids[0]["relative change"] == "-30%"
    assert not save_table_picture(
        ResultsTable([run for run in runs if run.method == "sn"], "mini"), tmp_path / "none.png"
    )
    assert save_table_picture(ResultsTable(runs, "mini"), tmp_path / "table2.png")


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
    assert main(["table2", *options]) == 2
    assert (
        f"(data.init_args.batch_size: 17 there, 16 in the plan); remove or move {run.folder.path}"
        in capsys.readouterr().err
    )


def test_one_seed_has_no_deviation() -> None:
    assert mean_and_deviation(12.345, None) == "12.35"
    assert mean_and_deviation(2.0, 2**0.5) == "2.00 ± 1.41"
    assert mean_and_deviation(1000.0, 141.4) == "1000 ± 141"
