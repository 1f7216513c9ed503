"""The plan of scale paper: every run resolves, and what it costs is counted right."""

import inspect
import math
from pathlib import Path

import pytest

from reproduce.launcher.cost import count, price, resolved, scored_images
from reproduce.plan.run import BATCH_SIZE, CHANNELS
from reproduce.plan.settings import METHODS, Scale
from reproduce.plan.table_runs import default_settings, table_runs
from srgan.networks import ResNetPair
from srgan.training.module import AdversarialTraining


def test_all_52_runs_of_the_paper_resolve_to_a_complete_budget(tmp_path: Path) -> None:
    runs = table_runs("paper", default_settings("paper"), METHODS, [1], tmp_path)
    assert len(runs) == 52
    for run in runs:
        (split, hours), model = price(run), resolved(run).model
        assert math.prod(map(int, split.split(" x "))) == run.flat[BATCH_SIZE]
        assert hours > 0
        assert run.flat[CHANNELS] == run.setting.discriminator_channels
        imagenet = run.setting.dataset == "imagenet128"
        assert (model.n_dis, model.generator_batch_multiplier) == ((1, 1) if imagenet else (5, 2))
        assert (model.iterations, model.linear_decay) == ((500_000, False) if imagenet else (50_000, True))
        optimizers = model.generator_optimizer, model.discriminator_optimizer
        assert tuple(settings.learning_rate for settings in optimizers) == ((1e-4, 4e-4) if imagenet else (2e-4, 2e-4))
        assert all(tuple(settings.betas) == (0.0, 0.9) for settings in optimizers)
        assert model.normalize_generator == imagenet
        assert resolved(run).scores.final.num_fake_images == 50_000


def test_settings_that_a_run_leaves_out_have_the_defaults_of_training(tmp_path: Path) -> None:
    (run,) = table_runs("mini", ["A_64-128"], ["sn"], [1], tmp_path)
    assert "n_dis" not in run.settings["model"]
    assert resolved(run).model.n_dis == inspect.signature(AdversarialTraining).parameters["n_dis"].default


def test_scored_images_are_counted(tmp_path: Path) -> None:
    scores = {"every": 10, "protocol.num_fake_images": 7, "final.num_fake_images": 50}
    scores |= {"final.intra_fid_classes": 3, "final.intra_fid_images": 40}
    overrides = {"model.iterations": 25} | {f"scores.{name}": value for name, value in scores.items()}
    (run,) = table_runs("mini", ["A_64-128"], ["sn"], [1], tmp_path, overrides)
    assert scored_images(resolved(run)) == 2 * 7 + 50 + 3 * 40


def test_a_batch_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    (run,) = table_runs("paper", ["E_512-64"], ["sn"], [1], tmp_path)
    with pytest.raises(ValueError, match=r"E_512-64 SN seed 1: Expected .* 64 devices.*Set GPUS"):
        price(run, 64)


def test_counted_flops_are_those_of_a_hand_count() -> None:
    """The 8 x 8 nets of width 1, layer by layer: outputs x inputs x kernel x pixels x 2."""
    pair = ResNetPair(8, 3, 5, latent_dim=7)
    ch, width = 5, 3
    conv = 2 * 9
    both = 2 * 16  # a convolution and its change of resolution, for each pixel of the smaller image
    forward = 64 * conv * 3 * ch + 16 * both * ch * ch + 16 * 2 * 3 * ch  # the first block
    forward += 16 * conv * ch * ch + 4 * both * ch * ch + 4 * 2 * ch * ch  # the second
    forward += 4 * (4 * conv * ch * ch) + 2 * ch  # the last two, the linear layer
    first = 64 * conv * 3 * ch + 16 * 2 * 3 * ch  # no gradient goes back to real images
    generator = 2 * 7 * 16 * width + 16 * both * width**2 + 64 * (conv * width**2 + conv * width * 3)
    generator += 16 * 2 * width**2
    found = count(pair)
    assert found.sample == generator
    assert found.discriminator == 2 * (3 * forward - first) + generator
    assert found.generator == 2 * forward + 3 * generator - 2 * 7 * 16 * width


@pytest.mark.parametrize(
    ("scale", "row", "fewest", "most"),
    [("mini", "B_128-64", 70, 110), ("small", "C_16-32", 2_117, 3_950), ("small", "C_64-32", 3_276, 8_033)],
)
def test_the_estimate_is_within_a_factor_of_two_of_runs_that_were_made(
    scale: Scale, row: str, fewest: float, most: float, tmp_path: Path
) -> None:
    """Seconds of SN's runs: of LOG.md and of evidence.json, from the fastest to the slowest processor."""
    (run,) = table_runs(scale, [row], ["sn"], [1], tmp_path, {"trainer.accelerator": "cpu"})
    seconds = 3600 * price(run)[1]
    assert most / 2 < seconds < 2 * fewest
