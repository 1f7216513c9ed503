"""How long runs will take: a few real iterations and a real batch of samples for each kind of run."""

import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from reproduce.budget import networks_of, scored_images
from reproduce.plan import REPOSITORY, Run
from srgan.files import write_json

START_UP_SECONDS = 15.0  # imports, data, first scores
SECONDS_PER_KIND = 4.0
WIDE = 64  # generator channels from which arithmetic alone decides


class Kind(NamedTuple):
    """What the time of an iteration depends on."""

    device: str
    networks: str
    """Their settings by dotted names, as JSON."""
    n_dis: int
    generator_batch_ratio: int
    batch_size: int


def estimate_seconds(runs: list[Run], root: Path) -> list[float]:
    """Estimated seconds that remain of each run, one at a time on one thread or one GPU.

    Measured kinds are kept in `calibration.json` under `root`, for this machine.
    """
    configs = [run.chosen for run in runs]
    kinds = [timed_kind(run, config) for run, config in zip(runs, configs, strict=True)]
    path = root / "calibration.json"
    measured: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}
    unknown = sorted({kind for kind in kinds if _key(kind) not in measured})
    if unknown:
        finished = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "reproduce.calibrate"],
            input=json.dumps(unknown),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        measured |= {_key(kind): found for kind, found in zip(unknown, json.loads(finished.stdout), strict=True)}
        write_json(path, measured)
    return [
        _total(measured[_key(kind)], config, run.batch_size / kind.batch_size, run.iterations_done)
        for run, kind, config in zip(runs, kinds, configs, strict=True)
    ]


def timed_kind(run: Run, chosen: dict[str, Any]) -> Kind:
    """What to time for a run: large batches in part, since their time is proportional to their size."""
    device = "cuda" if chosen.get("trainer.accelerator") != "cpu" and count_gpus() else "cpu"
    largest = 256 if device == "cuda" else (4 if chosen["model.networks.init_args.generator_channels"] >= WIDE else 16)
    batch_size = min(run.batch_size, chosen.get("model.micro_batch_size") or largest)
    networks = {name: value for name, value in chosen.items() if name.startswith("model.networks.")}
    networks["data.init_args.image_size"] = chosen["data.init_args.image_size"]
    return Kind(
        device, json.dumps(networks, sort_keys=True), chosen.get("model.n_dis", 5),
        chosen.get("model.generator_batch_ratio", 2), batch_size,
    )  # fmt: skip


def count_gpus() -> int:
    """CUDA devices."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _key(kind: Kind) -> str:
    return f"{platform.node()} {kind}"


def _total(measured: dict[str, float], chosen: dict[str, Any], batches: float, done: int) -> float:
    """Seconds that remain of a run, at `batches` times the batch that was timed and `done` iterations."""
    iterations: int = chosen["model.iterations"] - done
    images = scored_images(chosen, iterations)
    return START_UP_SECONDS + iterations * measured["iteration"] * batches + images * measured["generated_image"]


def measure(kind: Kind) -> dict[str, float]:
    """Seconds of one iteration (median, behind a warm-up) and of one generated image."""
    import pytorch_lightning as pl

    from srgan.data import DigitsData
    from srgan.sampling import generate
    from srgan.training import AdversarialTraining

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # its import sets INFO
    networks = networks_of(json.loads(kind.networks))
    module = AdversarialTraining(
        networks,
        iterations=4,
        n_dis=kind.n_dis,
        generator_batch_ratio=kind.generator_batch_ratio,
    )

    class Stopwatch(pl.Callback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            float(module.losses["loss/discriminator"])  # waits for the device
            self.ends.append(time.perf_counter())
            trainer.should_stop = len(self.ends) > 1 and self.ends[-1] - self.ends[0] > SECONDS_PER_KIND

    stopwatch = Stopwatch()
    trainer = pl.Trainer(
        accelerator=kind.device, devices=1, max_steps=4 * (kind.n_dis + 1), max_epochs=-1, logger=False,
        callbacks=[stopwatch], enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsData(networks.image_size, kind.batch_size, kind.n_dis))
    durations = [b - a for a, b in zip(stopwatch.ends, stopwatch.ends[1:], strict=False)]
    start = time.perf_counter()
    for _ in generate(module.generator, range(50), 0, "calibration", 50):
        pass
    return {
        "iteration": statistics.median(durations),
        "generated_image": (time.perf_counter() - start) / 50,
    }


if __name__ == "__main__":
    json.dump([measure(Kind(*kind)) for kind in json.load(sys.stdin)], sys.stdout)
