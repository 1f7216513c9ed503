"""Reading runs for a report page, what the page holds of them, and what the command refuses."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from invented_run import SPECTRA, synthesize
from markupsafe import escape
from reporting import COLLAPSE, ODD_NAME, run_folders, stored_run, table_page
from tiny_runs import fit

from srgan.cli.main import main
from srgan.collapse import effective_rank, stable_rank, tail_mean
from srgan.report.page import SAMPLE_BYTES, SPECTRAL_VALUES
from srgan.runs.folder import RunFolder
from srgan.runs.recorded import find_runs
from srgan.utils.files import write_json

LARGEST_PAGE = 30e6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def page(runs: Path) -> Path:
    table_page(runs, runs / "report.html")
    return runs / "report.html"


def test_the_numbers_of_a_page_are_those_of_the_runs_files(runs: Path, page: Path) -> None:
    for key in ("pair/sn", "pair/collapsed"):
        folder, run = RunFolder(runs / key), stored_run(page, key)
        figures = {(part["title"], figure["title"]): figure for part in run["sections"] for figure in part["figures"]}
        history = folder.read_spectra()
        assert history is not None
        wide = [layer for layer in history.layers if layer.rank > 1]
        for place, layer in enumerate(wide):
            spectrum = history.spectra[layer.name]
            stored = run["histories"][layer.name]
            assert stored["times"] == run["times"] == history.iterations.tolist()
            values = np.array(stored["values"]).T
            assert values == pytest.approx(spectrum, rel=5e-3, abs=1e-8)
            for title, numbers in (
                ("tail mean", tail_mean(spectrum)),
                ("effective rank / N", effective_rank(spectrum) / layer.rank),
                ("stable rank / N", stable_rank(spectrum) / layer.rank),
            ):
                assert figures["Tail mean and ranks", title]["data"][place]["y"] == pytest.approx(numbers, rel=1e-3)
        rows = folder.read_scores()
        (line,) = figures["Scores", "FID_cls"]["data"]
        assert line["x"] == [row["iteration"] for row in rows]
        assert line["y"] == pytest.approx([row["FID_cls"] for row in rows], rel=1e-3)
        players = "Losses and the discriminator"
        accuracy = figures[players, "accuracy of D"]["data"][0]["y"]
        assert accuracy == pytest.approx([row["accuracy/real"] for row in folder.read_losses()], rel=1e-3)
        norms = {line["name"]: line["y"] for line in figures["Gradients", "generator"]["data"]}
        assert norms["linear"] == pytest.approx(
            [row["generator"]["linear"] for row in folder.read_gradients()], rel=1e-3
        )
        for kind in ("train", "test", "generated"):
            shares = np.array(run["histories"][f"outputs/{kind}"]["values"])
            assert shares.sum(axis=0) == pytest.approx(1)
        assert [int(t) for t in run["samples"]] == list(folder.read_samples())


def test_a_run_is_called_by_its_label(tmp_path: Path) -> None:
    """Given when it starts, written into run.json; without one it is its constraint's."""
    assert fit(RunFolder(tmp_path / "named"), "--model.iterations", "2", "--label", "SN <twice>") == 0
    assert fit(RunFolder(tmp_path / "plain"), "--model.iterations", "2") == 0
    found = {run.key: run.label for run in find_runs(tmp_path)[0]}
    assert found == {"named": "SN <twice>", "plain": "SN"}
    assert main(["report", str(tmp_path)]) == 0
    assert "SN &lt;twice&gt;: " in stored_run(tmp_path / "report.html", "named")["head"]


def test_figures_are_plotlys(page: Path) -> None:
    for part in stored_run(page, "pair/collapsed")["sections"] + stored_run(page, "pair/sr-d")["sections"]:
        assert part["figures"]
        for figure in part["figures"]:
            go.Figure(figure["data"], figure["layout"])  # raises for what plotly does not know
    go.Figure(layout={"shapes": stored_run(page, "pair/collapsed")["marks"]})


def test_collapses_and_changes_of_method_are_marked(page: Path) -> None:
    marked = {mark["label"]["text"]: mark["x0"] for mark in stored_run(page, "pair/collapsed")["marks"]}
    assert marked == {"mode collapse": COLLAPSE, "spectral collapse": COLLAPSE}
    went_on = stored_run(page, "pair/sr-d")
    assert {mark["label"]["text"]: mark["x0"] for mark in went_on["marks"]} == {"SN → SR-d, unit scale": 20}
    assert "#runs=pair%2Fsn,pair%2Fsr-d" in went_on["head"]
    assert stored_run(page, "pair/sr-s")["marks"] == []


def lines_of(run: dict[str, Any], title: str) -> list[dict[str, Any]]:
    """The lines of the plot of this title."""
    figures = [figure for part in run["sections"] for figure in part["figures"] if figure["title"] == title]
    lines: list[dict[str, Any]] = figures[0]["data"]
    return lines


def test_a_branched_run_shows_its_parents_curves_until_it_started(runs: Path, page: Path, tmp_path: Path) -> None:
    """Pale, dotted and by name; the parent is found beside the run and, on a page of the run alone, where it was."""
    assert main(["report", str(runs / "pair" / "sr-d"), "--output", str(tmp_path / "alone.html")]) == 0
    parent = RunFolder(runs / "pair" / "sn")
    scores, losses, gradients = parent.read_scores(), parent.read_losses(), parent.read_gradients()
    for run in (stored_run(page, "pair/sr-d"), stored_run(tmp_path / "alone.html", "sr-d")):
        before, own = lines_of(run, "FID_cls")
        assert (before["name"], own["name"]) == ("SN (parent)", "SR-d, unit scale")
        assert (before["x"], own["x"]) == ([10, 20], [30])
        assert before["y"] == pytest.approx([row["FID_cls"] for row in scores], rel=1e-3)
        assert lines_of(run, "losses")[0]["y"] == pytest.approx([row["loss/discriminator"] for row in losses], rel=1e-3)
        for title, count in (("losses", len(losses)), ("tail mean", 5), ("generator", len(gradients))):
            lines = lines_of(run, title)
            parents, owns = lines[: len(lines) // 2], lines[len(lines) // 2 :]
            assert {line["name"] for line in parents} == {"SN (parent)"}
            assert [line["line"]["color"] for line in parents] == [line["line"]["color"] for line in owns]
            for line in parents:
                assert (line["line"]["dash"], line["opacity"] < 1) == ("dot", True)
                assert (len(line["x"]), line["x"][-1]) == (count, 20)
        assert run["histories"]["blocks.0.conv1 (parent)"]["times"] == [0, 5, 10, 15, 20]
        first, second = lines_of(run, "over training")
        assert (first["meta"], second["meta"]) == ("blocks.0.conv1 (parent)", "blocks.0.conv1")
        assert "Dotted, pale curves show the parent until then." in run["head"]
    assert [line["name"] for line in lines_of(stored_run(page, "pair/sn"), "FID_cls")] == [""]


@pytest.mark.parametrize("damaged", [False, True])
def test_a_parent_that_is_gone_is_said_to_be(damaged: bool, runs: Path, tmp_path: Path) -> None:
    folder, parent = (RunFolder(tmp_path / name) for name in ("branched", "parent"))
    shutil.copytree(runs / "pair" / "sr-d", folder.path)
    if damaged:
        shutil.copytree(runs / "pair" / "sn", parent.path)
        parent.scores.write_text("{}\n")
    record = folder.read_record() or {}
    record["parent"]["checkpoint"] = str(parent.checkpoint)
    write_json(folder.record, record)
    assert main(["report", str(folder.path), "--output", str(tmp_path / "page.html")]) == 0
    run = stored_run(tmp_path / "page.html", "branched")
    assert "The parent’s curves are not shown: its run folder is missing or damaged." in run["head"]
    assert len(lines_of(run, "FID_cls")) == len(lines_of(run, "over training")) == 1
    assert not any(name.endswith("(parent)") for name in run["histories"])


def test_verdicts_are_the_recorded_ones_and_computed_for_a_run_that_trains(runs: Path, page: Path) -> None:
    found = {run.key: run for run in find_runs(runs)[0]}
    finished, running = found["pair/sn"], found["running"]
    assert running.verdicts == finished.verdicts
    assert "verdicts" not in running.record
    assert "so far" in stored_run(page, "running")["head"]
    assert "running at 20 of 20" in stored_run(page, "running")["head"]
    assert f"mode collapse at {COLLAPSE}<" in stored_run(page, "pair/collapsed")["head"]


def test_what_was_not_recorded_is_said(page: Path) -> None:
    bare = stored_run(page, "bare")
    assert not bare["histories"]
    assert not bare["samples"]
    for part in bare["sections"]:
        assert part["missing"]
        assert part["figures"] == []
    running = stored_run(page, "running")
    assert list(running["samples"]) == ["0", "10"]  # the grid that is half written is left out
    assert "distributions of D’s outputs" in running["sections"][3]["missing"]


def test_the_overview_leads_to_runs_and_comparisons(page: Path) -> None:
    overview = page.read_text().partition('id="overview"')[2].partition('id="view"')[0]
    rows = [re.findall(r'name="run" value="([^"]*)"', row) for row in overview.split("<article>")[1:]]
    assert ["pair/collapsed", "pair/sn", "pair/sr-s", "pair/sr-d"] in rows  # they differ in their method alone
    assert [str(escape(f"odd/{ODD_NAME}"))] in rows
    assert ["bare", "running"] in rows
    assert len(rows) == 3
    assert "#runs=pair%2Fcollapsed,pair%2Fsn,pair%2Fsr-s,pair%2Fsr-d" in overview
    table = overview.partition("<tbody>")[2].partition("</tbody>")[0]
    assert table.count('href="#runs=pair%2Fsn">sn<') == 30
    assert table.count(">12.5<") == 30 * 12
    assert "Scale &lt;mini&gt;." in overview
    assert re.search(r"Left out.*broken: its run.json cannot be read", overview, re.DOTALL)


def test_the_tail_mean_of_a_card_is_that_of_the_runs_page(runs: Path, page: Path) -> None:
    """Over all N values, also under SR-s, which raises the first half alone."""
    row = page.read_text().partition('id="overview"')[2].partition("<h3>pair</h3>")[2].partition("</article>")[0]
    cards = dict(re.findall(r'#runs=pair%2F([a-z-]+)">.*?tail mean\D*?([\d.]+)', row, re.DOTALL))
    for name in ("sn", "sr-s"):
        history = RunFolder(runs / "pair" / name).read_spectra()
        assert history is not None
        judged = [tail_mean(history.spectra[layer][-1]) for layer in history.judged()]
        assert float(cards[name]) == pytest.approx(np.mean(judged), rel=1e-3)


def test_the_command_and_the_settings_are_there(runs: Path, page: Path) -> None:
    details = stored_run(page, "pair/sr-s")["details"]
    assert "<code>srgan fit -c configs/digits.yaml" in details
    assert str(escape(f"'{runs / 'pair' / 'sr-s'}'")) in details  # quoted: it holds a space
    assert "srgan.constraints.SpectralRegularization" in details
    assert "num_fake_images" in details


def test_text_from_runs_never_becomes_markup(page: Path) -> None:
    text = page.read_text()
    assert "<title>Table &lt;II&gt;</title>" in text
    assert ODD_NAME not in text
    assert "<mini>" not in text
    assert "<b>fell" not in stored_run(page, "pair/collapsed")["details"]


def test_nothing_is_left_to_fetch(page: Path) -> None:
    text = page.read_text()
    assert "default-src 'none'" in text
    assert "<script src" not in text
    assert text.count("<link") == text.count('<link rel="icon" href="data:,">') == 1


def test_broken_runs_are_left_out_with_a_note(runs: Path, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs), "--output", str(runs / "alone.html")]) == 0
    assert "left out: broken: its run.json cannot be read" in capsys.readouterr().err
    assert "The table" not in (runs / "alone.html").read_text()
    table_page(runs, runs / "again.html")
    assert (runs / "again.html").read_bytes() == page.read_bytes()


ODD_RECORDS: list[tuple[str, object]] = [
    ("label", True), ("constraint", {"label": True}), ("constraint", {"label": ["SN"]}), ("constraint", None),
    ("constraint", "SN"),
    ("iterations", "many"), ("config", {"data": 5}), ("config", {"model": {"seed": [1]}}), ("verdicts", [1]),
    ("verdicts", {"mode_collapse": {"collapsed": True, "iteration": "x"}}), ("parent", 7), ("parent", {"iteration": 1}),
    ("command", 7), ("hardware", "cpu"), ("peak_memory", [1]), ("versions", 3), ("seconds", "long"), ("status", ["x"]),
    ("resumed_at", 3), ("status", None), ("seed", {}),
]  # fmt: skip


def test_one_odd_run_never_takes_the_page_down(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each beside a sound one, which is on the page."""
    assert fit(RunFolder(tmp_path / "sound"), "--model.iterations", "4") == 0
    for place, (key, value) in enumerate(ODD_RECORDS):
        odd = RunFolder(shutil.copytree(tmp_path / "sound", tmp_path / f"odd{place}"))
        record = odd.read_record()
        assert record is not None
        odd.record.write_text(json.dumps(record | {key: value}))
    deep = shutil.copytree(tmp_path / "sound", tmp_path / "deep")
    (deep / "run.json").write_text("[" * 100_000)
    assert main(["report", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "left out: odd0: cannot be read" in said.err
    assert "left out: deep: " in said.err
    assert stored_run(tmp_path / "report.html", "sound")


def test_52_runs_of_paper_size_stay_under_30_megabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synthesize(tmp_path / "sn", image_size=32, channels=256)
    monkeypatch.setattr("srgan.report.page.SPECTRAL_VALUES", SPECTRAL_VALUES // 52)
    monkeypatch.setattr("srgan.report.page.SAMPLE_BYTES", SAMPLE_BYTES // 52)
    assert main(["report", str(tmp_path / "sn")]) == 0
    page = tmp_path / "sn" / "report.html"
    text, run = page.read_text(), stored_run(page, "sn")
    of_one_run = text.index('id="plotly"') - text.index('id="overview"')
    assert len(text) + 51 * of_one_run < LARGEST_PAGE
    assert len(run["times"]) < SPECTRA
    assert f"of {SPECTRA} records" in run["sections"][0]["caption"]
    assert len(run["times"]) >= 100
    assert min(len(history["values"]) for name, history in run["histories"].items() if "conv2" in name) >= 24
    assert len(run["samples"]) >= 10
    history = RunFolder(tmp_path / "sn").read_spectra()
    assert history is not None
    recorded = history.iterations.tolist()
    collapses = {max(t for t in recorded if t <= mark["x0"]) for mark in run["marks"]}
    assert len(collapses) == 2
    assert {0, 50_000, *collapses} <= set(run["times"])


# Refusals.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "found nothing at"),
        ("file", "expected a folder, found the file"),
        ({}, "no run.json in it"),
        ({"run.json": "{"}, "run.json cannot be read"),
        ({"run.json": json.dumps({"status": "running"})}, "found no config"),
        ({"run.json": json.dumps({"status": "running", "config": {}})}, "found no command, iterations, seed"),
        ({"run.json": "[]"}, "no object"),
    ],
)
def test_what_holds_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, words: str
) -> None:
    path = tmp_path / "runs"
    if content == "file":
        path.write_text("")
    elif isinstance(content, dict):
        path.mkdir()
        for name, text in content.items():
            (path / name).write_text(text)
    assert main(["report", str(path)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html"))


def test_an_output_that_is_a_folder_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs / "pair" / "sn"), "--output", str(tmp_path)]) == 2
    assert "found the folder" in capsys.readouterr().err
