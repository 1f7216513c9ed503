"""`srgan dashboard`: the whole workspace and report, built and validated without a login, and Table II as a table."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import tracked

from srgan.cli.main import main
from srgan.loggers.panels import PANELS, SECTIONS, SPECTRA, panels_of

pytest.importorskip("wandb_workspaces.reports.v2", reason="wandb-workspaces is not installed")
TABLE = "setting,method,FID,gap,collapsed\nA_64-128,sn,21.15,,False\nA_64-128,sr,20.31,not run,True\n"


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No login, no network, nothing in the user's home."""
    tracked.offline(monkeypatch, tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def sent_workspace() -> dict[str, Any]:
    """What saving would send, as JSON holds it."""
    from srgan.cli.dashboard import workspace

    view = workspace("someone", "srgan")._to_model()
    found: dict[str, Any] = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))["section"]
    return found


def test_every_key_with_a_panel_is_shown_in_its_section_and_spectra_come_first() -> None:
    sections = sent_workspace()["panelBankConfig"]["sections"]
    assert [section["name"] for section in sections] == [*SECTIONS, "Table II"]
    assert sections[0]["name"] == SPECTRA
    assert sections[0]["isOpen"]
    for section in sections[:-1]:
        shown = {panel["config"].get("chartTitle"): panel["config"] for panel in section["panels"]}
        shown |= {
            panel["config"]["stringSettings"]["title"]: panel["config"]
            for panel in section["panels"]
            if panel["viewType"] == "Vega2"
        }
        for panel in panels_of(section["name"]):
            config = shown[panel.title]
            for key in panel.keys:
                example = re.sub(r"\{layer\}", "blocks.0.conv1", key)
                example = (
                    example.replace("{features}", "")
                    .replace("{ema}", "")
                    .replace("{kind}", "test")
                    .replace("{warning}", "w")
                )
                named = {*config.get("metrics", []), *config.get("mediaKeys", [])}
                matched = re.search(config.get("metricRegex", "(?!)"), example)
                charted = f'"{key}_table"' in json.dumps(config)
                assert example in named or matched or charted, key
                assert not re.search(config.get("metricRegex", "(?!)"), f"{example}/more")


def test_every_chart_has_the_iteration_as_its_axis() -> None:
    section = sent_workspace()
    lines = [
        panel["config"]
        for found in section["panelBankConfig"]["sections"]
        for panel in found["panels"]
        if panel["viewType"] == "Run History Line Plot"
    ]
    assert len(lines) == len([panel for panel in PANELS if panel.kind == "lines"])
    assert {config["xAxis"] for config in lines} == {section["settings"]["xAxis"]} == {"iteration"}


def test_the_workspace_survives_a_round_trip_through_the_package() -> None:
    """What would be sent is what the package reads: nothing in it is unknown to it."""
    from wandb_workspaces.workspaces.interface import Workspace

    from srgan.cli.dashboard import workspace

    view = workspace("someone", "srgan")._to_model()
    again = Workspace._from_model(type(view).model_validate(view.model_dump()))
    assert again._to_model().spec.section.model_dump() == view.spec.section.model_dump()
    assert not any("Unknown" in type(panel).__name__ for section in again.sections for panel in section.panels)


def test_the_report_holds_the_same_panels_with_a_word_on_each_section() -> None:
    from srgan.cli.dashboard import report

    sent = json.loads(report("someone", "srgan")._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    grids = [block for block in sent["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == len(SECTIONS) + 1
    text = json.dumps(sent, ensure_ascii=False)
    assert all(meaning.split(".")[0] in text for meaning in SECTIONS.values())
    for name, grid in zip(SECTIONS, grids, strict=False):
        shown = grid["metadata"]["panelBankSectionConfig"]["panels"]
        assert len(shown) == len(panels_of(name))
        places = [(panel["layout"]["x"], panel["layout"]["y"]) for panel in shown]
        assert len(set(places)) == len(places)  # none covers another


def test_without_a_login_the_command_says_what_it_would_create(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    table = tmp_path / "table2.csv"
    table.write_text(TABLE)
    assert main(["dashboard", "--entity", "someone", "--project", "gans", "--table", str(table)]) == 0
    output = capsys.readouterr().out
    assert "someone/gans" in output
    assert "Not logged in" in output
    assert all(section in output for section in SECTIONS)
    assert "2 rows of 5 columns" in output
    assert not list(tmp_path.rglob("*.wandb"))


def test_table_ii_is_published_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "runs" / "table2" / "mini"
    folder.mkdir(parents=True)
    (folder / "table2.csv").write_text(TABLE)
    assert main(["dashboard", "--table", str(folder / "table2.csv")]) == 0
    assert "published" in capsys.readouterr().out
    (run,) = tracked.offline_runs(folder)
    assert (run.run["job_type"], run.run["display_name"]) == ("table2", "table2/mini")
    content = json.loads(run.media_file(run.rows[0]["table2"]).read_text())
    assert content["columns"] == next(csv.reader(TABLE.splitlines()))
    assert content["data"] == [
        ["A_64-128", "sn", 21.15, None, False],
        ["A_64-128", "sr", 20.31, "not run", True],
    ]


def test_a_dry_run_publishes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table2.csv").write_text(TABLE)
    assert main(["dashboard", "--table", str(tmp_path / "table2.csv"), "--dry-run"]) == 0
    assert "Dry run" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize("content", [None, "", "a,b\n"])
def test_what_is_no_table_is_refused(content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table2.csv"
    if content is not None:
        path.write_text(content)
    assert main(["dashboard", "--table", str(path)]) == 2
    assert "table2.csv" in capsys.readouterr().err


def test_columns_of_a_table_have_one_type(tmp_path: Path) -> None:
    from srgan.cli.dashboard import read_table

    path = tmp_path / "table.csv"
    path.write_text("number,flag,text,empty\n1,True,1,\n,False,one,\n2.5,,,\n")
    table = read_table(path)
    assert list(table.columns) == ["number", "flag", "text", "empty"]
    assert table.to_numpy().tolist() == [[1.0, True, "1", None], [None, False, "one", None], [2.5, None, None, None]]
