"""Projections of layers of all sizes and spectra: exact, the same on any number of ranks and under autocast."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from test_regularization import AUTHORS_SCALE, convolutions, ratios, recorded_ratios
from torch import Tensor, nn

import srgan
from srgan.constraints import (
    METHODS,
    SpectralRegularization,
    raw_matrix,
    raw_weight,
)
from srgan.utils.distributed import ProcessGroup

SHAPES_IN_USE = [(32, 3), (32, 27), (32, 288), (32, 288), (128, 128), (128, 1152), (128, 1152), (160, 80), (256, 1152)]


def layers_with(values: Callable[[int], Tensor]) -> nn.Sequential:
    """Convolutions of all the sizes that are decomposed in different ways."""
    layers = nn.Sequential(*(nn.Conv2d(n, m, 1) for m, n in SHAPES_IN_USE))
    for seed, (layer, (m, n)) in enumerate(zip(layers, SHAPES_IN_USE, strict=True)):
        draw = torch.randn(m, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        U, _, Vh = torch.linalg.svd(draw, full_matrices=False)
        raw_weight(layer).data.copy_(((U * values(min(m, n))) @ Vh)[:, :, None, None])
    return layers


def nearly_equal_at_half(N: int) -> Tensor:
    sigma = torch.linspace(1, 0.1, N, dtype=torch.float64)
    sigma[N // 2] = sigma[N // 2 - 1] * (1 - 1e-5)
    return sigma


SPECTRA: dict[str, Callable[[int], Tensor]] = {
    "flat": lambda N: torch.linspace(3, 1, N, dtype=torch.float64),
    "collapsed": lambda N: torch.logspace(0, -6, N, dtype=torch.float64),
    "nearly equal at half": nearly_equal_at_half,
}


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_projections_of_all_sizes_and_spectra_are_exact(method: str, values: str) -> None:
    """To a relative 1e-5, against SVDs in float64. SR-d has recorded a flat spectrum before."""
    constraint, layers = METHODS[method](scale=AUTHORS_SCALE[method]), layers_with(SPECTRA[values])
    constraint.attach(layers)
    expected = []
    for layer in convolutions(layers):
        U, sigma, Vh = torch.linalg.svd(raw_matrix(layer).double(), full_matrices=False)
        s = sigma / sigma[0]
        layer.get_buffer("parametrizations.weight.0.recorded_ratios").fill_(0.9)[0] = 1
        if method == "sr-s":
            s[: max(1, len(s) // 2)] = 1
        else:
            s = sigma[0] * s.maximum(recorded_ratios(layer))
        expected.append((U * s) @ Vh)
    before = [ratios(raw_matrix(layer)).clamp_min(0.9) for layer in convolutions(layers)]
    constraint.after_update(layers, 0, 0, 1)
    for layer, matrix, r in zip(convolutions(layers), expected, before, strict=True):
        assert (raw_matrix(layer) - matrix).norm() <= 1e-5 * matrix.norm()
        if method == "sr-d":
            torch.testing.assert_close(recorded_ratios(layer).double(), r, rtol=1e-6, atol=0)


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_a_projection_has_the_same_bits_however_many_ranks_share_it(
    method: str, values: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of three ranks does its layers, one after the other in this process: no broadcast is needed."""
    monkeypatch.setattr(ProcessGroup, "broadcast_", lambda *_: None)
    constraint, alone = METHODS[method](), layers_with(SPECTRA[values])
    constraint.attach(alone)
    for layer in convolutions(alone):
        layer.get_buffer("parametrizations.weight.0.recorded_ratios").fill_(0.9)
    shared, given = copy.deepcopy(alone), copy.deepcopy(alone).state_dict()
    constraint.after_update(alone, 0, 0, 1)
    assert any(not torch.equal(w, given[name]) for name, w in alone.state_dict().items() if name.endswith("original"))
    for rank in range(3):
        constraint.after_update(shared, 0, 0, 1, ProcessGroup(rank, 3))
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, shared.state_dict()[name]), name


def test_a_weight_without_directions_stops_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessGroup, "broadcast_", lambda *_: pytest.fail("would wait for the rank that failed"))
    for rank in range(3):
        constraint, layers = SpectralRegularization(), nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(3)))
        constraint.attach(layers)
        raw_weight(layers[1]).data.zero_()
        with pytest.raises(ValueError, match=r"Layer '1' in iteration 5: .*all-zero"):
            constraint.after_update(layers, 5, 0, 1, ProcessGroup(rank, 3))


def test_a_projection_is_the_same_under_autocast() -> None:
    for method in ("sr-s", "sr-d"):
        outside, inside, constraint = layers_with(SPECTRA["flat"]), layers_with(SPECTRA["flat"]), METHODS[method]()
        for layers in (outside, inside):
            constraint.attach(layers)
            for layer in convolutions(layers):
                layer.get_buffer("parametrizations.weight.0.recorded_ratios").fill_(0.9)
        constraint.after_update(outside, 0, 0, 1)
        with torch.autocast("cpu", torch.bfloat16):
            constraint.after_update(inside, 0, 0, 1)
        for layer, other in zip(convolutions(outside), convolutions(inside), strict=True):
            assert torch.equal(raw_weight(layer), raw_weight(other))


def test_a_weight_passes_five_files_at_most() -> None:
    """As docs/explanation/architecture.md says: from `after_update` to the decomposition and back."""
    constraint, layer = SpectralRegularization(), nn.Conv2d(3, 8, 3)
    constraint.attach(layer)
    package, files = Path(srgan.__file__).parent, []

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(package):
            files.append(path.relative_to(package).as_posix())

    sys.setprofile(note)
    try:
        constraint.after_update(layer, 0, 0, 1)
    finally:
        sys.setprofile(None)
    assert len(files) <= 80, len(files)
    assert set(files) == {
        "constraints/spectral_regularization.py",
        "constraints/layers.py",
        "spectral.py",
        "utils/linalg.py",
        "utils/distributed.py",
    }
