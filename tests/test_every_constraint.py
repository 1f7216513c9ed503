"""Every constraint in training: a run that was cut is the run that was not, and two processes are one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from srgan.constraints import (
    METHODS,
    Combination,
    Constraint,
    Dynamic,
    GradientPenalty,
    Reparametrize,
    SpectralNormalization,
    SpectralRegularization,
    Static,
)
from srgan.data import DigitsData
from srgan.networks import Pair, ResNetPair, SNDCGANPair
from srgan.training import AdversarialTraining, optimizer_steps

CONSTRAINTS: dict[str, Callable[[], Constraint]] = METHODS | {
    "sr-s reparametrize": lambda: SpectralRegularization(Static(), Reparametrize()),
    "sr-d reparametrize": lambda: SpectralRegularization(Dynamic(), Reparametrize()),
    "sn + gp": lambda: Combination([SpectralNormalization(), GradientPenalty()]),
}
PAIRS: dict[str, Pair] = {
    "ResNet": ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=8),
    "SNDCGAN": SNDCGANPair(image_size=8, generator_channels=2, discriminator_channels=2, latent_dim=8),
}


def train(pair: str, method: str, iterations: int, checkpoint: Path | None = None) -> pl.Trainer:
    """A run of 20 iterations on digits, up to some iteration."""
    module = AdversarialTraining(PAIRS[pair], CONSTRAINTS[method](), iterations=20, n_dis=2, seed=3)
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=optimizer_steps(iterations, 2), max_epochs=-1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsData(8, batch_size=4, n_dis=2, seed=3), ckpt_path=checkpoint)
    return trainer


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("method", CONSTRAINTS)
def test_a_run_cut_at_10_of_20_iterations_ends_in_the_same_bits(method: str, pair: str, tmp_path: Path) -> None:
    train(pair, method, 10).save_checkpoint(tmp_path / "ten.ckpt")
    resumed = train(pair, method, 20, tmp_path / "ten.ckpt").lightning_module
    whole = train(pair, method, 20).lightning_module
    assert resumed.iteration == whole.iteration == 20
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert all(torch.isfinite(parameter).all() for parameter in whole.parameters())
