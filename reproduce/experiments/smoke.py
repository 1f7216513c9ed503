"""`make smoke`: some iterations of every run of Table II at scale paper, at true width and depth, on any machine.

Everything is the real run's but the images (embedded stacked digits at the size of the nets, whose 1,000
modes stand in for ImageNet's classes), the batch, the length, and the scores, which are left out. The batch is
two micro-batches, so that gradients accumulate in every run.
"""

import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reproduce.launcher.launcher import Campaign, perform
from reproduce.launcher.options import Options
from reproduce.plan.run import BATCH_SIZE, IMAGE_SIZE, ITERATIONS, Run
from reproduce.plan.settings import METHODS
from reproduce.plan.table_runs import TableRun, default_settings, table_runs

LENGTH, MICRO_BATCH = 2, 2
TOLERANCE = 1e-4  # of sigma_k / sigma_1


def smoke_run(run: TableRun) -> TableRun:
    """The run of the paper, short, on digits."""
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
    if run.method == "sr":  # SR-d's first application only records: with n_dis 1, only the second iteration projects
        overrides["model.constraint.init_args.schedule.every_iterations"] = 1
    return replace(run, overrides=overrides, devices=1, missing=None)


def experiment(options: Options, root: Path) -> Campaign:
    """The chosen runs, each checked as it ends.

    Raises:
        ValueError: a setting that Table I does not have.
    """
    names = options.settings or default_settings("paper")
    runs = table_runs("paper", names, METHODS, [1], root, options.overrides)
    return Campaign([smoke_run(run) for run in runs], root, check=check)


def check(run: Run) -> str | None:
    """What is wrong with a run that has ended; its checkpoints, which fill the disk, are removed."""
    losses = run.folder.read_losses()
    if len(losses) != LENGTH or not all(math.isfinite(value) for row in losses for value in row.values()):
        return f"expected {LENGTH} rows of finite losses, found {losses}"
    problem = wrong_spectra(run)
    shutil.rmtree(run.folder.checkpoint.parent)
    return problem


def wrong_spectra(run: Run) -> str | None:
    """Which spectrum of D is below what the run's SR should have held it at; None if all are right.

    SR-s holds the first i of sigma_k / sigma_1 at 1, SR-d all at their largest so far, which the checkpoint has.
    """
    from srgan.checkpoints.reading import read_run_checkpoint
    from srgan.constraints.parametrization import RECORDED_RATIOS

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (a run failed), 2 (wrong usage), 130 (stopped)."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        return perform(partial(experiment, root=Path(folder)), __doc__, "settings", arguments)


if __name__ == "__main__":
    sys.exit(main())
