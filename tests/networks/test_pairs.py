"""Every pair of nets: what its protocol promises, its paper's table, and its way through the command line."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from torch import Tensor, nn
from torch.nn.functional import elu, interpolate, leaky_relu

from srgan import networks
from srgan.cli.main import main
from srgan.data import DigitsData
from srgan.losses import BEGAN, Hinge
from srgan.networks import AutoencoderPair, DCGANPair, Discriminator, Generator, Pair, ResNetPair, SNDCGANPair
from srgan.networks.autoencoder import Decoder
from srgan.runs.folder import RunFolder
from srgan.training.module import AdversarialTraining

SMALL: dict[str, Any] = {"generator_channels": 4, "discriminator_channels": 3, "latent_dim": 5}
PAIRS: list[type[Any]] = [ResNetPair, DCGANPair, SNDCGANPair, AutoencoderPair]
TINY = [
    "fit", "-c", "configs/digits.yaml", "--data.init_args.batch_size", "4", "--model.iterations", "2",
    "--model.n_dis", "1", "--scores.every", "0", "--samples.every", "2", "--samples.rows", "2",
]  # fmt: skip


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolutions(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]


def test_every_concrete_pair_is_tested_here() -> None:
    pairs = {value for value in vars(networks).values() if isinstance(value, type) and issubclass(value, Pair)}
    assert pairs - {Pair} == set(PAIRS)


@pytest.mark.parametrize("make", PAIRS)
def test_scores_and_losses_are_float32_in_half_precision(make: type[Any]) -> None:
    pair = make(16, **SMALL)
    generator, discriminator = pair.build()
    loss = BEGAN() if pair.is_autoencoder else Hinge()
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(torch.randn(8, 5))
        scores = discriminator(images)
        of_players = loss.discriminator(scores, scores), loss.generator(scores)
    assert {value.dtype for value in (scores, *of_players)} == {torch.float32}
    assert (scores != scores.bfloat16()).any()  # computed as such, not only stored


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("make", PAIRS)
def test_shapes_and_ranges(make: type[Any], size: int) -> None:
    pair = make(size, **SMALL)
    generator, discriminator = pair.build()
    assert isinstance(generator, Generator)
    assert isinstance(discriminator, Discriminator)
    assert (pair.image_size, pair.latent_dim, pair.num_classes) == (size, 5, 0)
    assert (generator.latent_dim, generator.num_classes, discriminator.num_classes) == (5, 0, 0)
    images = generator(100 * torch.randn(3, 5))
    assert images.shape == (3, 3, size, size)
    assert 0 < images.abs().max() <= 1
    scores = discriminator(images)
    assert scores.shape == (3,)
    assert torch.equal(scores, discriminator(images, torch.zeros(3, dtype=torch.int64)))  # labels are ignored
    players = zip(torch.autograd.grad(scores.sum(), list(generator.parameters())), generator.parameters(), strict=True)
    assert all(gradient.shape == parameter.shape for gradient, parameter in players)


@pytest.mark.parametrize("make", PAIRS)
def test_the_memory_format_reaches_the_convolutions_and_changes_no_result(make: type[Any]) -> None:
    generator, discriminator = make(16, **SMALL).build()
    generator.eval()
    seen: list[bool] = []
    for network in (generator, discriminator):
        convolutions(network)[0].register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
        )
    z = torch.randn(3, 5)
    images = generator(z)
    scores = discriminator(images)
    generator.memory_format = discriminator.memory_format = torch.channels_last
    torch.testing.assert_close(generator(z), images)
    torch.testing.assert_close(discriminator(images), scores)
    assert seen == [False, False, True, True]


@pytest.mark.parametrize("make", [DCGANPair, SNDCGANPair])
def test_weights_start_from_n_0_002(make: type[Any]) -> None:
    torch.manual_seed(0)
    for network in make(16, 16, 16, 16).build():
        layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        weights = torch.cat([layer.weight.flatten() for layer in layers])
        assert weights.mean().item() == pytest.approx(0, abs=1e-3)
        assert weights.std().item() == pytest.approx(0.02, rel=0.02)
        assert not any(layer.bias.any() for layer in layers if layer.bias is not None)


# DCGAN.


def test_parameters_of_dcgan_at_64_x_64() -> None:
    """100 -> 4 x 4 x 1024 -> 512 -> 256 -> 128 -> 3 (Fig. 1 of Radford et al.), with kernels of 4 x 4."""
    generator, discriminator = DCGANPair(64).build()
    widths = [1024, 512, 256, 128, 3]
    transposed = sum(16 * a * b + b for a, b in pairwise(widths))
    assert parameter_count(generator) == 101 * 16 * 1024 + transposed + 2 * (1024 + 512 + 256 + 128)
    widths = [3, 64, 128, 256, 512]
    strided = sum(16 * a * b + b for a, b in pairwise(widths))
    assert parameter_count(discriminator) == strided + 16 * 512 + 1


@pytest.mark.parametrize(("size", "count"), [(16, 2), (32, 3), (64, 4)])
def test_dcgan_halves_down_to_4_x_4_without_batch_norm_in_d(size: int, count: int) -> None:
    generator, discriminator = DCGANPair(size, 4, 3).build()
    assert [len(convolutions(network)) for network in (generator, discriminator)] == [count, count]
    assert all(layer.kernel_size == (4, 4) and layer.stride == (2, 2) for layer in convolutions(discriminator))
    assert [layer.out_channels for layer in convolutions(discriminator)] == [3 * 2**k for k in range(count)]
    assert [layer.in_channels for layer in convolutions(generator)] == [4 * 2**k for k in reversed(range(count))]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in discriminator.modules())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in generator.modules()) == count


# SNDCGAN.


def test_parameters_of_table_3_of_sn_gan() -> None:
    generator, discriminator = SNDCGANPair(32).build()
    transposed = sum(16 * a * b + b + 2 * b for a, b in [(512, 256), (256, 128), (128, 64)])
    assert parameter_count(generator) == 129 * 4 * 4 * 512 + transposed + (9 * 64 * 3 + 3)
    table = [(3, 64, 3), (64, 64, 4), (64, 128, 3), (128, 128, 4), (128, 256, 3), (256, 256, 4), (256, 512, 3)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convolutions(discriminator)] == table
    assert [c.stride[0] for c in convolutions(discriminator)] == [1, 2, 1, 2, 1, 2, 1]
    convolved = sum(k * k * a * b + b for a, b, k in table)
    assert parameter_count(discriminator) == convolved + 4 * 4 * 512 + 1


def test_sndcgan_takes_the_48_pixels_of_its_paper() -> None:
    generator, discriminator = SNDCGANPair(48, 2, 2, 4).build()
    assert generator.linear.out_features == 6 * 6 * 8 * 2
    assert discriminator(generator(torch.randn(2, 4))).shape == (2,)


def test_the_discriminator_computes_what_table_3_lists() -> None:
    torch.manual_seed(0)
    _, discriminator = SNDCGANPair(16, 2, 3).build()
    for parameter in discriminator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = h = torch.randn(2, 3, 16, 16)
    for layer in convolutions(discriminator):
        assert layer.bias is not None
        h = torch.nn.functional.conv2d(h, layer.weight, layer.bias, layer.stride, 1)
        h = leaky_relu(h, 0.1)
    assert h.shape == (2, 24, 2, 2)
    expected = h.flatten(1) @ discriminator.linear.weight[0] + discriminator.linear.bias
    torch.testing.assert_close(discriminator(x), expected)


# BEGAN's autoencoder.


def test_the_output_of_the_autoencoder_is_the_mean_absolute_error_of_each_image() -> None:
    _, discriminator = AutoencoderPair(16, **SMALL).build()
    images = torch.rand(4, 3, 16, 16) * 2 - 1
    reconstructions = discriminator.reconstruct(images)
    assert reconstructions.abs().max() <= 1
    expected = torch.stack([(v - r).abs().mean() for v, r in zip(images, reconstructions, strict=True)])
    torch.testing.assert_close(discriminator(images), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert discriminator(images.bfloat16()).dtype == torch.float32


def test_the_decoder_of_d_is_built_like_g_and_its_code_has_the_bottlenecks_length() -> None:
    generator, discriminator = AutoencoderPair(32, 4, 4, latent_dim=6, bottleneck=6).build()
    shapes = [[tuple(p.shape) for p in decoder.parameters()] for decoder in (generator.decoder, discriminator.decoder)]
    assert shapes[0] == shapes[1]
    _, narrow = AutoencoderPair(32, 4, 4, latent_dim=6, bottleneck=2).build()
    assert (narrow.linear.out_features, narrow.decoder.linear.in_features) == (2, 2)


@pytest.mark.parametrize(("size", "levels"), [(16, 2), (32, 3), (64, 4)])
def test_filters_of_the_encoder_grow_linearly(size: int, levels: int) -> None:
    _, discriminator = AutoencoderPair(size, 4, 5).build()
    encoder = [layer for layer in discriminator.convolutions if isinstance(layer, nn.Conv2d)]
    strided = [layer for layer in encoder if layer.stride == (2, 2)]
    assert [layer.out_channels for layer in strided] == [5 * level for level in range(2, levels + 1)]
    assert len(encoder) == 1 + 2 * levels + len(strided)
    assert discriminator.linear.in_features == 8 * 8 * 5 * levels


def test_the_decoder_computes_what_began_draws() -> None:
    decoder = Decoder(32, 3, 4)
    p = {name: parameter.detach() for name, parameter in decoder.named_parameters()}

    def conv(name: str, h: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(h, p[f"{name}.weight"], p[f"{name}.bias"], padding=1)

    code = torch.randn(2, 4)
    h = (code @ p["linear.weight"].T + p["linear.bias"]).view(2, 3, 8, 8)
    for k in range(6):
        h = elu(conv(f"convolutions.{k}", interpolate(h, scale_factor=2) if k in (2, 4) else h))
    torch.testing.assert_close(decoder(code, torch.contiguous_format), conv("image", h).tanh())


# Refusals.


@pytest.mark.parametrize("make", PAIRS)
@pytest.mark.parametrize("size", [0, 4, 12, 33])
def test_other_image_sizes_are_refused(make: type[Any], size: int) -> None:
    with pytest.raises(ValueError, match=f"Expected .*image size.*, found {size}\\."):
        make(size)


@pytest.mark.parametrize("make", PAIRS)
@pytest.mark.parametrize("width", SMALL)
def test_widths_below_1_are_refused(make: type[Any], width: str) -> None:
    with pytest.raises(ValueError, match=f"widths of at least 1 .*, found .*{width}=0"):
        make(**{width: 0})


def test_an_empty_bottleneck_is_refused() -> None:
    with pytest.raises(ValueError, match="bottleneck=0"):
        AutoencoderPair(bottleneck=0)


def test_nets_of_another_size_than_the_data_are_refused() -> None:
    module = AdversarialTraining(SNDCGANPair(16, 2, 2, 4))
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match="Expected networks of the data's image size 8, found 16"):
        module.join(trainer, DigitsData(8))


# The command line.


def test_the_default_pair_is_the_papers_with_the_size_of_the_data(tmp_path: Path) -> None:
    widths = [f"--model.networks.init_args.{player}_channels=4" for player in ("generator", "discriminator")]
    (tmp_path / "data.yaml").write_text("data: {class_path: srgan.data.DigitsData, init_args: {image_size: 8}}")
    options = ["-c", str(tmp_path / "data.yaml"), "--model.iterations", "1", "--model.n_dis", "1", *widths]
    quiet = ["--scores.every", "0", "--samples.every", "0", "--trainer.accelerator", "cpu"]
    assert main(["fit", *options, *quiet, "--run", str(tmp_path / "run")]) == 0
    stored = yaml.safe_load(RunFolder(tmp_path / "run").config.read_text())["model"]["networks"]
    assert stored["class_path"] == "srgan.networks.ResNetPair"
    assert stored["init_args"]["image_size"] == 8
    assert stored["init_args"]["latent_dim"] == 128


@pytest.mark.parametrize(
    ("named", "config"), [("DCGANPair", None), ("srgan.networks.SNDCGANPair", "sndcgan"), (None, "began")]
)
def test_another_pair_is_trained_sampled_and_scored(
    named: str | None, config: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path / "run")
    composed = ["-c", f"configs/{config}.yaml"] if config else ["-c", "configs/sr-s.yaml"]
    chosen = ["--model.networks.class_path", named] if named else []
    sizes = [f"--model.networks.init_args.{name}={size}" for name, size in SMALL.items()]
    command = [*TINY, *composed, *chosen, *sizes, "--run", str(run.path)]
    assert main(command) == 0, capsys.readouterr().err
    record = run.read_record()
    assert record is not None
    stored = record["config"]["model"]["networks"]
    assert stored["init_args"] | SMALL == stored["init_args"]
    assert stored["init_args"]["image_size"] == 16
    pair = getattr(networks, stored["class_path"].rpartition(".")[2])(**stored["init_args"])
    spectra = run.read_spectra()
    assert spectra is not None
    assert len(spectra.layers) >= len(convolutions(pair.build()[1]))
    assert main(["sample", str(run.checkpoint), "--output", str(tmp_path / "grid.png")]) == 0
    assert (tmp_path / "grid.png").read_bytes() == sorted((run.path / "samples").glob("*.png"))[-1].read_bytes()
    few = {"num_fake_images": 20, "num_real_images": 20, "batch_size": 10}
    scores = [*(f"--protocol.{name}={count}" for name, count in few.items()), "--accelerator", "cpu"]
    assert main(["evaluate", str(run.checkpoint), *scores, "--output", str(tmp_path / "scores.json")]) == 0
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["FID_cls"] > 0
