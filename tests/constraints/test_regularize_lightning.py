"""The one-liner in somebody's Lightning module: a GAN by manual optimization, stopped and resumed."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import srgan
from srgan.constraints import Regularization, Schedule

IMAGES = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class GAN(pl.LightningModule):
    """A generator and a discriminator with an optimizer each, stepped by hand.

    Args:
        where: the method in which the one-liner stands.
    """

    def __init__(self, where: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.automatic_optimization = False
        self.where = where
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 64), nn.Unflatten(1, (1, 8, 8)))
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, 6, 3, 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(6, 8, 3),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(8, 1),
        )
        self.handle: list[Regularization] = []
        self.acted: list[bool] = []
        if where == "__init__":
            self.optimizer_D = torch.optim.Adam(self.discriminator.parameters(), 1e-2)
            self.regularize(self.optimizer_D)
        else:  # weights are restored before configure_optimizers: their names have to be there
            srgan.regularize(self.discriminator, "none")

    def regularize(self, optimizer: torch.optim.Optimizer) -> None:
        schedule = Schedule(3, "all")
        self.handle = [srgan.regularize(self.discriminator, "sr-s", optimizer=optimizer, schedule=schedule)]

    def configure_optimizers(self) -> Any:
        if self.where == "__init__":
            optimizer_D = self.optimizer_D
        else:
            optimizer_D = torch.optim.Adam(self.discriminator.parameters(), 1e-2)
            self.regularize(optimizer_D)
        return [torch.optim.Adam(self.generator.parameters(), 1e-2), optimizer_D], []

    def training_step(self, batch: Any, batch_index: int) -> None:
        (real,) = batch
        optimizer_G, optimizer_D = self.optimizers()  # type: ignore[attr-defined]
        z = torch.randn(len(real), 4, generator=torch.Generator().manual_seed(self.global_step))

        def loss(images: Tensor, target: float) -> Tensor:
            scores = self.discriminator(images)
            return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))

        with self.toggled_optimizer(optimizer_G):
            self.manual_backward(loss(self.generator(z), 1.0))
            optimizer_G.step()
            optimizer_G.zero_grad()
        with self.toggled_optimizer(optimizer_D):
            self.manual_backward(loss(real, 1.0) + loss(self.generator(z).detach(), 0.0))
            optimizer_D.step()
            optimizer_D.zero_grad()
        sigma = srgan.spectra(self.discriminator, normalized=False)["2"]
        self.acted.append(bool((sigma[:4] - 1).abs().max() < 1e-5))


def fit(where: str, folder: Path, epochs: int, checkpoint: Path | None = None) -> GAN:
    module = GAN(where)
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(TensorDataset(IMAGES), batch_size=6), ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / f"{where}-{epochs}.ckpt")
    return module


@pytest.mark.parametrize("where", ["__init__", "configure_optimizers"])
def test_a_resumed_gan_ends_with_the_weights_of_an_uninterrupted_one(where: str, tmp_path: Path) -> None:
    whole = fit(where, tmp_path, 4)
    fit(where, tmp_path, 2)
    resumed = fit(where, tmp_path, 4, tmp_path / f"{where}-2.ckpt")
    assert whole.acted == [True, False, False, True, False, False, True, False]
    assert resumed.acted == whole.acted[4:]
    assert resumed.handle[0].updates == whole.handle[0].updates == 8
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
