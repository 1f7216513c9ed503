"""The list of keys, their documentation, and which runs belong together."""

import json
import re
from pathlib import Path
from typing import Any

from srgan.tracking.documentation import documentation
from srgan.tracking.keys import KEYS, SECTIONS, panels
from srgan.tracking.lineage import group_of, run_name

REPOSITORY = Path(__file__).resolve().parents[1]


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
    assert group_of(third, source, "own") == group_of(other, other_source, "own")
    assert group_of(third, source, "own").startswith("a/sn-")
    assert group_of(first, None, "own") == "a/sn-own"
    (first / "wandb.json").write_text(json.dumps({"group": "a/sn-1234", "runs": []}))
    assert group_of(third, source, "own") == group_of(first, None, "own") == "a/sn-1234"
    moved = {"checkpoint": str(tmp_path / "elsewhere" / "moved.ckpt")}
    assert group_of(tmp_path / "runs" / "c", moved, "own").startswith("moved-")


def test_names_of_runs_are_their_place_below_runs() -> None:
    assert run_name(Path("/x/runs/table2/mini/A_64-128/sn-seed1")) == "table2/mini/A_64-128/sn-seed1"
    assert run_name(Path("/x/runs/old/runs/sn")) == "sn"
    assert run_name(Path("/x/elsewhere/sn")) == "sn"
    assert run_name(Path("/x/somewhere/runs")) == "runs"


def test_no_key_is_listed_twice_and_every_panel_has_a_section() -> None:
    assert len({key.pattern for key in KEYS}) == len(KEYS)
    examples = {
        "layer": "blocks.0.conv1",
        "kind": "test",
        "features": "_cls",
        "warning": "mode_collapse",
        "number": "x",
    }
    for key in KEYS:
        name = re.sub(r"\{(\w+)\}", lambda found: examples[found[1]], key.pattern)
        assert [other.pattern for other in KEYS if other.matches(name)] == [key.pattern]
        assert key.panel is None or key.panel.section in SECTIONS
    shown = [panel for section in SECTIONS for panel in panels(section)]
    assert all(panels(section) for section in SECTIONS)
    assert len({panel.title for panel in shown}) == len(shown)


def test_the_documentation_is_that_of_the_keys() -> None:
    hint = "run: python -m srgan.tracking.documentation > docs/reference/keys.md"
    assert (REPOSITORY / "docs" / "reference" / "keys.md").read_text() == documentation(), hint
