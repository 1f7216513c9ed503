"""`make smoke`: some iterations of every run of Table II at scale paper, at true width and depth, on any machine.

Everything is the real run's but the images (embedded stacked digits at the size of the nets, whose 1,000
modes stand in for ImageNet's classes), the batch, the length, and the scores, which are left out. The batch is
two micro-batches, so that gradients accumulate in every run.
"""

import argparse
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from reproduce.budget import networks_of
from reproduce.cost import cost
from reproduce.plan import Run, plan
from reproduce.settings import METHODS, SETTINGS
from srgan.checkpoints import read_run_checkpoint, rebuild_training
from srgan.cli import main as srgan

ITERATIONS, MICRO_BATCH = 2, 2
PLAYERS = ("discriminator", "generator")
TOLERANCE = 1e-4  # of sigma_k / sigma_1


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 if a run failed."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.smoke", description=__doc__)
    parser.add_argument("--settings", default="", help="rows of Table I (default: all)")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    names = options.settings.split()
    if names in ([], ["all"]):
        names = [setting.name for setting in SETTINGS]
    try:
        with tempfile.TemporaryDirectory() as folder:
            return run_all(plan("paper", names, METHODS, [1], Path(folder)), console)
    except ValueError as error:
        print(f"smoke: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def run_all(runs: Sequence[Run], console: Console) -> int:
    """Trains each run and removes its folder; returns the exit status: 0, or 1 if one failed."""
    table = Table("run", "D, G channels", "parameters", "layers of D", "seconds", "outcome")
    failed, started = 0, time.monotonic()
    for run in runs:
        begun = time.monotonic()
        problem = smoke(run)
        failed += problem is not None
        pair, spectra = networks_of(run.chosen), run.folder.read_spectra()
        widths = ", ".join(str(run.chosen[f"model.networks.init_args.{player}_channels"]) for player in PLAYERS)
        layers = str(len(spectra.layers)) if spectra else "-"
        seconds, outcome = f"{time.monotonic() - begun:.1f}", problem or "passed"
        table.add_row(run.name, widths, f"{cost(pair).parameters:,}", layers, seconds, outcome)
        console.print(f"{run.name}: {outcome} in {seconds} s", highlight=False)
        shutil.rmtree(run.folder.path, ignore_errors=True)
    console.print(table)
    passed = len(table.rows) - failed
    console.print(f"{passed} of {len(table.rows)} passed in {time.monotonic() - started:.0f} s", highlight=False)
    return 1 if failed else 0


def smoke(run: Run) -> str | None:
    """Trains one run for some iterations; what is wrong with it, or None.

    Raises:
        KeyboardInterrupt: it was stopped.
    """
    pair = networks_of(run.chosen)
    # SR-d's first application only records: with n_dis 1, only the second iteration projects.
    every = ["--model.constraint.init_args.form.init_args.schedule.every_iterations", "1"] if run.method == "sr" else []
    status = srgan(
        [
            "fit", *run.command,
            "--data.class_path", "srgan.data.DigitsData", "--data.init_args.image_size", str(pair.image_size),
            "--data.init_args.batch_size", str(2 * MICRO_BATCH), "--model.micro_batch_size", str(MICRO_BATCH),
            "--model.iterations", str(ITERATIONS), "--losses.every", "1", "--samples.every", "0",
            "--scores.every", "0", "--trainer.accelerator", "cpu", *every,
        ]
    )  # fmt: skip
    if status > 128:
        raise KeyboardInterrupt
    record, losses = run.folder.read_record() or {}, run.folder.read_losses()
    if status or record.get("status") != "finished":
        return f"failed with status {status}: {record.get('error', record.get('status'))}"
    if len(losses) != ITERATIONS or not all(math.isfinite(value) for row in losses for value in row.values()):
        return f"expected {ITERATIONS} rows of finite losses, found {losses}"
    return wrong_spectra(run)


def wrong_spectra(run: Run) -> str | None:
    """Which spectrum of D is below what the run's SR should have held it at; None if all are right."""
    history = run.folder.read_spectra()
    assert history is not None
    training = rebuild_training(read_run_checkpoint(run.folder.checkpoint))
    for layer, spectra in history.judged().items():
        held = training.constraint.held_ratios(training.discriminator.get_submodule(layer)).numpy()
        if run.method == "sr" and not held.any():
            return f"expected {run.constraint} to hold the spectrum of {layer}, found that it holds nothing"
        short = float(np.max(held - spectra[-1]))
        if short > TOLERANCE:
            return f"expected {run.constraint} to hold the spectrum of {layer}, found it {short:.1e} below"
    return None


if __name__ == "__main__":
    sys.exit(main())
