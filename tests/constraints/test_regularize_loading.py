"""State dicts in and out of the one-liner: plain ones, those of PyTorch's spectral norms, and the way back."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from discriminators import IMAGES, small_discriminator
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils import spectral_norm as spectral_norm_by_hook

import srgan
from srgan.constraints import METHODS, raw_weight, spectral_layers

NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "parametrization": parametrizations.spectral_norm,
    "hook": spectral_norm_by_hook,
}
EVERY = [*METHODS, "sr-s reparametrize"]


def regularized(D: nn.Module, method: str) -> nn.Module:
    name, _, mode = method.partition(" ")
    options: dict[str, Any] = {"mode": "reparametrization"} if mode else {}
    optimizer = torch.optim.SGD(D.parameters(), 0.01)
    handle = srgan.regularize(D, name, optimizer=optimizer, **options)
    for _ in range(2):
        D(IMAGES).square().mean().backward()
        optimizer.step()
    return handle.discriminator


def scores(D: nn.Module) -> Tensor:
    with torch.no_grad():
        result: Tensor = D.eval()(IMAGES)
    return result


def normed(norm: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 6, 3), nn.ConvTranspose2d(6, 4, 3), nn.Conv2d(4, 2, 3)]
    return nn.Sequential(*(norm(layer) for layer in layers))


@pytest.mark.parametrize("method", EVERY)
def test_unregularizing_leaves_plain_weights_and_the_same_scores(method: str) -> None:
    plain = small_discriminator()
    D = regularized(copy.deepcopy(plain), method)
    raw = {name: raw_weight(layer) for name, layer in spectral_layers(D)}
    clone, expected = copy.deepcopy(D), scores(D)
    assert srgan.unregularize(D) is D
    assert list(D.state_dict()) == list(plain.state_dict())
    torch.testing.assert_close(scores(D), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scores(clone), expected)  # shares no class with it
    for (name, layer), (_, before) in zip(spectral_layers(D), spectral_layers(plain), strict=True):
        assert layer.weight is raw[name]
        assert type(layer) is type(before)
    for module in D.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._load_state_dict_pre_hooks)
        assert not any(hooks)
    srgan.regularize(D, "sn")


@pytest.mark.parametrize("method", EVERY)
def test_an_export_loads_into_the_plain_discriminator_and_the_live_one_trains_on(method: str) -> None:
    plain = small_discriminator()
    D = regularized(copy.deepcopy(plain), method)
    expected, before = scores(D), copy.deepcopy(D.state_dict())
    exported = srgan.export(nn.DataParallel(D))
    plain.load_state_dict(exported.state_dict())
    torch.testing.assert_close(scores(plain), expected, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in D.state_dict().items())
    regularized(D, method)


def test_no_optimizer_acts_on_what_was_unregularized() -> None:
    D = small_discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
    handle = srgan.regularize(D, "sr-s", optimizer=optimizer)
    srgan.unregularize(D)
    before = copy.deepcopy(D.state_dict())
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in D.state_dict().items())
    assert not handle.layers
    assert not optimizer._optimizer_step_post_hooks


def test_other_parametrizations_stay() -> None:
    layer = nn.Conv2d(3, 4, 3)
    parametrize.register_parametrization(layer, "bias", nn.ReLU())
    D = nn.Sequential(layer)
    srgan.regularize(D, "sn")
    clone = copy.deepcopy(D)
    srgan.unregularize(D)
    assert sorted(D.state_dict()) == ["0.parametrizations.bias.original", "0.weight"]
    D(IMAGES)
    clone(IMAGES)


@pytest.mark.parametrize("norm", NORMS)
def test_the_power_vectors_of_pytorch_are_taken_over_and_a_state_dict_comes_back(norm: str) -> None:
    D = normed(NORMS[norm])
    with torch.no_grad():
        for _ in range(50):
            D(IMAGES)
    clone, before = copy.deepcopy(D), scores(D)
    srgan.regularize(D, "sn")
    torch.testing.assert_close(scores(D), before, rtol=1e-4, atol=1e-5)
    D.load_state_dict(copy.deepcopy(D.state_dict()))
    assert not any(layer._forward_pre_hooks for layer in D)
    torch.testing.assert_close(scores(clone), before)


@pytest.mark.parametrize("method", ["sn", "sr-d", "weight-norm"])
@pytest.mark.parametrize("norm", [*NORMS, "none"])
def test_plain_and_spectrally_normalized_state_dicts_load(norm: str, method: str) -> None:
    theirs = normed(NORMS.get(norm, lambda layer: layer))
    for _ in range(50):
        theirs(IMAGES)
    D = normed(lambda layer: layer)
    for parameter in D.parameters():
        nn.init.normal_(parameter)
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    handle = srgan.regularize(D, method, optimizer=optimizer)
    optimizer.step()
    state = theirs.state_dict()
    assert str(D.load_state_dict(state)) == "<All keys matched successfully>"
    assert any("weight" in name and "parametrizations.weight.0.u" not in name for name in state)  # not written to
    assert handle.updates == 0
    for layer, other in zip(D, theirs, strict=True):
        assert torch.equal(raw_weight(layer), raw_weight(other))
        assert not layer.get_buffer("parametrizations.weight.0.recorded_ratios").any()
    if norm != "none" and method != "weight-norm":
        torch.testing.assert_close(scores(D), scores(theirs), rtol=1e-4, atol=1e-5)
    if norm == "none" and method == "weight-norm":
        torch.testing.assert_close(scores(D), scores(theirs), rtol=1e-4, atol=1e-5)


def test_missing_and_unknown_names_are_still_reported() -> None:
    D = srgan.regularize(normed(lambda layer: layer), "sn").discriminator
    state = normed(lambda layer: layer).state_dict()
    del state["1.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*1\.parametrizations\.weight\.original"):
        D.load_state_dict(state)


def test_changing_the_method_takes_off_what_the_old_one_added() -> None:
    D = small_discriminator()
    optimizer = torch.optim.SGD(D.parameters(), 0.01)
    names = list(srgan.export(srgan.regularize(D, "sn").discriminator).state_dict())
    for method in ("batch-norm", "weight-norm", "sr-s"):
        srgan.regularize(D, method, optimizer=optimizer)
    expected = set(srgan.regularize(small_discriminator(), "sn").discriminator.state_dict())
    assert set(D.state_dict()) == expected
    assert list(srgan.export(D).state_dict()) == names
