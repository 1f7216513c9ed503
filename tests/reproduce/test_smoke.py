"""Runs of the paper at true width, and what is looked at when one has ended."""

from pathlib import Path

import pytest
import torch

from reproduce.experiments import smoke
from reproduce.plan.run import Run
from srgan.checkpoints.reading import read_file
from srgan.cli.main import main as srgan
from srgan.constraints.parametrization import RECORDED_RATIOS
from srgan.runs.folder import RunFolder


def test_a_paper_run_trains_at_true_width(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Under SR-s, whose spectra are looked at; under SN there is nothing to hold."""
    monkeypatch.setattr(smoke, "METHODS", ["sr"])
    assert smoke.main(["--settings", "C_8-32"]) == 0
    assert "1 of 1 runs ended well" in capsys.readouterr().out


def test_spectra_that_sr_d_does_not_hold_are_found(tmp_path: Path) -> None:
    """By what the run's checkpoint says that it holds: here the largest ratios are raised, then gone."""
    overrides = {
        "data.init_args.image_size": 8,
        "model.networks.init_args.generator_channels": 4,
        "model.networks.init_args.discriminator_channels": 4,
        "model.iterations": 2,
        "scores.every": 0,
        "model.constraint.init_args.form.init_args.schedule.every_iterations": 1,
    }
    run = Run(name="SR-d", folder=RunFolder(tmp_path / "run"), configs=("digits", "sr-d"), overrides=overrides)
    assert srgan(["fit", *run.fit_arguments()]) == 0
    assert smoke.wrong_spectra(run) is None
    checkpoint = read_file(run.folder.checkpoint)
    recorded = [values for name, values in checkpoint["state_dict"].items() if name.endswith(RECORDED_RATIOS)]
    for factor, words in ((1.1, "below"), (0.0, "found that it holds nothing")):
        for values in recorded:
            values.mul_(factor)
        torch.save(checkpoint, changed := tmp_path / "changed.ckpt")
        changed.replace(run.folder.checkpoint)  # the old file is mapped into memory
        assert words in (smoke.wrong_spectra(run) or "")
