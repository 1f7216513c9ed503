"""Every draw is a function of its arguments, and of nothing else."""

import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srgan.utils.randomness import counter_generator, counter_rows, counter_seed, epoch_positions

arguments = st.tuples(
    st.integers(0, 3), st.sampled_from(["a", "b", "a, 1", "a'"]), st.lists(st.integers(0, 12), max_size=3)
)


@settings(max_examples=100, deadline=None)
@given(one=arguments, other=arguments)
def test_equal_arguments_give_equal_seeds_and_any_difference_shows(
    one: tuple[int, str, list[int]], other: tuple[int, str, list[int]]
) -> None:
    seeds = [counter_seed(seed, purpose, *counters) for seed, purpose, counters in (one, other)]
    assert (seeds[0] == seeds[1]) == (one == other)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_arguments_do_not_run_into_each_other() -> None:
    seeds = [
        counter_seed(1, "a"),
        counter_seed(1, "a", 0),
        counter_seed(1, "a", 0, 0),
        counter_seed(1, "a", 12),
        counter_seed(1, "a", 1, 2),
        counter_seed(1, "a", 2, 1),
        counter_seed(1, "a1", 2),
        counter_seed(11, "a", 2),
        counter_seed(-1, "a"),
    ]
    assert len(set(seeds)) == len(seeds)


def test_seeds_are_those_of_earlier_versions_and_other_machines() -> None:
    assert counter_seed(0, "latents", 3, 1) == 2_199_315_742_670_633_926


def test_a_generator_starts_anew_at_each_call() -> None:
    draws = [torch.randn(5, generator=counter_generator("cpu", 0, "noise", 7)) for _ in range(2)]
    assert torch.equal(*draws)
    for seed, purpose, counter in ((1, "noise", 7), (0, "latents", 7), (0, "noise", 8)):
        assert not torch.equal(draws[0], torch.randn(5, generator=counter_generator("cpu", seed, purpose, counter)))


def test_draws_neither_read_nor_move_the_global_generators() -> None:
    def draw() -> list[float]:
        positions = epoch_positions(5, 3, 4, size=1009)
        return [*torch.randn(3, generator=counter_generator("cpu", 5, "noise")).tolist(), *positions.tolist()]

    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    expected = draw()
    after_draws = torch.rand(1).item(), np.random.random(), random.random()  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    assert (torch.rand(1).item(), np.random.random(), random.random()) == after_draws  # noqa: NPY002
    epoch_positions(0, 0, 10, size=2)  # five other epochs, so that the one above is drawn anew
    assert draw() == expected


@pytest.mark.parametrize("size", [1, 2, 7, 100])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_epoch_shows_every_example_once(size: int, seed: int) -> None:
    stream = epoch_positions(seed, 0, 6 * size, size)
    assert stream.dtype == torch.int64
    for epoch in stream.view(6, size):
        assert epoch.sort().values.tolist() == list(range(size))


@settings(max_examples=50, deadline=None)
@given(
    size=st.integers(1, 9),
    start=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    seed=st.integers(0, 3),
)
def test_the_stream_is_the_same_however_it_is_cut(size: int, start: int, cuts: list[int], seed: int) -> None:
    """A batch that crosses the end of an epoch goes on in the next, and a resumed run reads on where it was."""
    bounds = [start, *sorted(start + cut for cut in cuts), start + 40]
    pieces = [epoch_positions(seed, low, high - low, size) for low, high in pairwise(bounds)]
    assert torch.equal(torch.cat(pieces), epoch_positions(seed, 0, start + 40, size)[start:])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(epoch_positions(seed, 50 * epoch, 50, 50).tolist()) for seed in (0, 1) for epoch in range(4)]
    assert len(set(orders)) == len(orders)


def test_changing_a_batch_does_not_change_the_stream() -> None:
    batch = epoch_positions(0, 0, 10, 10)
    before = batch.clone()
    batch.zero_()
    assert torch.equal(epoch_positions(0, 0, 10, 10), before)


@pytest.mark.parametrize(("device", "draws"), [("cpu", 8), ("cuda", 1)])
def test_a_batch_of_64_rows_is_one_draw_on_a_gpu(device: str, draws: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draw is a launch there; on a CPU small batches would pay for rows that they do not need."""
    devices: list[str] = []

    def on_the_cpu(_: str, *arguments: object) -> torch.Generator:
        return counter_generator("cpu", *arguments)  # type: ignore[arg-type]

    def draw(size: tuple[int, ...], generator: torch.Generator, device: str) -> torch.Tensor:
        devices.append(device)
        return torch.rand(size, generator=generator)

    monkeypatch.setattr("srgan.utils.randomness.counter_generator", on_the_cpu)
    rows = counter_rows(draw, range(64), (3,), device, 0, "noise")
    assert devices == [device] * draws
    assert torch.equal(counter_rows(draw, range(40, 60), (3,), device, 0, "noise"), rows[40:60])
