"""The contender "mimicry": torch-mimicry's SN-GAN for 32 x 32, through its own training steps.

`pip install --no-deps torch-mimicry`: what it asks for besides is for its metrics and data sets, which one training
step has no use for. Its enlarging is bilinear; otherwise its nets are the paper's.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch

from bench.worker import TakesTurns

UNUSED: dict[str, dict[str, Any]] = {
    "torch_mimicry.metrics": {},  # scores through TensorFlow
    "torch_mimicry.datasets": {},  # imports torch._six, which PyTorch no longer has
    "skimage": {"io": SimpleNamespace()},  # saves pictures
    "torch.utils.tensorboard": {"SummaryWriter": None},
}
"""Modules that the package imports and an iteration never touches: empty ones stand in."""


def absent() -> str | None:
    """Why this contender cannot take part; None if it can."""
    if find_spec("torch_mimicry") is None:
        return "torch-mimicry is not installed: pip install --no-deps torch-mimicry"
    return None


def stand_in() -> None:
    """Puts the unused modules where an import finds them."""
    for name, content in UNUSED.items():
        module = ModuleType(name)
        vars(module).update(content)
        sys.modules[name] = module


def train(
    turns: TakesTurns, batch_size: int, discriminator_channels: int, generator_channels: int, n_dis: int = 5
) -> None:
    """An iteration at each turn, on images in memory: its trainer's loop without log lines and checkpoints."""
    stand_in()
    sngan = import_module("torch_mimicry.nets.sngan")
    metric_log = import_module("torch_mimicry.training.metric_log")
    netD, netG = sngan.SNGANDiscriminator32(ndf=discriminator_channels), sngan.SNGANGenerator32(ngf=generator_channels)
    optD, optG = (torch.optim.Adam(net.parameters(), 2e-4, betas=(0.0, 0.9)) for net in (netD, netG))
    batch = torch.rand(batch_size, 3, 32, 32) * 2 - 1, torch.zeros(batch_size, dtype=torch.int64)
    device, iteration = torch.device("cpu"), 0
    while turns.take():
        log = metric_log.MetricLog()
        common = {"real_batch": batch, "log_data": log, "global_step": iteration, "device": device, "scaler": None}
        for _ in range(n_dis):
            netD.train_step(netG=netG, optD=optD, **common)
        netG.train_step(netD=netD, optG=optG, **common)
        iteration += 1
