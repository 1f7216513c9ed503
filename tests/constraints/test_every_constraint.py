"""Every constraint in training: a run that goes on from a checkpoint ends as the run that never stopped."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from discriminators import CONSTRAINTS

from srgan.data import DigitsData
from srgan.networks import Pair, ResNetPair, SNDCGANPair
from srgan.training.module import AdversarialTraining, optimizer_steps

PAIRS: dict[str, Pair] = {
    "ResNet": ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=8),
    "SNDCGAN": SNDCGANPair(image_size=8, generator_channels=2, discriminator_channels=2, latent_dim=8),
}


class SaveAt6(pl.Callback):
    """Leaves a checkpoint on the way, as a run that is killed a moment later does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if pl_module.iteration == 6:
            trainer.save_checkpoint(self.path)


def train(pair: str, method: str, callbacks: list[pl.Callback], checkpoint: Path | None = None) -> AdversarialTraining:
    """12 iterations on digits, from the start or from a checkpoint; SR acts in three of them, 0, 5 and 10."""
    module = AdversarialTraining(PAIRS[pair], CONSTRAINTS[method](), iterations=12, n_dis=2, seed=3)
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=optimizer_steps(12, 2), max_epochs=-1, logger=False, callbacks=callbacks,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsData(8, batch_size=4, n_dis=2, seed=3), ckpt_path=checkpoint)
    return module


OTHER_LAYERS = ("sn", "sr-d", "weight-norm", "batch-norm", "gp")  # one of each kind: strides and biases are SNDCGAN's


@pytest.mark.parametrize(("method", "pair"), [*product(CONSTRAINTS, ["ResNet"]), *product(OTHER_LAYERS, ["SNDCGAN"])])
def test_a_run_cut_half_way_ends_in_the_same_bits(method: str, pair: str, tmp_path: Path) -> None:
    whole = train(pair, method, [SaveAt6(tmp_path / "six.ckpt")])
    resumed = train(pair, method, [], tmp_path / "six.ckpt")
    assert resumed.iteration == whole.iteration == 12
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert all(torch.isfinite(parameter).all() for parameter in whole.parameters())
