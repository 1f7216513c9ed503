"""What the figures show: the recorded numbers, on axes that can be compared."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from figure_runs import ITERATIONS, LAYERS, panels, pictures, write_mini_runs, write_planned, write_small_runs, xs, ys
from matplotlib.colors import to_rgb
from pandas import DataFrame

from reproduce.figures.hyperparameter_figures import density, figure_8, figure_11, figure_12, objective
from reproduce.figures.runs import Sources, last_layer
from reproduce.figures.training_figures import (
    around,
    figure_2,
    figure_4,
    figure_5,
    figure_6,
    figure_7,
    figures_15_to_22,
)
from reproduce.plan.table_runs import FRACTIONS, table_runs
from srgan.losses import Hinge
from srgan.plotting import MAX_CURVES, AxisScale, style
from srgan.utils.downsampling import kept_times


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_mini_runs(root)
    return root


@pytest.fixture
def sources(runs: Path) -> Sources:
    return Sources(runs, "mini")


@pytest.fixture(autouse=True)
def look_of_pictures() -> Iterator[None]:
    with style():
        yield


@pytest.mark.parametrize("axes", ["linear", "log"])
def test_curves_are_the_recorded_spectra_on_the_same_axes(sources: Sources, axes: AxisScale) -> None:
    picture = pictures(figure_2(sources, axes))["uncollapsed"]
    drawn = panels(picture)
    assert len(drawn) == len(picture.runs) == 4
    for panel, run in zip(drawn, picture.runs, strict=True):
        history = run.folder.read_spectra()
        assert history is not None
        shown = kept_times(history.iterations, MAX_CURVES)
        assert shown[0] == 0
        assert shown[-1] == len(ITERATIONS) - 1
        assert len(panel.lines) == len(shown) <= 12
        for line, t in zip(panel.lines, shown, strict=True):
            assert np.array_equal(ys(line), history.spectra["blocks.3.conv2"][t])
            assert np.allclose(xs(line), np.arange(1, 7) / 6)
            assert line.get_label() == f"{history.iterations[t]:,}"
        assert panel.get_yscale() == axes
    assert len({panel.get_ylim() for panel in drawn}) == len({panel.get_xlim() for panel in drawn}) == 1


def test_every_convolution_has_a_panel_of_its_own(sources: Sources) -> None:
    found = pictures(figures_15_to_22(sources, "log"))
    assert list(found) == ["B_64-64"]
    history = found["B_64-64"].runs[0].spectra
    assert history is not None
    drawn = panels(found["B_64-64"])
    assert [panel.get_title() for panel in drawn] == ["0.conv1  6×27", "0.shortcut  6×3", "3.conv2  6×54"]
    for panel, layer in zip(drawn, LAYERS, strict=False):
        assert np.array_equal(ys(panel.lines[-1]), history.spectra[layer.name][-1])
    assert {panel.get_yscale() for panel in drawn} == {"log"}
    assert drawn[0].get_ylim()[0] == 0.01  # the decade below the smallest, 0.018


def test_the_verdict_decides_which_figure_shows_a_setting(sources: Sources, runs: Path, tmp_path: Path) -> None:
    steady, sunk = figure_2(sources, "linear"), pictures(figure_4(sources, "linear"))
    assert [run.key for run in pictures(steady)["uncollapsed"].runs] == [
        "A_64-128",
        "C_64-32",
        "D_128-256",
        "E_256-32",
    ]
    assert [(run.key, run.label) for run in sunk["collapsed"].runs] == [("B_64-64", "SN")]
    assert "MC 600, SC 330" in panels(sunk["collapsed"])[0].get_title()
    assert list(pictures(figure_5(sources, "linear"))) == ["B_64-64"]
    assert list(pictures(figure_7(sources, "linear"))) == ["B_64-64"]

    run = table_runs("mini", ["B_64-64"], ["sn"], [1], tmp_path / "table2" / "mini")[0]
    write_planned(run)
    elsewhere = Sources(tmp_path, "mini")
    assert [found.key for found in pictures(figure_2(elsewhere, "linear"))["uncollapsed"].runs] == ["B_64-64"]
    assert "collapsed" not in pictures(figure_4(elsewhere, "linear"))


def test_groups_show_the_last_spectrum_of_each_setting(sources: Sources) -> None:
    picture = pictures(figure_4(sources, "linear"))["groups"]
    drawn = panels(picture)
    assert [panel.get_title() for panel in drawn] == [f"group {group}" for group in "ABCDE"]
    for panel, run in zip(drawn, picture.runs, strict=True):
        assert np.array_equal(ys(panel.lines[-1]), last_layer(run).iloc[-1])


def test_spectra_stand_beside_the_scores_of_the_same_iterations(sources: Sources) -> None:
    picture = pictures(figure_5(sources, "linear"))["B_64-64"]
    spectra, fid, inception = panels(picture)
    run = picture.runs[0]
    assert [line.get_label() for line in spectra.lines] == ["150", "300", "450", "600"]
    assert np.array_equal(ys(spectra.lines[1]), last_layer(run).loc[300])
    for panel, score in ((fid, "FID_cls"), (inception, "IS_cls")):
        assert xs(panel.lines[0]) == [150, 300, 450, 600]
        assert ys(panel.lines[0]) == [row[score] for row in run.scores]
        colours = np.asarray(panel.collections[0].get_facecolor())
        assert np.allclose(colours[:, :3], [to_rgb(line.get_color()) for line in spectra.lines])
        assert [xs(line)[0] for line in panel.lines[1:]] == [600, 330]  # where MC and SC were found


def test_of_many_evaluations_those_around_the_collapse_are_shown() -> None:
    rows = DataFrame(index=range(1000, 51_000, 1000))
    assert list(around(rows, 20_000).index) == list(range(12_000, 28_000, 1000))
    assert list(around(rows, None).index)[::15] == [1000, 50_000]


def test_a_branch_begins_where_it_left_its_origin(sources: Sources, tmp_path: Path) -> None:
    write_small_runs(tmp_path)
    found = pictures(figure_6(sources, "linear")) | pictures(figure_6(Sources(tmp_path, "small"), "linear"))
    for name, branch in (("resume", 300), ("C_64-32", 150)):
        scores = panels(found[name])[0]
        sn, sr_d = (line for line in scores.lines if line.get_label() in ("SN", "SR-d"))
        assert xs(sn) == [150, 300, 450, 600]
        assert xs(sr_d)[0] == branch
        assert ys(sr_d)[0] == ys(sn)[xs(sn).index(branch)]
        left, right = (panel for panel in panels(found[name]) if panel.get_title().endswith("spectrum"))
        assert left.get_ylim() == right.get_ylim()
        assert (left.lines[0].get_label(), right.lines[0].get_label()) == ("0", str(branch))
        assert sum(bool(panel.images) for panel in found[name].figure.axes) == 2  # samples


def test_scores_against_i_are_the_reported_ones(sources: Sources) -> None:
    picture = pictures(figure_8(sources, "linear"))["scores"]
    drawn = panels(picture)
    assert [panel.get_title() for panel in drawn] == ["group A\nA_64-128", "group C\nC_64-32", "", "", "", ""]
    sweep = sources.sweeps()[1]
    assert sweep.sn
    expected = [sweep.sn, *(sweep.static[fraction] for fraction in FRACTIONS)]
    curve = drawn[1].lines[0]
    assert xs(curve) == [0, 0.25, 0.5, 0.75, 1]
    assert ys(curve) == [run.record["reported"]["FID_cls"] for run in expected]
    methods = "SN / SR-s, i = 0.25 N / SR-s / SR-s, i = 0.75 N / SR-s, i = 1 N"
    assert f"C_64-32 {methods} (batch 11, CH 6, 600 iterations, seed 1)" in picture.caption


def test_outputs_are_compared_on_the_same_axes(sources: Sources) -> None:
    found = pictures(figure_11(sources, "linear"))
    assert list(found) == ["A_64-128", "C_64-32"]
    a, b, c, *against = panels(found["C_64-32"])
    assert len(against) == len(a.lines) == len(b.lines) == len(c.lines) == 4
    assert a.get_xlim() == b.get_xlim()
    assert a.get_ylim() == b.get_ylim()
    assert len({panel.get_xlim() for panel in against}) == len({panel.get_ylim() for panel in against}) == 1
    outputs = found["C_64-32"].runs[0].outputs
    assert outputs is not None
    grid = np.asarray(xs(a.lines[0]))
    for panel, kind in ((a, "generated"), (b, "train")):
        assert np.allclose(ys(panel.lines[0]), density(outputs.outputs[kind][-1], grid))
    assert np.allclose(ys(against[0].lines[1]), density(outputs.outputs["test"][-1], grid))


def test_the_objective_is_the_hinge_loss_with_the_other_sign() -> None:
    real, fake = np.random.default_rng(0).normal(0, 2, (2, 500))
    loss = Hinge().discriminator(torch.from_numpy(real), torch.from_numpy(fake))
    assert objective(real, fake).mean() == pytest.approx(-float(loss))


@pytest.mark.parametrize("values", [np.random.default_rng(0).normal(3, 2, 400), np.full(10, 3.0)])
def test_a_density_integrates_to_one_around_its_values(values: np.ndarray) -> None:
    grid = np.linspace(-10, 16, 2000)
    curve = density(values, grid)
    step = grid[1] - grid[0]
    assert curve.sum() * step == pytest.approx(1, abs=1e-3)
    assert (curve * grid).sum() * step == pytest.approx(values.mean(), abs=0.02)


def test_static_and_dynamic_compensation_stand_side_by_side(sources: Sources) -> None:
    found = pictures(figure_12(sources, "log"))
    assert [run.label for run in found["spectra"].runs] == ["SN", "SR-s", "SR-d"] * 2
    assert len({panel.get_ylim() for panel in panels(found["spectra"])}) == 1
    points = panels(found["scores"])[0].lines
    assert [line.get_label() for line in points if not str(line.get_label()).startswith("_")] == ["SN", "SR-s", "SR-d"]
    assert len({line.get_marker() for line in points if not str(line.get_label()).startswith("_")}) == 3
