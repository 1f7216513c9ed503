"""The one-liner in other people's training loops: steps that do not count, copies, wrappers, calling it again."""

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.state import AcceleratorState, GradientState
from discriminators import IMAGES, small_discriminator
from torch import nn

import srgan
from srgan.constraints import (
    METHODS,
    Constraint,
    Schedule,
    raw_weight,
    spectra,
)


def holds(D: nn.Module) -> bool:
    """Whether SR-s has just acted: half of a convolution's raw singular values are 1."""
    return bool((spectra(D, normalized=False)["blocks.1.conv2"][:3] - 1).abs().max() < 1e-5)


def sgd(D: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(D.parameters(), 0.01)


def test_the_phase_of_the_schedule_is_in_the_state_dict() -> None:
    schedule = Schedule(every_iterations=3, updates="last")

    def start() -> tuple[Any, torch.optim.SGD]:
        D = small_discriminator()
        optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
        return srgan.regularize(D, "sr-s", optimizer=optimizer, n_dis=2, schedule=schedule), optimizer

    handle, optimizer = start()
    for _ in range(5):
        optimizer.step()
    resumed, optimizer = start()
    assert resumed.updates == 0
    resumed.discriminator.load_state_dict(handle.discriminator.state_dict())
    assert resumed.updates == 5
    acted = []
    for _ in range(8):
        for parameter in resumed.discriminator.parameters():
            torch.nn.init.normal_(parameter)
        optimizer.step()
        acted.append(holds(resumed.discriminator))
    assert acted == [(k // 2 % 3 == 0) and k % 2 == 1 for k in range(5, 13)]


@pytest.fixture
def accelerator() -> Iterator[Any]:
    """One on this process, whose state it shares with all later ones until that is reset."""
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_a_wrapped_optimizer_announces_its_steps(accelerator: Any) -> None:
    """Accelerate's, which is of the class of optimizers, without their state or their hooks."""
    D = small_discriminator()
    wrapped = accelerator.prepare_optimizer(sgd(D))
    assert isinstance(wrapped, AcceleratedOptimizer)
    handle = srgan.regularize(D, "sr-s", optimizer=wrapped)
    wrapped.step()
    assert holds(D)
    assert handle.updates == 1


@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_mixed_precision_skipped_does_not_count(fused: bool) -> None:
    D = small_discriminator()
    optimizer = torch.optim.Adam(D.parameters(), 1e-3, fused=fused)
    handle = srgan.regularize(D, "sr-s", optimizer=optimizer)
    scaler = torch.amp.GradScaler("cpu")
    counts = []
    for factor in (float("inf"), 1.0):
        optimizer.zero_grad()
        scaler.scale(D(IMAGES).mean() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        counts.append((handle.updates, holds(D)))
    assert counts == [(0, False), (1, True)]


@pytest.mark.parametrize("method", ["weight-norm", "batch-norm"])
def test_parameters_of_a_constraint_join_the_optimizer(method: str) -> None:
    D = small_discriminator()
    optimizer = torch.optim.Adam(D.parameters(), 3e-4, betas=(0.1, 0.8))
    given = {id(parameter) for parameter in D.parameters()}
    for _ in range(2):
        srgan.regularize(D, method, optimizer=optimizer)
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in D.parameters()}
    assert len(group["params"]) == len(set(group["params"]))
    added = [p for p in group["params"] if id(p) not in given]
    assert added
    before = [parameter.detach().clone() for parameter in added]
    D(IMAGES).square().mean().backward()
    optimizer.step()
    assert all(not torch.equal(old, new) for old, new in zip(before, added, strict=True))


def test_a_discriminator_whose_optimizer_never_steps_is_told_once() -> None:
    """And so is a deep copy, whose optimizer has no hook."""
    D = small_discriminator()
    optimizer = sgd(D)
    srgan.regularize(D, "sr-s", optimizer=optimizer)
    layer = D.get_submodule("blocks.0.conv1")
    for _ in range(150):  # with steps there is nothing to say
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            layer(IMAGES)
            optimizer.step()
    clone, _ = copy.deepcopy((D, optimizer))
    layer = clone.get_submodule("blocks.0.conv1")
    for _ in range(99):
        layer(IMAGES)
    with pytest.warns(UserWarning, match="100 training forward passes without a step"):
        layer(IMAGES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(IMAGES)


def test_accumulated_gradients_are_told_once_before_the_first_step() -> None:
    """Only then is it unknown that steps come; the forward passes of one make a hundred times as many the bound."""
    D = small_discriminator()
    optimizer = sgd(D)
    srgan.regularize(D, "sr-s", optimizer=optimizer)
    layer = D.get_submodule("blocks.0.conv1")

    def accumulate(count: int) -> list[str]:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(count):
                layer(IMAGES)
        return [str(one.message) for one in said]

    (words,) = accumulate(120)
    assert "Unless so many are accumulated" in words
    optimizer.step()
    assert not accumulate(250)


def test_accumulated_gradients_after_a_short_first_step_are_not_told() -> None:
    D = small_discriminator()
    optimizer = sgd(D)
    srgan.regularize(D, "sr-s", optimizer=optimizer)
    layer = D.get_submodule("blocks.0.conv1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for count in (8, 150, 8, 700):
            for _ in range(count):
                layer(IMAGES)
            optimizer.step()


def compile_module(D: nn.Module, backend: str) -> nn.Module:
    compiled: nn.Module = torch.compile(D, backend=backend)  # type: ignore[assignment]
    return compiled


WAYS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "compiled": lambda D: compile_module(D, "eager"),
    "parent": lambda D: nn.ModuleDict({"D": D}),
    "data parallel": nn.DataParallel,
    "compiled parent": lambda D: compile_module(nn.Sequential(D), "eager"),
    "itself": lambda D: D,
}


@pytest.mark.parametrize("way", WAYS)
def test_called_again_through_another_module_the_old_method_is_replaced(way: str) -> None:
    D = small_discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
    old = srgan.regularize(D, "sr-s", optimizer=optimizer)
    before = copy.deepcopy(D.state_dict())
    srgan.regularize(WAYS[way](D), "sr-d", scale="keep", optimizer=optimizer)
    assert all(torch.equal(tensor, before[name]) for name, tensor in D.state_dict().items())  # u among them
    optimizer.step()  # this SR-d records and SR-s, were it still there, would write
    assert all(torch.equal(parameter, before[name]) for name, parameter in D.named_parameters())
    assert all(r[0] == 1 for name, r in D.named_buffers() if name.endswith("ratios") and "conv" in name)
    assert not old.layers
    assert len(optimizer._optimizer_step_post_hooks) == 1
    assert int(D.get_buffer("linear.parametrizations.weight.0.updates")) == 1


def test_a_part_goes_under_the_method_that_named_it_last() -> None:
    D = small_discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
    whole = srgan.regularize(D, "sr-s", optimizer=optimizer)
    srgan.regularize(D.get_submodule("blocks.1"), "sn")
    before = raw_weight(D.get_submodule("blocks.1.conv2")).clone()
    optimizer.step()
    assert torch.equal(raw_weight(D.get_submodule("blocks.1.conv2")), before)
    assert srgan.spectra(D, normalized=False)["blocks.2.conv1"][2].item() == pytest.approx(1, abs=1e-5)
    assert not any(name.startswith("blocks.1.") for name in whole.layers)


def test_without_a_penalty_the_handle_adds_nothing() -> None:
    for method in METHODS:
        if type(METHODS[method]()).penalty is Constraint.penalty:
            D = small_discriminator()
            handle = srgan.regularize(D, method, optimizer=sgd(D))
            assert handle.penalty(IMAGES, -IMAGES).item() == 0


def test_penalties_move_on_with_the_updates_and_with_the_seed() -> None:
    D = small_discriminator()
    optimizer = torch.optim.SGD(D.parameters(), lr=0.0)
    handle = srgan.regularize(D, "gp", optimizer=optimizer)
    first, again = (handle.penalty(IMAGES, -IMAGES).item() for _ in range(2))
    optimizer.step()
    assert first == again != handle.penalty(IMAGES, -IMAGES).item()
    assert srgan.regularize(small_discriminator(), "gp", seed=1).penalty(IMAGES, -IMAGES).item() != first
