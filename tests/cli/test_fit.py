"""The command line on real, tiny runs: files, resume, kill, another method from a checkpoint, refusals."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from processes import start
from tiny_runs import assert_identical, state

from srgan.cli.main import COMMANDS, main
from srgan.runs.folder import RunFolder

TINY = [
    "-c", "configs/digits.yaml",
    "--data.init_args.image_size", "8", "--data.init_args.batch_size", "4",
    "--model.networks.init_args.generator_channels", "4",
    "--model.networks.init_args.discriminator_channels", "4", "--model.networks.init_args.latent_dim", "8",
    "--model.n_dis", "2",
]  # fmt: skip
MEASURED = [
    "--scores.every", "10", "--scores.protocol.num_fake_images", "300", "--scores.protocol.num_real_images", "300",
    "--samples.every", "10", "--spectra.every", "5", "--losses.every", "5", "--checkpoints.every", "5",
]  # fmt: skip
SILENT = [word for key in ("scores", "samples", "spectra", "losses") for word in (f"--{key}.every", "0")]


def command(method: str, run: Path, *options: str, iterations: int = 20) -> list[str]:
    configs = ["-c", f"configs/{method}.yaml"]
    return ["fit", *TINY, *configs, *MEASURED, "--model.iterations", str(iterations), "--run", str(run), *options]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed SR-s run of 20 iterations."""
    run = tmp_path_factory.mktemp("runs") / "finished"
    assert main(command("sr-s", run)) == 0
    return run


def test_a_run_leaves_its_files(finished: Path) -> None:
    folder = RunFolder(finished)
    record = folder.read_record()
    spectra = folder.read_spectra()
    assert record is not None
    assert spectra is not None
    assert record["status"] == "finished"
    assert [row["iteration"] for row in folder.read_scores()] == [10, 20]
    assert {"FID_cls", "IS_cls", "modes", "modes_kl"} <= record["reported"].keys()
    protocol = folder.read_protocol()
    assert protocol is not None
    assert (protocol["num_fake_images"], protocol["data"]) == (300, "stacked-digits-8-of-1500")
    assert record["verdicts"]["thresholds"]["fid"] == 1.5
    assert record["seed"] == 0
    assert record["hardware"]["device"]
    assert spectra.iterations.tolist() == [0, 5, 10, 15, 20]
    assert sum(layer.is_convolution for layer in spectra.layers) == 10
    assert sorted(folder.read_samples()) == [0, 10, 20]
    assert [row["iteration"] for row in folder.read_losses()] == [5, 10, 15, 20]
    config = yaml.safe_load(folder.config.read_text())
    assert config["model"]["constraint"]["init_args"]["schedule"]["every_iterations"] == 5
    assert config == record["config"]


def test_the_same_command_again_runs_nothing(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = RunFolder(finished).record.stat().st_mtime_ns
    assert main(command("sr-s", finished)) == 0
    assert "already finished" in capsys.readouterr().out
    assert RunFolder(finished).record.stat().st_mtime_ns == before


def test_a_run_cut_behind_its_last_checkpoint_is_summed_up_by_the_next_call(finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    before = RunFolder(run).read_record()
    assert before is not None
    RunFolder(run).record.write_text(json.dumps({"status": "running", "config": before["config"]}))
    assert main(command("sr-s", run)) == 0
    after = RunFolder(run).read_record()
    assert after is not None
    assert after["status"] == "finished"
    assert after["resumed_at"] == [20]
    assert (after["reported"], after["verdicts"]) == (before["reported"], before["verdicts"])


def test_other_settings_in_the_same_folder_are_refused(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command("sr-s", finished, "--model.seed", "1")) == 2
    assert "model.seed: 0 there, 1 here" in capsys.readouterr().err


def test_measuring_never_alters_training(finished: Path, tmp_path: Path) -> None:
    assert main(command("sr-s", tmp_path / "blind", *SILENT)) == 0
    assert not RunFolder(tmp_path / "blind").scores.exists()
    assert_identical(state(RunFolder(tmp_path / "blind").checkpoint), state(RunFolder(finished).checkpoint))


def test_a_run_killed_three_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    """kill -9 at random moments, whatever the process is doing, and the same command again."""
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    options = ["--losses.every", "1", "--checkpoints.every", "3", "--scores.every", "24"]
    words = command("sr-d", killed, *options, iterations=72)
    moments = random.Random(0)
    for kill in range(3):
        process = start(words, tmp_path / "log")
        awaited = 20 * kill + moments.randrange(20)
        while process.is_alive() and _last_iteration(killed) < awaited:
            time.sleep(0.01)
        time.sleep(moments.random() / 10)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert main(words) == 0
    assert main(command("sr-d", straight, *options, iterations=72)) == 0
    assert_identical(state(RunFolder(killed).checkpoint), state(RunFolder(straight).checkpoint))
    ours, theirs = RunFolder(killed), RunFolder(straight)
    assert ours.read_losses() == theirs.read_losses()
    assert ours.read_scores() == theirs.read_scores()
    assert ours.spectra.path.read_bytes() == theirs.spectra.path.read_bytes()
    record = ours.read_record()
    assert record is not None
    assert len(record["resumed_at"]) == 3


def _last_iteration(run: Path) -> int:
    rows = RunFolder(run).read_losses()
    return rows[-1]["iteration"] if rows else -1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_saves_and_the_same_command_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    run = tmp_path / "stopped"
    words = command("sr-s", run, "--checkpoints.every", "100000", iterations=100_000)
    process = start(words, tmp_path / "log")
    while _last_iteration(run) < 5:
        assert process.is_alive()
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 128 + number
    assert "run the command again to resume" in (tmp_path / "log").read_text()
    record = RunFolder(run).read_record()
    assert record is not None
    assert record["status"] == "stopped"
    assert torch.load(RunFolder(run).checkpoint, weights_only=True)["srgan"]["iteration"] >= 5


def test_sn_resumed_with_sr_d_keeps_data_order_and_records_the_switch(tmp_path: Path) -> None:
    """Until its schedule starts, in iteration 15, SR-d repeats what SN does, to the bit."""
    parent, child, straight = (tmp_path / name for name in ("sn", "sr-d", "straight"))
    every_iteration = ["--losses.every", "1"]
    assert main(command("sn", parent, iterations=10)) == 0
    source = ["--from-checkpoint", str(parent)]  # a run stands for its last checkpoint
    later = ["--sr.schedule.start_iteration", "15"]
    assert main(command("sr-d", child, *source, *later, *every_iteration)) == 0
    assert main(command("sn", straight, *every_iteration)) == 0
    record = RunFolder(child).read_record()
    assert record is not None
    assert record["parent"] == {
        "checkpoint": str(RunFolder(parent).checkpoint),
        "iteration": 10,
        "constraint": "SN",
    }
    ours, theirs = RunFolder(child).read_losses(), RunFolder(straight).read_losses()
    assert [row["iteration"] for row in ours] == list(range(11, 21))
    assert ours[:5] == theirs[10:15]
    assert ours[5:] != theirs[15:]
    ratios = {
        run: {
            name: value
            for name, value in state(RunFolder(run).checkpoint)["state_dict"].items()
            if name.endswith("recorded_ratios")
        }
        for run in (child, straight)
    }
    assert all(value[0] == 1 for name, value in ratios[child].items() if "conv" in name)
    assert not any(value.any() for value in ratios[straight].values())


def test_where_a_run_branched_off_is_decided_when_it_starts(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resumed run keeps its parent, needs the parent's file no more, and takes no other."""
    parent, run = tmp_path / "parent.ckpt", tmp_path / "run"
    shutil.copy(RunFolder(finished).checkpoint, parent)
    source = ["--from-checkpoint", str(parent)]
    assert main(command("sr-d", run, "--from-checkpoint", str(tmp_path / "typo.ckpt"), iterations=30)) == 2
    assert main(command("sr-d", run, *source, iterations=30)) == 0
    record = RunFolder(run).read_record()
    assert record is not None
    parent.unlink()
    for options in ([], source):
        RunFolder(run).record.write_text(json.dumps(record | {"status": "stopped"}))
        assert main(command("sr-d", run, *options, iterations=30)) == 0
        resumed = RunFolder(run).read_record()
        assert resumed is not None
        assert resumed["parent"] == record["parent"] == {
            "checkpoint": str(parent), "iteration": 20, "constraint": "SR-s",
        }  # fmt: skip
    other = str(RunFolder(finished).checkpoint)
    assert main(command("sr-d", run, "--from-checkpoint", other, iterations=30)) == 2
    assert "to resume as it started" in capsys.readouterr().err


def test_a_run_that_began_at_another_one_goes_on_without_it(finished: Path, tmp_path: Path) -> None:
    """Named by its folder, too, whose last checkpoint is then gone."""
    parent, run = tmp_path / "parent", tmp_path / "run"
    shutil.copytree(finished, parent)
    assert main(command("sr-d", run, "--from-checkpoint", str(parent), iterations=30)) == 0
    record = RunFolder(run).read_record()
    assert record is not None
    shutil.rmtree(parent)
    RunFolder(run).record.write_text(json.dumps(record | {"status": "stopped"}))
    assert main(command("sr-d", run, "--from-checkpoint", str(parent), iterations=30)) == 0


def test_a_run_without_a_checkpoint_of_its_own_starts_from_where_it_started(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its parent, named by its folder, has trained on in the meantime."""
    run = tmp_path / "run"
    source = ["--from-checkpoint", str(finished)]
    assert main(command("sr-d", run, *source, iterations=30)) == 0
    record = RunFolder(run).read_record()
    assert record is not None
    for options in (source, []):
        shutil.rmtree(RunFolder(run).checkpoint.parent)
        RunFolder(run).record.write_text(json.dumps(record | {"status": "stopped"}))
        assert main(command("sr-d", run, *options, iterations=30)) == 0
        again = RunFolder(run).read_record()
        assert again is not None
        assert again["parent"] == record["parent"]
        assert RunFolder(run).read_losses()[0]["iteration"] > 20
    shutil.rmtree(RunFolder(run).checkpoint.parent)
    before = json.dumps(record | {"status": "stopped", "parent": record["parent"] | {"iteration": 10}})
    RunFolder(run).record.write_text(before)
    assert main(command("sr-d", run, *source, iterations=30)) == 2
    assert "from iteration 10 of" in capsys.readouterr().err
    assert RunFolder(run).record.read_text() == before


@pytest.mark.parametrize(
    ("options", "iterations", "message"),
    [
        (["--model.seed", "1"], 30, "seed was 0 and is 1"),
        (["--data.init_args.batch_size", "8"], 30, "batch_size was 4 and is 8"),
        ([], 20, "Expected more iterations than the checkpoint's 20"),
    ],
)
def test_a_checkpoint_that_cannot_carry_on_is_refused(
    options: list[str], iterations: int, message: str, finished: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    source = ["--from-checkpoint", str(RunFolder(finished).checkpoint)]
    assert main(command("sn", tmp_path / "run", *source, *options, iterations=iterations)) == 2
    assert message in capsys.readouterr().err
    assert not RunFolder(tmp_path / "run").record.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.networks.init_args.image_size", "16"], "Set --data.init_args.image_size"),
        (["--model.networks", "DCGANPair"], "Expected an image size of 16, 32 or 64 for DCGAN, found 8."),
        (["--from-checkpoint", "absent.ckpt"], "Expected a checkpoint at"),
    ],
)
def test_wrong_settings_are_refused(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("sn", tmp_path / "run", *options)) == 2
    assert message in capsys.readouterr().err


def test_a_run_needs_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", *TINY]) == 2
    assert "--run is required" in capsys.readouterr().err


def test_help_is_light() -> None:
    """Nothing heavy is imported for it."""
    code = "import sys; from srgan.cli.main import main; main(['--help']); print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "usage: srgan" in output
    assert output.endswith("False\n")


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert f"expected a command ({', '.join(COMMANDS)}), found 'train'" in capsys.readouterr().err


def test_real_photographs_through_the_command_line(shared_data: Path, tmp_path: Path) -> None:
    """JPEGs in a tar, at 32 x 32: SN, then SR-d from its checkpoint, with scores, spectra and samples."""
    data = ["-c", "configs/folder.yaml", "--data.init_args.path", str(shared_data / "imagenet-sample.tar")]
    sizes = ["--data.init_args.batch_size", "8", "--model.networks.init_args.generator_channels", "8"]
    narrow = ["--model.networks.init_args.discriminator_channels", "4", "--scores.protocol.num_fake_images", "500"]
    measured = ["--scores.every", "2", "--samples.every", "2", "--spectra.every", "1", "--checkpoints.every", "1"]
    base = ["fit", *data, *sizes, *narrow, *measured, "--model.linear_decay", "false", "--trainer.accelerator", "cpu"]
    sn, sr = tmp_path / "sn", tmp_path / "sr-d"
    assert main([*base, "-c", "configs/sn.yaml", "--model.iterations", "2", "--run", str(sn)]) == 0
    source = ["--from-checkpoint", str(RunFolder(sn).checkpoint)]
    assert main([*base, "-c", "configs/sr-d.yaml", "--model.iterations", "4", "--run", str(sr), *source]) == 0
    protocol = RunFolder(sr).read_protocol()
    assert protocol is not None
    assert protocol["num_real_images"] == 220  # all there are
    assert RunFolder(sr).read_scores()[0].keys() == {"iteration", "FID_cls", "IS_cls", "IS_cls_std"}
    assert json.loads(RunFolder(sr).spectra.layout.read_text())["layers"][0]["shape"] == [4, 3, 3, 3]
