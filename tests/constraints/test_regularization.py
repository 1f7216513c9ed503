"""SR-s and SR-d in both forms: what a projection writes, what the reparametrized forward pass uses, and when."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from discriminators import IMAGES, small_discriminator
from torch import Tensor, nn

import srgan
from srgan.constraints import (
    METHODS,
    Schedule,
    SpectralNormalization,
    SpectralRegularization,
    Static,
    raw_matrix,
    raw_weight,
    spectra,
    spectral_layers,
)
from srgan.constraints.layers import CONVOLUTIONS
from srgan.spectral import Scale


def convolutions(module: nn.Module) -> list[nn.Module]:
    return [layer for _, layer in spectral_layers(module) if isinstance(layer, CONVOLUTIONS)]


def recorded_ratios(layer: nn.Module) -> Tensor:
    return layer.get_buffer("parametrizations.weight.0.recorded_ratios").clone()


def ratios(W: Tensor) -> Tensor:
    sigma: Tensor = torch.linalg.svdvals(W.double())
    return sigma / sigma[0]


def used_matrix(layer: nn.Module) -> Tensor:
    """The weight of the forward pass, of an ordinary convolution or linear layer."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach().flatten(1)


def spectrum_in_use(layer: nn.Module) -> Tensor:
    sigma: Tensor = torch.linalg.svdvals(used_matrix(layer).double())
    return sigma


def collapse(layer: nn.Module, factor: float) -> None:
    """Shrinks all but the largest singular value of a raw weight."""
    U, sigma, Vh = torch.linalg.svd(raw_matrix(layer), full_matrices=False)
    sigma[1:] *= factor
    raw_weight(layer).data.copy_(((U * sigma) @ Vh).view_as(raw_weight(layer)))


def train(discriminator: nn.Module, optimizer: torch.optim.Optimizer, after_step: Callable[[int], Any] = id) -> None:
    """Three steps that pull the scores of one half of the images down and push those of the other up."""
    for step in range(3):
        optimizer.zero_grad()
        scores = discriminator(IMAGES + step)
        (scores[:2].mean() - scores[2:].mean()).backward()
        optimizer.step()
        after_step(step)


AUTHORS_SCALE: dict[str, Scale] = {"sr-s": "unit", "sr-d": "keep"}


def authors_projection(W: np.ndarray, method: str, r: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The authors' code on one matrix: the new W and, for SR-d, the ratios recorded so far."""
    U, sigma, Vh = np.linalg.svd(W, full_matrices=False)
    s = sigma / sigma[0]
    if method == "sr-s":
        s[: max(1, len(s) // 2)] = 1
        return U @ np.diag(s) @ Vh, s
    if r is None:
        return W, s
    r = np.maximum(r, s)
    return U @ np.diag(sigma[0] * r) @ Vh, r


@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_projected_training_is_the_authors(method: str) -> None:
    ours, theirs = small_discriminator(), small_discriminator()
    optimizer = torch.optim.Adam(ours.parameters(), 1e-2, betas=(0.0, 0.9))
    srgan.regularize(ours, method, optimizer=optimizer, schedule=Schedule(1), scale=AUTHORS_SCALE[method])
    their_optimizer = torch.optim.Adam(theirs.parameters(), 1e-2, betas=(0.0, 0.9))
    srgan.regularize(theirs, "sn").discriminator.load_state_dict(ours.state_dict())
    recorded: dict[int, np.ndarray] = {}
    changes = []

    def project(step: int) -> None:
        for k, layer in enumerate(convolutions(theirs)):
            W = raw_matrix(layer).numpy()
            projected, recorded[k] = authors_projection(W, method, recorded.get(k))
            changes.append(np.abs(projected - W).max())
            raw_weight(layer).data.copy_(torch.from_numpy(projected).view_as(raw_weight(layer)))

    train(ours, optimizer)
    train(theirs, their_optimizer, project)
    assert max(changes) > 1e-3
    for k, (layer, other) in enumerate(zip(convolutions(ours), convolutions(theirs), strict=True)):
        torch.testing.assert_close(raw_weight(layer), raw_weight(other), rtol=0, atol=1e-5)
        if method == "sr-d":
            np.testing.assert_allclose(recorded_ratios(layer), recorded[k], atol=1e-5)


@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_a_projection_acts_on_convolutions_only_and_leaves_the_moments_of_adam(method: str) -> None:
    constraint = METHODS[method]()
    discriminator = small_discriminator(constraint)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    constraint.after_update(discriminator, 0, 0, 1)
    train(discriminator, optimizer)
    before = copy.deepcopy(dict(discriminator.named_parameters()))
    moments = copy.deepcopy(optimizer.state_dict()["state"])
    constraint.after_update(discriminator, 5, 0, 1)
    changed = {name for name, parameter in discriminator.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {name for name in before if name.endswith("original") and not name.startswith("linear")}
    for key, state in optimizer.state_dict()["state"].items():
        assert all(torch.equal(moment, moments[key][name]) for name, moment in state.items())


def test_linear_and_embedding_layers_are_left_to_spectral_norm() -> None:
    for constraint in (SpectralRegularization(), SpectralRegularization(mode="reparametrization")):
        torch.manual_seed(0)
        layers = nn.ModuleList([nn.Conv2d(3, 6, 3), nn.Linear(9, 6), nn.Embedding(7, 6)])
        normalized = copy.deepcopy(layers)
        constraint.attach(layers)
        SpectralNormalization().attach(normalized)
        normalized.load_state_dict(layers.state_dict())
        constraint.after_update(layers, 0, 0, 1)
        same = [torch.equal(used_matrix(a), used_matrix(b)) for a, b in zip(layers, normalized, strict=True)]
        assert same == [False, True, True]


CONVOLUTIONS_OF_ALL_KINDS: dict[str, Callable[[], nn.Module]] = {
    "1d": lambda: nn.Conv1d(4, 6, 3),
    "2d": lambda: nn.Conv2d(4, 6, 3),
    "3d": lambda: nn.Conv3d(2, 5, 3),
    "tall": lambda: nn.Conv2d(3, 8, 1),
    "1 x 1": lambda: nn.Conv2d(1, 1, 1),
    "one output": lambda: nn.Conv2d(4, 1, 3),
    "transposed 1d": lambda: nn.ConvTranspose1d(4, 6, 3),
    "transposed 2d": lambda: nn.ConvTranspose2d(4, 6, 3),
    "transposed 3d": lambda: nn.ConvTranspose3d(2, 5, 3),
    "channels last": lambda: nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last),
    "float64": lambda: nn.Conv2d(4, 6, 3).double(),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS_OF_ALL_KINDS)
def test_projections_write_the_promised_spectrum_and_keep_the_singular_vectors(kind: str) -> None:
    torch.manual_seed(0)
    layer = CONVOLUTIONS_OF_ALL_KINDS[kind]()
    constraint = SpectralRegularization()
    constraint.attach(layer)
    U, sigma, Vh = torch.linalg.svd(raw_matrix(layer).double(), full_matrices=False)
    constraint.after_update(layer, 0, 0, 1)
    s = sigma / sigma[0]
    s[: max(1, len(s) // 2)] = 1
    torch.testing.assert_close(raw_matrix(layer).double(), (U * s) @ Vh, rtol=0, atol=1e-6)


def test_dynamic_projection_records_first_and_then_holds_the_spectrum_up() -> None:
    constraint = METHODS["sr-d"](schedule=Schedule(1, start_iteration=2), scale="keep")
    discriminator = small_discriminator(constraint)
    raw = {name: raw_weight(layer).clone() for name, layer in spectral_layers(discriminator)}
    constraint.after_update(discriminator, 1, 0, 1)
    assert not any(recorded_ratios(layer).any() for layer in convolutions(discriminator))
    constraint.after_update(discriminator, 2, 0, 1)
    assert all(torch.equal(raw_weight(layer), raw[name]) for name, layer in spectral_layers(discriminator))
    resumed = small_discriminator(constraint)
    resumed.load_state_dict(discriminator.state_dict())
    scales = [torch.linalg.matrix_norm(raw_matrix(layer), 2) for layer in convolutions(resumed)]
    for layer in convolutions(resumed):
        torch.testing.assert_close(recorded_ratios(layer).double(), ratios(raw_matrix(layer)), rtol=0, atol=1e-7)
        collapse(layer, 0.5)
    constraint.after_update(resumed, 2, 0, 1)
    for layer, other, scale in zip(convolutions(resumed), convolutions(discriminator), scales, strict=True):
        torch.testing.assert_close(ratios(raw_matrix(layer)), ratios(raw_matrix(other)), rtol=0, atol=1e-6)
        torch.testing.assert_close(torch.linalg.matrix_norm(raw_matrix(layer), 2), scale)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 1.0])
def test_static_reparametrized_spectrum_is_equation_10_also_after_three_steps(fraction: float) -> None:
    discriminator = small_discriminator(SpectralRegularization(Static(fraction), mode="reparametrization"))

    def check(step: int = 0) -> None:
        for layer in convolutions(discriminator):
            expected = ratios(raw_matrix(layer))
            expected[: max(1, int(fraction * len(expected)))] = 1
            torch.testing.assert_close(spectrum_in_use(layer), expected, rtol=0, atol=1e-6)

    check()
    train(discriminator, torch.optim.Adam(discriminator.parameters(), 1e-2), check)


def test_dynamic_reparametrized_spectrum_never_falls_below_the_recorded_one() -> None:
    discriminator = small_discriminator()
    constraint = METHODS["sr-d"](mode="reparametrization")
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    srgan.regularize(discriminator, constraint, optimizer=optimizer)
    largest = [torch.zeros(1) for _ in convolutions(discriminator)]

    def check(step: int = 0) -> None:
        for k, layer in enumerate(convolutions(discriminator)):
            largest[k] = torch.maximum(largest[k], ratios(raw_matrix(layer)))
            torch.testing.assert_close(recorded_ratios(layer).double(), largest[k], rtol=0, atol=1e-6)
            torch.testing.assert_close(spectrum_in_use(layer), largest[k], rtol=0, atol=1e-6)

    train(discriminator, optimizer, check)
    for factor in (0.1, 1e-3):
        for layer in convolutions(discriminator):
            collapse(layer, factor)
        constraint.after_update(discriminator, 0, 0, 1)
        check()


def test_errors_name_the_layer_and_the_iteration() -> None:
    constraint = SpectralRegularization()
    discriminator = small_discriminator(constraint)
    raw_weight(discriminator.get_submodule("blocks.2.conv1")).data.fill_(float("nan"))
    with pytest.raises(ValueError, match=r"Layer 'blocks\.2\.conv1' in iteration 5: "):
        constraint.after_update(discriminator, 5, 0, 1)
    with pytest.raises(ValueError, match=r"Layer 'blocks\.2\.conv1': "):
        spectra(discriminator)


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        (Schedule(), [(0, 0), (0, 1), (5, 0), (5, 1), (10, 0), (10, 1)]),
        (Schedule(1, "all"), [(t, update) for t in range(12) for update in (0, 1)]),
        (Schedule(1, "last"), [(t, 1) for t in range(12)]),
        (Schedule(4, "last"), [(0, 1), (4, 1), (8, 1)]),
        (Schedule(5, start_iteration=5), [(5, 0), (5, 1), (10, 0), (10, 1)]),
        (Schedule(4, "all", start_iteration=7), [(8, 0), (8, 1)]),
        (Schedule(3, "last", start_iteration=100), []),
    ],
)
def test_schedule(schedule: Schedule, due: list[tuple[int, int]]) -> None:
    assert [(t, update) for t in range(12) for update in (0, 1) if schedule.is_due(t, update, n_dis=2)] == due
