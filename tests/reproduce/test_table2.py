"""The command line of the experiments: what it shows, what it refuses, how it shares the machine."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from reproduce.__main__ import main
from reproduce.launcher.local import choose_gpus, threads_of_each
from reproduce.launcher.options import CAMPAIGN, Options, read
from reproduce.launcher.slurm import sbatch_text
from reproduce.plan.run import CHANNELS, PLAN, REPOSITORY, Run
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import collapse_runs, default_seeds, resume_runs, sweep_runs, table_runs
from reproduce.plan.variants import SCALE
from srgan.cli.main import main as srgan
from srgan.runs.recorded import recorded_run
from srgan.utils.provenance import usable_cores

DRY = ["--dry-run", "1"]


@pytest.fixture(autouse=True)
def nothing_from_make(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CAMPAIGN.split(), "scale", "settings", "methods", "seeds"):
        monkeypatch.delenv(name.upper(), raising=False)


def parse(*arguments: str) -> Options:
    return read(arguments, "", f"seeds methods {CAMPAIGN}")


def test_a_dry_run_for_a_cluster_shows_the_whole_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no Slurm: the plan needs none
    options = ["--scale", "paper", "--cluster", "slurm", *DRY, "--settings", "A_1024-128"]
    assert main(["table2", *options, "--gpus", "4", "--nodes", "2", "--runs", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "2 runs, 2 to do" in shown
    assert "128 x 1 x 8" in shown
    assert "GPU hours" in shown
    assert "# sbatch --time=1440 --nodes=2 --ntasks-per-node=4 --cpus-per-task=8 --gpus-per-node=4 --requeue" in shown
    plans = [Path(words) for words in re.findall(r"srgan fit -c (\S+)", shown)]
    assert len(plans) == 2
    for plan in plans:
        trainer = yaml.safe_load(plan.read_text())["trainer"]
        assert {"devices": 4, "num_nodes": 2, "strategy": "ddp"}.items() <= trainer.items()
    options = ["--scale", "mini", "--cluster", "slurm", *DRY, "--settings", "A_64-128", "--seeds", "1"]
    assert main(["table2", *options, "--runs", str(tmp_path)]) == 0
    assert "2 runs, 2 to do" in capsys.readouterr().out
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {PLAN}  # nothing else is written


def test_one_printed_command_makes_a_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run writes the settings of each run; `--run` makes it elsewhere, under its label."""
    tiny = "model.iterations=2 data.init_args.batch_size=4 model.networks.init_args.generator_channels=4 scores.every=0"
    options = ["--scale", "mini", "--settings", "C_32-32", "--methods", "sr", "--seeds", "1", *DRY]
    options += ["--runs", str(tmp_path / "runs")]
    assert main(["table2", *options, "--overrides", tiny]) == 0
    (command,) = re.findall(r"^srgan (fit .*?)  #", capsys.readouterr().out, re.MULTILINE)
    assert srgan([*shlex.split(command), "--run", str(tmp_path / "again")]) == 0
    found = recorded_run(tmp_path / "again")
    assert found is not None
    assert (found.label, found.settings["model.iterations"], found.settings[CHANNELS]) == ("SR-s", 2, 6)


@pytest.mark.parametrize("cluster", ["", "slurm"])
@pytest.mark.parametrize("dry_run", ["0", "1"])
def test_a_batch_that_does_not_divide_is_refused_before_anything_happens(
    cluster: str, dry_run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--scale", "mini", "--settings", "B_128-64", "--gpus", "3", "--runs", str(tmp_path)]
    assert main(["table2", *options, "--cluster", cluster, "--dry-run", dry_run]) == 2
    assert (
        f"B_128-64 SN seed {default_seeds('mini')[0]}: Expected a global batch that divides among"
        in capsys.readouterr().err
    )
    assert list(tmp_path.iterdir()) == []


def test_scale_paper_without_a_gpu_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reproduce.launcher.launcher.count_gpus", lambda: 0)
    options = ["--scale", "paper", "--settings", "A_64-128", "--runs", str(tmp_path)]
    assert main(["table2", *options]) == 2
    expected = "found no CUDA device; DRY_RUN=1 shows the plan, CLUSTER=slurm submits"
    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_resume_experiment_of_the_paper_wants_its_four_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reproduce.plan.table_runs.missing_images", lambda scale, setting: None)
    options = ["--scale", "paper", "--runs", str(tmp_path)]
    for gpus, own, words in (
        (0, "", "found no CUDA device"),
        (1, "", "reproduce: Expected 4 GPUs, found 1, for: SN, SN goes on, SR-d takes over"),
        (4, "8", "reproduce: Expected 8 GPUs, found 4"),
    ):
        monkeypatch.setattr("reproduce.launcher.launcher.count_gpus", lambda gpus=gpus: gpus)
        assert main(["resume", *options, "--gpus", own]) == 2
        assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_is_given_and_sections_are_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "table2, collapse" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parse("--overrides", "model=3")
    assert "expected settings such as 'model.n_dis=1', found 'model=3'" in capsys.readouterr().err


def test_empty_text_is_the_default_and_nought_means_no() -> None:
    for text, meant in (("", False), ("0", False), ("1", True), ("yes", True)):
        found = parse("--dry-run", text, "--wait", text)
        assert (found.dry_run, found.wait) == (meant, meant)
    assert [parse("--nodes", text).nodes for text in ("", "0", "1", "2")] == [1, 1, 1, 2]
    assert parse("--seeds", "1, 2 3").seeds == [1, 2, 3]
    assert parse("--seeds", "").seeds == []  # which each experiment reads as its own default
    assert parse("--methods", "sr").methods == ["sr"]
    assert parse("--overrides", "model.n_dis=1 samples.every=0").overrides == {"model.n_dis": 1, "samples.every": 0}
    of_a_cluster = ["--sbatch", "--account=gan exclusive", "--partition", "gpu"]
    found = parse(*of_a_cluster, "--cluster", "slurm")
    found.check_cluster()
    assert "--partition=gpu --account=gan --exclusive" in sbatch_text(1, True, found)
    with pytest.raises(ValueError, match="Expected CLUSTER=slurm beside PARTITION, SBATCH, found no cluster"):
        parse(*of_a_cluster).check_cluster()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("seeds", "1 x", "expected whole numbers such as '1 2 3', found '1 x'"),
        ("seeds", "1 1", "expected every seed once, found '1 1'"),
        ("methods", "sn gp", "expected sn, sr or several"),
        ("nodes", "-1", "expected a whole number of at least 0, found '-1'"),
        ("hours", "nan", "expected hours above 0, found 'nan'"),
        ("hours", "-2", "expected hours above 0"),
        ("sbatch", "mem=1G time=3", "expected HOURS=... for this, found 'time'"),
        ("cluster", "pbs", "found 'pbs'"),
        ("overrides", "n_dis", "expected settings such as"),
        ("overrides", "n_dis=[", "expected settings such as"),
    ],
)
def test_wrong_words_are_refused(
    name: str, text: str, complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name.upper(), text)
    with pytest.raises(SystemExit):
        parse()
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("on_the_command_line", [False, True])
def test_variables_of_make_meet_neither_make_nor_a_shell(on_the_command_line: bool, tmp_path: Path) -> None:
    """A quote, a semicolon, a command in a variable is text, and arrives as such."""
    made = tmp_path / "made"
    wicked = f"'; touch {made}; '\"$(touch {made})`touch {made}`$(shell touch {made})"
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|%s" "$*" "$SETTINGS"\n')
    python.chmod(0o755)
    words = [f"SETTINGS={wicked}"] if on_the_command_line else []
    outside_of_make = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    shown = subprocess.run(
        ["make", "-o", ".venv/installed", "-f", REPOSITORY / "Makefile", "reproduce-table2", *words],
        env=outside_of_make | {"SETTINGS": wicked}, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == f"-m reproduce table2|{wicked}"
    assert not made.exists()


def test_all_processes_at_a_time_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores() >= 1
    monkeypatch.setattr("reproduce.launcher.local.usable_cores", lambda: 32)
    assert threads_of_each([1] * 48, gpus=4, jobs=4) == 8
    assert threads_of_each([1], gpus=4, jobs=4) == 32  # the only run
    assert threads_of_each([4] * 4, gpus=4, jobs=4) == 8  # one at a time: four GPUs
    assert threads_of_each([1, 1, 4], gpus=8, jobs=2) == 6  # at worst the 4 and a 1 together
    assert threads_of_each([1] * 48, gpus=4, jobs=64) == 1
    assert threads_of_each([1], gpus=0, jobs=8) == 1
    assert threads_of_each([], gpus=4, jobs=4) == 32


def test_gpus_are_shared_out_in_groups() -> None:
    assert choose_gpus(1, [0, 1, 2, 3]) == [0]
    assert choose_gpus(2, [1, 2, 3]) == [1, 2]
    assert choose_gpus(2, [3]) is None
    assert choose_gpus(2, [3, 3]) is None  # two places on one GPU are not two GPUs
    assert choose_gpus(4, [0, 1, 2, 3]) == [0, 1, 2, 3]
    assert choose_gpus(1, [0, 1]) == [0]  # of [0, 1, 0, 1], four runs on two GPUs: two on each
    assert choose_gpus(1, [1]) == [1]
    assert choose_gpus(0, []) == []  # on the CPU


def test_variables_that_an_experiment_does_not_take_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAKEFLAGS", "k -- SETTINGS=A_64-128\\ B_64-64 PYTHON=python3 SEEDS=1 SCALE=mini")
    with pytest.raises(SystemExit):
        main(["resume"])
    assert "takes (SCALE, RUNS, OVERRIDES" in (message := capsys.readouterr().err)
    assert "found SEEDS, SETTINGS" in message


def test_runs_of_the_authors_sr_d_name_its_scale(tmp_path: Path) -> None:
    """Whatever configs/sr-d.yaml says: the paper's results are of a scale that is kept."""
    table = table_runs("paper", ["A_64-128", "E_512-64", "E_2048-64"], METHODS, [1], tmp_path)
    runs: list[Run] = [*table, *resume_runs("paper", tmp_path), *resume_runs("mini", tmp_path)]
    runs += [
        *collapse_runs(["C_64-32"], [1], tmp_path),
        *sweep_runs("mini", ["E_256-64"], [1], tmp_path),
    ]
    of_sr_d = [run for run in runs if "sr-d" in run.configs]
    assert len(of_sr_d) == 2 + 2 + 2 + 1
    for run in runs:
        assert (run.overrides.get(SCALE) == "keep") is (run in of_sr_d)
        assert run in of_sr_d or run.flat[SCALE] in ("keep", "unit")
