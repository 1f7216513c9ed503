"""The benchmarks do what they say: counting, taking turns, writing the page. Nothing here is timed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d

from bench import limit, ours, startup, step
from bench.__main__ import main
from bench.convolutions import Counted, TensorLike, aten
from bench.growth import exponent
from bench.harness import Row, in_turns
from bench.page import BENCHMARKS, GOALS, PAGE, RESULTS, page, read_results, shown, table
from bench.spectral import row as of_spectral
from bench.worker import Worker
from srgan.cli.fit import compose

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
        assert counted.convolution_flops == passes * products(2, 5, 7, kernel, pixels)
        assert sum(counted.calls.values()) == 1 + (image_gradient or weight_gradient)


def test_the_limit_is_measured_on_a_real_iteration() -> None:
    recording = limit.Recording(repetitions=1)
    ours.train(recording, 2, 4, 4, 16, limit.N_DIS)
    assert 0 < recording.counted.convolution_flops < recording.counted.flops
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
        for value in call.arguments:
            assert not isinstance(value, TensorLike) or value.make().stride() == value.stride
        assert call.seconds_alone() > 0


def test_calls_of_different_layouts_are_distinct() -> None:
    with Counted() as counted:
        for memory_format in (torch.contiguous_format, torch.channels_last, torch.channels_last):
            conv2d(torch.randn(2, 3, 8, 8).contiguous(memory_format=memory_format), torch.ones(4, 3, 3, 3))
    assert sorted(counted.calls.values()) == [1, 2]


# Taking turns.


@pytest.mark.parametrize("name", ["srgan", "mimicry"])
def test_a_contender_iterates_when_told(name: str) -> None:
    if name not in step.taking_part(generator_channels=4):
        pytest.skip(f"{name} is not installed")
    module, options = step.CONTENDERS[name]
    ballast = torch.ones(2**29)  # two gigabytes: the memory of a worker is not that of its parent
    with Worker(module, {**NETS, "n_dis": 1, **options}, threads=1) as worker:
        for _ in range(2):
            worker.tell()
            assert worker.hear() > 0
            assert 10**8 < worker.peak_bytes < ballast.nbytes  # PyTorch alone holds more than the one
        assert worker.process.poll() is None
    assert worker.process.returncode == 0


def test_a_contender_that_dies_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"Expected an iteration of bench\.ours .*, found that it ended with"):
        Worker("bench.ours", {"batch_size": 2}, threads=1)


def test_contenders_of_sr_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.spectral.REPETITIONS", 1)
    threads = torch.get_num_threads()
    for kind in ("initial", "collapsed", "after steps"):
        assert 0 < of_spectral("CIFAR-32", kind, threads)["difference"] < 1e-5


# The page.


def test_a_page_without_results_shows_gaps_and_commands() -> None:
    text = page({})
    assert text.count("Not measured yet.") == len(BENCHMARKS)
    assert text.count("not measured: `make bench ONLY=") == len(GOALS)
    for name in BENCHMARKS:
        assert f'`make bench ONLY="{name}"`' in text


def test_the_page_shows_what_the_files_hold(tmp_path: Path) -> None:
    rows = [{"until the end of": name, "s": value} for name, value in {"help": 0.125, "first": 12.5}.items()]
    head = {"hardware": {"device": "Abacus", "cores": 2}, "versions": {"torch": "2"}, "commit": "0123456789"}
    (tmp_path / "startup.json").write_text(json.dumps(head | {"tables": {"": rows}}))
    text = page(read_results(tmp_path))
    assert "| `srgan --help` | at most 2 s | 0.125 s | yes |" in text
    assert "| first iteration of mini | at most 10 s | 12.5 s | no |" in text
    assert "On Abacus, cores 2; torch 2; commit 01234567." in text
    assert "Measured at commit 01234567 on Abacus." in text.partition("## In short")[0]
    assert text.count("Not measured yet.") == len(BENCHMARKS) - 1


@pytest.mark.parametrize(
    ("seconds", "measured", "reached"), [(10.04, "10.04 s", False), (9.96, "9.96 s", True), (10, "10.0 s", True)]
)
def test_a_goal_that_is_just_missed_does_not_look_reached(seconds: float, measured: str, reached: bool) -> None:
    row = GOALS[-1].row({"startup": {"tables": {"": [{}, {"s": seconds}]}}})
    assert (row["measured"], row["reached"]) == (measured, reached)


def test_the_cost_of_sr_is_that_of_the_slowest_spectra_in_an_iteration_of_sn() -> None:
    def row(D: str, spectrum: str, seconds: float, threads: int = 1) -> Row:
        return {"D": D, "spectrum": spectrum, "threads": threads, "SR-s": seconds, "numpy / SR-s": 0.4 / seconds}

    rows = [row("CIFAR-128", "initial", 0.02), row("CIFAR-128", "collapsed", 0.05), row("CIFAR-64", "initial", 0.1)]
    spectral = {"tables": {"": [*rows, row("ImageNet-64", "initial", 0.04), row("ImageNet-64", "initial", 0.02, 2)]}}
    iteration = {"batch": 64, "D": 128, "G": 256, "contender": "srgan", "s per iteration": 2.0}
    found = [goal.row({"spectral": spectral, "step": {"tables": {"": [iteration]}}}) for goal in GOALS[:6]]
    assert [(goal["measured"], goal["reached"]) for goal in found] == [
        ("20.0 x", True),
        ('not measured: `make bench ONLY="spectral"`', None),
        ("10.0 x", False),
        ("20.0 x", True),
        ("2.50 %", False),
        ("12.5 %", False),
    ]


def test_the_page_in_the_repository_is_that_of_its_results() -> None:
    assert PAGE.read_text() == page(read_results(RESULTS)), "run: python -m bench --page"


def test_a_column_that_some_rows_lack_shows_a_gap() -> None:
    lines = table([{"name": "a", "s": 0.5}, {"name": "b", "GB": 64}])
    assert lines == ["| name | s | GB |", "| --- | --- | --- |", "| a | 0.500 | - |", "| b | - | 64 |", ""]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234"), (64, "64"), (True, "yes")],
)
def test_numbers_are_shown_with_three_digits(value: Any, text: str) -> None:
    assert shown(value) == text


def test_the_run_whose_start_is_timed_can_be_composed(tmp_path: Path) -> None:
    assert compose([*startup.FIT[2:], "--run", str(tmp_path)]).model.iterations == 600


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "step speed"]) == 2
    assert "found speed" in capsys.readouterr().err
