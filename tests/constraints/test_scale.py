"""The scale of raw weights under spectral normalization: what writes it, and that D does not see it."""

import copy
from collections.abc import Callable

import pytest
import torch
from discriminators import IMAGES, small_discriminator
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import srgan
from srgan.constraints import (
    METHODS,
    Constraint,
    Dynamic,
    Schedule,
    SpectralNormalization,
    SpectralRegularization,
    Static,
    raw_matrix,
    raw_weight,
    spectra,
    spectral_layers,
)
from srgan.constraints.layers import convolutions
from srgan.constraints.selecting import part_in
from srgan.constraints.spectral_normalization import scale_weights
from srgan.spectral import Scale
from srgan.utils.distributed import ProcessGroup


def largest(layer: nn.Module) -> float:
    return float(torch.linalg.matrix_norm(raw_matrix(layer).double(), 2))


def warmed_up(constraint: Constraint) -> nn.Module:
    """A discriminator whose power vectors have converged."""
    discriminator = small_discriminator(constraint)
    for _ in range(100):
        discriminator(IMAGES)
    return discriminator


def convolution_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    made: dict[str, Callable[[], nn.Module]] = {
        "ordinary": lambda: nn.Conv2d(4, 6, 3),
        "transposed": lambda: nn.ConvTranspose2d(4, 6, 3),
        "grouped": lambda: nn.Conv2d(4, 6, 3, groups=2),
        "tall": lambda: nn.Conv1d(2, 9, 1),
        "channels last": lambda: nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last),
        "float64": lambda: nn.Conv3d(2, 5, 3).double(),
    }
    return made[kind]()


@pytest.mark.parametrize(("scale", "sigma_1"), [("unit", 1.0), (4.0, 4.0), (0.25, 0.25)])
def test_sn_brings_its_convolutions_to_their_scale_and_d_stays_the_same(scale: Scale, sigma_1: float) -> None:
    constraint = SpectralNormalization(scale=scale)
    discriminator = warmed_up(constraint)
    state, head = copy.deepcopy(dict(discriminator.named_buffers())), largest(discriminator.get_submodule("linear"))
    twin = copy.deepcopy(discriminator)
    constraint.after_update(discriminator, 3, 1, 2)
    for name, layer in convolutions(discriminator).items():
        assert largest(layer) == pytest.approx(sigma_1, rel=1e-3), name
    assert largest(discriminator.get_submodule("linear")) == head
    for name, buffer in discriminator.named_buffers():  # no power step is stored
        assert torch.equal(buffer, state[name]), name
    for _ in range(3):  # in training mode, and the steps of the power iteration after it
        torch.testing.assert_close(discriminator(IMAGES), twin(IMAGES), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(discriminator.eval()(IMAGES), twin.eval()(IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["ordinary", "transposed", "grouped", "tall", "channels last", "float64"])
def test_every_kind_of_convolution_is_scaled(kind: str) -> None:
    layer = convolution_of(kind)
    constraint = METHODS["sn-unit"]()
    constraint.attach(layer)
    for _ in range(300):
        layer.weight  # noqa: B018 (takes a power step)
    used = copy.deepcopy(layer).eval().weight
    strides = raw_weight(layer).stride()
    constraint.after_update(layer, 0, 0, 1)
    assert largest(layer) == pytest.approx(1, rel=1e-4)
    torch.testing.assert_close(layer.eval().weight, used)
    assert raw_weight(layer).stride() == strides


def test_twice_the_weights_at_twice_the_rate_are_the_same_path_to_the_bit() -> None:
    """Why the scale matters: of a layer under SN, Adam knows lr / sigma_1 alone."""

    def path(factor: float) -> list[Tensor]:
        discriminator = small_discriminator(METHODS["sn"]())
        raw = [raw_weight(layer) for _, layer in spectral_layers(discriminator)]
        rest = [parameter for parameter in discriminator.parameters() if all(parameter is not W for W in raw)]
        for W in raw:
            W.data.mul_(factor)
        groups = [{"params": raw, "lr": 1e-2 * factor}, {"params": rest, "lr": 1e-2}]
        optimizer = torch.optim.Adam(groups, betas=(0.0, 0.9), eps=1e-30)
        for step in range(5):
            scores = discriminator(IMAGES + step)
            optimizer.zero_grad()
            (scores[:2].mean() - scores[2:].mean()).backward()
            optimizer.step()
        return [W.detach() / factor for W in raw]

    once, twice, start = path(1), path(2), small_discriminator(METHODS["sn"]())
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))
    moved = [(a - raw_weight(layer)).norm() for a, (_, layer) in zip(once, spectral_layers(start), strict=True)]
    assert min(moved) > 1e-3


def test_frozen_layers_keep_their_scale() -> None:
    constraint = METHODS["sn-unit"]()
    discriminator = warmed_up(constraint)
    frozen = discriminator.get_submodule("blocks.2.conv1")
    trained = {id(parameter) for parameter in discriminator.parameters()} - {id(raw_weight(frozen))}
    before = raw_weight(frozen).clone()
    constraint.after_update(part_in(discriminator, trained), 0, 0, 1)
    assert torch.equal(raw_weight(frozen), before)
    assert largest(discriminator.get_submodule("blocks.2.conv2")) == pytest.approx(1, rel=1e-3)


def test_every_rank_scales_alike_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("broadcast_", "average_", "gather"):
        monkeypatch.setattr(ProcessGroup, name, lambda *_: pytest.fail("would wait for the other ranks"))
    states = []
    for rank in range(3):
        constraint = METHODS["sn-unit"]()
        discriminator = small_discriminator(constraint)
        constraint.after_update(discriminator, 0, 0, 1, ProcessGroup(rank, 3))
        states.append(discriminator.state_dict())
    assert all(torch.equal(tensor, state[name]) for state in states for name, tensor in states[0].items())


def test_scaling_waits_for_no_device() -> None:
    """A fake tensor of a GPU has no values that the host could wait for."""
    with FakeTensorMode():
        W = torch.empty(8, 3, 3, 3, device="cuda")
        scale_weights([W, W], [W.flatten(1)] * 2, [torch.empty(8, device="cuda")] * 2, 0.5)
        with pytest.raises(Exception, match="local_scalar"):
            W.sum().item()


def test_scaling_is_in_full_precision_under_autocast() -> None:
    inside, outside = (warmed_up(SpectralNormalization()) for _ in range(2))
    constraint = METHODS["sn-unit"]()
    constraint.after_update(outside, 0, 0, 1)
    with torch.autocast("cpu", torch.bfloat16):
        constraint.after_update(inside, 0, 0, 1)
    assert all(torch.equal(tensor, inside.state_dict()[name]) for name, tensor in outside.state_dict().items())


def test_an_all_zero_weight_stays_zero() -> None:
    """Whatever the length of the first u, N(0, 1), and the scale."""
    W = torch.zeros(128, 6)
    scales: list[Scale] = ["unit", 8.0]
    for scale in scales:
        scale_weights([W], [W], [10 * torch.randn(128)], scale)
        assert torch.equal(W, torch.zeros(128, 6))


def test_the_one_liner_scales_after_each_step() -> None:
    discriminator = warmed_up(SpectralNormalization())
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3, betas=(0.0, 0.9))
    handle = srgan.regularize(discriminator, "sn-unit", optimizer=optimizer)
    for _ in range(3):
        discriminator(IMAGES).sum().backward()
        optimizer.step()
        assert all(largest(layer) == pytest.approx(1, rel=0.02) for layer in convolutions(discriminator).values())
    assert handle.updates == 3
    with pytest.raises(ValueError, match="Expected the discriminator's optimizer"):
        srgan.regularize(discriminator, "sn-unit")


@pytest.mark.parametrize("spectral_map", [Static(0.5), Dynamic()])
@pytest.mark.parametrize(("scale", "sigma_1"), [("unit", 1.0), (3.0, 3.0), ("keep", None)])
def test_a_projection_writes_its_scale_and_the_same_spectrum(
    spectral_map: Static | Dynamic, scale: Scale, sigma_1: float | None
) -> None:
    constraint = SpectralRegularization(spectral_map, schedule=Schedule(1), scale=scale)
    authors = SpectralRegularization(spectral_map, schedule=Schedule(1))
    one, other = small_discriminator(constraint), small_discriminator(authors)
    for discriminator in (one, other):
        for layer in convolutions(discriminator).values():
            layer.get_buffer("parametrizations.weight.0.recorded_ratios").fill_(0.9)
    before = {name: largest(layer) for name, layer in convolutions(one).items()}
    constraint.after_update(one, 0, 0, 1)
    authors.after_update(other, 0, 0, 1)
    for name, layer in convolutions(one).items():
        assert largest(layer) == pytest.approx(before[name] if sigma_1 is None else sigma_1, rel=1e-6)
        torch.testing.assert_close(spectra(one)[name], spectra(other)[name], rtol=0, atol=1e-6)
        buffer = f"{name}.parametrizations.weight.0.recorded_ratios"
        assert torch.equal(one.get_buffer(buffer), other.get_buffer(buffer))


def test_unit_scale_is_the_default_and_what_is_not_the_authors_is_named() -> None:
    assert (METHODS["sr-s"]().scale, METHODS["sr-d"]().scale) == ("unit", "unit")  # type: ignore[attr-defined]
    labels = {
        "SR-s": SpectralRegularization(Static(), scale="unit"),
        "SR-s, scale kept": SpectralRegularization(Static(), scale="keep"),
        "SR-s, i = 0.25 N, scale 2": SpectralRegularization(Static(0.25), scale=2.0),
        "SR-d": SpectralRegularization(Dynamic(), scale="keep"),
        "SR-d, unit scale": METHODS["sr-d"](),
        "SN": METHODS["sn"](scale="keep"),
        "SN, unit scale": METHODS["sn-unit"](),
        "SN, scale 0.5": METHODS["sn-unit"](scale=0.5),
    }
    assert {constraint.label: constraint.label for constraint in labels.values()} == {name: name for name in labels}
    assert METHODS["sr-d"](mode="reparametrization", scale="unit").label == "SR-d"  # which writes no weight


@pytest.mark.parametrize("scale", ["units", 0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("method", ["sn", "sn-unit", "sr-s", "sr-d"])
def test_other_scales_are_refused(method: str, scale: Scale) -> None:
    with pytest.raises(ValueError, match=f"Expected scale 'unit', 'keep' or a number above 0, found {scale!r}"):
        METHODS[method](scale=scale)
