"""What a run says of its own length on a CPU."""

import copy
from pathlib import Path

import pytest
import torch
from tiny_runs import assert_identical, fit

from srgan.constraints.methods import METHODS
from srgan.duration import hours_on_cpu
from srgan.networks import ResNetPair
from srgan.runs import RunFolder
from srgan.training import AdversarialTraining


@pytest.mark.parametrize("method", ["sn", "sr-d"])
def test_the_estimate_changes_neither_nets_nor_random_numbers(method: str) -> None:
    training = AdversarialTraining(ResNetPair(8, 4, 4, latent_dim=4), METHODS[method](), iterations=100)
    before, drawn = copy.deepcopy(training.state_dict()), torch.get_rng_state()
    assert 0 < hours_on_cpu(training, 4, 100) < 1
    assert_identical(dict(training.state_dict()), dict(before))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert training.generator.training

    assert hours_on_cpu(training, 4, 0) == 0


def test_a_run_that_is_none_for_a_cpu_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(RunFolder(tmp_path / "short"), "--model.iterations", "1") == 0
    assert "hours" not in capsys.readouterr().err
    monkeypatch.setattr("srgan.fit.TOO_LONG", 0.0)
    assert fit(RunFolder(tmp_path / "long"), "--model.iterations", "1") == 0
    said = capsys.readouterr().err
    assert "long: training alone will take about 0 hours on this CPU. Take a GPU, or a smaller experiment" in said
