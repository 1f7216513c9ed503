"""Runs, scores, samples and the one-liner on a device that is not the CPU."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from conftest import random_pixels, save_image
from discriminators import CONSTRAINTS, IMAGES, small_discriminator
from pretended_device import DEVICE, PretendedTensor, pretended_device, strategy_there

import srgan
from srgan.cli import fit
from srgan.constraints import export, spectra
from srgan.data import FolderData
from srgan.metrics.features import ClassifierFeatures
from srgan.metrics.protocol import ScoreProtocol
from srgan.metrics.scores import Scorer
from srgan.networks import ResNetGenerator
from srgan.networks.sampling import generate, truncated_latents
from srgan.runs.folder import RunFolder
from srgan.training.optimizers import OptimizerSettings

EVERYTHING = ScoreProtocol(
    num_fake_images=60,
    num_real_images=75,
    batch_size=20,
    inception_splits=2,
    kid=True,
    prdc=True,
    intra_fid_classes=3,
    intra_fid_images=20,
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 PNGs of 8 x 8 in three classes."""
    root = tmp_path_factory.mktemp("images") / "pictures"
    for k, pixels in enumerate(random_pixels(75, 8, 8, 3)):
        save_image(root / f"class {k % 3}" / f"{k:02d}.png", pixels)
    return root


def conditional_generator() -> ResNetGenerator:
    torch.manual_seed(0)
    return ResNetGenerator(8, 4, latent_dim=4, num_classes=3)


# Scores and samples.


def test_scores_are_the_cpus(images: Path) -> None:
    data = FolderData(str(images), 8)

    def scores(device: torch.device) -> dict[str, Any]:
        features = ClassifierFeatures(data).to(device)
        fake = torch.from_numpy(random_pixels(60, 3, 8, 8)).to(device)
        return Scorer(features, data, EVERYTHING).of_images(lambda rows: fake[rows.start : rows.stop].split(20))

    here = scores(torch.device("cpu"))
    with pretended_device():
        there = scores(DEVICE)
    assert {"FID_cls", "IS_cls", "KID_cls", "precision_cls", "recall_cls", "density_cls", "coverage_cls"} < set(here)
    assert there == pytest.approx(here, rel=1e-5)


def test_a_generator_and_its_average_are_scored_there(images: Path) -> None:
    data = FolderData(str(images), 8)
    with pretended_device():
        features, generator = ClassifierFeatures(data).to(DEVICE), conditional_generator().to(DEVICE)
        scores = Scorer(features, data, EVERYTHING).of_generators(generator, generator)
    assert scores["FID_cls"] == scores["FID_cls_ema"] > 0
    assert len(scores["FID_intra_cls_classes_ema"]) == 3


def test_statistics_of_real_images_are_kept_for_each_kind_of_device(images: Path) -> None:
    """A GPU's convolutions are less precise by default, and generated images are compared with these."""
    data = FolderData(str(images), 8)
    protocol = ScoreProtocol(num_fake_images=20, num_real_images=75, batch_size=20)
    with pretended_device():
        here, there = (Scorer(ClassifierFeatures(data).to(device), data, protocol).real for device in ("cpu", DEVICE))
    assert there.key == f"{here.key}-meta"


def test_samples_are_drawn_there() -> None:
    with pretended_device():
        generator = conditional_generator().to(DEVICE)
        for batch, labels in generate(generator, range(5), 0, "grid", 4):
            assert batch.device == labels.device == DEVICE
        z, labels = truncated_latents(generator, range(20), DEVICE, 0, "grid", 0.5)
        assert z.device == DEVICE
        assert float(z.abs().max()) <= 0.5


# A whole run: every recorder, scores, checkpoints, and the same command again.


class ThereCLI(fit.RunCLI):
    """`srgan fit` with a Trainer whose root device is the pretended one."""

    def instantiate_trainer(self, **settings: Any) -> pl.Trainer:
        return super().instantiate_trainer(**settings | {"strategy": strategy_there()})


RUN = [
    "-c", "configs/folder.yaml", "-c", "configs/sr-d.yaml", "--data.init_args.image_size", "8",
    "--data.init_args.batch_size", "4", "--model.networks.init_args.num_classes", "3", "--model.ema_decay", "0.9",
    "--model.networks.init_args.generator_channels", "4", "--model.networks.init_args.discriminator_channels", "4",
    "--model.networks.init_args.latent_dim", "8", "--model.n_dis", "1", "--model.iterations", "4",
    "--model.compile", "false", "--outputs.every", "2", "--outputs.images", "20", "--samples.every", "2",
    "--losses.every", "1", "--gradients.every", "1", "--spectra.every", "1", "--checkpoints.every", "2",
    "--scores.every", "2", "--scores.protocol.num_fake_images", "60", "--scores.protocol.num_real_images", "70",
    "--scores.protocol.batch_size", "20", "--scores.final.num_fake_images", "80",
    "--scores.final.inception_splits", "2", "--scores.final.intra_fid_classes", "3",
    "--scores.final.intra_fid_images", "20",
]  # fmt: skip


def test_a_run_records_scores_saves_and_resumes_there(images: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    arguments = [*RUN, "--data.init_args.path", str(images), "--run", str(folder.path)]

    def run(*options: str) -> int:
        with pretended_device():
            return fit.train(fit.compose([*arguments, *options], ThereCLI), arguments)

    assert run("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2") == fit.STOPPED_EARLY
    assert run() == 0
    record, final = folder.read_record(), folder.read_final()
    assert record is not None
    assert final is not None
    assert (record["status"], record["resumed_at"]) == ("finished", [2])
    assert [row["iteration"] for row in folder.read_scores()] == [2, 4]
    assert {"FID_cls", "FID_cls_ema", "KID_cls", "recall_cls", "FID_intra_cls_ema"} <= set(final["scores"])
    assert all(path.exists() for path in folder.histories if path != folder.warnings)


def test_optimizer_states_of_a_cpu_go_on_there() -> None:
    D = small_discriminator()
    optimizer = OptimizerSettings().build(D)
    D(IMAGES).mean().backward()
    optimizer.step()
    with pretended_device():
        moved = small_discriminator().to(DEVICE)
        resumed = OptimizerSettings().build(moved)
        resumed.load_state_dict(optimizer.state_dict())
        moved(IMAGES.to(DEVICE)).mean().backward()
        resumed.step()
        assert {value.device for state in resumed.state.values() for value in state.values()} == {DEVICE}
        assert {int(state["step"]) for state in resumed.state.values()} == {2}


# The one-liner.


@pytest.mark.parametrize("method", CONSTRAINTS)
def test_a_regularized_discriminator_trains_and_is_exported_there(method: str) -> None:
    with pretended_device():
        D = small_discriminator().to(DEVICE)
        optimizer = torch.optim.Adam(D.parameters(), 1e-3, fused=True)
        handle = srgan.regularize(D, CONSTRAINTS[method](), optimizer=optimizer, n_dis=1)
        real, fake = IMAGES.to(DEVICE), IMAGES.flip(0).to(DEVICE)
        for _ in range(2):
            optimizer.zero_grad()
            (D(fake).mean() - D(real).mean() + handle.penalty(real, fake)).backward()
            optimizer.step()
        assert all(sigma.isfinite().all() for sigma in spectra(D).values())
        exported = export(D.eval())
        torch.testing.assert_close(exported(real).cpu(), D(real).cpu())
        assert all(isinstance(parameter, PretendedTensor) for parameter in exported.parameters())
