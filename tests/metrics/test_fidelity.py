"""Our scores of a checkpoint against torch-fidelity's own command line on the same images and the same network."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_pixels, save_image

from srgan.checkpoints.pretrained import load
from srgan.cli.main import main
from srgan.networks.sampling import generate
from srgan.runs.folder import RunFolder

IMAGES, SEED = 12, 11


@pytest.fixture(scope="module")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PNGs of random pixels."""
    root = tmp_path_factory.mktemp("real")
    for k, pixels in enumerate(random_pixels(IMAGES, 4, 4, 3)):
        save_image(root / f"{k:03d}.png", pixels.repeat(2, axis=0).repeat(2, axis=1))
    return root


@pytest.fixture(scope="module")
def decided_weights(inception_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a network whose classes differ from image to image, so that IS is far from 1."""
    weights = torch.load(inception_weights, weights_only=True)
    weights["fc.weight"] *= 100
    path = tmp_path_factory.mktemp("weights") / "decided.pth"
    torch.save(weights, path)
    return path


def fidelity(fake: Path, real: Path, weights: Path, splits: int) -> dict[str, Any]:
    """What its console script prints."""
    finished = subprocess.run(
        [
            Path(sys.executable).with_name("fidelity"), "--input1", fake, "--input2", real, "--isc", "--fid", "--kid",
            "--cpu", "--json", "--silent", "--no-cache", "--save-cpu-ram", "--batch-size", "6",
            "--isc-splits", str(splits),
            "--kid-subset-size", str(IMAGES), "--rng-seed", str(SEED), "--feature-extractor-weights-path", weights,
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    printed: dict[str, Any] = json.loads(finished.stdout)
    return printed


def test_scores_of_a_checkpoint_are_torch_fidelitys(real_folder: Path, decided_weights: Path, tmp_path: Path) -> None:
    splits = 3
    run = RunFolder(tmp_path / "run")
    train = [
        "fit", "-c", "configs/folder.yaml", "-c", "configs/sn.yaml", "--run", str(run.path), "--scores.every", "0",
        "--data.init_args.path", str(real_folder), "--data.init_args.image_size", "8", "--data.init_args.batch_size",
        "4", "--model.networks.init_args.generator_channels", "8",
        "--model.networks.init_args.discriminator_channels", "4", "--model.n_dis", "1", "--model.iterations", "2",
    ]  # fmt: skip
    assert main(train) == 0
    score = [
        "evaluate", str(run.checkpoint), "--features", "inception", "--inception_weights", str(decided_weights),
        "--protocol.num_fake_images", str(IMAGES), "--protocol.inception_splits", str(splits), "--protocol.kid", "true",
        "--protocol.seed", str(SEED), "--protocol.batch_size", "6", "--output", str(tmp_path / "scores.json"),
    ]  # fmt: skip
    assert main(score) == 0
    ours = json.loads((tmp_path / "scores.json").read_text())["scores"]

    generator = load(run.checkpoint).generator
    images = torch.cat([images for images, _ in generate(generator, range(IMAGES), SEED, "scores")])
    for k, pixels in enumerate(images.permute(0, 2, 3, 1).numpy()):
        save_image(tmp_path / "fake" / f"{k:03d}.png", pixels)
    theirs = fidelity(tmp_path / "fake", real_folder, decided_weights, splits)
    names = {
        "FID": "frechet_inception_distance", "IS": "inception_score_mean", "IS_std": "inception_score_std",
        "KID": "kernel_inception_distance_mean",
    }  # fmt: skip
    for our_name, their_name in names.items():
        print(our_name, ours[our_name], theirs[their_name], ours[our_name] / theirs[their_name] - 1)
        assert ours[our_name] == pytest.approx(theirs[their_name], rel=1e-3), our_name
    assert ours["FID"] > 1
    assert ours["IS"] > 1.1
