"""What checksums and the disk cost a run at the settings of configs/cifar10.yaml, as a share of its time."""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from srgan.checkpoints.resume import RunCheckpointIO
from srgan.data import DigitsData
from srgan.networks import ResNetPair
from srgan.runs.folder import RunFolder
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.utils.files import append_json_line, flush, write_json

ITERATIONS_BETWEEN_SAVES, ROWS_BETWEEN_SAVES = 500, 10 + 5 + 10
HISTORY_BYTES = 10_000_000
"""Of a run of 50,000 iterations: 500 records of 16 kB, and rows."""
ROUNDS = 3


class Measures(pl.Callback):
    """Times an iteration; then the saves, in turns with PyTorch's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = 0.0
        self.text = ""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.began = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        iteration = time.process_time() - self.began
        self.text = self.compare(trainer._checkpoint_connector.dump_checkpoint(), iteration)
        trainer.should_stop = True

    def compare(self, content: dict[str, Any], iteration: float) -> str:
        """The sentences for the page."""
        last, marked = self.folder / "last.ckpt", RunFolder(self.folder)
        marked.losses.write_bytes(os.urandom(HISTORY_BYTES))

        def plain() -> None:
            with (self.folder / "plain.ckpt").open("wb") as file:
                torch.save(content, file)

        acts: dict[str, Callable[[], object]] = {
            "plain": plain,
            "disk": lambda: flush(self.folder / "plain.ckpt"),
            "ours": lambda: RunCheckpointIO().save_checkpoint(content, last),
            "marks": marked.history_marks,
            "row": lambda: append_json_line(self.folder / "row.jsonl", {"iteration": 1, "a": 0.1, "b": 0.2}),
            "plain row": lambda: _plain_row(self.folder / "plain.jsonl"),
            "progress": lambda: write_json(marked.progress, {"iteration": 1, "iterations": 2}, durable=False),
        }
        cpu: dict[str, float] = {}
        wall: dict[str, float] = {}
        for _ in range(ROUNDS):
            for name, act in acts.items():
                began, computed = time.perf_counter(), time.process_time()
                act()
                for best, spent in ((wall, time.perf_counter() - began), (cpu, time.process_time() - computed)):
                    best[name] = min(best.get(name, spent), spent)
        checks = cpu["ours"] - cpu["plain"] + cpu["marks"]
        checks += ROWS_BETWEEN_SAVES * max(0.0, cpu["row"] - cpu["plain row"])
        waits = wall["disk"]
        training = ITERATIONS_BETWEEN_SAVES * iteration
        extra = checks + waits
        size = last.stat().st_size / 1e6
        return (
            f"Saving the default networks of CIFAR-10 ({size:.0f} MB) takes {cpu['plain']:.2f} s of CPU time with "
            f"`torch.save` alone and {cpu['ours']:.2f} s with reading back and checksums; checksums of 10 MB of "
            f"histories {1000 * cpu['marks']:.0f} ms; waiting for the disk {1000 * waits:.0f} ms (best of {ROUNDS}). "
            f"Checkpoints are {ITERATIONS_BETWEEN_SAVES} iterations of {iteration:.1f} s of CPU time apart, so this is "
            f"{100 * extra / training:.3f} % of the run. It would be 1 % at "
            f"{1000 * extra / 0.01 / ITERATIONS_BETWEEN_SAVES:.0f} ms per iteration."
        )


def _plain_row(path: Path) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"iteration": 1, "a": 0.1, "b": 0.2}) + "\n")


def measure(folder: Path) -> str:
    """Trains the networks of configs/cifar10.yaml for an iteration, on digits of 32 pixels, and saves them."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    folder.mkdir()
    measures = Measures(folder)
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=optimizer_steps(50, 5), max_epochs=-1, callbacks=[measures], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(AdversarialTraining(ResNetPair(32, 256, 128), iterations=50), datamodule=DigitsData(32, 64, 5))
    return measures.text
