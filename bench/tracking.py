"""What recording and logging spectra costs beside training: A_64-128, D of 128 channels, Weights & Biases offline.

`OMP_NUM_THREADS=1 python -m bench.tracking` prints a table and writes bench/results/tracking.json. Medians behind a
warm-up, in CPU time of the training process, so that a shared machine does not matter much. Weights & Biases' own
process writes the log beside it.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytorch_lightning as pl
import torch
from PIL import Image

from srgan.callbacks import GradientRecorder, LossRecorder, SpectraRecorder
from srgan.data import DigitsData
from srgan.files import append_json_line, write_json
from srgan.memory import keep_freed_memory
from srgan.metrics.collapse import CollapseThresholds
from srgan.networks import ResNetPair
from srgan.provenance import processor, versions
from srgan.runs import RunFolder
from srgan.tracking.history import History
from srgan.tracking.logger import SpectralLogger
from srgan.training import AdversarialTraining, optimizer_steps

RESULTS = Path(__file__).parent / "results" / "tracking.json"
NETWORKS = ResNetPair(image_size=32, generator_channels=256, discriminator_channels=128)
BATCH_SIZE, N_DIS, ITERATIONS = 64, 5, 4  # of which the first warms up
LOGGED_EVERY, EVALUATED_EVERY = 100, 1_000
RECORDED_BEFORE = 500
"""Records that are there already: those of a run of 50,000 iterations at its end, when the histories are longest."""
REPETITIONS = 7


def timed(act: Callable[[], Any]) -> float:
    """Milliseconds."""
    start = time.process_time()
    act()
    return 1e3 * (time.process_time() - start)


def publish_news(logger: SpectralLogger, history: History) -> None:
    """What the publisher does with one logger after an iteration."""
    logger.log_rows(history.new_rows(), history)


def overheads(folder: RunFolder) -> dict[str, float]:
    """Median milliseconds of each part of a record, late in a run."""
    module = AdversarialTraining(NETWORKS, iterations=10**6)
    for parameter in (*module.generator.parameters(), *module.discriminator.parameters()):
        parameter.grad = torch.zeros_like(parameter)
    module.losses = {name: torch.ones(()) for name in ("loss/discriminator", "loss/generator", "score/real")}
    recorders = [LossRecorder(), GradientRecorder(), SpectraRecorder()]
    for recorder in recorders:
        recorder.folder = folder
    nobody = cast(Any, None)  # recorders look at the module alone
    recorders[2].act(nobody, module)
    written = folder.spectra.read()
    assert written is not None
    records = np.repeat(written[1], RECORDED_BEFORE)
    records["iteration"] = LOGGED_EVERY * np.arange(RECORDED_BEFORE)
    folder.spectra.path.write_bytes(records.tobytes())
    for iteration in np.repeat(records["iteration"], 2).tolist():
        append_json_line(folder.losses, {"iteration": iteration, "loss/discriminator": 1.0, "loss/generator": 0.0})
    module.iteration = int(records["iteration"][-1])
    logger = SpectralLogger(mode="offline")
    config = {"model": {"constraint": {"class_path": "SpectralNormalization"}}, "data": {"class_path": "CIFAR10Data"}}
    logger.bind(folder, {"config": config, "parent": None, "commit": None, "command": ["bench"]})
    history = History(folder, CollapseThresholds())
    logger.log_rows(history.new_rows()[-1:], history)
    found: dict[str, list[float]] = {}
    grid = Image.fromarray(np.random.default_rng(0).integers(0, 256, (530, 530, 3), dtype=np.uint8))
    for repetition in range(2 * REPETITIONS):
        module.iteration += LOGGED_EVERY
        names = ("record losses", "record gradients", "record spectra")
        acts = [partial(recorder.act, nobody, module) for recorder in recorders]
        parts = dict(zip(names, map(timed, acts), strict=True))
        evaluation = repetition % 2
        if evaluation:
            append_json_line(folder.scores, {"iteration": module.iteration, "FID": 20.0, "IS": 8.0})
            folder.samples.mkdir(exist_ok=True)
            grid.save(folder.samples / f"{module.iteration:08d}.png")
        publish = "publish, evaluation" if evaluation else "publish"
        parts[publish] = timed(partial(publish_news, logger, history))
        parts["look for news"] = timed(history.new_rows)
        if repetition >= 2:
            for name, value in parts.items():
                found.setdefault(name, []).append(value)
    logger.finalize("success")
    return {name: statistics.median(values) for name, values in found.items()}


def iteration_seconds() -> float:
    """CPU seconds of an iteration of A_64-128, on images of CIFAR-10's size."""

    class Stopwatch(pl.Callback):
        ends: ClassVar[list[float]] = []

        def on_train_batch_end(self, *_: Any) -> None:
            self.ends.append(time.process_time())

    keep_freed_memory()  # as `srgan fit` does
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_steps=optimizer_steps(ITERATIONS, N_DIS), max_epochs=-1, logger=False,
        callbacks=[Stopwatch()], enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    module = AdversarialTraining(NETWORKS, n_dis=N_DIS, iterations=ITERATIONS)
    trainer.fit(module, datamodule=DigitsData(32, BATCH_SIZE, N_DIS))
    return statistics.median(b - a for a, b in pairwise(Stopwatch.ends))


def summed_up(parts: dict[str, float], seconds: float) -> dict[str, float]:
    """Milliseconds per 100 iterations (an evaluation in every tenth), and what share of the training they are."""
    rate = LOGGED_EVERY / EVALUATED_EVERY
    recording = 2 * parts["record losses"] + parts["record gradients"] + parts["record spectra"]
    publishing = (1 - rate) * parts["publish"] + rate * parts["publish, evaluation"]
    together = recording + publishing + LOGGED_EVERY * parts["look for news"]
    return {
        "recording, ms": recording,
        "logging, ms": together - recording,
        "together, ms": together,
        "share of training here": together / (1e3 * LOGGED_EVERY * seconds),
        "1 % of iterations of, s": together / (1e3 * LOGGED_EVERY * 0.01),
    }


def main() -> None:
    """Measures both, prints and writes them."""
    os.environ["WANDB_SILENT"] = "true"
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["WANDB_DATA_DIR"] = temporary
        parts = overheads(RunFolder(Path(temporary) / "bench"))
    _show(parts)
    seconds = iteration_seconds()
    shares = summed_up(parts, seconds)
    _show({"an iteration, seconds": seconds} | shares)
    result = {
        "hardware": {"device": processor(), "threads": torch.get_num_threads(), "cores": os.cpu_count()},
        "versions": versions() | {"wandb": version("wandb")},
        "milliseconds": parts,
        "iteration_seconds": seconds,
        "per_100_iterations": shares,
    }
    write_json(RESULTS, result)


def _show(values: dict[str, float]) -> None:
    for name, value in values.items():
        print(f"{name:>28} {value:10.4f}", flush=True)


if __name__ == "__main__":
    main()
