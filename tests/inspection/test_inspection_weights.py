"""Weights found in state dicts of all kinds, and their spectra against numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from srgan.inspection.find_weights import Weight, find_weights
from srgan.inspection.layer_spectra import inspect_file, layer_spectrum, spectra_of


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5), nn.Embedding(7, 4))


def names(content: Any) -> list[str]:
    return [weight.name for weight in find_weights(content)[0]]


def only(content: Any) -> Weight:
    (weight,) = find_weights(content)[0]
    return weight


# Where state dicts lie, and under which names.


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3, "best": 0.5},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {"args": {"lr": 1}, "nested": {"model": {f"_orig_mod.{name}": v for name, v in state.items()}}},
        lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
        lambda state: [state, {"lr": 1e-3}],
    ],
)
def test_a_state_dict_is_found_wherever_it_lies(wrapped: Any) -> None:
    state = network().state_dict()
    content = wrapped(state)
    weights, others = find_weights(content)
    assert [weight.name for weight in weights] == ["0", "3", "4"]
    assert not others
    for weight, key in zip(weights, ("0.weight", "3.weight", "4.weight"), strict=True):
        assert weight.tensor is state[key]


def test_several_networks_are_told_apart_and_optimizers_left_out() -> None:
    net = network()
    optimizer = torch.optim.Adam(net.parameters())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    content = {"netG": net.state_dict(), "netD": net.state_dict(), "optim": optimizer.state_dict()}
    weights = find_weights(content)[0]
    assert [weight.name for weight in weights] == ["netG.0", "netG.3", "netG.4", "netD.0", "netD.3", "netD.4"]


def test_wrappers_stay_where_names_would_clash() -> None:
    state = {"module.a.weight": torch.ones(2, 2), "a.weight": torch.zeros(2, 2)}
    assert names(state) == ["module.a", "a"]


def test_names_without_the_word_weight() -> None:
    """Attention and recurrent layers name several; where nothing says weight, all matrices count."""
    attention, recurrent = nn.MultiheadAttention(4, 2), nn.LSTM(3, 2)
    assert names(attention.state_dict()) == ["in_proj_weight", "out_proj"]
    assert names(recurrent.state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    weights, others = find_weights(
        {"conv.weight": torch.ones(2, 3), "position": torch.ones(1, 4, 5), "u0": torch.ones(1, 2)}
    )
    assert ([weight.name for weight in weights], others) == (["conv"], ["position"])
    nameless = {"kernel": torch.ones(2, 3), "bias": torch.ones(3), "count": torch.ones(2, 2, dtype=torch.int64)}
    assert names({"net": nameless, "optimizer": {"momentum": torch.ones(2, 3)}}) == ["kernel"]


# Raw weights behind norms.


def convolution() -> nn.Conv2d:
    torch.manual_seed(1)
    return nn.Conv2d(4, 6, 3)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated", "ignore::FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, parametrizations.spectral_norm])
def test_the_raw_weight_behind_spectral_norm(norm: Any) -> None:
    layer = convolution()
    raw = layer.weight.detach().clone()
    norm(layer)(torch.randn(1, 4, 5, 5))
    weight = only(nn.Sequential(layer).state_dict())
    assert (weight.name, weight.behind) == ("0", "spectral norm")
    assert torch.equal(weight.tensor, raw)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, parametrizations.weight_norm])
def test_weight_norm_is_multiplied_out(norm: Any, dim: int | None) -> None:
    layer = norm(convolution(), dim=dim)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.endswith(("_g", "original0")):
                parameter.mul_(torch.linspace(0.5, 2, parameter.numel()).view_as(parameter))
    weight = only(nn.Sequential(layer).state_dict())
    assert (weight.name, weight.behind) == ("0", "weight norm")
    layer(torch.randn(1, 4, 5, 5))
    torch.testing.assert_close(weight.tensor, layer.weight.detach())


def test_pruned_weights_are_masked() -> None:
    layer = prune.random_unstructured(convolution(), "weight", 0.5)
    weight = only(layer.state_dict())
    assert (weight.name, weight.behind) == ("weight", "pruning")
    assert torch.equal(weight.tensor, layer.weight)
    assert (weight.tensor == 0).any()


def test_other_parametrizations_are_named_as_such() -> None:
    class Doubled(nn.Module):
        def forward(self, W: torch.Tensor) -> torch.Tensor:
            return 2 * W

    linear = nn.Linear(3, 2)
    parametrize.register_parametrization(linear, "weight", Doubled())
    weight = only(nn.ModuleDict({"d": linear}).state_dict())
    assert (weight.name, weight.behind) == ("d", "a parametrization")


def test_what_a_parametrization_keeps_beside_its_weight_is_passed_over() -> None:
    """Whatever it is called and whatever its shape."""
    kept = {"d.parametrizations.weight.0.u": torch.ones(6), "d.parametrizations.weight.0.updates": torch.ones(2, 2)}
    kept |= {"d.parametrizations.weight.1.weight_average": torch.ones(3, 3), "d.bias": torch.ones(6)}
    weights, others = find_weights({"d.parametrizations.weight.original": torch.ones(6, 4), **kept})
    assert [(weight.name, weight.behind) for weight in weights] == [("d", "spectral norm")]
    assert not others


@pytest.mark.parametrize(("weight", "vector"), [("W", "u"), ("weight", "u0"), ("weight", "sn_u")])
def test_the_raw_weight_beside_a_power_vector(weight: str, vector: str) -> None:
    """Chainer's layers, BigGAN's and mimicry's keep both under plain names."""
    state = {f"block.c1.{weight}": torch.ones(6, 4), f"block.c1.{vector}": torch.ones(1, 6), "l2.weight": torch.eye(2)}
    weights, others = find_weights(state)
    assert [(weight.name, weight.behind) for weight in weights] == [("block.c1", "spectral norm"), ("l2", "")]
    assert not others


# Spectra.


def test_a_resnet_has_numpys_singular_values(tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(2)
    model = torchvision.models.resnet18()
    torch.save(model.state_dict(), tmp_path / "resnet18.pth")
    weights = inspect_file(tmp_path / "resnet18.pth").weights
    modules = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert [weight.name for weight in weights] == list(modules)
    few = [weight for weight in weights if weight.tensor.shape[0] <= 128 or weight.name == "fc"]  # numpy is slow beyond
    assert len(few) > 9
    for layer in spectra_of(few):
        W = modules[layer.name].weight.detach().double().flatten(1).numpy()
        np.testing.assert_allclose(layer.sigma, np.linalg.svd(W, compute_uv=False), rtol=1e-9)


def test_the_numbers_of_a_layer_are_those_of_numpys_svd() -> None:
    torch.manual_seed(3)
    W = torch.randn(9, 20, dtype=torch.float64)
    layer = layer_spectrum(Weight("w", W.float().view(9, 5, 2, 2)), transposed=False)
    sigma = np.linalg.svd(W.float().double().numpy(), compute_uv=False)
    p = sigma / sigma.sum()
    expected = {
        "sigma_1": sigma[0],
        "tail_mean": (sigma / sigma[0])[2:].mean(),
        "p10": np.quantile(sigma / sigma[0], 0.1),
        "p50": np.median(sigma) / sigma[0],
        "effective_rank": np.prod(p**-p),
        "stable_rank": (np.linalg.norm(W.float().double().numpy()) / sigma[0]) ** 2,
        "condition": sigma[0] / sigma[-1],
    }
    assert layer.numbers == pytest.approx(expected, rel=1e-9)


def test_a_transposed_convolution_is_another_matrix() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3)
    weight = Weight("up", layer.weight.detach())
    W = layer.weight.detach().double().transpose(0, 1).flatten(1).numpy()
    expected = np.linalg.svd(W, compute_uv=False)
    np.testing.assert_allclose(layer_spectrum(weight, transposed=True).sigma, expected, rtol=1e-9)
    assert len(layer_spectrum(weight, transposed=False).sigma) == 4


def test_weights_that_went_wrong_have_a_record() -> None:
    """NaN has no numbers, zero has zeros and no finite condition; JSON gets null for both."""
    broken = layer_spectrum(Weight("broken", torch.tensor([[1.0, np.nan], [0.0, 1.0]])), transposed=False)
    assert not broken.is_finite
    assert broken.record()["tail_mean"] is None
    assert broken.record()["sigma"] == [None, None]
    zero = layer_spectrum(Weight("zero", torch.zeros(3, 2)), transposed=False)
    assert zero.numbers["effective_rank"] == zero.numbers["sigma_1"] == 0
    assert zero.record()["condition"] is None
