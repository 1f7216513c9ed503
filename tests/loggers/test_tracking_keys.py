"""The panels, the documentation of keys, and which runs belong together."""

import json
from pathlib import Path
from typing import Any

import tracked

from srgan.loggers.panels import PANELS, SECTIONS, panels_of
from srgan.loggers.wandb_runs import group_of, run_name


def test_groups_reach_over_runs_that_were_not_logged(tmp_path: Path) -> None:
    def run(name: str, parent: Path | None) -> tuple[Path, dict[str, Any] | None]:
        folder = tmp_path / "runs" / name
        source = {"checkpoint": str(parent / "checkpoints" / "last.ckpt")} if parent else None
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"parent": source}))
        return folder, source

    first, _ = run("a/sn", None)
    second, _ = run("a/sr-d", first)
    third, source = run("a/sr-s", second)
    other, other_source = run("b/sr-d", first)
    assert group_of(third, source) == group_of(other, other_source) == group_of(first, None) == "a/sn"
    moved = {"checkpoint": str(tmp_path / "elsewhere" / "moved.ckpt")}
    assert group_of(tmp_path / "runs" / "c", moved) == "moved"


def test_names_of_runs_are_their_place_below_runs() -> None:
    assert run_name(Path("/x/runs/table2/mini/A_64-128/sn-seed1")) == "table2/mini/A_64-128/sn-seed1"
    assert run_name(Path("/x/runs/old/runs/sn")) == "sn"
    assert run_name(Path("/x/elsewhere/sn")) == "sn"
    assert run_name(Path("/x/somewhere/runs")) == "runs"


def test_the_documentation_lists_every_key_with_its_panel() -> None:
    shown = {(key, panel.title) for panel in PANELS for key in panel.keys}
    assert {(key.pattern, key.panel.strip()) for key in tracked.DOCUMENTED if key.panel.strip()} == shown
    assert len({key.pattern for key in tracked.DOCUMENTED}) == len(tracked.DOCUMENTED)
    assert len({panel.title for panel in PANELS}) == len(PANELS)
    assert all(panels_of(section) for section in SECTIONS)
    assert {panel.section for panel in PANELS} == set(SECTIONS)
    page = tracked.KEYS_PAGE.read_text()
    assert all(f"## {section}\n\n{meaning}\n" in page for section, meaning in SECTIONS.items())
