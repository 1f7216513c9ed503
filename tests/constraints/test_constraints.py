"""Constraints on discriminators: what is attached and taken over, and spectral normalization."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from discriminators import CONSTRAINTS, IMAGES, small_discriminator
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as spectral_norm_by_hook

import srgan
from srgan.constraints import (
    METHODS,
    SpectralNormalization,
    raw_matrix,
    raw_weight,
    spectra,
    spectral_layers,
)
from srgan.constraints.spectral_normalization import STEPS_IN_EVALUATION

WITH_PARAMETERS = ("weight-norm", "batch-norm")
INTERCHANGEABLE = [method for method in CONSTRAINTS if method not in WITH_PARAMETERS]


def vector_u(layer: nn.Module) -> Tensor:
    return layer.get_buffer("parametrizations.weight.0.u").clone()


def used_weight(layer: nn.Module) -> Tensor:
    """The weight of the forward pass."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach()


@pytest.mark.parametrize("method", INTERCHANGEABLE)
def test_state_dict_has_the_documented_names_and_shapes_under_every_constraint(method: str) -> None:
    expected = {}
    for name, tensor in small_discriminator().state_dict().items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight":
            expected[f"{layer}.parametrizations.weight.original"] = tensor.shape
            expected[f"{layer}.parametrizations.weight.0.u"] = tensor.shape[:1]
            expected[f"{layer}.parametrizations.weight.0.recorded_ratios"] = (min(tensor.flatten(1).shape),)
            expected[f"{layer}.parametrizations.weight.0.updates"] = ()
        else:
            expected[name] = tensor.shape
    constrained = small_discriminator(CONSTRAINTS[method]()).state_dict()
    assert {name: tensor.shape for name, tensor in constrained.items()} == expected


@pytest.mark.parametrize("method", INTERCHANGEABLE)
def test_a_checkpoint_of_one_constraint_loads_into_any_other(method: str) -> None:
    state = small_discriminator(CONSTRAINTS[method]()).state_dict()
    written = {name: torch.rand_like(t) if t.is_floating_point() else t + 1 for name, t in state.items()}
    for other in INTERCHANGEABLE:
        discriminator = small_discriminator(CONSTRAINTS[other]())
        discriminator.load_state_dict(written, strict=True)
        assert all(torch.equal(tensor, written[name]) for name, tensor in discriminator.state_dict().items())


@pytest.mark.parametrize("method", CONSTRAINTS)
def test_attaching_keeps_parameters_and_draws_the_same_u_whatever_the_method(method: str) -> None:
    discriminator = small_discriminator()
    before = dict(discriminator.named_parameters())
    values = copy.deepcopy(before)
    CONSTRAINTS[method]().attach(discriminator)
    next_draw = torch.rand(1)
    assert set(before.values()) <= set(discriminator.parameters())
    assert method in WITH_PARAMETERS or set(discriminator.parameters()) == set(before.values())
    unconstrained = small_discriminator(METHODS["none"]())
    assert torch.equal(next_draw, torch.rand(1))
    for (name, layer), (_, other) in zip(spectral_layers(discriminator), spectral_layers(unconstrained), strict=True):
        assert raw_weight(layer) is before[f"{name}.weight"]
        assert torch.equal(raw_weight(layer), values[f"{name}.weight"])
        assert torch.equal(vector_u(layer), vector_u(other))


def test_u_starts_as_standard_normal_numbers_not_normalized() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4000, 1)
    SpectralNormalization().attach(layer)
    u = vector_u(layer)
    assert u.mean().item() == pytest.approx(0, abs=0.05)
    assert u.std().item() == pytest.approx(1, abs=0.05)


def chainer_spectral_norm(W: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W / sigma and the new u after one power step, with the numerics of the code the authors build on."""
    v = u @ W
    v = v / (np.linalg.norm(v) + 1e-12)
    u = v @ W.T
    u = u / (np.linalg.norm(u) + 1e-12)
    return W / (u @ W @ v), u


LAYERS: dict[str, tuple[Callable[[], nn.Module], Tensor, tuple[int, ...]]] = {
    # How to make it, an input, and the axes that bring its weight to [out, in, ...].
    "convolution": (lambda: nn.Conv2d(3, 5, 3), IMAGES, (0, 1, 2, 3)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 5, 3), IMAGES, (1, 0, 2, 3)),
    "linear": (lambda: nn.Linear(8, 5), IMAGES, (0, 1)),
    "embedding": (lambda: nn.Embedding(7, 4), torch.arange(7), (0, 1)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_spectral_norm_takes_one_power_step_per_training_forward_and_more_in_evaluation_which_it_forgets(
    kind: str,
) -> None:
    torch.manual_seed(0)
    make, inputs, axes = LAYERS[kind]
    layer = make()
    SpectralNormalization().attach(nn.ModuleList([layer, nn.Conv2d(1, 1, 1)]))
    raw, u = raw_weight(layer).detach().numpy().transpose(axes), vector_u(layer).numpy()
    W = raw.reshape(len(u), -1)
    for _ in range(2):
        _, u = chainer_spectral_norm(W, u)
        layer(inputs)
        np.testing.assert_allclose(vector_u(layer), u, atol=1e-6)
    W_SN, next_u = chainer_spectral_norm(W, u)
    layer.eval()
    u_of_training = vector_u(layer)
    layer(inputs)
    settled = u
    for _ in range(STEPS_IN_EVALUATION):
        in_evaluation, settled = chainer_spectral_norm(W, settled)
    np.testing.assert_allclose(used_weight(layer).numpy().transpose(axes), in_evaluation.reshape(raw.shape), rtol=1e-5)
    assert torch.equal(vector_u(layer), u_of_training)
    layer.train()
    np.testing.assert_allclose(used_weight(layer).numpy().transpose(axes), W_SN.reshape(raw.shape), rtol=1e-5)
    np.testing.assert_allclose(vector_u(layer), next_u, atol=1e-6)


def test_more_power_steps_per_use_are_as_many_forwards() -> None:
    three, one = small_discriminator(SpectralNormalization(3)), small_discriminator(SpectralNormalization())
    three(IMAGES)
    for _ in range(3):
        one(IMAGES)
    for (_, layer), (_, other) in zip(spectral_layers(three), spectral_layers(one), strict=True):
        torch.testing.assert_close(vector_u(layer), vector_u(other))


def test_looking_at_spectra_changes_nothing() -> None:
    discriminator = small_discriminator(SpectralNormalization())
    before = copy.deepcopy(discriminator.state_dict())
    raw, normalized = spectra(discriminator, normalized=False), spectra(discriminator)
    for name, layer in spectral_layers(discriminator):
        exact = torch.linalg.svdvals(raw_matrix(layer).double())
        torch.testing.assert_close(raw[name], exact)
        torch.testing.assert_close(normalized[name], exact / exact[0])
    assert all(torch.equal(tensor, before[name]) for name, tensor in discriminator.state_dict().items())


@pytest.mark.parametrize("method", CONSTRAINTS)
def test_weights_stay_float32_under_bf16_autocast(method: str) -> None:
    discriminator = small_discriminator(CONSTRAINTS[method]()).eval()
    for _, layer in spectral_layers(discriminator):
        with torch.autocast("cpu", torch.bfloat16):
            inside = used_weight(layer)
        assert inside.dtype == torch.float32
        assert torch.equal(inside, used_weight(layer))
    with torch.autocast("cpu", torch.bfloat16):
        assert discriminator.blocks(IMAGES).dtype == torch.bfloat16
        assert discriminator(IMAGES).dtype == torch.float32


@pytest.mark.parametrize("method", CONSTRAINTS)
def test_a_deep_copy_scores_alike_and_shares_nothing(method: str) -> None:
    discriminator = small_discriminator(CONSTRAINTS[method]())
    clone = copy.deepcopy(discriminator)
    assert torch.equal(clone(IMAGES), discriminator(IMAGES))
    before = copy.deepcopy(discriminator.state_dict())
    with torch.no_grad():
        for tensor in clone.state_dict().values():
            tensor.fill_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in discriminator.state_dict().items())


@pytest.mark.parametrize(
    "spectral_norm", [parametrizations.spectral_norm, spectral_norm_by_hook], ids=["parametrization", "hook"]
)
@pytest.mark.parametrize("kind", ["convolution", "transposed"])
def test_layers_under_the_spectral_norm_of_pytorch_are_taken_over(
    spectral_norm: Callable[[nn.Module], nn.Module], kind: str
) -> None:
    """With the raw weight, and as the Parameter object that the optimizer holds already."""
    discriminator = nn.Sequential(spectral_norm(LAYERS[kind][0]()))
    discriminator(IMAGES)
    raw = raw_weight(discriminator[0])
    value = raw.detach().clone()
    optimizer = torch.optim.SGD(discriminator.parameters(), 0.1)
    srgan.regularize(discriminator, "sn", optimizer=optimizer)
    assert set(discriminator.state_dict()) == {
        "0.bias",
        "0.parametrizations.weight.original",
        "0.parametrizations.weight.0.u",
        "0.parametrizations.weight.0.recorded_ratios",
        "0.parametrizations.weight.0.updates",
    }
    assert torch.equal(raw_weight(discriminator[0]), value)
    discriminator(IMAGES).square().mean().backward()
    optimizer.step()
    assert not torch.equal(raw_weight(discriminator[0]), value)
