"""Two real processes against one, through the command line: the same gradients, the same bits on every rank."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from processes import run_on_two, run_ranks, start
from tiny_runs import assert_same_run

from srgan.cli.fit import FAILED
from srgan.cli.main import main
from srgan.constraints import METHODS, raw_weight
from srgan.networks import ResNetPair
from srgan.runs.folder import RunFolder
from srgan.training.module import AdversarialTraining
from srgan.utils.distributed import ProcessGroup

TESTS = Path(__file__).parents[1]
ITERATIONS, N_DIS = 3, 2
ONE_PER_STEP, ONE_TO_AGREE_ON_A_STOP = N_DIS + 1, 1  # all-reduces of an iteration
SETTINGS = [
    "fit", "-c", "configs/digits.yaml", "--data.init_args.image_size", "8", "--data.init_args.batch_size", "8",
    "--model.networks.init_args.generator_channels", "4",
    "--model.networks.init_args.discriminator_channels", "4", "--model.n_dis", str(N_DIS),
    "--model.micro_batch_size", "2",
    "--model.iterations", str(ITERATIONS), "--losses.every", "1", "--scores.every", "0", "--samples.every", "0",
]  # fmt: skip
EVERY_ITERATION = ["--model.constraint.init_args.schedule.every_iterations", "1"]
LIGHTNING = [sys.executable, "-m", "srgan"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--", "srgan"]


def probe(folder: Path, hold: bool) -> list[str]:
    callback = ["--trainer.callbacks+=rank_probe.RankProbe", "--trainer.callbacks.folder", str(folder)]
    return [*callback, "--trainer.callbacks.hold_power_vectors", str(hold).lower()]


def train_on_two(launcher: list[str] | None, folder: Path, *options: str, hold: bool = False) -> list[dict[str, Any]]:
    """Runs the command line in two gloo processes, by a launcher or forked from here; what each rank reports."""
    devices = ["--trainer.devices", "2", "--trainer.strategy", "ddp", *probe(folder / "probe", hold)]
    words = [*SETTINGS, *options, *devices, "--run", str(folder / "run")]
    if launcher is None:
        run_on_two(words, folder)
    else:
        environment = os.environ | {"PYTHONPATH": str(TESTS)}
        finished = subprocess.run([*launcher, *words], env=environment, capture_output=True, text=True, timeout=300)
        assert finished.returncode == 0, finished.stderr
    return [json.loads((folder / "probe" / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def discriminator(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(RunFolder(run).checkpoint, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("discriminator.") and name[-2:] != ".u"}


def test_two_processes_x_two_micro_batches_are_one_process_x_four(tmp_path: Path) -> None:
    """Power vectors take a step with each forward pass, of which each rank does half: they are held here."""
    options = ["-c", "configs/sr-s.yaml", *EVERY_ITERATION]
    reports = train_on_two(LIGHTNING, tmp_path / "two", *options, hold=True)
    assert reports[0]["hashes"] == reports[1]["hashes"]
    assert len(set(reports[0]["hashes"])) == ITERATIONS
    assert reports[0]["collectives"]["c10d::allreduce_"] == ITERATIONS * (ONE_PER_STEP + ONE_TO_AGREE_ON_A_STOP)

    assert main([*SETTINGS, *options, *probe(tmp_path / "probe", hold=True), "--run", str(tmp_path / "one")]) == 0
    ours, theirs = discriminator(tmp_path / "two" / "run"), discriminator(tmp_path / "one")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert (ours[name] - value).double().norm() <= 1e-5 * value.double().norm(), name
    losses = [RunFolder(tmp_path / run).read_losses() for run in ("two/run", "one")]
    for two, one in zip(*losses, strict=True):
        assert two == pytest.approx(one, rel=1e-5)


TOGETHER = {
    "penalties": [
        "RowSumNormalization",
        "GradientPenalty",
        "R1Penalty",
        "DRAGAN",
        "SLOGAN",
        "OrthonormalRegularization",
    ],
    "norms": ["WeightNormalization", "BatchNormalization", "DRAGAN", "WeightClipping"],
}


@pytest.mark.parametrize("kind", TOGETHER)
def test_constraints_together_are_the_same_on_two_processes(kind: str, tmp_path: Path) -> None:
    """Penalties draw by row of the global batch; DRAGAN's deviation is that of all of it."""
    constraints = [{"class_path": f"srgan.constraints.{name}"} for name in TOGETHER[kind]]
    constraint = {"class_path": "srgan.constraints.Combination", "init_args": {"constraints": constraints}}
    config = tmp_path / "constraint.yaml"
    config.write_text(yaml.safe_dump({"model": {"constraint": constraint}}))
    reports = train_on_two(None, tmp_path / "two", "-c", str(config), hold=True)
    assert reports[0]["hashes"] == reports[1]["hashes"]
    one = ["-c", str(config), *probe(tmp_path / "probe", hold=True), "--run", str(tmp_path / "one")]
    assert main([*SETTINGS, *one]) == 0
    losses = [RunFolder(tmp_path / run).read_losses() for run in ("two/run", "one")]
    assert "loss/penalty" in losses[0][0]
    for two, one in zip(*losses, strict=True):
        assert two == pytest.approx(one, rel=1e-4, abs=1e-9)  # clipped weights make tiny scores


def test_ranks_share_the_decompositions_and_stay_bit_identical(tmp_path: Path) -> None:
    reports = train_on_two(TORCHRUN, tmp_path, "-c", "configs/sr-d.yaml", *EVERY_ITERATION)
    assert reports[0]["hashes"] == reports[1]["hashes"]
    assert reports[0]["collectives"]["c10d::allreduce_"] == ITERATIONS * (ONE_PER_STEP + ONE_TO_AGREE_ON_A_STOP)
    assert reports[0]["collectives"]["c10d::broadcast_"] >= 2 * ITERATIONS * N_DIS  # one from each owner


def test_a_strategy_that_is_not_ddp_and_an_impossible_batch_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = [*SETTINGS, "--run", str(tmp_path / "run"), "--trainer.devices", "2"]
    assert main([*two, "--trainer.strategy", "ddp", "--model.micro_batch_size", "3"]) == 2
    assert "Possible values of micro_batch_size: 1, 2, 4." in capsys.readouterr().err
    assert main([*two, "--trainer.strategy", "ddp", "--data.init_args.batch_size", "9"]) == 2
    assert "Possible numbers of devices: 1, 3, 9." in capsys.readouterr().err
    assert not RunFolder(tmp_path / "run").record.exists()


@pytest.mark.parametrize("devices", [1, 4])
def test_processes_of_torchrun_that_are_not_the_devices_are_refused(devices: int, tmp_path: Path) -> None:
    """Each of them would be a training of its own, in one folder."""
    options = ["--run", str(tmp_path / "run"), "--trainer.devices", str(devices)]
    for status, said in run_ranks([*SETTINGS, *options], tmp_path / "logs"):
        assert status == 2
        assert f"found 2 for {devices} x 1. Set --trainer.devices to its --nproc-per-node" in said
        assert said.count("\n") == 1
    assert not RunFolder(tmp_path / "run").record.exists()


def test_ddp_on_one_device_is_a_plain_run(tmp_path: Path) -> None:
    ddp = ["--trainer.devices", "1", "--trainer.strategy", "ddp", "--run", str(tmp_path / "ddp")]
    process = start([*SETTINGS, *ddp], tmp_path / "log")  # a process group leaves its mark on the environment
    process.join()
    assert process.exitcode == 0, (tmp_path / "log").read_text()
    assert main([*SETTINGS, "--run", str(tmp_path / "plain")]) == 0
    ours, theirs = discriminator(tmp_path / "ddp"), discriminator(tmp_path / "plain")
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


class EndsOfRank(pl.Callback):
    """One process is killed, as by the system when memory is short, in iteration 3."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, AdversarialTraining)
        if pl_module.iteration == 2 and trainer.global_rank == self.rank:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_ends_the_others_in_a_sentence_and_the_run_goes_on(tmp_path: Path) -> None:
    two = [*SETTINGS, "--checkpoints.every", "1", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    kills = ["--trainer.callbacks", f"{__name__}.EndsOfRank", "--trainer.callbacks.rank", "1"]
    folder = RunFolder(tmp_path / "run")
    words = [*two, "--run", str(folder.path)]
    first, second = run_ranks([*words, *kills], tmp_path / "killed")
    assert second.status == -signal.SIGKILL
    assert first.status == FAILED
    assert first.said.count("\n") == 1
    assert "failed: Expected 2 processes to train together, found one of them gone" in first.said
    record = folder.read_record()
    assert record is not None
    assert record["status"] == "failed"
    run_on_two(words, tmp_path / "resumed")
    run_on_two([*two, "--run", str(tmp_path / "whole")], tmp_path / "undisturbed")
    assert_same_run(folder, RunFolder(tmp_path / "whole"))


def test_a_share_that_was_not_set_needs_the_old_number_of_devices(tmp_path: Path) -> None:
    """Refused before other processes start, so that it is said once."""
    words = [*SETTINGS, "--model.micro_batch_size", "null", "--checkpoints.every", "1", "--run", str(tmp_path / "run")]
    ends = ["--trainer.callbacks", f"{__name__}.EndsOfRank", "--trainer.callbacks.rank", "0"]
    process = start([*words, *ends], tmp_path / "log")
    process.join()
    assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
    two = [*words, "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    finished = subprocess.run([*LIGHTNING, *two], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 2
    assert finished.stderr.count("micro_batch_size was 8 and is 4") == 1
    assert "the run needs its old number of devices." in finished.stderr


def test_processes_that_found_different_checkpoints_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other rank stands at, without the other rank."""
    module = AdversarialTraining(ResNetPair(8, 2, 2, 4))
    module.on_train_start()
    monkeypatch.setattr(ProcessGroup, "gather", lambda _, own: torch.cat([own, own + 7]))
    with pytest.raises(RuntimeError, match=r"one checkpoint, found them at iterations \[0, 7\]"):
        module.on_train_start()


def test_a_weight_that_diverged_stops_every_rank_at_the_same_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessGroup, "broadcast_", lambda *_: pytest.fail("would wait for the rank that failed"))
    layers = torch.nn.Sequential(*(torch.nn.Conv2d(4, 4, 3) for _ in range(3)))
    constraint = METHODS["sr-s"]()
    constraint.attach(layers)
    with torch.no_grad():
        raw_weight(layers[1]).fill_(torch.nan)
    for rank in (0, 1, 2):
        with pytest.raises(ValueError, match=r"Layer '1' in iteration 5: .*NaN"):
            constraint.after_update(layers, 5, 0, 1, ProcessGroup(rank, 3))


# Who does what.


@pytest.mark.parametrize(("count", "world_size"), [(12, 4), (10, 4), (3, 5), (0, 2), (5_000, 8)])
def test_shares_are_contiguous_and_make_up_the_whole(count: int, world_size: int) -> None:
    shares = [ProcessGroup(rank, world_size).share(count) for rank in range(world_size)]
    assert [row for share in shares for row in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_work_is_shared_out_by_its_cost() -> None:
    costs = [1.0, 8.0, 2.0, 3.0, 2.0]
    owners = ProcessGroup(0, 2).owners(costs)
    assert [sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == rank) for rank in (0, 1)] == [8, 8]
    assert ProcessGroup(0, 1).owners(costs) == [0] * 5
    assert set(ProcessGroup(0, 9).owners(costs)) <= set(range(9))


@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_a_rank_decomposes_only_the_layers_that_it_owns(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two ranks would each do, one after the other in this process, without their broadcasts."""
    monkeypatch.setattr(ProcessGroup, "broadcast_", lambda *_: None)
    layers = torch.nn.Sequential(*(torch.nn.Conv2d(4, 4, 3) for _ in range(6)))
    constraint = METHODS[method]()
    constraint.attach(layers)
    constraint.after_update(layers, 0, 0, 1)  # SR-d records first
    changed: list[set[str]] = []
    for rank in (0, 1):
        with torch.no_grad():
            for name, parameter in layers.named_parameters():
                if name.endswith("original"):
                    parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(name))))
        before = {name: value.clone() for name, value in layers.state_dict().items()}
        constraint.after_update(layers, 5, 0, 1, ProcessGroup(rank, 2))
        changed.append({name for name, value in layers.state_dict().items() if not torch.equal(value, before[name])})
    weights = [{name for name in names if name.endswith("original")} for names in changed]
    assert len(weights[0]) == len(weights[1]) == 3
    assert not weights[0] & weights[1]
