"""Training on a device that is not the CPU: nothing mixes devices, nothing waits, launches have a ceiling."""

from itertools import product
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from discriminators import CONSTRAINTS
from pretended_device import DEVICE, CountedCPU, PretendedDevice, pretended_device, strategy_there
from torch import nn
from torch.nn.functional import conv2d

from srgan.constraints import METHODS, Schedule
from srgan.data import DigitsData
from srgan.losses import BEGAN, FeatureMatching, Minimax, Wasserstein
from srgan.networks import AutoencoderPair, DCGANPair, Pair, ResNetPair, SNDCGANPair
from srgan.networks.blocks import BatchNorm, EnlargementAndConvolution
from srgan.networks.resnet import ResNetDiscriminator
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.training.optimizers import OptimizerSettings
from srgan.utils.randomness import ROWS_PER_GENERATOR

LAUNCHES_OF_SN = 1_797
LAUNCHES_OF_SN_IN_BF16 = 2_368
LAUNCHES_OF_SR_S = 2_427
WAITS_OF_SR_S = 25
"""In an iteration of A_64-128; of SR-s in one in which it is due, where eigh waits for each N of D's layers."""
LAUNCHES_OF_IMAGENET = 8_946
"""In an iteration of the 128 x 128 pyramid, SN on both nets, of five updates of D in two micro-batches each."""
LAUNCHES_OF_LAYERS_ONE_BY_ONE = 18_140
"""In the same one, when each layer under SN took its power steps by itself."""
LEEWAY = 1.02  # of launches: another PyTorch may take an operation more

CONSTANT = ResNetPair(generator_channels=2, discriminator_channels=2, latent_dim=4)
PYRAMID = ResNetPair(16, 2, 2, latent_dim=4, num_classes=1_000, widths="pyramid")
NETS: dict[str, dict[str, Any]] = {
    "constant": {"networks": CONSTANT},
    "conditional pyramid": {"networks": PYRAMID, "normalize_generator": True, "micro_batch_size": 2},
}


class Counts(pl.Callback):
    """What the last iteration launched, and where it waited."""

    def __init__(self, device: PretendedDevice, home: torch.device = DEVICE) -> None:
        self.device, self.home = device, home
        self.launches = self.waits = 0
        self.places: dict[tuple[str, str], int] = {}

    def on_train_batch_start(self, *_: Any) -> None:
        self.device.launches.clear()
        self.device.waits.clear()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert {value.device for value in state(pl_module).values()} == {self.home}
        self.launches, self.waits = self.device.launches.total(), self.device.waits.total()
        self.places = dict(self.device.waits)


def trainer(iterations: int, n_dis: int, **settings: Any) -> pl.Trainer:
    return pl.Trainer(
        max_steps=optimizer_steps(iterations, n_dis), max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **settings,
    )  # fmt: skip


def train(
    iterations: int = 1, batch_size: int = 4, n_dis: int = 2, **settings: Any
) -> tuple[AdversarialTraining, Counts]:
    """Some iterations on digits, there; back on the CPU afterwards."""
    module = AdversarialTraining(iterations=iterations, n_dis=n_dis, seed=3, **settings)
    data = DigitsData(module.networks.image_size, batch_size=batch_size, n_dis=n_dis, seed=3)
    with pretended_device() as device:
        counts = Counts(device)
        trainer(iterations, n_dis, callbacks=[counts], strategy=strategy_there()).fit(module, datamodule=data)
    return module, counts


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


# The device itself.


def test_it_refuses_to_mix_devices_as_a_gpu_does() -> None:
    here = torch.ones(3)
    with pretended_device():
        there = here.to(DEVICE)
        assert there.device == DEVICE
        assert (there * torch.tensor(2.0)).tolist() == [2, 2, 2]
        assert there[torch.tensor([0, 2])].tolist() == [1, 1]
        with pytest.raises(RuntimeError, match=r"mul .*expected tensors of one device, found \[\[3\]\]"):
            there * here
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, device=DEVICE, generator=torch.Generator().manual_seed(0))
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()


def test_it_counts_launches_and_waits() -> None:
    with pretended_device() as device:
        x = torch.arange(6.0, device=DEVICE)
        images, bias = torch.ones(1, 1, 4, 4, device=DEVICE), torch.ones(1, device=DEVICE)
        device.launches.clear()
        y = (x + 1).view(2, 3).T  # one kernel: views launch nothing
        conv2d(images, images, bias)  # two
        assert (device.launches.total(), device.waits.total()) == (3, 0)
        y.sum().item()
        assert (device.launches.total(), device.waits.total()) == (4, 1)
        x[x > 2]
        x.cpu()
        torch.linalg.eigvalsh(images[0, 0])
        torch.tensor([1.0], device=DEVICE)
        assert device.waits.total() == 5


def test_convolutions_in_one_memory_format_copy_nothing() -> None:
    formats = [torch.contiguous_format, torch.channels_last]
    counted = []
    for of_images, of_weight in product(formats, formats):
        with pretended_device() as device:
            x = torch.ones(2, 4, 8, 8, device=DEVICE).to(memory_format=of_images).requires_grad_()
            W = torch.ones(4, 4, 3, 3, device=DEVICE).to(memory_format=of_weight).requires_grad_()
            device.launches.clear()
            y = conv2d(x, W)
            forward = device.launches.total()
            y.backward(torch.ones_like(y))
            counted.append((forward, sum(n for (name, _), n in device.launches.items() if "backward" in name)))
    assert counted[0] == counted[3] == (1, 2)
    assert counted[2] == (2, 4)  # the weight, in both directions, and its gradient back


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_an_enlarging_convolution_hands_over_a_kernel_that_is_not_copied(memory_format: torch.memory_format) -> None:
    with pretended_device() as device:
        layer = EnlargementAndConvolution(4, 6).to(memory_format=memory_format).to(DEVICE)
        x = torch.ones(2, 4, 8, 8, device=DEVICE).to(memory_format=memory_format)
        device.launches.clear()
        layer(x)
    assert sum(n for (name, _), n in device.launches.items() if name == "convolution") == 2  # with its bias


def test_batch_norm_is_one_launch() -> None:
    with pretended_device() as device:
        layer = BatchNorm(4).to(DEVICE)
        x = torch.ones(2, 4, 8, 8, device=DEVICE)
        device.launches.clear()
        layer(x)
        assert device.launches.total() == 1


def test_what_it_computes_is_what_the_cpu_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the arrangement of a GPU: draws of its size, and two forward passes of D."""
    monkeypatch.setattr("srgan.utils.randomness.ROWS_PER_GENERATOR_ON_CPU", ROWS_PER_GENERATOR)
    there, _ = train(2, networks=CONSTANT, channels_last=False)
    here = AdversarialTraining(iterations=2, n_dis=2, seed=3, networks=CONSTANT, channels_last=False)
    trainer(2, 2, accelerator="cpu").fit(here, datamodule=DigitsData(32, batch_size=4, n_dis=2, seed=3))
    assert all(torch.equal(state(there)[name], value) for name, value in state(here).items())


# Updates of both players.


@pytest.mark.parametrize(("method", "nets"), product(CONSTRAINTS, NETS))
def test_no_constraint_mixes_devices(method: str, nets: str) -> None:
    module, counts = train(constraint=CONSTRAINTS[method](), **NETS[nets])
    assert all(value.isfinite().all() for value in state(module).values())
    assert method.startswith("sr-") or not counts.places


OTHERS: dict[str, dict[str, Any]] = {
    "moving average": {"ema_decay": 0.9},
    "feature matching": {"feature_matching": FeatureMatching()},
    "BEGAN": {"networks": AutoencoderPair(16, 2, 2, 4, 4), "loss": BEGAN(), "constraint": METHODS["none"]()},
    "minimax, SR-d": {"loss": Minimax(), "constraint": METHODS["sr-d"]()},
    "WGAN": {
        "networks": DCGANPair(16, 2, 2, 4), "loss": Wasserstein(), "constraint": METHODS["clip"](),
        "discriminator_optimizer": OptimizerSettings(5e-5, algorithm="rmsprop"),
    },
    "SN-DCGAN": {"networks": SNDCGANPair(16, 2, 2, 4)},
    "textbook's order": {"generator_update_after": 2, "micro_batch_size": 2},
    "contiguous": {"channels_last": False},
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_no_setting_mixes_devices(name: str) -> None:
    module, counts = train(2, **{"networks": CONSTANT} | OTHERS[name])
    assert all(value.isfinite().all() for value in state(module).values())
    assert "SR-d" in name or not counts.places


# What an iteration of A_64-128 costs besides arithmetic.

A_64_128: Pair = ResNetPair(generator_channels=2, discriminator_channels=32)  # N = 3, 27 and D's channels, as there


def test_an_iteration_of_sn_never_waits_and_launches_no_more_than_it_did() -> None:
    _, counts = train(2, batch_size=64, n_dis=5, networks=A_64_128)
    assert counts.places == {}
    assert 1_000 < counts.launches <= LEEWAY * LAUNCHES_OF_SN


def test_bf16_launches_no_more_than_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the arrangement of a GPU."""
    monkeypatch.setattr("srgan.utils.randomness.ROWS_PER_GENERATOR_ON_CPU", ROWS_PER_GENERATOR)
    monkeypatch.setattr(ResNetDiscriminator, "takes_side_by_side", lambda self, images: False)
    module = AdversarialTraining(iterations=2, seed=3, networks=A_64_128).to(memory_format=torch.channels_last)
    with CountedCPU() as device:
        counts = Counts(device, torch.device("cpu"))
        trainer(2, 5, callbacks=[counts], accelerator="cpu", precision="bf16-mixed").fit(
            module, datamodule=DigitsData(32, batch_size=64, n_dis=5, seed=3)
        )
    assert 1_000 < counts.launches <= LEEWAY * LAUNCHES_OF_SN_IN_BF16


def test_an_iteration_in_which_sr_is_due_waits_no_more_than_it_did() -> None:
    always = METHODS["sr-s"](schedule=Schedule(every_iterations=1))
    _, counts = train(2, batch_size=64, n_dis=5, networks=A_64_128, constraint=always)
    assert 0 < counts.waits <= WAITS_OF_SR_S, counts.places
    assert counts.launches <= LEEWAY * LAUNCHES_OF_SR_S


def test_an_iteration_of_imagenet_launches_at_most_half_of_what_sn_by_layers_did() -> None:
    pair = ResNetPair(128, 2, 4, num_classes=1_000, widths="pyramid")
    _, counts = train(2, batch_size=4, n_dis=5, networks=pair, normalize_generator=True, micro_batch_size=2)
    assert counts.places == {}
    assert 5_000 < counts.launches <= min(LEEWAY * LAUNCHES_OF_IMAGENET, LAUNCHES_OF_LAYERS_ONE_BY_ONE / 2)
