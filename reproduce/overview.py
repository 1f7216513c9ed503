"""What a plan shows before anything runs: what exists, what will run, how it is split, and for how long."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reproduce.budget import GPU_FLOPS, budget
from reproduce.calibrate import estimate_seconds
from reproduce.plan import Run
from srgan.parallel import accumulation


def show_plan(
    runs: list[Run],
    to_do: list[Run],
    jobs: int,
    root: Path,
    console: Console,
    gpus: int = 0,
    devices: int | None = None,
    timed: bool = True,
) -> None:
    """Prints the plan with estimates: timed on this machine, or counted where it lacks what the runs need.

    Args:
        runs: all of the plan, of one scale.
        to_do: those that will run.
        jobs: runs at a time.
        root: where they go.
        console: where to print.
        gpus: CUDA devices of this machine.
        devices: of each run; None: as many as the plan says.
        timed: whether runs may be timed on this machine; a login node only counts.

    Raises:
        ValueError: see `refuse_impossible_splits`.
    """
    refuse_impossible_splits(runs, devices)
    counted = not timed or (runs[0].scale == "paper" and not gpus)
    gpus_of = {run: (devices or run.devices) if gpus else 1 for run in to_do}
    seconds: dict[Run, float] = {}
    if to_do and not counted:
        console.print("Timing a few iterations of each kind of run ...", highlight=False)
        alone = dict(zip(to_do, estimate_seconds(to_do, root), strict=True))
        seconds = {run: alone[run] / gpus_of[run] for run in to_do}
    if runs[0].scale == "paper":
        console.print(paper_plan(runs, seconds, devices))
        console.print(
            "micro x acc x GPUs: batch = micro-batch x accumulation x devices. GPU h: of one run, FLOPs counted, at an "
            f"assumed {GPU_FLOPS / 1e12:.0f} TFLOP/s; an estimate, too low for the small rows, which wait for kernel "
            "launches. GB: of each GPU, activations counted; an estimate.",
            highlight=False,
        )
        hours = sum(budget(run, devices).gpu_hours for run in runs)
        console.print(f"All {len(runs)} runs: {hours:,.0f} GPU hours, an estimate.", highlight=False)
    else:
        console.print(mini_plan(runs, to_do, seconds))
    if seconds:
        whole = whole_seconds([(seconds[run], gpus_of[run]) for run in to_do], jobs, gpus)
        console.print(f"{jobs} at a time: about {duration(whole)}. Runs go to {root}.", highlight=False)


def refuse_impossible_splits(runs: Sequence[Run], devices: int | None = None) -> None:
    """Checks that each run's batch divides among its devices and micro-batches.

    Raises:
        ValueError: one does not; the message names the run.
    """
    for run in runs:
        try:
            accumulation(run.batch_size, devices or run.devices, run.chosen.get("model.micro_batch_size"))
        except ValueError as error:
            raise ValueError(f"{run.name}: {error} Set GPUS (and NODES), or choose other rows by SETTINGS.") from error


def whole_seconds(runs: Sequence[tuple[float, int]], jobs: int, gpus: int) -> float:
    """Time of all runs together, `jobs` at a time: no shorter than the longest, nor than the work that all share.

    Args:
        runs: seconds and GPUs of each.
        jobs: runs at a time; more than there are GPUs share them, by assumption at no loss.
        gpus: CUDA devices; 0 for the CPU.
    """
    seconds = [duration for duration, _ in runs]
    gpu_seconds = sum(duration * own for duration, own in runs)
    return max(max(seconds), sum(seconds) / jobs, gpu_seconds / max(jobs, gpus))


def paper_plan(runs: list[Run], seconds: dict[Run, float], devices: int | None = None) -> Table:
    """Every run of the paper with its configuration, split, length, cost and data."""
    names = ("run", "configuration", "micro x acc x GPUs", "iterations", "GPU h", "GB", "data", "state")
    table = Table(*names, *(["timed"] if seconds else []), title=f"{len(runs)} runs")
    for run in runs:
        cost = budget(run, devices)
        split = f"{cost.micro_batch_size} x {cost.accumulation} x {cost.devices}"
        state = "not run" if run.missing else run.state
        timed = [duration(seconds[run]) if run in seconds else ""] if seconds else []
        table.add_row(
            run.name, f"{run.setting.dataset} + {run.constraint}", split, f"{cost.iterations:,}",
            f"{cost.gpu_hours:,.1f}", f"{cost.gigabytes:.1f}", run.data, state, *timed,
        )  # fmt: skip
    return table


def mini_plan(runs: list[Run], to_do: list[Run], seconds: dict[Run, float]) -> Table:
    """Every run of scale mini with its sizes and time."""
    table = Table("run", "method", "batch", "CH", "state", "estimate", title=f"{len(runs)} runs, {len(to_do)} to do")
    for run in runs:
        estimate = duration(seconds[run]) if run in seconds else ""
        method = run.constraint.upper()
        table.add_row(run.name, method, str(run.batch_size), str(run.discriminator_channels), run.state, estimate)
    return table


def duration(seconds: float) -> str:
    """For people."""
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"
