"""The one-liner: what it takes over, what it changes when called again, when it acts, and what it refuses."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from discriminators import IMAGES, small_discriminator
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

import srgan
from srgan.constraints import (
    Schedule,
    SpectralNormalization,
    SpectralRegularization,
    Static,
    raw_weight,
    spectra,
)
from srgan.constraints.regularize import METHODS, options_of


class Doubled(nn.Module):
    """Somebody else's parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def doubled_convolution() -> nn.Module:
    return parametrize.register_parametrization(nn.Conv2d(3, 4, 3), "weight", Doubled())


def test_a_refused_discriminator_stays_as_it_was() -> None:
    discriminator = nn.Sequential(parametrizations.spectral_norm(nn.Conv2d(3, 3, 3)), doubled_convolution())
    names = list(discriminator.state_dict())
    with pytest.raises(ValueError, match=r"Layer '1': .* already parametrized by Doubled"):
        srgan.regularize(discriminator, "sn")
    assert list(discriminator.state_dict()) == names


def test_a_handle_says_what_each_layer_is_under() -> None:
    D = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(D.parameters())
    first = srgan.regularize(D, "sr-s", optimizer=optimizer, n_dis=5)
    srgan.regularize(D, METHODS["gp"](), layers="1")
    head, *rows = repr(first).splitlines()
    assert head == f"Regularization({SpectralRegularization()!r}, n_dis=5, seed=0):"
    assert "SpectralRegularization(spectral_map=Static(fraction=0.5), scale='unit', mode='projection'" in head
    assert rows == ["  0: Conv2d under SR-s", "  3: Linear under SN"]
    srgan.regularize(D, METHODS["sn"]())
    assert repr(first).splitlines()[1:] == ["  no layer: a later call has taken all"]


def test_a_third_party_parametrization_on_top_of_the_spectral_norm_of_pytorch_is_refused() -> None:
    layer = parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))
    parametrize.register_parametrization(layer, "weight", Doubled())
    with pytest.raises(ValueError, match="already parametrized"):
        srgan.regularize(nn.Sequential(layer), "sn")


def test_convolutions_that_are_frozen_later_are_not_written_to() -> None:
    discriminator = small_discriminator()
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.0)
    srgan.regularize(discriminator, "sr-s", optimizer=optimizer)
    frozen = raw_weight(discriminator.get_submodule("blocks.0.conv1")).requires_grad_(False)
    before = frozen.clone()
    optimizer.step()
    assert torch.equal(frozen, before)
    assert srgan.spectra(discriminator)["blocks.1.conv1"][2] > 0.999


def test_a_discriminator_without_convolutions_is_warned_that_sr_has_nothing_to_act_on() -> None:
    D = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    with pytest.warns(UserWarning, match="acts on convolutions, and found none") as found:
        srgan.regularize(D, "sr-s", optimizer=torch.optim.Adam(D.parameters()))
    assert found[0].filename == __file__


def somebody_elses_optimizer() -> object:
    return srgan.regularize(small_discriminator(), "sr-s", optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters()))


def pruned_convolution() -> nn.Module:
    layer = nn.Conv2d(3, 4, 3)
    prune.random_unstructured(layer, "weight", amount=0.5)
    return nn.Sequential(nn.Conv2d(3, 3, 3), layer)


def zeroed_convolution() -> nn.Sequential:
    layer = nn.Conv2d(3, 4, 3)
    nn.init.zeros_(layer.weight)
    return nn.Sequential(layer)


REFUSALS: dict[str, Callable[[], object]] = {
    "found none in ReLU": lambda: srgan.regularize(nn.ReLU(), "sn"),
    "holds none of its weights": somebody_elses_optimizer,
    "Layer '1': expected a raw weight, found one under another hook": lambda: srgan.regularize(
        pruned_convolution(), "sn"
    ),
    "Expected the discriminator's optimizer": lambda: srgan.regularize(
        small_discriminator(), "sr-d", mode="reparametrization"
    ),
    "among none, sn, sn-unit, sr-s, sr-d, clip, weight-norm": lambda: srgan.regularize(small_discriminator(), "sr"),
    "the discriminator's optimizer": lambda: srgan.regularize(small_discriminator(), "sr-d"),
    "no options": lambda: srgan.regularize(small_discriminator(), SpectralNormalization(), power_iterations=3),
    "Remove its weight norm": lambda: srgan.spectra(nn.utils.weight_norm(nn.Conv2d(3, 4, 3))),
    "run a lazy layer once": lambda: srgan.regularize(nn.Sequential(nn.LazyConv2d(4, 3)), "sn"),
    "layers with a weight of two dimensions or more, found none that it names": lambda: srgan.regularize(
        small_discriminator(), "sn", layers="conv*"
    ),
    "Expected exclude= to name layers": lambda: srgan.regularize(small_discriminator(), "sn", exclude=nn.Conv1d),
    "leave none": lambda: srgan.regularize(small_discriminator(), "sn", exclude="*"),
    "once steps of the optimizer have moved it. Or leave the layer out: exclude='0'": lambda: srgan.regularize(
        nn.Sequential(*zeroed_convolution(), nn.Conv2d(4, 4, 3)), "sn"
    ),
    "of one shape": lambda: srgan.regularize(small_discriminator(), "gp").penalty(IMAGES, IMAGES[:2]),
    "found str": lambda: srgan.regularize(small_discriminator(), "sn", optimizer="adam"),  # type: ignore[arg-type]
    "a whole number n_dis >= 1, found 1.5": lambda: srgan.regularize(small_discriminator(), "sn", n_dis=1.5),  # type: ignore[arg-type]
    "a whole number seed >= 0, found -1": lambda: srgan.regularize(small_discriminator(), "sn", seed=-1),
    "Layer 'blocks.0.conv1': expected a weight with values, found one on the meta device": lambda: srgan.spectra(
        small_discriminator().to("meta")
    ),
    "found one on the meta device. Give it values first": lambda: srgan.regularize(
        small_discriminator().to("meta"), "sn"
    ),
    "a weight of real numbers, found torch.complex64": lambda: srgan.regularize(
        nn.Sequential(nn.Conv2d(3, 4, 3, dtype=torch.complex64)), "sn"
    ),
    "n_dis >= 1, found 0": lambda: srgan.regularize(small_discriminator(), "sn", n_dis=0),
    "power_iterations >= 1, found 0": lambda: SpectralNormalization(power_iterations=0),
    "(0, 1], found 0": lambda: Static(fraction=0),
    "(0, 1], found 1.5": lambda: Static(fraction=1.5),
    "(0, 1], found nan": lambda: Static(fraction=float("nan")),
    "every_iterations >= 1": lambda: Schedule(every_iterations=0),
    "found 5 and -1": lambda: Schedule(start_iteration=-1),
    "'all' or 'last', found 'first'": lambda: Schedule(updates="first"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("D", [zeroed_convolution(), zeroed_convolution()[0], nn.Conv2d(3, 4, 3, device="meta")])
def test_where_no_layer_remains_no_refusal_says_to_leave_it_out(D: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"^(The layer|Layer '0'): expected") as refusal:
        srgan.regularize(D, "sn")
    assert "exclude=" not in str(refusal.value)


@pytest.mark.parametrize("settings", [{"device": "meta"}, {"dtype": torch.complex64}])
def test_a_network_that_is_a_layer_itself_is_called_the_layer(settings: dict[str, Any]) -> None:
    for call in (srgan.spectra, lambda layer: srgan.regularize(layer, "sn")):
        with pytest.raises(ValueError, match=r"^The layer: expected a weight "):
            call(nn.Conv2d(3, 4, 3, **settings))


@pytest.mark.parametrize("message", REFUSALS)
def test_refusals(message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        REFUSALS[message]()


WRONG_TYPES: dict[str, Callable[[], object]] = {
    "Expected a network, a torch.nn.Module, found NoneType": lambda: srgan.regularize(None, "sn"),  # type: ignore[arg-type]
    "a torch.nn.Module, found int": lambda: srgan.spectra(3),  # type: ignore[arg-type]
    "a torch.nn.Module, found str": lambda: srgan.export("D.pt"),  # type: ignore[arg-type]
    "a torch.nn.Module, found dict": lambda: srgan.unregularize({}),  # type: ignore[arg-type]
    "a torch.nn.Module, found list": lambda: srgan.watch([]),  # type: ignore[arg-type]
    "constraint value as second argument, found NoneType": lambda: srgan.regularize(small_discriminator(), None),  # type: ignore[arg-type]
    "Expected layers= as glob patterns of names, types, or a function of name and layer, found 3": lambda: (
        srgan.regularize(small_discriminator(), "sn", layers=3)  # type: ignore[arg-type]
    ),
    "Expected exclude= as glob patterns of names, types, or a function of name and layer, found 0": lambda: (
        srgan.regularize(small_discriminator(), "sn", exclude=["linear", 0])  # type: ignore[list-item]
    ),
}


@pytest.mark.parametrize("message", WRONG_TYPES)
def test_arguments_of_a_wrong_type_are_refused_in_a_sentence(message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        WRONG_TYPES[message]()


def test_an_option_that_the_method_does_not_have_is_refused() -> None:
    message = "Expected options that 'sn' has (power_iterations, scale), found fraction."
    with pytest.raises(TypeError, match=re.escape(message)):
        srgan.regularize(small_discriminator(), "sn", fraction=0.5)


@pytest.mark.parametrize("method", METHODS)
def test_the_options_that_a_message_names_are_taken(method: str) -> None:
    defaults = METHODS[method]()
    options = {name: getattr(defaults, name, 0.5) for name in options_of(method)}
    assert METHODS[method](**options) == defaults


@pytest.mark.parametrize(("typed", "meant"), [("srs", "sr-s"), ("SR_D", "sr-d"), ("SN", "sn")])
def test_a_misspelt_method_is_guessed(typed: str, meant: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"found '{typed}'. Did you mean '{meant}'?")):
        srgan.regularize(small_discriminator(), typed)


def test_a_scale_that_is_no_number_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="Expected scale 'unit', 'keep' or a number above 0, found"):
        srgan.regularize(small_discriminator(), "sn", scale={"0": 2.0})


def test_an_option_of_a_wrong_type_is_not_called_unknown() -> None:
    with pytest.raises(TypeError, match="not supported between instances of"):
        srgan.regularize(small_discriminator(), "sn", power_iterations="1")


def test_the_one_liner_acts_on_its_schedule_in_units_of_n_dis() -> None:
    discriminator = small_discriminator()
    optimizer = torch.optim.SGD(discriminator.parameters(), 0.01)
    srgan.regularize(discriminator, "sr-s", optimizer=optimizer, n_dis=2, schedule=Schedule(2, "last"))
    acted = []
    for _ in range(8):
        optimizer.zero_grad()
        discriminator(IMAGES).sum().backward()
        optimizer.step()
        acted.append(bool((spectra(discriminator, normalized=False)["blocks.1.conv2"][:3] - 1).abs().max() < 1e-5))
    assert acted == [False, True, False, False, False, True, False, False]


SELECTIONS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a name": ({"layers": "linear"}, {"linear"}),
    "a pattern": ({"layers": "blocks.0.*"}, {"blocks.0.conv1", "blocks.0.conv2", "blocks.0.shortcut"}),
    "a type": ({"layers": nn.Linear}, {"linear"}),
    "several": ({"layers": ["blocks.1.conv?", nn.Linear]}, {"blocks.1.conv1", "blocks.1.conv2", "linear"}),
    "a function": ({"layers": lambda name, layer: name.endswith("0.conv1")}, {"blocks.0.conv1"}),
    "all but": ({"layers": "blocks.0.*", "exclude": "*.conv?"}, {"blocks.0.shortcut"}),
}


@pytest.mark.parametrize("way", SELECTIONS)
def test_layers_are_chosen_by_name_type_or_function(way: str) -> None:
    options, expected = SELECTIONS[way]
    D = small_discriminator()
    compiled: nn.Module = torch.compile(nn.DataParallel(D))  # type: ignore[assignment]
    handle = srgan.regularize(compiled, "sn", **options)  # names know no wrapper
    constrained = {name.partition(".parametrizations")[0] for name in D.state_dict() if name.endswith("original")}
    assert set(handle.layers) == constrained == expected


def test_a_chosen_layer_alone_is_clipped_penalized_and_projected() -> None:
    D = small_discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
    before = {name: tensor.clone() for name, tensor in D.state_dict().items()}
    srgan.regularize(D, "clip", layers="linear", optimizer=optimizer)
    srgan.regularize(D, "sr-s", layers="blocks.1.*", optimizer=optimizer)
    optimizer.step()
    changed = {name for name, tensor in srgan.export(D).state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"linear.weight", *(name for name in before if name.startswith("blocks.1.") and "weight" in name)}
    penalties = [
        srgan.regularize(small_discriminator(), "orthonormal", layers=layers).penalty(IMAGES, IMAGES)
        for layers in ("blocks.0.*", "blocks.[!0].*", "linear", None)
    ]
    torch.testing.assert_close(sum(penalties[:3]), penalties[3])


def weights_init(module: nn.Module) -> None:
    """DCGAN's."""
    if "Conv" in type(module).__name__:
        nn.init.normal_(module.weight.data, 0.0, 0.02)  # type: ignore[arg-type]


def thaw(module: nn.Module) -> None:
    if "Conv" in type(module).__name__:
        module.weight.requires_grad_(True)


def test_an_initialization_that_comes_too_late_warns() -> None:
    D = small_discriminator()
    D.apply(weights_init)
    srgan.regularize(D, "sn")
    with pytest.warns(UserWarning, match=r"weights_init .* has no effect on regularized layers.*Initialize before"):
        D.apply(weights_init)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        D.apply(lambda module: setattr(module, "scale", 2.0))
        D.apply(thaw)


def test_a_head_that_another_optimizer_trains_is_left_out_as_the_refusal_says() -> None:
    """InfoGAN's Q, beside D's head on one trunk."""
    D = nn.ModuleDict({"trunk": nn.Conv2d(3, 4, 3), "d": nn.Linear(4, 1)})
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    D["q"] = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(ValueError, match=r"such as InfoGAN's Q: exclude='q\.\*'\.$"):
        srgan.regularize(D, "sr-s", optimizer=optimizer)
    assert list(srgan.regularize(D, "sr-s", optimizer=optimizer, exclude="q.*").layers) == ["trunk", "d"]
