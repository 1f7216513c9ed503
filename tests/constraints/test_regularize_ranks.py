"""The one-liner in two real processes: before and after DDP wraps D, in Lightning's order, behind accelerate."""

import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from accelerate import Accelerator
from processes import free_port
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset

import srgan
from srgan.constraints import Schedule

STEPS = 4
EACH = Schedule(1)


def convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.LeakyReLU(0.2), nn.Conv2d(8, 8, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1)
    )


def batches(ranks: range) -> list[Tensor]:
    """Of each step, `[4 len(ranks), 3, 8, 8]`: every rank has images of its own."""
    return [
        torch.cat([torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(10 * step + r)) for r in ranks])
        for step in range(STEPS)
    ]


def train(D: nn.Module, optimizer: torch.optim.Optimizer, ranks: range) -> None:
    for x in batches(ranks):
        optimizer.zero_grad()
        D(x).square().mean().backward()
        optimizer.step()


def before_ddp(rank: int, method: str) -> nn.Module:
    D = convolutions()
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    srgan.regularize(D, method, optimizer=optimizer)
    train(DistributedDataParallel(D), optimizer, range(rank, rank + 1))
    return D


def after_ddp(rank: int, method: str, unused: bool = False) -> nn.Module:
    D = convolutions()
    wrapped = DistributedDataParallel(D, find_unused_parameters=unused)
    optimizer = torch.optim.SGD(wrapped.parameters(), 0.1)
    srgan.regularize(wrapped, method, optimizer=optimizer)
    train(wrapped, optimizer, range(rank, rank + 1))
    return D


def after_ddp_that_finds_unused(rank: int, method: str) -> nn.Module:
    return after_ddp(rank, method, unused=True)


def accelerated(rank: int, method: str) -> nn.Module:
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    plain = convolutions()
    D, optimizer = accelerator.prepare(plain, torch.optim.SGD(plain.parameters(), 0.1))
    srgan.regularize(D, method, optimizer=optimizer)
    for x in batches(range(rank, rank + 1)):
        optimizer.zero_grad()
        accelerator.backward(D(x).square().mean())
        optimizer.step()
    return plain


def refused_after_ddp(rank: int, method: str) -> nn.Module:
    """Of the module within, too, as Lightning's hooks see it."""
    D = convolutions()
    wrapped = DistributedDataParallel(nn.ModuleDict({"D": D}))
    names = list(D.state_dict())
    for given in (wrapped, D):
        with pytest.raises(ValueError, match="not in DistributedDataParallel yet"):
            srgan.regularize(given, method)
    assert list(D.state_dict()) == names
    return D


class LightningGAN(pl.LightningModule):
    """Lightning's own example of a GAN: two optimizers by hand, each toggled for its turn."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.method = method
        self.discriminator = convolutions()
        self.generator = nn.Sequential(nn.Linear(4, 192), nn.Tanh(), nn.Unflatten(1, (3, 8, 8)))

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.generator(z)
        return images

    def adversarial_loss(self, scores: Tensor, target: float) -> Tensor:
        return F.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))

    def training_step(self, batch: Any, batch_index: int) -> None:
        (images,) = batch
        optimizer_G, optimizer_D = self.optimizers()  # type: ignore[attr-defined]
        z = torch.randn(len(images), 4)
        self.toggle_optimizer(optimizer_G)
        self.manual_backward(self.adversarial_loss(self.discriminator(self(z)), 1.0))
        optimizer_G.step()
        optimizer_G.zero_grad()
        self.untoggle_optimizer(optimizer_G)
        self.toggle_optimizer(optimizer_D)
        real = self.adversarial_loss(self.discriminator(images), 1.0)
        fake = self.adversarial_loss(self.discriminator(self(z).detach()), 0.0)
        self.manual_backward((real + fake) / 2)
        optimizer_D.step()
        optimizer_D.zero_grad()
        self.untoggle_optimizer(optimizer_D)

    def configure_optimizers(self) -> Any:
        """Which Lightning calls when DDP has wrapped the module already."""
        optimizer_G = torch.optim.Adam(self.generator.parameters(), 2e-3, betas=(0.5, 0.999))
        optimizer_D = torch.optim.Adam(self.discriminator.parameters(), 2e-3, betas=(0.5, 0.999))
        options: dict[str, Any] = {"schedule": EACH} if self.method.startswith("sr") else {}
        self.handle = srgan.regularize(self.discriminator, self.method, optimizer=optimizer_D, **options)
        return [optimizer_G, optimizer_D], []


def lightning(rank: int, method: str) -> nn.Module:
    module = LightningGAN(method)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=2,
        strategy="ddp_find_unused_parameters_true",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    images = torch.cat(batches(range(2)))
    trainer.fit(module, DataLoader(TensorDataset(images), batch_size=4))
    assert module.handle.updates == STEPS
    return module.discriminator


Work = Callable[[int, str], nn.Module]


def on_two(work: Work, method: str, folder: Path) -> list[dict[str, Tensor]]:
    """D's state dict on each of two gloo processes after some work, and the log of one that failed."""
    port = str(free_port())
    processes = [
        get_context("fork").Process(target=_run, args=(work, method, rank, port, folder), daemon=True)
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        process.kill()  # where it hangs
    logs = [(folder / f"rank{rank}.log").read_text() for rank in range(2)]
    assert [process.exitcode for process in processes] == [0, 0], "\n".join(logs)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


def _run(work: Work, method: str, rank: int, port: str, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "tests"}
    torch.set_num_threads(1)
    with (folder / f"rank{rank}.log").open("w", buffering=1) as log:
        sys.stdout = sys.stderr = log
        try:
            if work is not accelerated and work is not lightning:  # which make the group themselves
                dist.init_process_group("gloo")
            torch.save(work(rank, method).state_dict(), folder / f"rank{rank}.pt")
        except BaseException:
            traceback.print_exc()
            raise


@pytest.mark.parametrize("method", ["sn", "sr-s"])
@pytest.mark.parametrize("work", [before_ddp, after_ddp, after_ddp_that_finds_unused, accelerated])
def test_both_ranks_take_the_steps_of_one_process_with_all_images(work: Work, method: str, tmp_path: Path) -> None:
    first, second = on_two(work, method, tmp_path)
    D = convolutions()
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    srgan.regularize(D, method, optimizer=optimizer)
    train(D, optimizer, range(2))
    for name, tensor in D.state_dict().items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("method", ["sn", "sr-s"])
def test_the_gan_of_lightnings_docs_stays_the_same_on_both_ranks(method: str, tmp_path: Path) -> None:
    first, second = on_two(lightning, method, tmp_path)
    assert all(torch.equal(first[name], second[name]) for name in first)
    start = convolutions().state_dict()
    assert not torch.equal(first["0.parametrizations.weight.original"], start["0.weight"])
    if method == "sr-s":
        sigma = torch.linalg.svdvals(first["2.parametrizations.weight.original"].flatten(1).double())
        torch.testing.assert_close(sigma[:4], torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["weight-norm", "batch-norm"])
def test_parameters_that_ddp_would_not_average_are_refused(method: str, tmp_path: Path) -> None:
    on_two(refused_after_ddp, method, tmp_path)
