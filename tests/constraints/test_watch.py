"""`srgan.watch` in a loop of one's own."""

import contextlib
import copy
import re
import warnings
from collections.abc import Callable
from statistics import geometric_mean

import pytest
import torch
from torch import nn

import srgan
from srgan.constraints import SpectralRegularization, Static, raw_weight, spectra
from srgan.spectral import project


def discriminator() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 1), nn.Flatten(), nn.Linear(8, 1)
    )


def multiply_values(layer: nn.Module, first: int, factor: float) -> None:
    """sigma_k of the raw weight times a factor, for k > first."""
    with torch.no_grad():
        W = raw_weight(layer)
        k = torch.arange(1, 9)
        mapped = project(W.flatten(1), lambda sigma: torch.where(k > first, factor * sigma, sigma))
        W.copy_(mapped.view_as(W))


def test_it_warns_once_when_half_of_the_layers_have_fallen() -> None:
    D = discriminator()
    watch = srgan.watch(D, every=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.step()
        multiply_values(D[2], 1, 0.9)
        watch.step()
    assert watch.collapsed_at is None
    assert watch.falls == {"0": 1.0, "2": pytest.approx(0.9)}  # neither the 1 x 1 convolution nor the head
    multiply_values(D[2], 1, 0.5)
    watch.step()  # does not look
    with pytest.warns(UserWarning, match="Spectral collapse at step 4 of the discriminator: 2 below 0.5") as found:
        watch.step()
    assert found[0].filename == __file__  # where the loop called it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            watch.step()
    assert watch.collapsed_at == 4


def test_the_optimizers_steps_are_counted() -> None:
    D = discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)  # wraps optimizer.step
    watch = srgan.watch(D, optimizer=optimizer, every=2)

    def train() -> None:
        optimizer.zero_grad()
        D(torch.ones(2, 3, 5, 5)).mean().backward()
        optimizer.step()
        scheduler.step()

    train()
    for layer in (D[0], D[2]):
        multiply_values(layer, 1, 0.1)
    assert watch.collapsed_at is None
    with pytest.warns(UserWarning, match="Spectral collapse at step 2 of the discriminator: 0, 2") as found:
        train()
    assert found[0].filename == __file__
    assert (watch.steps, watch.collapsed_at) == (2, 2)
    watch.stop()
    train()
    assert watch.steps == 2
    assert repr(watch).splitlines() == [
        "SpectralWatch(2 steps, spectral collapse: at step 2):",
        f"  0: tail mean at {watch.falls['0']:.2f} of its maximum",
        f"  2: tail mean at {watch.falls['2']:.2f} of its maximum",
    ]


def test_it_shows_the_rate_of_layers_under_a_spectral_norm() -> None:
    D = discriminator()
    srgan.regularize(D, "sn")
    watch = srgan.watch(D, every=1)
    with torch.no_grad():
        raw_weight(D[2]).mul_(2)
    watch.step()
    assert "  2: tail mean at 1.00 of its maximum, learning rate / σ₁ at 0.50 of its start" in repr(watch)


def test_of_several_optimizers_one_with_convolutions_counts() -> None:
    D, G = discriminator(), nn.Linear(2, 2)
    first, last, head, other = (torch.optim.SGD(part.parameters(), lr=0.0) for part in (D[0], D[2], D[5], G))

    class Wrapper:
        optimizer = last

    watch = srgan.watch(D, optimizer=[first, Wrapper(), head, other])  # type: ignore[list-item]
    for optimizer in (first, last, head, other):
        optimizer.step()
    assert watch.steps == 1


@pytest.mark.parametrize("part", [nn.Linear(2, 2), discriminator()[5]])
def test_an_optimizer_without_convolutions_of_the_discriminator_is_refused(part: nn.Module) -> None:
    with pytest.raises(ValueError, match="found one that holds none of its convolutions' weights"):
        srgan.watch(discriminator(), optimizer=torch.optim.SGD(part.parameters(), lr=0.0))


def test_a_step_that_amp_skips_does_not_count() -> None:
    D = discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.1, fused=True)
    handle = srgan.regularize(D, "sr-s", optimizer=optimizer)
    watch = srgan.watch(D, optimizer=optimizer)
    D(torch.ones(2, 3, 5, 5)).mean().backward()
    for overflowed, steps in ((1.0, 0), (0.0, 1)):
        optimizer.found_inf = torch.tensor(overflowed)  # type: ignore[attr-defined]  # as GradScaler leaves it
        optimizer.step()
        assert (watch.steps, handle.updates) == (steps, steps)


@pytest.mark.parametrize(
    ("method", "advice"), [("sn", "checkpoint with srgan.regularize"), ("sr-s", "checkpoint with lower learning")]
)
def test_advice_after_a_collapse_is_not_what_is_on_already(method: str, advice: str) -> None:
    D = discriminator()
    srgan.regularize(D, method, optimizer=torch.optim.Adam(D.parameters()))
    watch = srgan.watch(D, every=1)
    for layer in (D[0], D[2]):
        multiply_values(layer, 1, 0.1)
    with pytest.warns(UserWarning, match=advice):
        watch.step()


def under_ours(D: nn.Module) -> None:
    srgan.regularize(D, "sn")


def under_a_parametrization(D: nn.Module) -> None:
    for layer in (D.get_submodule("0"), D.get_submodule("2"), D.get_submodule("3")):
        nn.utils.parametrizations.spectral_norm(layer)


def under_a_hook(D: nn.Module) -> None:
    for layer in (D.get_submodule("0"), D.get_submodule("2"), D.get_submodule("3")):
        nn.utils.spectral_norm(layer)


@pytest.mark.parametrize("normalize", [under_ours, under_a_parametrization, under_a_hook])
def test_it_warns_once_when_half_of_the_convolutions_have_outgrown_their_rate(
    normalize: Callable[[nn.Module], None],
) -> None:
    D = discriminator()
    normalize(D)
    watch = srgan.watch(D, every=1)
    assert watch.rates == {"0": 1.0, "2": 1.0, "3": 1.0}
    start = [float(sigma[0]) for name, sigma in spectra(D, normalized=False).items() if name in watch.rates]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for layer, factor in ((D[0], 3.5), (D[2], 2.9), (D[3], 0.5)):
            raw_weight(layer).data.mul_(factor)
        watch.step()
    assert watch.rates == pytest.approx({"0": 1 / 3.5, "2": 1 / 2.9, "3": 2})
    raw_weight(D[2]).data.mul_(1.1)
    with pytest.warns(UserWarning, match="Slow discriminator at step 2: sigma_1 of 0, 2 has passed 3 times") as found:
        watch.step()
    assert found[0].filename == __file__
    advised = re.search(r"scale=([\d.]+)", str(found[0].message))
    assert advised
    assert float(advised[1]) == pytest.approx(geometric_mean(start), rel=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.step()


def test_the_scale_of_a_layer_without_a_spectral_norm_is_no_rate() -> None:
    D = discriminator()
    srgan.regularize(D, "gp", layers="0", optimizer=torch.optim.SGD(D.parameters(), lr=0.1))
    watch = srgan.watch(D, every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for layer in (D[0], D[2], D[3]):
            raw_weight(layer).data.mul_(10)
        watch.step()
    assert watch.rates == {}


@pytest.mark.parametrize(("first", "falls"), [(4, False), (1, True)])
def test_sr_s_is_judged_by_what_it_holds(first: int, falls: bool) -> None:
    D = discriminator()
    srgan.regularize(D, SpectralRegularization(Static(0.5), mode="reparametrization"))  # nothing keeps the handle
    D = copy.deepcopy(D)
    watch = srgan.watch(torch.nn.DataParallel(D), every=1)
    multiply_values(D[2], first, 0.1)
    with pytest.warns(UserWarning, match="Spectral collapse") if falls else contextlib.nullcontext():
        watch.look()
    assert (watch.falls["2"] < 0.5) is falls


@pytest.mark.parametrize(
    ("module", "every", "message"),
    [(nn.Linear(4, 4), 1, "convolutions larger than 1 x 1"), (nn.Conv2d(3, 8, 3), 0, "every 1 or more steps, found 0")],
)
def test_refusals(module: nn.Module, every: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        srgan.watch(module, every=every)
