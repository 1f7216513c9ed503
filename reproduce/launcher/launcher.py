"""An experiment carried out: priced (which takes torch), shown, launched here or on a cluster, resumed, reported."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reproduce.launcher.local import Stopped, launch
from reproduce.launcher.options import Options
from reproduce.launcher.slurm import Job, Queue, sbatch_text, wait
from reproduce.plan.run import CHANNELS, FINISHED, OUTDATED, PLAN, Run, count_gpus
from srgan.utils.provenance import usable_cores

Prices = Mapping[Run, tuple[str, float]]  # as `reproduce.launcher.cost.price` gives them


@dataclass
class Campaign:
    """Runs, and what is made of them."""

    runs: Sequence[Run]  # one that starts from another's checkpoint comes after it
    root: Path  # where they go
    finish: Callable[[Sequence[Run], Console], None]  # takes the finished runs: writes tables, pages, pictures
    console: Console = field(default_factory=lambda: Console(width=None if sys.stdout.isatty() else 160))

    def execute(self, options: Options) -> int:
        """Trains what is not finished and finishes; call it again to resume.

        Returns the exit status: 0, 1 (a run failed), 130 (stopped). Raises ValueError where a folder holds a run of
        other settings or such resources do not do, RuntimeError where Slurm is not there or refused.
        """
        from reproduce.launcher.cost import price

        self._check_settings()
        to_do = self._to_do()
        prices = {run: price(run, options.processes(run) * options.nodes) for run in self.runs}
        if options.dry_run or not options.cluster:
            self._show(prices)
        if options.dry_run:
            self._show_commands(to_do, options)
            return 0
        status = self._submit(to_do, options, prices) if options.cluster else self._launch(to_do, options)
        self._check_settings()  # what the parser reads otherwise than the plan writes it
        finished = [run for run in self.runs if run.state == FINISHED]
        if finished and status != 130:
            self.finish(finished, self.console)
        return status

    def _to_do(self) -> list[Run]:
        return [run for run in self.runs if run.state != FINISHED and not run.missing]

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def _check_settings(self) -> None:
        """ValueError if runs were made with other settings, with those of the first."""
        if outdated := [run for run in self.runs if run.state == OUTDATED]:
            differing = outdated[0].differing_settings((outdated[0].folder.read_record() or {})["config"])
            found = "; ".join(f"{name}: {there} there, {here} in the plan" for name, (there, here) in differing.items())
            folders = " ".join(str(run.folder.path) for run in outdated)
            raise ValueError(f"{outdated[0].name} was made with other settings ({found}); remove or move {folders}")

    def _show(self, prices: Prices, jobs: Mapping[Run, Job] | None = None) -> None:
        """What exists, what will run or is in the queue, how it is split, and for how long."""
        to_do = self._to_do()
        kind = "GPU" if any(run.on_gpu for run in self.runs) else "core"
        queued = f", {len(jobs)} in the queue" if jobs is not None else ""
        columns = ("run", "configuration", "CH", "micro x acc x devices", "iterations", f"{kind} hours", "state")
        table = Table(*columns, title=f"{len(self.runs)} run{'s' * (len(self.runs) != 1)}, {len(to_do)} to do{queued}")
        for run, (split, hours) in prices.items():
            job = (jobs or {}).get(run)
            state = f"job {job.id} {job.state.lower()}, iteration {run.iterations_done}" if job else run.state
            numbers = str(run.flat[CHANNELS]), split, f"{run.iterations:,}", f"{hours:,.2f}"
            table.add_row(run.name, " + ".join(run.configs), *numbers, state)
        self.console.print(table)
        rate = "an assumed rate" if kind == "GPU" else "measured rates, within a factor of two"
        self._say(
            f"To do: {sum(prices[run][1] for run in to_do):,.2f} {kind} hours, by FLOPs of networks and scores at "
            f"{rate}. Batch: micro-batch x accumulation x devices. Runs go to {self.root}."
        )

    def _show_commands(self, to_do: Sequence[Run], options: Options) -> None:
        if options.cluster:
            for processes, on_gpus in dict.fromkeys((options.processes(run), run.on_gpu) for run in to_do):
                self._say(f"# sbatch {sbatch_text(processes, on_gpus, options)}")
        for run in to_do:
            self._say(f"srgan fit {shlex.join(options.fit_options(run))}  # {run.name}: {run.state}")
        if to_do:
            self._say(f"Nothing was run; {PLAN} in the folder of each run has its settings.")

    def _launch(self, to_do: Sequence[Run], options: Options) -> int:
        gpus = count_gpus() if any(run.on_gpu for run in to_do) else 0
        if not gpus and any(run.on_gpu for run in to_do):
            raise ValueError(
                "Expected a GPU for these runs, found no CUDA device; DRY_RUN=1 shows the plan, CLUSTER=slurm submits."
            )
        try:
            failed = launch(to_do, options.jobs or gpus or usable_cores(), gpus, options, self.console)
        except Stopped:
            self._say("Stopped. Run the same command again to resume.")
            return 130
        self._say(f"{len(to_do) - len(failed)} of {len(to_do)} runs have finished.")
        return 1 if failed else 0

    def _submit(self, to_do: Sequence[Run], options: Options, prices: Prices) -> int:
        """Submits what is ready and not in the queue yet, and shows where everything stands."""
        queue, tried = Queue(self.root), set[Run]()
        while ready := [run for run in to_do if run.state != FINISHED and run.is_ready and run not in tried]:
            tried |= set(ready)
            jobs = queue.submit(ready, options)
            self._show(prices, jobs)
            ids = sorted({job.id.partition("_")[0] for job in jobs.values()})
            self._say(
                f"Watch: squeue --jobs {','.join(ids)}; log.txt in each run's folder. Stop: scancel {' '.join(ids)}. "
                "The same command shows where they are, submits what is missing, and reports on the finished ones."
            )
            if not options.wait:
                return 0
            try:
                wait(queue, ready)
            except KeyboardInterrupt:
                self._say("The jobs go on; the same command shows where they are.")
                return 130
        return 1 if any(run.state != FINISHED for run in to_do) else 0
