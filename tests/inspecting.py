"""Tiny runs whose checkpoints the tests of `srgan.inspection` look into."""

from pathlib import Path

from conftest import random_pixels, save_image

from srgan.cli.main import main
from srgan.runs.folder import RunFolder

SETTINGS = [
    "--data.init_args.image_size", "8", "--data.init_args.batch_size", "4",
    "--model.networks.init_args.generator_channels", "4", "--model.networks.init_args.discriminator_channels", "4",
    "--model.networks.init_args.latent_dim", "6", "--model.n_dis", "1", "--model.iterations", "4",
    "--model.compile", "false",
    "--samples.every", "2", "--samples.rows", "3", "--losses.every", "0", "--spectra.every", "2",
    "--scores.final", "null",
]  # fmt: skip


def small_images(root: Path) -> Path:
    """75 PNGs of 8 x 8 in three classes."""
    for k, pixels in enumerate(random_pixels(75, 8, 8, 3)):
        save_image(root / f"class {k % 3}" / f"{k:02d}.png", pixels)
    return root


def train(images: Path, folder: Path, constraint: str, *settings: str) -> RunFolder:
    """A finished run of four iterations, with checkpoints of iterations 2 and 4."""
    configs = ["-c", "configs/folder.yaml", "-c", f"configs/{constraint}.yaml"]
    paths = ["--data.init_args.path", str(images), "--run", str(folder)]
    keep = ["--checkpoints.every", "2", "--checkpoints.keep_every", "2"]
    unscored = [] if any("scores.every" in setting for setting in settings) else ["--scores.every", "0"]
    assert main(["fit", *configs, *SETTINGS, *keep, *unscored, *settings, *paths]) == 0
    return RunFolder(folder)
