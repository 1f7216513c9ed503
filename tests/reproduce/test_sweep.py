"""`make reproduce-sweep`: which runs it plans, which of them are Table II's own, what it refuses."""

from pathlib import Path

import pytest
import yaml
from figure_runs import write_mini_runs, write_run

from reproduce.__main__ import main
from reproduce.plan.run import BATCH_SIZE
from reproduce.plan.table_runs import FRACTIONS, sweep_runs
from reproduce.plan.variants import FRACTION
from srgan.runs.folder import flatten_settings


def test_the_sweep_takes_over_the_runs_of_table_two(tmp_path: Path) -> None:
    runs = sweep_runs("paper", ["C_32-32", "E_512-64"], [2], tmp_path)
    assert [run.folder.path.relative_to(tmp_path).as_posix().replace("/paper/", "/") for run in runs] == [
        "table2/C_32-32/sn-seed2", "sweep/C_32-32/sr-s-0.25-seed2", "table2/C_32-32/sr-seed2",
        "sweep/C_32-32/sr-s-0.75-seed2", "sweep/C_32-32/sr-s-1-seed2", "sweep/C_32-32/sr-d-seed2",
        # the table compensates ImageNet by SR-d
        "table2/E_512-64/sn-seed2", "sweep/E_512-64/sr-s-0.25-seed2", "sweep/E_512-64/sr-s-0.5-seed2",
        "sweep/E_512-64/sr-s-0.75-seed2", "sweep/E_512-64/sr-s-1-seed2", "table2/E_512-64/sr-seed2",
    ]  # fmt: skip
    for own in (runs[:6], runs[6:]):
        assert [run.flat.get(FRACTION) for run in own] == [None, *FRACTIONS, None]
        assert own[-1].settings["model"]["constraint"]["init_args"]["spectral_map"] == {
            "class_path": "srgan.constraints.Dynamic"
        }
        assert {run.flat[BATCH_SIZE] for run in own} == {own[0].setting.batch_size}
    with pytest.raises(ValueError, match="found 'A_1-1'"):
        sweep_runs("mini", ["A_1-1"], [1], tmp_path)


def test_the_sweep_shows_its_plan_and_skips_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.launcher.launcher.count_gpus", lambda: 0)
    write_mini_runs(tmp_path)
    assert main(["sweep", "--scale", "mini", "--runs", str(tmp_path)]) == 0  # all there: nothing is launched
    assert "0 to do" in capsys.readouterr().out
    options = ["sweep", "--scale", "paper", "--settings", "C_32-32", "--runs", str(tmp_path)]
    assert main([*options, "--dry-run", "1"]) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("srgan fit")]
    assert len(commands) == 6
    plan = yaml.safe_load((tmp_path / "sweep" / "paper" / "C_32-32" / "sr-s-0.25-seed1" / "plan.yaml").read_text())
    assert plan["label"] == "SR-s, i = 0.25 N"
    assert flatten_settings(plan)[FRACTION] == 0.25
    assert main(options) == 2
    assert "Expected a GPU for these runs" in capsys.readouterr().err
    assert not list((tmp_path / "sweep" / "paper").rglob("run.json"))


def test_the_sweep_refuses_runs_of_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sweep_runs("mini", ["C_32-32"], [1], tmp_path)[3]
    write_run(run.folder, run.flat | {FRACTION: 0.7})
    assert main(["sweep", "--scale", "mini", "--settings", "C_32-32", "--runs", str(tmp_path)]) == 2
    assert f"0.7 there, 0.75 in the plan); remove or move {run.folder.path}" in capsys.readouterr().err
