"""The look of pictures: colours that survive grey, curves that are the data, files that are whole."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from srgan.plotting import (
    MIN_RATIO,
    SERIES,
    grid_of_layers,
    grid_of_panels,
    heat_map,
    iteration_colours,
    iteration_norm,
    ordered_styles,
    pixels,
    ratio_limits,
    save,
    spectrum_curves,
    style,
)


def lightness(colour: object) -> float:
    """L* of CIE 1976, 0 (black) to 100 (white)."""
    rgb: np.ndarray = np.array(to_rgb(colour))  # type: ignore[arg-type]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    Y = float(linear @ [0.2126, 0.7152, 0.0722])
    return 116 * np.cbrt(Y) - 16 if Y > 0.008856 else 903.3 * Y


def test_iterations_darken_evenly_and_are_seen_on_white() -> None:
    steps = [lightness(iteration_colours()(share)) for share in np.linspace(0, 1, 50)]
    changes = -np.diff(steps)
    assert (changes > 0).all()
    assert changes.max() < 2 * changes.mean()
    assert steps[0] < 82  # white is 100
    assert steps[-1] < 20


def test_kinds_differ_in_lightness_and_in_line_style_and_in_marker() -> None:
    three = [lightness(own.color) for own in SERIES[:3]]  # SN, SR-s, SR-d
    assert min(abs(a - b) for k, a in enumerate(three) for b in three[:k]) > 20
    assert len({own.linestyle for own in SERIES}) == len({own.marker for own in SERIES}) == len(SERIES)
    ordered = ordered_styles(4)
    assert sorted(ordered, key=lambda own: -lightness(own.color)) == ordered
    assert len({(own.linestyle, own.marker) for own in ordered}) == 4
    assert len({own.color for own in ordered_styles(7)}) == 7  # the settings of group A


def test_one_colour_scale_holds_all_runs() -> None:
    norm = iteration_norm(np.array([0, 600]), np.array([300, 8000]), np.array([], int))
    assert (norm.vmin, norm.vmax) == (0, 8000)
    assert iteration_norm(np.array([0])).vmax == 1  # a scale of no length cannot be drawn


@pytest.mark.parametrize(
    ("smallest", "low"), [(0.5, 0.1), (0.1, 0.1), (0.02, 0.01), (1e-3, 1e-3), (1e-30, MIN_RATIO), (0.0, 0.1)]
)
def test_log_limits_hold_the_smallest_ratio(smallest: float, low: float) -> None:
    spectra = [np.array([[1.0, 0.9, smallest]]), np.array([1.0, 0.8])]
    bottom, top = ratio_limits(spectra, "log")
    assert bottom == pytest.approx(low)
    assert top > 1
    assert ratio_limits(spectra, "linear")[0] <= 0


def test_curves_of_one_checkpoint_need_no_iterations() -> None:
    _, (axis,) = grid_of_panels(["layer"])
    (line,) = spectrum_curves(axis, np.array([1.0, 0.5, 0.25, 0.125]), color="black")
    assert np.array_equal(np.asarray(line.get_xdata()), [0.25, 0.5, 0.75, 1])
    assert np.array_equal(np.asarray(line.get_ydata()), [1.0, 0.5, 0.25, 0.125])
    alone = grid_of_layers({"layer": np.array([[1.0, 0.5]])}, np.array([500]), "checkpoint")
    assert len(alone.axes) == 1  # no colour scale


def test_a_heat_map_holds_every_layer_at_every_time() -> None:
    """A strip for each layer, from the largest singular value down; each time shows the last record before it."""
    iterations = [0, 100, 400]
    spectra = {"a": [np.array([1.0, a / 10]) for a in (1, 2, 3)], "b": [np.linspace(1, b / 10, 64) for b in (4, 5, 6)]}
    axis = heat_map(spectra, iterations).axes[0]
    drawn = axis.images[0].get_array()
    assert drawn is not None
    values = np.ma.filled(drawn, np.nan)
    first, second = (strip[~np.isnan(strip).any(axis=1)] for strip in np.split(values, 2))
    assert (first[0] == second[0]).all()
    assert (first[0] == 1).all()
    at = [round(share * (values.shape[1] - 1)) for share in (0, 0.2, 0.3, 0.9, 1)]
    assert first[-1, at].tolist() == [0.1, 0.1, 0.2, 0.2, 0.3]
    assert (np.diff(second, axis=0) < 0).all()
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b"]


def test_a_heat_map_of_one_record_is_a_picture() -> None:
    with style():
        picture = pixels(heat_map({"a": [np.array([1.0, 0.5])]}, [0]))
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.std() > 20


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="found 0 and 1"):
        grid_of_layers({}, np.array([0]), "")
    with pytest.raises(ValueError, match="found 1 and 0"):
        grid_of_layers({"layer": np.zeros((0, 4))}, np.array([]), "")


def test_files_are_whole_and_repeatable(tmp_path: Path) -> None:
    def draw() -> Figure:
        with style():
            return grid_of_layers({"layer": np.array([[1.0, 0.5], [1.0, 0.4]])}, np.array([0, 10]), "title")

    for name in ("a.png", "a.pdf", "deeper/b.png", "deeper/b.pdf"):
        save(draw(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "deeper" / "b.png").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "deeper" / "b.pdf").read_bytes()
    with pytest.raises(ValueError, match=r"\*\.png or \*\.pdf, found 'a.jpg'"):
        save(draw(), tmp_path / "a.jpg")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.pdf", "deeper"}
