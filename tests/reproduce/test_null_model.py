"""The null model: values that are known, the package's own projection, the scale as a learning rate."""

from functools import cache, partial
from pathlib import Path

import pytest
import torch
from pandas import DataFrame
from torch import Tensor, nn

from reproduce.__main__ import main
from reproduce.evidence.null_curves import KEPT_SR_S, METHODS, UNIT_SR_D, by_iteration, null_table, read_curves
from reproduce.evidence.records import BASELINE
from reproduce.experiments import null_model
from reproduce.experiments.null_model import PERSISTENCES, SHAPE, apply, projections, simulate
from reproduce.plan import variants
from srgan.constraints import Dynamic, SpectralNormalization, SpectralRegularization, Static
from srgan.constraints.layers import raw_weight
from srgan.constraints.parametrization import RECORDED_RATIOS
from srgan.spectral import matricize
from srgan.training.optimizers import OptimizerSettings

SCALE_CONTROL = variants.SCALE_CONTROL.label


@cache
def short() -> DataFrame:
    """White noise on two matrices up to 1,000, by method and iteration."""
    curves = simulate(persistences=[0.0], seeds=[5, 6], methods=[BASELINE, "SR-s", SCALE_CONTROL], until=1_000)
    return by_iteration(curves).set_index(["method", "iteration"])


def test_the_tail_under_sr_s_falls_by_noise_alone() -> None:
    """0.74 to 0.79 at 100 and 0.57 to 0.60 at 1,000 in an independent simulation; two matrices are 0.02 off at most."""
    sr_s = short().loc["SR-s"]
    assert sr_s["tail"][100] == pytest.approx(0.765, abs=0.045)
    assert sr_s["tail"][1_000] == pytest.approx(0.585, abs=0.035)
    assert all(sr_s.first_half > 0.99)


def test_nothing_happens_to_spectra_under_sn_by_noise_alone() -> None:
    first_half, sigma_1 = short().loc[BASELINE].first_half, short().loc[BASELINE].sigma_1
    assert max(first_half) - min(first_half) < 0.03
    assert 0.85 < min(first_half) < max(first_half) < 0.96
    assert max(sigma_1) < 1.05 * min(sigma_1)
    at_unit_scale = short().loc[SCALE_CONTROL]
    assert all(value == pytest.approx(1, abs=0.01) for value in at_unit_scale.sigma_1)
    assert at_unit_scale.first_half[1_000] == pytest.approx(first_half[1_000], abs=0.04)


def test_the_committed_null_model_has_the_values_of_the_independent_one() -> None:
    """At 10,000: SR-s's tail 0.37 to 0.38 (white noise), SR-d's first half 0.98 to 0.99 and tail 0.85 to 0.90."""
    records = by_iteration(committed())
    assert set(records.method) == set(METHODS)
    assert set(records.persistence) == set(PERSISTENCES)
    last = records[records.iteration == 10_000].set_index(["method", "persistence"])
    assert last["tail"]["SR-s", 0.0] == pytest.approx(0.375, abs=0.015)
    assert last.first_half[BASELINE, 0.0] == pytest.approx(0.91, abs=0.015)
    assert last.first_half["SR-d", 0.0] == pytest.approx(0.985, abs=0.01)
    for persistence in PERSISTENCES:  # the projection ratchets up whatever scale it keeps
        sn, sr_d, sr_s = (last.sigma_1[method, persistence] for method in (BASELINE, "SR-d", KEPT_SR_S))
        assert sr_s > 1.2 * sr_d > 1.2 * 1.4 * sn
        assert last.sigma_1[UNIT_SR_D, persistence] == pytest.approx(1, abs=0.01)


def committed() -> DataFrame:
    return read_curves(null_model.EVIDENCE / "null_model.json")


def test_the_committed_curves_are_made_by_this_code() -> None:
    """The first records of `make null-model`; other processors round otherwise, which noise forgets."""
    again = simulate(methods=[BASELINE, "SR-s"], until=100)
    kept = committed()
    kept = kept[kept.method.isin([BASELINE, "SR-s"])].reset_index(drop=True)
    for name in ("method", "persistence", "shape", "matrices"):
        assert list(again[name]) == list(kept[name])
    for measure in ("sigma_1", "first_half", "tail"):
        assert list(again[measure].str[0]) == pytest.approx(list(kept[measure].str[0]), rel=2e-3)


def test_twice_the_weights_at_twice_the_rate_are_the_same_path() -> None:
    """Bit by bit, of sigma_k / sigma_1; at the same rate they are another one."""
    once, twice, slower = (
        simulate(persistences=[0.9], seeds=[1], methods=[BASELINE], until=200, learning_rate=rate, scale=scale).iloc[0]
        for rate, scale in ((2e-4, 1.0), (4e-4, 2.0), (2e-4, 2.0))
    )
    assert twice.first_half == once.first_half
    assert twice["tail"] == once["tail"]
    assert twice.sigma_1 == pytest.approx([2 * value for value in once.sigma_1], rel=1e-3)  # kept in four digits
    assert slower["tail"] != once["tail"]


@pytest.mark.parametrize("projected", [False, True])
def test_the_scale_of_a_normalized_convolution_is_its_learning_rate(projected: bool) -> None:
    """The package's layer, gradient and optimizer: W -> 2W at twice the rate is the path of W / sigma_1 to the bit.

    Also under SR-d that keeps its scale. Losses are large, so that Adam's eps is below the rounding.
    """

    def outputs(scale: float, rate: float) -> Tensor:
        torch.manual_seed(0)
        layer, x, target = nn.Conv2d(8, 8, 3, bias=False), torch.randn(4, 8, 6, 6), torch.randn(4, 8, 4, 4)
        with torch.no_grad():
            layer.weight.mul_(scale)
        net = nn.Sequential(layer)
        constraint = SpectralRegularization(Dynamic(), scale="keep") if projected else SpectralNormalization()
        constraint.attach(net)
        optimizer = OptimizerSettings(rate).build(net)
        for iteration in range(12):
            optimizer.zero_grad()
            (1e4 * (net(x) - target).square().sum()).backward()
            optimizer.step()
            constraint.after_update(net, iteration, update=0, n_dis=1)
        found: Tensor = net.eval()(x)
        return found.detach()

    assert torch.equal(outputs(2.0, 0.02), outputs(1.0, 0.01))
    assert not torch.equal(outputs(2.0, 0.01), outputs(1.0, 0.01))


@pytest.mark.parametrize(
    ("method", "constraint"),
    [
        ("SR-s", SpectralRegularization(Static())),
        ("SR-d", SpectralRegularization(Dynamic(), scale="keep")),
        (UNIT_SR_D, SpectralRegularization(Dynamic())),
    ],
)
def test_projections_are_those_of_training(method: str, constraint: SpectralRegularization) -> None:
    """Three applications with noise between them, against the constraint on a convolution."""
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, 3, bias=False)
    net = nn.Sequential(layer)
    constraint.attach(net)
    projection = projections(8)[method]
    W, r = matricize(raw_weight(layer).detach()).clone()[None], torch.zeros(1, 8)
    for _ in range(3):
        noise = 0.05 * torch.randn(8, 72)
        W += noise
        with torch.no_grad():
            raw_weight(layer).add_(noise.view(8, 8, 3, 3))
        apply(projection, W, r)
        constraint.after_update(net, iteration=0, update=0, n_dis=1)
        torch.testing.assert_close(matricize(raw_weight(layer).detach()), W[0])
        if constraint.spectral_map.remembers:
            torch.testing.assert_close(layer.get_buffer(RECORDED_RATIOS), r[0])


def test_unit_scale_and_kept_scale_have_one_spectrum() -> None:
    torch.manual_seed(0)
    W = torch.randn(2, 8, 72)
    for kept, unit in (("SR-d", UNIT_SR_D), (KEPT_SR_S, "SR-s")):
        written = []
        for method in (kept, unit):
            matrices, r = W.clone(), torch.linspace(1, 0.5, 8).repeat(2, 1)
            apply(projections(8)[method], matrices, r)
            written.append(torch.linalg.svdvals(matrices))
        torch.testing.assert_close(written[0] / written[0][:, :1], written[1])
        torch.testing.assert_close(written[0][:, 0], torch.linalg.svdvals(W)[:, 0])


def test_curves_table_and_picture_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.experiments.null_model.ITERATIONS", 100)
    monkeypatch.setattr("reproduce.experiments.null_model.simulate", partial(simulate, until=100))
    options = ["null-model", "--shape", "4 4 3 3", "--persistence", "0.5", "--seeds", "1", "--runs", str(tmp_path)]
    assert main(options) == 0
    found = read_curves(tmp_path / "null-model" / "null_model.json")
    assert found.equals(simulate((4, 4, 3, 3), [0.5], [1], until=100))
    assert (tmp_path / "null-model" / "null_model.md").read_text().startswith("|  | iteration | σ₁ by noise |")
    assert (tmp_path / "null-model" / "null_model.png").stat().st_size
    capsys.readouterr()
    assert main(["null-model", "--persistence", "1", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "reproduce: Expected persistences in [0, 1), found [1.0].\n"
    with pytest.raises(ValueError, match=r"shape of a weight \[out, in, k, k\], found \[8\]"):
        simulate(shape=(8,), until=100)


def test_the_table_has_noise_and_runs_side_by_side() -> None:
    table = null_table(committed(), [])
    lines = table.values.tolist()
    assert list(table.columns[:2]) == ["", "iteration"]
    assert [line[1] for line in lines if line[0] == "SR-s"] == ["100", "1,000", "2,500", "10,000"]
    assert [line[1] for line in lines if line[0] == "SR-d, authors' form"] == ["2,500", "10,000"]  # it begins at 2,000
    assert tuple(committed()["shape"][0]) == SHAPE
