"""The one-liner on other people's discriminators: trained, saved, loaded, exported."""

import ast
import copy
import re
import warnings
from typing import Any

import pytest
import torch
from third_party_discriminators import THIRD_PARTY, EqualConv, EqualLinear, Inputs, style
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils import weight_norm as weight_norm_by_hook

import srgan
from srgan.constraints import Regularization, Schedule, raw_matrix, raw_weight, spectra
from srgan.constraints.layers import is_convolution, output_dim
from srgan.spectral import matricize

OPTIONS: dict[str, dict[str, Any]] = {
    "StyleGAN's layers": {"layers": [EqualConv, EqualLinear]},
    "depthwise": {"exclude": lambda name, layer: getattr(layer, "groups", 1) > 1},
    "a weight norm on one layer": {
        "exclude": lambda name, layer: isinstance(layer, nn.Conv2d) and hasattr(layer, "parametrizations")
    },
}
PENALTIES = {"DCGAN": "dragan", "a weight norm on one layer": "orthonormal"}
HELD = 1e-4


def regularized(name: str, method: str, lr: float = 1e-3, **options: Any) -> tuple[Regularization, Any]:
    torch.manual_seed(0)
    D = THIRD_PARTY[name][0]()
    optimizer = torch.optim.SGD([p for p in D.parameters() if p.requires_grad], lr)
    selection = OPTIONS.get(name, {}) if method != "none" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of attention's weights
        return srgan.regularize(D, method, optimizer=optimizer, **selection, **options), optimizer


def train(handle: Regularization, optimizer: Any, inputs: Inputs, steps: int = 3) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        x, labels = inputs[0], inputs[1:]
        fake = x.flip(0) * 0.5 + step
        scores = handle.discriminator(x, *labels).float().mean() - handle.discriminator(fake, *labels).float().mean()
        (scores + handle.penalty(x, fake, *labels)).backward()
        optimizer.step()


def outputs(D: nn.Module, inputs: Inputs) -> Tensor:
    with torch.no_grad():
        result: Tensor = D.eval()(*inputs).float()
    return result


def spectrum_in_use(layer: nn.Module) -> Tensor:
    """Of the weight that the forward pass uses in evaluation."""
    weight = layer.eval().weight
    assert isinstance(weight, Tensor)
    sigma: Tensor = torch.linalg.svdvals(matricize(weight.detach().double(), output_dim(layer)))
    return sigma


@pytest.mark.parametrize("name", THIRD_PARTY)
def test_under_sn_the_largest_singular_value_in_use_is_one(name: str) -> None:
    handle, optimizer = regularized(name, "sn", power_iterations=100)
    train(handle, optimizer, THIRD_PARTY[name][1])
    assert handle.updates == 3
    for layer in handle.layers.values():
        bound = 0.05 if raw_weight(layer).dtype == torch.bfloat16 else 2e-3
        assert spectrum_in_use(layer)[0].item() == pytest.approx(1, abs=bound)


@pytest.mark.parametrize("name", THIRD_PARTY)
def test_under_sr_half_of_each_spectrum_that_trains_is_held(name: str) -> None:
    handle, optimizer = regularized(name, "sr-s", schedule=Schedule(1))
    train(handle, optimizer, THIRD_PARTY[name][1])
    held = 0
    for layer in handle.layers.values():
        if is_convolution(layer) and raw_weight(layer).requires_grad:
            W = raw_matrix(layer).double()
            tolerance = 0.05 if raw_weight(layer).dtype == torch.bfloat16 else HELD
            i = max(1, min(W.shape) // 2)
            assert (torch.linalg.svdvals(W)[:i] - 1).abs().max() < tolerance
            held += 1
    assert held or name == "MLP"


@pytest.mark.parametrize("name", THIRD_PARTY)
def test_a_penalty_is_added_and_reaches_the_weights(name: str) -> None:
    handle, optimizer = regularized(name, PENALTIES.get(name, "gp"))
    x, labels = THIRD_PARTY[name][1][0], THIRD_PARTY[name][1][1:]
    penalty = handle.penalty(x, x.flip(0), *labels)
    assert penalty.dim() == 0
    assert penalty > 0
    train(handle, optimizer, THIRD_PARTY[name][1])
    assert all(torch.isfinite(parameter).all() for parameter in handle.discriminator.parameters())


@pytest.mark.parametrize("method", ["sn", "sr-s", "weight-norm"])
@pytest.mark.parametrize("name", THIRD_PARTY)
def test_a_state_dict_comes_back_and_an_export_scores_alike(name: str, method: str) -> None:
    inputs = THIRD_PARTY[name][1]
    handle, optimizer = regularized(name, method)
    train(handle, optimizer, inputs)
    D = handle.discriminator
    resumed, _ = regularized(name, method)
    resumed.discriminator.load_state_dict(copy.deepcopy(D.state_dict()))
    assert resumed.updates == 3
    tolerance = 0.05 if inputs[0].dtype == torch.bfloat16 else 1e-4
    expected = outputs(D, inputs)
    torch.testing.assert_close(outputs(resumed.discriminator, inputs), expected, rtol=0, atol=1e-6)
    exported = srgan.export(D)
    torch.testing.assert_close(outputs(exported, inputs), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(outputs(D, inputs), expected)  # the live one is still there
    D.train()
    train(handle, optimizer, inputs, 1)
    plain = THIRD_PARTY[name][0]()
    norm_free = getattr(plain, "_orig_mod", getattr(plain, "module", plain))
    if "norm by" not in name and "spectral norm" not in name:  # those name their weights otherwise
        norm_free.load_state_dict(exported.state_dict())
        torch.testing.assert_close(outputs(norm_free, inputs), expected, rtol=tolerance, atol=tolerance)


def test_attention_is_named_as_left_out() -> None:
    with pytest.warns(UserWarning, match=r"stay as they are: encoder\.self_attn\.in_proj_weight"):
        srgan.regularize(THIRD_PARTY["patch transformer"][0](), "sn")


class ConvNormAct(nn.Module):
    """Its name has a norm in it; its weight is a convolution's."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))


def test_a_weight_of_a_class_that_is_named_after_a_norm_is_named_as_left_out() -> None:
    D = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm([8, 6, 6]), ConvNormAct())
    with pytest.warns(UserWarning, match=r"stay as they are: 2\.weight\. Only"):
        srgan.regularize(D, "sn")


def test_layers_of_other_classes_are_taken_where_a_function_names_them() -> None:
    D = THIRD_PARTY["StyleGAN's layers"][0]()
    with pytest.raises(ValueError, match="found none in Sequential"), pytest.warns(UserWarning, match=r"0\.weight"):
        srgan.regularize(D, "sn")
    handle = srgan.regularize(D, "sn", layers=lambda name, layer: isinstance(layer, EqualConv))
    assert list(handle.layers) == ["0", "2"] == list(spectra(D))


def test_grouped_convolutions_go_under_sn_and_the_rest_under_sr() -> None:
    D = THIRD_PARTY["depthwise"][0]()
    optimizer = torch.optim.SGD(D.parameters(), 0.0)
    with pytest.raises(ValueError, match=r"Layer '2': .* 8 groups.*exclude='2'"):
        srgan.regularize(D, "sr-s", optimizer=optimizer)
    assert not any("parametrizations" in name for name in D.state_dict())
    sn = srgan.regularize(D, "sn", layers="2", optimizer=optimizer)
    sr = srgan.regularize(D, "sr-s", exclude="2", optimizer=optimizer)
    optimizer.step()
    assert (list(sn.layers), list(sr.layers)) == (["2"], ["0", "3", "5.2"])
    assert (sn.updates, sr.updates) == (1, 1)
    assert srgan.spectra(D)["3"][3] > 1 - HELD


class NormalizedByItself(nn.Conv2d):
    """As BigGAN's and mimicry's layers: the power vector is a buffer of the layer."""

    def __init__(self, buffer: str) -> None:
        super().__init__(3, 4, 3)
        self.register_buffer(buffer, torch.randn(1, 4))


@pytest.mark.parametrize("buffer", ["u0", "sn_u"])
def test_layers_with_a_spectral_norm_of_their_own_are_refused(buffer: str) -> None:
    D = nn.Sequential(nn.Conv2d(3, 3, 3), NormalizedByItself(buffer))
    with pytest.raises(ValueError, match=rf"Layer '1': .* of its own \(buffer '{buffer}'\).*exclude='1'"):
        srgan.regularize(D, "sn")
    srgan.regularize(D, "sn", exclude=NormalizedByItself)
    assert [hasattr(layer, "parametrizations") for layer in D] == [True, False]


@pytest.mark.parametrize("method", ["sn", "sr-s"])
def test_the_way_out_of_a_weight_norm_is_one(method: str) -> None:
    """Both kinds of PyTorch's: the message says which call takes it off, and the call does."""
    for norm in (parametrizations.weight_norm, weight_norm_by_hook):
        D = nn.Sequential(nn.Conv2d(3, 3, 3), norm(nn.Conv2d(3, 3, 3)))
        with pytest.raises(
            ValueError, match=r"Layer '1': .* by (\S+\(layer.*?\)), before the optimizer.*exclude='1'"
        ) as e:
            srgan.regularize(D, method, optimizer=torch.optim.SGD(D.parameters(), 0.1))
        call = re.search(r"by (torch\S+\(layer.*?\)),", str(e.value))
        assert call
        eval(call[1], {"torch": torch}, {"layer": D[1]})
        srgan.regularize(D, method, optimizer=torch.optim.SGD(D.parameters(), 0.1))


class WrapperNorm(nn.Module):
    """As SAGAN's: the convolution inside keeps its raw weight under another name."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        weight = layer._parameters.pop("weight")
        layer.register_parameter("weight_bar", weight)
        self.module = layer


def test_wrappers_of_other_spectral_norms_are_recognized() -> None:
    D = nn.Sequential(nn.Conv2d(3, 3, 3), WrapperNorm(nn.Conv2d(3, 3, 3)))
    with pytest.raises(ValueError, match=r"Layer '1\.module': .*another library keeps it as 'weight_bar'"):
        srgan.regularize(D, "sn")
    with pytest.raises(ValueError, match=r"Layer '1\.module': .*another library keeps it as 'weight_bar'"):
        srgan.spectra(D)


def test_a_refusal_names_all_layers_and_one_pattern_that_leaves_them_out() -> None:
    blocks = [
        nn.ModuleDict({"wide": nn.Conv2d(2 * k, 2 * k, 3), "deep": nn.Conv2d(2 * k, 2 * k, 3, groups=2 * k)})
        for k in range(1, 9)
    ]
    D = nn.Sequential(*blocks)
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    with pytest.raises(
        ValueError, match=r"Layers '0\.deep', .* and 3 more: .* 2 groups.* them out: exclude='\*\.deep'"
    ):
        srgan.regularize(D, "sr-s", optimizer=optimizer)
    nn.init.zeros_(D.get_parameter("2.wide.weight"))
    with pytest.raises(ValueError, match=r"Layer '2\.wide': .*all-zero") as refusal:
        srgan.regularize(D, "sr-s", optimizer=optimizer)
    pattern = ast.literal_eval(str(refusal.value).rpartition("exclude=")[2].rstrip("."))
    assert len(srgan.regularize(D, "sr-s", optimizer=optimizer, exclude=pattern).layers) == 7


def test_an_equalized_learning_rate_is_noticed_and_a_gain_of_one_taken() -> None:
    D = style(equalized=True)
    before = D(THIRD_PARTY["StyleGAN's layers"][1][0])
    with pytest.raises(ValueError, match=r"Layers '0', '2', '6': .* multiplies it by 0\.192 .*Set that gain to 1"):
        srgan.regularize(D, "sn", layers=[EqualConv, EqualLinear])
    torch.testing.assert_close(D(THIRD_PARTY["StyleGAN's layers"][1][0]), before)
    srgan.regularize(D, "weight-norm", layers=[EqualConv, EqualLinear])  # divides by no norm that is to be held
    D = style(equalized=True)
    for layer in D.modules():
        if isinstance(layer, EqualConv | EqualLinear):
            layer.gain = 1.0
    handle = srgan.regularize(D, "sn", layers=[EqualConv, EqualLinear])
    assert len(handle.layers) == 3


class NeedsMore(nn.Module):
    """A layer of an own class whose forward pass no probe can call."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, self.weight) * style


def test_a_layer_that_no_probe_can_call_is_taken() -> None:
    D = nn.Sequential(NeedsMore())
    state = torch.random.get_rng_state()
    assert list(srgan.regularize(D, "sn", layers=NeedsMore).layers) == ["0"]
    assert torch.equal(torch.random.get_rng_state(), state)
