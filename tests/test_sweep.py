"""`make reproduce-sweep`: which runs it plans, which of them are Table II's own, what it refuses."""

from pathlib import Path

import pytest
from figure_runs import write_mini_runs, write_run

from reproduce import sweep
from reproduce.sweep_plan import FRACTIONS, sweep_plan


def test_the_sweep_takes_over_the_runs_of_table_two(tmp_path: Path) -> None:
    static, dynamic = sweep_plan("paper", ["C_32-32", "E_512-64"], [2], tmp_path)
    table = tmp_path / "table2" / "paper"
    own = tmp_path / "sweep" / "paper"
    places = [run.folder.path for run in static.runs]
    assert places == [
        table / "C_32-32/sn-seed2", own / "C_32-32/sr-s-0.25-seed2", table / "C_32-32/sr-seed2",
        own / "C_32-32/sr-s-0.75-seed2", own / "C_32-32/sr-s-1-seed2", own / "C_32-32/sr-d-seed2",
    ]  # fmt: skip
    assert dynamic.dynamic.folder.path == table / "E_512-64/sr-seed2"  # the table compensates ImageNet by SR-d
    assert dynamic.static[0.5].folder.path == own / "E_512-64/sr-s-0.5-seed2"
    for one in (static, dynamic):
        assert {
            i: run.chosen["model.constraint.init_args.compensation.init_args.compensated_fraction"]
            for i, run in one.static.items()
        } == {i: i for i in FRACTIONS}
        assert one.dynamic.chosen["model.constraint.init_args.compensation.class_path"] == "srgan.constraints.Dynamic"
        batches = {run.chosen["data.init_args.batch_size"] for run in one.runs}
        assert batches == {one.setting.batch_size}
    with pytest.raises(ValueError, match="found 'A_1-1'"):
        sweep_plan("mini", ["A_1-1"], [1], tmp_path)


def test_the_sweep_shows_its_plan_and_skips_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.sweep.count_gpus", lambda: 0)
    write_mini_runs(tmp_path)
    assert sweep.main(["--scale", "mini", "--runs", str(tmp_path)]) == 0  # all there: nothing is launched
    assert "0 to do" in capsys.readouterr().out
    options = ["--scale", "paper", "--settings", "C_32-32", "--runs", str(tmp_path)]
    assert sweep.main([*options, "--dry-run", "1"]) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("srgan fit")]
    assert len(commands) == 6
    assert "-c configs/cifar10.yaml -c configs/sr-s.yaml" in commands[1]
    assert "--model.constraint.init_args.compensation.init_args.compensated_fraction 0.25" in commands[1]
    assert sweep.main(options) == 2
    assert "Expected a GPU at scale paper" in capsys.readouterr().err
    assert not (tmp_path / "sweep" / "paper").exists()


def test_the_sweep_refuses_runs_of_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = sweep_plan("mini", ["C_32-32"], [1], tmp_path)[0].static[0.75]
    write_run(run.folder, run.chosen | {"model.constraint.init_args.compensation.init_args.compensated_fraction": 0.7})
    assert sweep.main(["--scale", "mini", "--settings", "C_32-32", "--runs", str(tmp_path)]) == 2
    assert str(run.folder.path) in capsys.readouterr().err
