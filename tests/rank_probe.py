"""A Lightning callback for runs in several processes: what each rank held, and how often it talked."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch.profiler import ProfilerActivity, profile

from srgan.constraints.parametrization import RawWeight


class RankProbe(pl.Callback):
    """Writes `<folder>/rank<r>.json`: a hash of all weights and buffers after each iteration, all-reduces counted.

    The profiler sees the collectives of Python and of DDP's reducer alike.

    Args:
        folder: where to write.
        hold_power_vectors: no forward pass stores a power step, as there are fewer of them on more ranks.
    """

    def __init__(self, folder: str, hold_power_vectors: bool = False) -> None:
        self.folder = Path(folder)
        self.hold_power_vectors = hold_power_vectors
        self.hashes: list[str] = []
        self.profiler = profile(activities=[ProfilerActivity.CPU])

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.hold_power_vectors:
            for module in pl_module.modules():
                if isinstance(module, RawWeight):
                    module.eval()
        if not self.hashes:
            self.profiler.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        digest = hashlib.blake2b()
        for name, value in sorted(pl_module.state_dict().items()):
            digest.update(name.encode() + value.contiguous().numpy().tobytes())
        self.hashes.append(digest.hexdigest())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.profiler.stop()
        assert self.profiler.profiler is not None
        recorded = self.profiler.profiler.kineto_results
        assert recorded is not None
        names = [event.name() for event in recorded.events()]  # as they are: a tree of them takes seconds
        counts = {name: names.count(name) for name in set(names) if name.startswith("c10d::")}
        report = {"hashes": self.hashes, "collectives": counts, "threads": torch.get_num_threads()}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"rank{trainer.global_rank}.json").write_text(json.dumps(report))
