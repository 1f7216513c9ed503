"""`srgan.load`: what a checkpoint holds, wherever it is, and the images of its run."""

import copy
from inspect import signature
from pathlib import Path

import inspecting
import numpy as np
import pytest
import torch
from PIL import Image

import srgan
from srgan.checkpoints.pretrained import TrainedGAN
from srgan.checkpoints.reading import read_file
from srgan.checkpoints.rebuilding import TRAINING_ALONE
from srgan.cli.main import main
from srgan.constraints.nets import Nets
from srgan.runs.folder import RunFolder
from srgan.training import AdversarialTraining
from srgan.utils.images import grid_picture, quantize


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Conditional, of three classes, with a moving average."""
    images = inspecting.small_images(tmp_path_factory.mktemp("images"))
    settings = ["--model.networks.init_args.num_classes", "3", "--model.ema_decay", "0.5"]
    return inspecting.train(images, tmp_path_factory.mktemp("runs") / "averaged", "sr-s", *settings)


@pytest.fixture
def gan(run: RunFolder) -> TrainedGAN:
    return srgan.load(run.path, device="cpu")


def test_a_run_gives_the_nets_of_its_last_checkpoint(run: RunFolder, gan: TrainedGAN) -> None:
    weights = read_file(run.checkpoint)["state_dict"]
    for player in ("generator", "discriminator"):
        for name, value in getattr(gan, player).state_dict().items():
            assert torch.equal(value, weights[f"{player}.{name}"])
    assert (gan.method, gan.iteration) == ("SR-s", 4)
    record = run.read_record()
    assert record is not None
    assert gan.settings == record["config"]
    assert not gan.generator.training
    assert not gan.discriminator.training
    recorded = run.read_spectra()
    assert recorded is not None
    for name, sigma in srgan.spectra(gan.discriminator).items():  # under its constraint
        np.testing.assert_allclose(sigma / sigma[0], recorded.spectra[name][-1], rtol=1e-5)


def test_the_images_are_those_of_the_runs_grid(run: RunFolder, gan: TrainedGAN) -> None:
    images = gan.generate(9)
    assert (images.shape, images.dtype, images.device.type) == ((9, 3, 8, 8), torch.float32, "cpu")
    assert images.abs().max() <= 1
    assert gan.discriminator(images, gan.grid_latents(9)[1]).shape == (9,)
    picture = np.asarray(Image.open(run.read_samples()[4]))
    np.testing.assert_array_equal(np.asarray(grid_picture(quantize(images), 3)), picture)


def test_drawing_leaves_no_trace_and_repeats_to_the_bit(gan: TrainedGAN) -> None:
    before = copy.deepcopy(gan.generator.state_dict())
    first = gan.generate(5, labels=[0, 1, 2, 0, 1], truncation=0.5, seed=3)
    assert torch.equal(first, gan.generate(5, torch.tensor([0, 1, 2, 0, 1]), truncation=0.5, seed=3))
    assert not torch.equal(first, gan.generate(5, [0, 1, 2, 0, 1], seed=3))
    assert not torch.equal(first, gan.generate(5, [0, 1, 2, 0, 1], truncation=0.5, seed=4))
    one_class = gan.generate(5, 1, truncation=0.5, seed=3)
    for row, label in enumerate([0, 1, 2, 0, 1]):
        assert torch.equal(one_class[row], first[row]) == (label == 1)
    assert all(torch.equal(value, before[name]) for name, value in gan.generator.state_dict().items())


def test_the_moving_average_is_drawn_from_on_demand(run: RunFolder, gan: TrainedGAN, tmp_path: Path) -> None:
    averaged = srgan.load(run.path, ema=True, device="cpu")
    weights = read_file(run.checkpoint)["state_dict"]
    assert all(torch.equal(v, weights[f"generator_ema.{name}"]) for name, v in averaged.generator.state_dict().items())
    images = averaged.generate(9)
    assert not torch.equal(images, gan.generate(9))
    assert main(["sample", str(run.path), "--ema", "--device", "cpu", "--output", str(tmp_path / "ema.png")]) == 0
    drawn = np.asarray(Image.open(tmp_path / "ema.png"))
    np.testing.assert_array_equal(np.asarray(grid_picture(quantize(images), 3)), drawn)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_images": 0}, "Expected at least one image, found 0"),
        ({"labels": 3}, r"one class in 0 \.\.\. 2, or one for each of 4 images .* found 3"),
        ({"labels": [0, 1]}, r"one for each of 4 images .* found \[0, 1\]"),
        ({"truncation": 0.0}, r"Expected a truncation in 0\.02"),
    ],
)
def test_impossible_wishes_are_refused(gan: TrainedGAN, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gan.generate(**({"num_images": 4} | options))  # type: ignore[arg-type]


def test_an_average_and_classes_that_are_not_there_are_refused(run: RunFolder, tmp_path: Path) -> None:
    images = Path(srgan.load(run.path, device="cpu").settings["data"]["init_args"]["path"])
    plain = inspecting.train(images, tmp_path / "plain", "sn", "--model.iterations", "1")
    with pytest.raises(ValueError, match=r"found a run without one \(model\.ema_decay null\)"):
        srgan.load(plain.path, ema=True)
    with pytest.raises(ValueError, match="Expected as labels none for this generator, found 0"):
        srgan.load(plain.path, device="cpu").generate(1, labels=0)
    with pytest.raises(FileNotFoundError, match=r"Expected a checkpoint.*found a folder"):
        srgan.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"Expected a checkpoint.*found nothing"):
        srgan.load(tmp_path / "nowhere")


def test_every_setting_of_the_training_is_one_of_the_nets_or_is_none_of_their_business() -> None:
    """So that a setting of a later version is refused, and a new one is put where it belongs."""
    of_nets = set(signature(Nets).parameters)
    assert set(signature(AdversarialTraining).parameters) == of_nets | TRAINING_ALONE
    assert not of_nets & TRAINING_ALONE
