"""Runs of seconds through the real command line, for tests of files, resuming and damage."""

from pathlib import Path
from typing import Any

import torch

from srgan.cli.main import main
from srgan.runs.folder import RunFolder

TINY = [
    "fit", "-c", "configs/digits.yaml",
    "--data.init_args.image_size", "8", "--data.init_args.batch_size", "2",
    "--model.networks.init_args.generator_channels", "2",
    "--model.networks.init_args.discriminator_channels", "2", "--model.networks.init_args.latent_dim", "4",
    "--model.n_dis", "1", "--model.iterations", "12",
    "--scores.every", "0", "--outputs.every", "4", "--outputs.images", "20", "--samples.every", "4",
    "--spectra.every", "2", "--losses.every", "2", "--gradients.every", "4",
    "--checkpoints.every", "4", "--checkpoints.keep_every", "8", "--trainer.accelerator", "cpu",
]  # fmt: skip


def fit(folder: RunFolder, *options: str) -> int:
    """The exit status."""
    return main([*TINY, "--run", str(folder.path), *options])


def state(checkpoint: Path) -> dict[str, Any]:
    """The entries of a checkpoint on which the rest of the training depends."""
    stored = torch.load(checkpoint, weights_only=True)
    return {key: stored[key] for key in ("state_dict", "optimizer_states", "srgan", "global_step")}


def assert_identical(ours: Any, theirs: Any, place: str = "") -> None:
    """Bit by bit, through nested dictionaries and lists."""
    assert type(ours) is type(theirs), place
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), place
        for key in ours:
            assert_identical(ours[key], theirs[key], f"{place}.{key}")
    elif isinstance(ours, (list, tuple)):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_identical(*pair, f"{place}[{index}]")
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs), place
    else:
        assert ours == theirs, place


def assert_same_run(ours: RunFolder, theirs: RunFolder) -> None:
    """Bit by bit: weights, optimizers, kept checkpoints, histories."""
    assert {path.name for path in ours.checkpoint.parent.iterdir()} == {
        path.name for path in theirs.checkpoint.parent.iterdir()
    }
    for path in theirs.checkpoint.parent.iterdir():
        assert_identical(state(ours.checkpoint.with_name(path.name)), state(path), path.name)
    for path in theirs.histories:
        assert path.exists() == (ours.path / path.name).exists()
        assert not path.exists() or path.read_bytes() == (ours.path / path.name).read_bytes(), path.name
    assert ours.read_samples().keys() == theirs.read_samples().keys()
