"""Trainings of a few iterations on digits, for tests of the training step."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from srgan.constraints import (
    METHODS,
    Constraint,
)
from srgan.data import DigitsData
from srgan.networks import ResNetPair
from srgan.training.module import AdversarialTraining, optimizer_steps

SIZES = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=16)


def build(constraint: Constraint | None = None, **settings: Any) -> AdversarialTraining:
    defaults: dict[str, Any] = {"iterations": 4, "n_dis": 2, "seed": 3}
    return AdversarialTraining(SIZES, constraint or METHODS["sn"](), **(defaults | settings))


def fit(
    module: AdversarialTraining,
    iterations: int,
    batch_size: int = 6,
    callbacks: list[pl.Callback] | None = None,
    checkpoint: Path | None = None,
    **trainer_settings: Any,
) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=optimizer_steps(iterations, module.n_dis),
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **trainer_settings,
    )
    data = DigitsData(8, batch_size, module.n_dis, module.seed)
    trainer.fit(module, datamodule=data, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
    return trainer


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
