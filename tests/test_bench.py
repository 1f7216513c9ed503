"""The benchmarks do what they say: counting, taking turns, writing the page. Nothing here is timed."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from bench import limit, ours, plain
from bench.__main__ import cannot_run, main
from bench.benchmarks import BENCHMARKS
from bench.convolutions import Call, Counted, TensorLike, aten
from bench.growth import exponent
from bench.measure import RESULTS, in_turns
from bench.sections import SECTIONS, anything, shown
from bench.step import CONTENDERS, SIZES
from bench.table import GOALS, page, read_results
from bench.worker import Worker

NETS = {"batch_size": 2, "discriminator_channels": 4, "generator_channels": 4}


def test_acts_take_turns_and_warm_ups_do_not_count() -> None:
    order: list[str] = []

    def act(name: str) -> Callable[[], float]:
        def measured() -> float:
            order.append(name)
            return float(len(order))

        return measured

    found = in_turns({"a": act("a"), "b": act("b")}, repetitions=2, warm_ups=1)
    assert order == ["a", "b"] * 3
    assert found == {"a": [3, 5], "b": [4, 6]}


def test_the_exponent_of_a_power() -> None:
    assert exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)


# Counting.


def products(batch: int, inputs: int, outputs: int, kernel: int, pixels: int) -> int:
    """A multiplication and an addition for each product: the definition, by hand."""
    return 2 * batch * inputs * outputs * kernel**2 * pixels


@pytest.mark.parametrize("image_gradient", [False, True])
@pytest.mark.parametrize("weight_gradient", [False, True])
def test_convolutions_count_what_is_asked_for(image_gradient: bool, weight_gradient: bool) -> None:
    """A 3x3 convolution, one with 4x4 and stride 2, and its transpose: each gradient costs what forward does."""
    cases = [
        (conv2d, 3, {"padding": 1}, 8 * 8),
        (conv2d, 4, {"padding": 1, "stride": 2}, 4 * 4),
        (conv_transpose2d, 4, {"padding": 1, "stride": 2}, 8 * 8),
    ]
    for convolve, kernel, options, pixels in cases:
        x = torch.randn(2, 5, 8, 8, requires_grad=image_gradient)
        shape = (5, 7) if convolve is conv_transpose2d else (7, 5)
        weight = torch.randn(*shape, kernel, kernel, requires_grad=weight_gradient)
        with Counted() as counted:
            y = convolve(x, weight, **options)  # type: ignore[operator]
            if y.requires_grad:
                y.sum().backward()
        passes = 1 + image_gradient + weight_gradient
        assert counted.arithmetic.convolutions == passes * products(2, 5, 7, kernel, pixels)
        assert sum(counted.calls.values()) == 1 + (image_gradient or weight_gradient)


def test_nominal_arithmetic_is_that_of_the_shapes() -> None:
    """D forward on real and generated images, backward but for the images' own gradient; G's step through D."""
    batch, d, g = 3, 4, 5
    blocks = (
        2 * products(batch, d, d, 3, 16 * 16) + products(batch, d, d, 1, 16 * 16) + 4 * products(batch, d, d, 3, 64)
    )
    later = products(batch, d, d, 3, 32 * 32) + blocks  # of D, behind the layers that see images
    images = products(batch, 3, d, 3, 32 * 32) + products(batch, 3, d, 1, 16 * 16)
    forward = sum(products(batch, g, g, kernel, size**2) for size in (8, 16, 32) for kernel in (3, 3, 1)) + products(
        batch, g, 3, 3, 32 * 32
    )  # of G
    update_of_d = forward + 2 * (3 * later + 2 * images)  # the images have no gradient
    update_of_g = 3 * forward + 2 * (later + images)  # the weights of D have none
    found = limit.nominal(limit.Size(32, batch, d, g)).convolutions
    assert found == limit.N_DIS * update_of_d + update_of_g


def test_an_iteration_executes_no_more_than_the_plain_one() -> None:
    size = limit.Size(16, 2, 4, 4)
    recording = limit.Recording(repetitions=1)
    ours.train(recording, **size._asdict(), n_dis=limit.N_DIS)
    executed, obvious = recording.counted.arithmetic, limit.nominal(size)
    assert 0 < executed.convolutions <= obvious.convolutions
    assert len(recording.iterations) == len(recording.alone) == 1


def test_convolutions_are_replayed_in_their_own_layout() -> None:
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    with Counted() as counted:
        conv2d(x, torch.randn(4, 3, 3, 3)).sum().backward()
    forward, backward = counted.calls
    assert (forward.operator, backward.operator) == (aten.convolution.default, aten.convolution_backward.default)
    assert forward.arguments[0] == TensorLike((2, 3, 8, 8), x.stride(), torch.float32)
    assert backward.arguments[-1] == (True, False, False)  # the weight asks for no gradient
    assert backward.arguments[0].stride == (0, 0, 0, 0)  # of a sum, which is one number
    for call in counted.calls:
        made = [value.make() for value in call.arguments if isinstance(value, TensorLike)]
        assert [value.stride() for value in made] == [
            value.stride for value in call.arguments if isinstance(value, TensorLike)
        ]
        assert call.seconds_alone() > 0


def test_calls_of_different_layouts_are_distinct() -> None:
    with Counted() as counted:
        for memory_format in (torch.contiguous_format, torch.channels_last, torch.channels_last):
            conv2d(torch.randn(2, 3, 8, 8).contiguous(memory_format=memory_format), torch.ones(4, 3, 3, 3))
    assert sorted(counted.calls.values()) == [1, 2]
    assert all(isinstance(call, Call) for call in counted.calls)


# Taking turns.


@pytest.mark.parametrize("name", ["srgan", "plain", "mimicry"])
def test_a_contender_iterates_when_told(name: str) -> None:
    contender = CONTENDERS[name]
    if reason := contender.absent():
        pytest.skip(reason)
    with Worker(contender.module, {**NETS, "n_dis": 1, **contender.options}, threads=1) as worker:
        for _ in range(2):
            turn = worker.turn()
            assert turn.seconds > 0
            assert turn.peak_bytes > 10**8  # PyTorch alone holds more
        assert worker.process.poll() is None
    assert worker.process.returncode == 0
    assert len(worker.turns) == 2


def test_a_contender_that_dies_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"Expected an iteration of bench\.plain .*, found that it ended with"):
        Worker("bench.plain", {"batch_size": 2}, threads=1)


def test_every_size_names_its_nets() -> None:
    for name, size in SIZES.items():
        assert name == "-".join(map(str, size[:3]))
        assert size.repetitions >= 5


def test_the_plain_nets_have_the_layers_of_the_paper() -> None:
    training = plain.Training(8, 8)
    shapes = [module.weight.shape for module in training.netD.modules() if isinstance(module, torch.nn.Conv2d)]
    assert len(shapes) == 10
    loss_d, loss_g = training.iterate(torch.zeros(2, 3, 32, 32))
    assert math.isfinite(loss_d)
    assert math.isfinite(loss_g)


# The page.


def test_every_benchmark_has_a_script_and_a_section() -> None:
    names = [benchmark.name for benchmark in BENCHMARKS]
    assert set(names) == set(SECTIONS)
    assert {name for goal in GOALS for name in goal.benchmarks.split()} <= set(names)
    for name in names:
        assert RESULTS.parent.joinpath(f"{name}.py").exists(), name


def test_a_page_without_results_shows_gaps_and_commands() -> None:
    text = page({})
    assert text.count("Not measured yet.") == len(BENCHMARKS)
    assert text.count("not measured: `make bench ONLY=") == len(GOALS)
    for benchmark in BENCHMARKS:
        assert f"`{benchmark.command}`" in text


def test_the_page_shows_what_the_files_hold(tmp_path: Path) -> None:
    seconds = {"help": 0.125, "first iteration of mini": 12.5}
    result = {"seconds": seconds, "first_time_seconds": seconds, "commit": "0123456789"}
    (tmp_path / "startup.json").write_text(json.dumps(result))
    text = page(read_results(tmp_path))
    assert "| `srgan --help` | at most 2.00 s | 0.125 s | yes |" in text
    assert "| first iteration of mini | at most 10.0 s | 12.5 s | no |" in text
    assert "On commit 01234567." in text
    assert text.count("Not measured yet.") == len(BENCHMARKS) - 1


def test_the_cost_of_sr_is_that_of_the_slowest_spectra_in_an_iteration_of_sn() -> None:
    def row(name: str, spectrum: str, ours: float, threads: int = 1) -> dict[str, Any]:
        return {
            "name": name, "spectrum": spectrum, "threads": threads, "seconds": {"ours SR-s": ours},
            "numpy SVD / ours SR-s": 0.4 / ours,
        }  # fmt: skip

    rows = [row("CIFAR-128", "initial", 0.02), row("CIFAR-128", "collapsed", 0.05), row("CIFAR-64", "initial", 0.1)]
    spectral = {"discriminators": [*rows, row("ImageNet-64", "initial", 0.04, threads=2)]}
    nets = SIZES["64-128-256"].nets
    iteration = {"contender": "srgan", "iterations_per_second": 0.5, "times_faster_than": {}, **nets}
    found = [goal.row({"spectral": spectral, "step": {"rows": [iteration]}}) for goal in GOALS[:6]]
    assert [(*row[2:],) for row in found] == [
        ("20.00 x", "yes"),
        ('not measured: `make bench ONLY="spectral"`', "-"),
        ('not measured: `make bench ONLY="spectral"`', "-"),
        ("10.00 x", "no"),
        ("2.5 %", "no"),
        ("12.5 %", "no"),
    ]


def test_the_page_in_the_repository_is_that_of_its_results() -> None:
    path = RESULTS.parents[1] / "docs" / "speed.md"
    assert path.read_text() == page(read_results(RESULTS)), "run: python -m bench.table"


def test_a_result_of_any_form_is_shown_whole() -> None:
    rows = [{"shape": [2, 3], "seconds": {"ours": 0.5}}, {"shape": [4, 5], "seconds": {"theirs": 1.5}}]
    lines = anything({"hardware": {}, "repetitions": 7, "rows": rows, "cost": {"a": {"b": 2}}})
    assert "| repetitions | 7 |" in lines
    assert "| shape | seconds, ours | seconds, theirs |" in lines
    assert {"| 2 x 3 | 0.5 | - |", "| 4 x 5 | - | 1.50 |"} <= set(lines)
    assert "| a, b | 2 |" in lines


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (64, "64"),
        ([2, 3], "2 x 3"),
        (True, "yes"),
    ],
)
def test_numbers_are_shown_with_three_digits(value: Any, text: str) -> None:
    assert shown(value) == text


def test_formats_are_measured_on_photographs_that_somebody_names() -> None:
    photographs = [benchmark for benchmark in BENCHMARKS if benchmark.photographs]
    assert [benchmark.name for benchmark in photographs] == ["data"]
    assert "make bench IMAGES=" in (cannot_run(photographs[0], "") or "")
    assert cannot_run(photographs[0], "photographs.tar") is None


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "step speed"]) == 2
    assert "found speed" in capsys.readouterr().err
