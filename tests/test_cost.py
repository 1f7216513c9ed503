"""The plan of scale paper: every run resolves, what it costs is counted right, and it trains at true width."""

from pathlib import Path

import pytest

from reproduce import readme, smoke
from reproduce.budget import budget, scored_images
from reproduce.cost import cost
from reproduce.plan import plan
from reproduce.settings import METHODS, SETTINGS
from srgan.networks import ResNetPair

PLAYERS = ("generator", "discriminator")


def test_all_52_runs_of_the_paper_resolve_to_a_complete_budget(tmp_path: Path) -> None:
    runs = plan("paper", [setting.name for setting in SETTINGS], METHODS, [1], tmp_path)
    assert len(runs) == 52
    for run in runs:
        found = budget(run)
        assert found.micro_batch_size * found.accumulation * found.devices == run.batch_size
        assert found.gpu_hours > 0
        assert found.gigabytes < 80
        chosen = run.chosen
        assert chosen["model.networks.init_args.discriminator_channels"] == run.setting.discriminator_channels
        imagenet = run.setting.dataset == "imagenet128"
        assert (chosen["model.n_dis"], chosen["model.generator_batch_ratio"]) == ((1, 1) if imagenet else (5, 2))
        assert (chosen["model.iterations"], chosen["model.linear_decay"]) == (
            (500_000, False) if imagenet else (50_000, True)
        )
        rates = tuple(float(chosen[f"model.{player}_optimizer.learning_rate"]) for player in PLAYERS)
        assert rates == ((1e-4, 4e-4) if imagenet else (2e-4, 2e-4))
        assert all(chosen[f"model.{player}_optimizer.betas"] == [0.0, 0.9] for player in PLAYERS)
        widths = (
            chosen["model.networks.init_args.widths"],
            chosen["model.networks.init_args.num_classes"],
            chosen["model.normalize_generator"],
        )
        assert widths == (("pyramid", 1000, True) if imagenet else ("constant", 0, False))
        assert chosen["scores.final.num_fake_images"] == 50_000


def test_images_within_classes_are_counted() -> None:
    chosen = {
        "scores.every": 10, "scores.protocol.num_fake_images": 7, "scores.final.num_fake_images": 50,
        "scores.final.intra_fid_classes": 3, "scores.final.intra_fid_images": 40,
    }  # fmt: skip
    assert scored_images(chosen, 25) == 2 * 7 + 50 + 3 * 40


def test_the_cost_page_is_the_generated_one() -> None:
    assert readme.COST.read_text() == readme.cost_page(), "out of date: make readme"
    assert sum(line.endswith("| no |") for line in readme.cost_page().splitlines()) == 1  # E_2048-64


def test_counted_flops_are_those_of_a_hand_count(tmp_path: Path) -> None:
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
    found = cost(pair)
    assert found.sample_flops == generator
    assert found.discriminator_flops == 2 * (3 * forward - first) + generator
    assert found.generator_flops == 2 * forward + 3 * generator - 2 * 7 * 16 * width
    assert found.parameters == sum(p.numel() for net in pair.build() for p in net.parameters())
    assert found.peak_bytes(20, 2) - found.peak_bytes(10, 2) == 10 * max(
        found.discriminator_bytes, 2 * found.generator_bytes
    )


def test_a_paper_run_trains_at_true_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke.main(["--settings", "C_8-32"]) == 0
    assert "2 of 2 passed" in capsys.readouterr().out
