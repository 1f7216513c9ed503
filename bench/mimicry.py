"""The contender "mimicry": torch-mimicry's SN-GAN for 32 x 32, through its own training steps.

`pip install --no-deps torch-mimicry`: what it asks for besides is for its metrics and data sets, which one training
step has no use for. Its enlarging is bilinear; otherwise its nets are the paper's.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from itertools import count, takewhile
from types import ModuleType, SimpleNamespace
from typing import Any

from bench.worker import TakesTurns

# Modules that the package imports and an iteration never touches (scores through TensorFlow, data sets through
# torch._six, which PyTorch no longer has, pictures): empty ones stand in.
UNUSED: dict[str, dict[str, Any]] = {
    "torch_mimicry.metrics": {}, "torch_mimicry.datasets": {}, "skimage": {"io": SimpleNamespace()},
    "torch.utils.tensorboard": {"SummaryWriter": None},
}  # fmt: skip


def is_installed() -> bool:
    return find_spec("torch_mimicry") is not None


def train(
    turns: TakesTurns, batch_size: int, discriminator_channels: int, generator_channels: int, n_dis: int = 5
) -> None:
    """An iteration at each turn, on images in memory: its trainer's loop without log lines and checkpoints."""
    import torch

    for name, content in UNUSED.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
    sngan = import_module("torch_mimicry.nets.sngan")
    metric_log = import_module("torch_mimicry.training.metric_log")
    netD, netG = sngan.SNGANDiscriminator32(ndf=discriminator_channels), sngan.SNGANGenerator32(ngf=generator_channels)
    optD, optG = (torch.optim.Adam(net.parameters(), 2e-4, betas=(0.0, 0.9)) for net in (netD, netG))
    batch = torch.rand(batch_size, 3, 32, 32) * 2 - 1, torch.zeros(batch_size, dtype=torch.int64)
    common = {"real_batch": batch, "device": torch.device("cpu"), "scaler": None}
    for iteration in takewhile(lambda _: turns.take(), count()):
        step = common | {"log_data": metric_log.MetricLog(), "global_step": iteration}
        for _ in range(n_dis):
            netD.train_step(netG=netG, optD=optD, **step)
        netG.train_step(netD=netD, optG=optG, **step)
