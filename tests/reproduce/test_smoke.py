"""`make smoke`: some iterations of every run of Table II at scale paper, at true width and depth, on any machine.

Everything is the real run's but the images (embedded stacked digits at the size of the nets, whose 1,000
modes stand in for ImageNet's classes), the batch, the length, and the scores, which are left out. The batch is
two micro-batches, so that gradients accumulate in every run.
"""

import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reproduce.plan.run import BATCH_SIZE, IMAGE_SIZE, ITERATIONS, Run
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, default_settings, table_runs
from reproduce.plan.variants import CONSTRAINT
from srgan.checkpoints.reading import read_file, read_run_checkpoint
from srgan.cli.main import main as srgan
from srgan.constraints.parametrization import RECORDED_RATIOS
from srgan.runs.folder import RunFolder

LENGTH, MICRO_BATCH = 2, 2
TOLERANCE = 1e-4  # of sigma_k / sigma_1
EVERY = f"{CONSTRAINT}.schedule.every_iterations"
ROWS = os.environ.get("SETTINGS", "").replace(",", " ").split() or default_settings("paper")


def short_run(row: str, method: Any, root: Path) -> TableRun:
    """The run of the paper, short, on digits."""
    (run,) = table_runs("paper", [row], [method], [1], root)
    overrides: dict[str, Any] = {
        **run.overrides,
        "data.class_path": "srgan.data.DigitsData",
        IMAGE_SIZE: run.flat[IMAGE_SIZE],
        BATCH_SIZE: 2 * MICRO_BATCH,
        "model.micro_batch_size": MICRO_BATCH,
        ITERATIONS: LENGTH,
        "losses.every": 1,
        "samples.every": 0,
        "scores.every": 0,
        "trainer.accelerator": "cpu",
    }
    if method == "sr":  # SR-d's first application only records: with n_dis 1, only the second iteration projects
        overrides[EVERY] = 1
    return replace(run, overrides=overrides, devices=1, missing=None)


def wrong_spectra(run: Run) -> str | None:
    """Which spectrum of D is below what the run's SR should have held it at; None if all are right.

    SR-s holds the first i of sigma_k / sigma_1 at 1, SR-d all at their largest so far, which the checkpoint has.
    """
    if "sn" in run.configs:
        return None
    history = run.folder.read_spectra()
    assert history is not None
    weights = read_run_checkpoint(run.folder.checkpoint).weights if "sr-d" in run.configs else None
    for layer, judged in history.judged().items():
        recorded = None if weights is None else weights[f"discriminator.{layer}.{RECORDED_RATIOS}"].numpy()
        held = np.ones(judged.shape[1]) if recorded is None else recorded
        if not held.any():
            return f"expected {run.configs[-1]} to hold the spectrum of {layer}, found that it holds nothing"
        short = float(np.max(held - judged[-1]))
        if short > TOLERANCE:
            return f"expected {run.configs[-1]} to hold the spectrum of {layer}, found it {short:.1e} below"
    return None


def trains_right(run: Run) -> None:
    assert srgan(["fit", *run.write_plan()]) == 0
    losses = run.folder.read_losses()
    assert len(losses) == LENGTH
    assert all(math.isfinite(value) for row in losses for value in row.values())
    assert wrong_spectra(run) is None
    shutil.rmtree(run.folder.checkpoint.parent)  # 52 of them fill the disk


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row", ROWS)
def test_every_paper_run_trains_at_true_width(row: str, method: str, tmp_path: Path) -> None:
    trains_right(short_run(row, method, tmp_path))


def test_a_paper_run_trains_at_true_width(tmp_path: Path) -> None:
    """Under SR-s, whose spectra are looked at; under SN there is nothing to hold."""
    trains_right(short_run("C_8-32", "sr", tmp_path))


def test_spectra_that_sr_d_does_not_hold_are_found(tmp_path: Path) -> None:
    """By what the run's checkpoint says that it holds: here the largest ratios are raised, then gone."""
    overrides = {
        "data.init_args.image_size": 8,
        "model.networks.init_args.generator_channels": 4,
        "model.networks.init_args.discriminator_channels": 4,
        "model.iterations": 2,
        "scores.every": 0,
        EVERY: 1,
    }
    run = Run(name="SR-d", folder=RunFolder(tmp_path / "run"), configs=("digits", "sr-d"), overrides=overrides)
    assert srgan(["fit", *run.write_plan()]) == 0
    assert wrong_spectra(run) is None
    checkpoint = read_file(run.folder.checkpoint)
    recorded = [values for name, values in checkpoint["state_dict"].items() if name.endswith(RECORDED_RATIOS)]
    for factor, words in ((1.1, "below"), (0.0, "found that it holds nothing")):
        for values in recorded:
            values.mul_(factor)
        torch.save(checkpoint, changed := tmp_path / "changed.ckpt")
        changed.replace(run.folder.checkpoint)  # the old file is mapped into memory
        assert words in (wrong_spectra(run) or "")
