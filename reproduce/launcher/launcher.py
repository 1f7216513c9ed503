"""An experiment carried out: priced, shown, launched here or on a cluster, stopped, resumed, reported.

No torch in here before something is priced or launched.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from reproduce.launcher.local import Check, Stopped, launch
from reproduce.launcher.options import CAMPAIGN, Options, read, resources
from reproduce.launcher.slurm import Job, Queue, sbatch_words, wait
from reproduce.plan.resources import Resources, count_gpus
from reproduce.plan.run import FINISHED, OUTDATED, Run
from srgan.utils.provenance import usable_cores

if TYPE_CHECKING:
    from reproduce.launcher.cost import Price

WIDTH = 160  # where no terminal has one


class Campaign:
    """Runs, and what is made of them.

    Args:
        runs: of the experiment; one that starts from another's checkpoint comes after it.
        root: where they go.
        finish: takes the finished runs: writes tables, pages, pictures.
        check: says what is wrong with a run that has ended well.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        root: Path,
        finish: Callable[[Sequence[Run], Console], None] | None = None,
        check: Check | None = None,
    ) -> None:
        self.runs, self.root, self.finish, self.check = runs, root, finish, check
        self.console = Console(width=None if sys.stdout.isatty() else WIDTH)

    def execute(self, resources: Resources) -> int:
        """Trains what is not finished and finishes; the same call again goes on.

        Returns:
            The exit status: 0, 1 (a run failed), 2 (a folder holds a run of other settings), 130 (stopped).

        Raises:
            ValueError: the runs are not possible on such resources.
            RuntimeError: Slurm is not there, or refused.
        """
        if self._report_outdated():
            return 2
        to_do = [run for run in self.runs if run.state != FINISHED and not run.missing]
        prices = self._prices(resources)
        if resources.dry_run or not resources.cluster:
            self._show(prices)
        if resources.dry_run:
            self._show_commands(to_do, resources)
            return 0
        status = self._submit(to_do, resources, prices) if resources.cluster else self._launch(to_do, resources)
        if self._report_outdated():  # what the parser reads otherwise than the plan writes it
            return 2
        finished = [run for run in self.runs if run.state == FINISHED]
        if finished and self.finish and status != 130:
            self.finish(finished, self.console)
        return status

    def _report_outdated(self) -> int:
        """A sentence for each run that was made with other settings; returns how many there are."""
        outdated = [run for run in self.runs if run.state == OUTDATED]
        for run in outdated:
            differing = run.differing_settings((run.folder.read_record() or {})["config"])
            words = "; ".join(f"{name}: {there} there, {here} in the plan" for name, (there, here) in differing.items())
            print(
                f"reproduce: {run.name} was made with other settings ({words}); remove or move {run.folder.path}",
                file=sys.stderr,
            )
        return len(outdated)

    def _prices(self, resources: Resources) -> "dict[Run, Price]":
        from reproduce.launcher.cost import price

        return {run: price(run, resources.processes(run) * resources.nodes) for run in self.runs}

    def _show(self, prices: "dict[Run, Price]", jobs: Mapping[Run, Job] | None = None) -> None:
        """What exists, what will run or is in the queue, how it is split, and for how long."""
        from reproduce.launcher.cost import CPU_FLOPS, GPU_FLOPS

        to_do = [run for run in self.runs if run.state != FINISHED and not run.missing]
        kind, rate = ("GPU", GPU_FLOPS) if any(run.on_gpu for run in self.runs) else ("core", CPU_FLOPS)
        columns = ("run", "configuration", "CH", "micro x acc x devices", "iterations", f"{kind} hours", "GB", "state")
        queued = f", {len(jobs)} in the queue" if jobs is not None else ""
        noun = "run" if len(self.runs) == 1 else "runs"
        table = Table(*columns, title=f"{len(self.runs)} {noun}, {len(to_do)} to do{queued}")
        for run, cost in prices.items():
            state, job = run.state, (jobs or {}).get(run)
            if job:
                state = f"job {job.id} {job.state.lower()}, iteration {run.iterations_done}"
            table.add_row(
                run.name, " + ".join(run.configs), str(run.discriminator_channels), cost.split, f"{cost.iterations:,}",
                f"{cost.hours:,.2f}", f"{cost.gigabytes:.1f}", state,
            )  # fmt: skip
        self.console.print(table)
        hours = sum(prices[run].hours for run in to_do)
        self.console.print(
            f"To do: {hours:,.2f} {kind} hours. Estimates: FLOPs of nets and scores, counted, at an assumed "
            f"{rate / 1e9:,.0f} GFLOP/s; activations counted for GB of each device. Batch: micro-batch x accumulation "
            f"x devices. Runs go to {self.root}.",
            highlight=False,
        )

    def _show_commands(self, to_do: Sequence[Run], resources: Resources) -> None:
        if resources.cluster:
            for processes, on_gpus in dict.fromkeys((resources.processes(run), run.on_gpu) for run in to_do):
                words = sbatch_words(processes, on_gpus, resources)
                self.console.print(f"# sbatch {words}", highlight=False, soft_wrap=True)
        for run in to_do:
            words = shlex.join(resources.arguments(run)) if run.is_ready else f"# {run.name}: {run.state}"
            self.console.print(f"srgan fit {words}" if run.is_ready else words, highlight=False, soft_wrap=True)

    def _launch(self, to_do: Sequence[Run], resources: Resources) -> int:
        gpus = count_gpus() if any(run.on_gpu for run in to_do) else 0
        if not gpus and any(run.on_gpu for run in to_do):
            raise ValueError(
                "Expected a GPU for these runs, found no CUDA device; DRY_RUN=1 shows the plan, CLUSTER=slurm submits."
            )
        try:
            jobs = resources.jobs or gpus or usable_cores()
            failed = launch(to_do, jobs, gpus, resources, self.console, self.check) if to_do else []
        except Stopped:
            self.console.print("Stopped: the same command goes on.")
            return 130
        self.console.print(f"{len(to_do) - len(failed)} of {len(to_do)} runs ended well.", highlight=False)
        return 1 if failed else 0

    def _submit(self, to_do: Sequence[Run], resources: Resources, prices: "dict[Run, Price]") -> int:
        """Submits what is ready and not in the queue yet, and shows where everything stands."""
        queue, tried = Queue(self.root), set[Run]()
        while ready := [run for run in to_do if run.state != FINISHED and run.is_ready and run not in tried]:
            tried |= set(ready)
            jobs = queue.submit(ready, resources)
            self._show(prices, jobs)
            ids = " ".join(sorted({job.id.partition("_")[0] for job in jobs.values()}))
            self.console.print(
                f"Look: squeue --jobs {ids.replace(' ', ',')}; log.txt in each run's folder. Stop: scancel {ids}. The "
                "same command shows where they are, submits what is missing, and writes what the finished ones allow.",
                highlight=False,
                soft_wrap=True,
            )
            if not resources.wait:
                return 0
            try:
                wait(queue, ready)
            except KeyboardInterrupt:
                self.console.print("The jobs go on; the same command shows where they are.")
                return 130
        return 1 if any(run.state != FINISHED for run in to_do) else 0


def perform(
    experiment: Callable[[Options], Campaign],
    description: str | None,
    names: str,
    arguments: Sequence[str] | None = None,
    detect: Callable[[Options], str] | None = None,
) -> int:
    """The command of an experiment; returns the exit status.

    Args:
        experiment: options -> the campaign.
        description: of the command.
        names: of the options that the experiment takes beside those of every one.
        arguments: None: the process's.
        detect: decides on SCALE=auto; None: paper on a GPU or a cluster, else mini.
    """
    options = read(arguments, description, f"{names} {CAMPAIGN}", detect)
    try:
        return experiment(options).execute(resources(options))
    except (ValueError, RuntimeError, argparse.ArgumentError) as error:
        from srgan.training.parser_messages import essence

        print(f"reproduce: {essence(str(error))}", file=sys.stderr)
        return 2
