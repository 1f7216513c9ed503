"""What each constraint of the literature promises: its formula, what it does to weights, and that no split shows."""

import copy
import dataclasses
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from discriminators import small_discriminator
from torch import Tensor, nn
from torch.nn.functional import conv2d

from srgan.constraints import (
    DRAGAN,
    METHODS,
    SLOGAN,
    BatchNormalization,
    Combination,
    Constraint,
    DiscriminatorStep,
    GradientPenalty,
    OrthonormalRegularization,
    RowSumNormalization,
    SpectralNormalization,
    WeightClipping,
    WeightNormalization,
    raw_matrix,
    raw_weight,
    spectral_layers,
)
from srgan.utils.distributed import ProcessGroup

PENALTIES = {name: make for name, make in METHODS.items() if type(make()).penalty is not Constraint.penalty}


class Slope(nn.Module):
    """D(x) = slope * <direction, x>: the norm of its gradient is the slope everywhere."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(slope))
        direction = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(5))
        self.direction = direction / direction.norm()

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        score: Tensor = self.slope * (x * self.direction).sum(dim=(1, 2, 3))
        return score


def used_weight(layer: nn.Module) -> Tensor:
    """The weight of the forward pass."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def images(count: int, seed: int) -> Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def step_of(discriminator: nn.Module, rows: range = range(6), batch: int = 6, update: int = 0) -> DiscriminatorStep:
    """Some rows of one update of `batch` images; one rank has all of them."""
    real, fake, labels = images(batch, 1), images(batch, 2), torch.zeros(batch, dtype=torch.int64)
    part = slice(rows.start, rows.stop)
    return DiscriminatorStep(
        discriminator, real[part], labels[part], fake[part], labels[part], 3, 7, update, rows, real, ProcessGroup()
    )


def value(constraint: Constraint, step: DiscriminatorStep) -> Tensor:
    penalty = constraint.penalty(step)
    assert penalty is not None
    assert penalty.shape == ()
    return penalty


@pytest.mark.parametrize("make", [GradientPenalty, DRAGAN])
@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_gradient_penalties_are_the_squared_distance_of_the_slope_from_1(
    make: Callable[[float], Constraint], slope: float
) -> None:
    D = Slope(slope)
    penalty = value(make(2.0), step_of(D))
    assert penalty.item() == pytest.approx(2 * (slope - 1) ** 2, abs=1e-5)
    if slope != 0:  # the norm has no gradient there
        penalty.backward()
        assert D.slope.grad is not None
        assert D.slope.grad.item() == pytest.approx(4 * (slope - 1), abs=1e-4)


def test_the_two_point_penalty_is_the_squared_distance_of_the_quotients_from_1() -> None:
    D, step = Slope(3.0), step_of(Slope(3.0))
    real, fake = step.real, step.fake
    mixed = fake + step.uniform("slogan", 1, 1, 1) * (real - fake)
    quotients = [
        (D(a) - D(b)).abs() / (a - b).flatten(1).norm(dim=1) for a, b in ((real, fake), (real, mixed), (fake, mixed))
    ]
    expected = 5 * (torch.cat(quotients) - 1).square().mean()
    assert value(SLOGAN(5.0), step).item() == pytest.approx(expected.item(), rel=1e-4)


def test_where_gradient_penalties_look() -> None:
    """WGAN-GP on the lines between real and generated images, DRAGAN above real ones by half a deviation at most."""
    seen: list[Tensor] = []

    class Looking(Slope):
        def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
            seen.append(x.detach())
            return super().forward(x, labels)

    step = step_of(Looking(1.0))
    value(GradientPenalty(), step)
    value(DRAGAN(), step)
    between, near = seen
    share = (between - step.fake) / (step.real - step.fake)
    spread = share.flatten(1)
    torch.testing.assert_close(spread, spread[:, :1].expand_as(spread), rtol=0, atol=1e-3)  # one e for each image
    assert 0 <= spread.min() <= spread.max() <= 1
    above = (near - step.real) / (0.5 * step.real.std(correction=0))
    assert 0 <= above.min() < 0.1
    assert 0.9 < above.max() <= 1.001


@pytest.mark.parametrize("method", PENALTIES)
def test_a_penalty_does_not_depend_on_the_split_into_micro_batches_or_ranks(method: str) -> None:
    D, penalty = small_discriminator(METHODS["none"]()), PENALTIES[method]()
    whole = value(penalty, step_of(D))
    parts = [value(penalty, step_of(D, rows)) * len(rows) / 6 for rows in (range(2), range(2, 6))]
    torch.testing.assert_close(torch.stack(parts).sum(), whole, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["gp", "dragan", "slogan"])
def test_the_noise_of_a_penalty_is_a_function_of_the_update(method: str) -> None:
    D, penalty = small_discriminator(METHODS["none"]()), PENALTIES[method]()
    first, again, later = (value(penalty, step_of(D, update=update)) for update in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


@pytest.mark.parametrize("method", PENALTIES)
def test_three_steps_along_a_penalty_alone_lower_it(method: str) -> None:
    D, penalty = small_discriminator(METHODS["none"]()), PENALTIES[method]()
    optimizer = torch.optim.SGD(D.parameters(), 1e-3)
    values = []
    for _ in range(4):
        optimizer.zero_grad()
        values.append(value(penalty, step_of(D)))
        values[-1].backward()
        optimizer.step()
    assert all(after < before for before, after in pairwise(values))


def test_penalties_are_taken_in_float32_under_autocast() -> None:
    for make in PENALTIES.values():
        D = small_discriminator(METHODS["none"]())
        plain = value(make(), step_of(D))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(value(make(), step_of(D)), plain)


@pytest.mark.parametrize("off_diagonal", [False, True])
def test_the_orthonormal_penalty_is_its_formula_and_zero_for_orthonormal_rows(off_diagonal: bool) -> None:
    D = small_discriminator(METHODS["none"]())
    constraint = OrthonormalRegularization(0.5, off_diagonal)
    expected = 0.0
    for _, layer in spectral_layers(D):
        W = raw_matrix(layer).double().numpy()
        W = W if W.shape[0] <= W.shape[1] else W.T
        excess = W @ W.T * (1 - np.eye(len(W))) if off_diagonal else W @ W.T - np.eye(len(W))
        expected += 0.5 * (excess**2).sum()
    assert value(constraint, step_of(D)).item() == pytest.approx(expected, rel=1e-5)
    for _, layer in spectral_layers(D):
        nn.init.orthogonal_(raw_weight(layer), gain=2.0 if off_diagonal else 1.0)
    assert value(constraint, step_of(D)).item() == pytest.approx(0, abs=1e-6)
    assert constraint.report(D)["constraint/largest_excess"] == pytest.approx(0, abs=1e-4)


def test_clipping_keeps_every_parameter_within_its_bound() -> None:
    constraint = WeightClipping(0.05)
    D = small_discriminator(constraint)
    before = {name: parameter.detach().clone() for name, parameter in D.named_parameters()}
    constraint.after_update(D, 0, 0, 1)
    for name, parameter in D.named_parameters():
        assert torch.equal(parameter, before[name].clamp(-0.05, 0.05))
    assert 0 < constraint.report(D)["constraint/share_at_bound"] < 1


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 5, 3),
    "transposed": lambda: nn.ConvTranspose2d(3, 5, 3),
    "linear": lambda: nn.Linear(8, 5),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_weight_norm_changes_nothing_at_first_and_trains_length_and_direction_apart(kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    plain = copy.deepcopy(layer)
    WeightNormalization().attach(layer)
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(layer(x), plain(x))
    g = layer.get_parameter("parametrizations.weight.0.g")
    with torch.no_grad():
        g.mul_(3)
        raw_weight(layer).mul_(7)  # lengths of v do not count
    torch.testing.assert_close(used_weight(layer), 3 * used_weight(plain))
    layer(x).square().sum().backward()
    assert g.grad is not None
    gradient = raw_weight(layer).grad
    assert gradient is not None
    dim = 1 if kind == "transposed" else 0
    inner = (gradient * raw_weight(layer)).transpose(0, dim).flatten(1).sum(1)
    torch.testing.assert_close(inner, torch.zeros_like(inner), rtol=0, atol=1e-4)  # v moves across itself alone


@pytest.mark.parametrize("kind", LAYERS)
def test_row_sums_bound_the_largest_change_of_an_output(kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind]()
    RowSumNormalization().attach(layer)
    dim = 1 if kind == "transposed" else 0
    sums = used_weight(layer).abs().transpose(0, dim).flatten(1).sum(dim=1)
    assert sums.max().item() == pytest.approx(1)
    x, y = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert (layer(x) - layer(y)).abs().max() <= (x - y).abs().max() + 1e-6


def test_row_sums_are_reached_by_the_image_of_signs() -> None:
    """The largest row sum is the norm itself, no mere bound."""
    layer = nn.Conv2d(3, 5, 3)
    RowSumNormalization().attach(layer)
    W = used_weight(layer)
    row = int(W.abs().flatten(1).sum(1).argmax())
    assert conv2d(W[row].sign()[None], W)[0, row].item() == pytest.approx(1, abs=1e-6)


def test_batch_norm_stands_behind_every_convolution_but_the_first() -> None:
    D = small_discriminator(BatchNormalization())
    convolutions = [(name, layer) for name, layer in spectral_layers(D) if isinstance(layer, nn.Conv2d)]
    with_norm = {name for name, layer in convolutions if hasattr(layer, "batch_norm")}
    assert with_norm == {name for name, _ in convolutions[1:]}
    outputs = {}
    for name, layer in convolutions[1:]:
        layer.get_submodule("batch_norm").register_forward_hook(
            lambda m, i, o, name=name: outputs.update({name: o.clone()})
        )
    copy.deepcopy(D)  # hooks of our own are no obstacle
    D(images(6, 1))
    for output in outputs.values():
        torch.testing.assert_close(output.mean(dim=(0, 2, 3)), torch.zeros(output.shape[1]), rtol=0, atol=1e-5)
    METHODS["gp"]().attach(D)  # takes the place of batch norm, which a constraint may have put there
    assert not any("batch_norm" in name for name, _ in D.named_modules())


def test_batch_norm_fits_its_layer() -> None:
    """Its dtype and mode; it is attached without a forward pass, so the power vectors stay."""
    D = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)).double().eval()
    SpectralNormalization().attach(D)
    u = D[1].get_buffer("parametrizations.weight.0.u").clone()
    Combination([SpectralNormalization(), BatchNormalization()]).attach(D)
    assert torch.equal(D[1].get_buffer("parametrizations.weight.0.u"), u)
    norm = D[1].get_submodule("batch_norm")
    assert not norm.training
    assert norm.get_parameter("weight").dtype == torch.float64
    assert D(torch.rand(2, 3, 8, 8).double()).dtype == torch.float64


@pytest.mark.parametrize("method", ["gp", "r1"])
def test_slopes_at_single_images_do_not_go_with_batch_norm(method: str) -> None:
    with pytest.raises(ValueError, match="without batch norm of its own, found '1'"):
        METHODS[method]().attach(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    with pytest.raises(ValueError, match="no batch norm beside a penalty"):
        Combination([BatchNormalization(), METHODS[method]()])


def test_a_weight_keeps_what_weight_norm_made_of_it_when_another_method_comes() -> None:
    layer = nn.Conv2d(3, 5, 3)
    WeightNormalization().attach(layer)
    with torch.no_grad():
        layer.get_parameter("parametrizations.weight.0.g").mul_(3)
    before = used_weight(layer)
    METHODS["none"]().attach(layer)
    torch.testing.assert_close(used_weight(layer), before)


def test_a_combination_does_what_its_parts_do() -> None:
    both = Combination([SpectralNormalization(), GradientPenalty(3.0), WeightClipping(0.05)])
    D, alone = small_discriminator(both), small_discriminator(SpectralNormalization())
    assert (both.label, both.has_post_step, both.needs_double_backward) == ("SN + GP + clip", True, True)
    torch.testing.assert_close(value(both, step_of(D)), value(GradientPenalty(3.0), step_of(alone)))
    both.after_update(D, 0, 0, 1)
    assert max(float(parameter.detach().abs().max()) for parameter in D.parameters()) <= 0.05 + 1e-8
    assert "constraint/share_at_bound" in both.report(D)


FLAGS = [name for name in dir(Constraint) if isinstance(getattr(Constraint(), name), bool)]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_combination_has_every_flag_that_a_part_has(flag: str) -> None:
    marked = type("Marked", (Constraint,), {flag: True})()
    assert not getattr(Combination([Constraint(), Constraint()]), flag)
    assert getattr(Combination([Constraint(), marked]), flag)
    assert getattr(Combination([marked, Constraint()]), flag)


@pytest.mark.parametrize("method", METHODS)
def test_constraints_are_values(method: str) -> None:
    one, other = METHODS[method](), METHODS[method]()
    assert one == other
    assert hash(one) == hash(other)
    assert repr(one).startswith(f"{type(one).__name__}(")
    assert [name for name in METHODS if METHODS[name]() == one] == [method]
    assert Combination([one, SLOGAN(3.0)]) == Combination([other, SLOGAN(3.0)])
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.weight = 1.0  # type: ignore[attr-defined]


REFUSED: dict[str, Callable[[], object]] = {
    "at most one of which parametrizes": lambda: Combination([SpectralNormalization(), WeightNormalization()]),
    "two or more": lambda: Combination([SpectralNormalization()]),
    "weight of at least 0, found -1": lambda: GradientPenalty(-1),
    "weight of at least 0, found nan": lambda: OrthonormalRegularization(float("nan")),
    "positive bound c, found 0": lambda: WeightClipping(0),
    "without batch norm of its own": lambda: BatchNormalization().attach(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()
