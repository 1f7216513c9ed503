"""The contender "srgan": `pl.Trainer.fit` on stacked digits in memory, an iteration at each turn."""

import logging
from typing import Any

import pytorch_lightning as pl

from bench.worker import TakesTurns
from srgan.data import DigitsData
from srgan.networks import ResNetPair
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.utils.cpu import settle_on_cpu

ITERATIONS = 50_000


class TakingTurns(pl.Callback):
    """Holds training up from one iteration's end until the next turn; all processes begin and end a turn together."""

    def __init__(self, turns: TakesTurns) -> None:
        self.turns = turns

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._wait(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._wait(trainer)

    def _wait(self, trainer: pl.Trainer) -> None:
        trainer.strategy.barrier()
        more = self.turns.take() if trainer.is_global_zero else False
        trainer.should_stop = not trainer.strategy.broadcast(more)


def train(
    turns: TakesTurns,
    batch_size: int,
    discriminator_channels: int,
    generator_channels: int,
    image_size: int = 32,
    n_dis: int = 5,
    precision: Any = "32-true",
    devices: int = 1,
    **options: Any,
) -> None:
    """An SN-GAN under hinge loss; both batches are of one size, as the peers have it.

    `precision` and `devices` are Lightning's, further options those of `AdversarialTraining`.
    """
    settle_on_cpu()  # as `srgan fit` does
    for noise in ("pytorch_lightning", "lightning_fabric", "lightning.fabric"):
        logging.getLogger(noise).setLevel(logging.ERROR)
    networks = ResNetPair(image_size, generator_channels, discriminator_channels)
    module = AdversarialTraining(
        networks, iterations=ITERATIONS, n_dis=n_dis, **({"generator_batch_multiplier": 1} | options)
    )
    trainer = pl.Trainer(
        accelerator="cpu", devices=devices, strategy="auto" if devices == 1 else "ddp", precision=precision,
        max_steps=optimizer_steps(ITERATIONS, n_dis), max_epochs=-1, callbacks=[TakingTurns(turns)], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsData(image_size, batch_size, n_dis))
