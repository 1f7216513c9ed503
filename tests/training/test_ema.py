"""The generator's moving average: what it is, and that it is saved, resumed, scored, shared by processes, and free."""

import copy
import json
from pathlib import Path

import pytest
import torch
from processes import run_on_two
from tiny_runs import TINY, assert_same_run, fit, state
from torch import nn
from tracked import documented

from srgan.runs.folder import RunFolder
from srgan.training.module import AdversarialTraining
from srgan.training.optimizers import average_into, decay_at

SCORED = ["--scores.every", "12", "--scores.protocol.num_fake_images", "40", "--scores.protocol.num_real_images", "40",
          "--scores.protocol.batch_size", "20"]  # fmt: skip
AVERAGED = ["--model.ema_decay", "0.9"]


def test_parameters_and_statistics_are_averaged_and_counters_are_the_networks() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    average = copy.deepcopy(network).requires_grad_(False)
    expected = {name: value.double() for name, value in network.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    for decay in (0.1, 0.5, 0.9):
        network(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        average_into(average, network, decay)
        for name, value in network.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    expected["1.num_batches_tracked"] = torch.tensor(3)
    assert not average.get_parameter("0.weight").requires_grad
    for name, value in average.state_dict().items():
        torch.testing.assert_close(value.double(), expected[name].double(), rtol=1e-6, atol=1e-7)


def test_the_average_forgets_the_initial_weights_at_first() -> None:
    assert [decay_at(t, 0.999) for t in (0, 8, 10**6)] == [0.1, 0.5, 0.999]
    assert decay_at(10**6, 0.3) == 0.3


def test_looking_at_an_average_changes_no_training_and_it_resumes_to_the_bit(tmp_path: Path) -> None:
    plain, whole, cut = (RunFolder(tmp_path / name) for name in ("plain", "whole", "cut"))
    assert fit(plain) == 0
    assert fit(whole, *AVERAGED) == 0
    ours, theirs = (state(folder.checkpoint)["state_dict"] for folder in (whole, plain))
    averaged = {name for name in ours if name.startswith("generator_ema.")}
    assert ours.keys() - theirs.keys() == averaged
    assert {name.replace("generator_ema.", "generator.") for name in averaged} < theirs.keys()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    assert any((ours[name] != theirs[name.replace("_ema", "")]).any() for name in averaged)
    assert fit(cut, *AVERAGED, "--trainer.limit_train_batches", "5", "--trainer.max_epochs", "1") == 3
    assert fit(cut, *AVERAGED) == 0
    assert_same_run(cut, whole)


def test_scores_of_the_average_stand_beside_those_of_the_last_weights(tmp_path: Path) -> None:
    """An average that forgets at once is the last weights, and is scored the same."""
    folder = RunFolder(tmp_path / "run")
    final = ["--scores.final.num_fake_images", "40", "--scores.final.inception_splits", "2"]
    assert fit(folder, "--model.ema_decay", "1e-12", *SCORED, *final) == 0
    stored = folder.read_final()
    assert stored is not None
    for scores, group in ((folder.read_scores()[-1], "scores"), (stored["scores"], "final")):
        scores.pop("iteration", None)
        raw = {name: value for name, value in scores.items() if not name.endswith("_ema")}
        assert next(iter(raw)) == "FID_cls"
        assert scores == raw | {f"{name}_ema": value for name, value in raw.items()}
        assert all(documented(f"{group}/{name}") for name in scores)


def test_two_processes_hold_the_same_average_of_what_they_trained(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    every = ["--model.iterations", "3", "--checkpoints.every", "1", "--checkpoints.keep_every", "1"]
    probe = ["--trainer.callbacks+=rank_probe.RankProbe", "--trainer.callbacks.folder", str(tmp_path / "probe")]
    devices = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--run", str(folder.path)]
    run_on_two([*TINY, *AVERAGED, *every, *probe, *devices], tmp_path / "logs")
    reports = [json.loads((tmp_path / "probe" / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert reports[0]["hashes"] == reports[1]["hashes"]
    before, *after = (state(folder.checkpoint.with_name(f"{t:08d}.ckpt"))["state_dict"] for t in (1, 2, 3))
    for t, weights in enumerate(after, 1):
        for name in (name for name in weights if name.startswith("generator_ema.") and "num_batches" not in name):
            last, decay = weights[name.replace("_ema", "")], decay_at(t, 0.9)
            torch.testing.assert_close(weights[name], decay * before[name] + (1 - decay) * last)
        before = weights


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, float("nan")])
def test_an_impossible_decay_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"Expected ema_decay between 0 and 1.*found"):
        AdversarialTraining(ema_decay=decay)


def test_a_checkpoint_without_an_average_cannot_be_gone_on_from_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(RunFolder(tmp_path / "plain"), "--model.iterations", "1") == 0
    source = ["--from-checkpoint", str(RunFolder(tmp_path / "plain").checkpoint)]
    assert fit(RunFolder(tmp_path / "averaged"), *AVERAGED, *source) == 2
    assert "Take its networks, loss and ema_decay" in capsys.readouterr().err
