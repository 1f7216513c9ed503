"""Runs as jobs of a Slurm cluster: submitted once, stopped with their state saved, requeued, resumed."""

import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from reproduce.launcher.local import Display
from reproduce.launcher.options import Options
from reproduce.plan.run import REPOSITORY, Run
from srgan.utils.files import write_json

POLL_SECONDS = 10.0
SECONDS_TO_SAVE = 600  # before the time limit; an evaluation may have to end first
MOST_TIMEOUTS = 1_000  # a run goes on for as many jobs of HOURS as it needs


@dataclass(frozen=True)
class FitJob:
    """`srgan fit` as submitit calls it, once in each process (Slurm: task) of a job, and again after a requeue."""

    options: list[str]  # of `srgan fit`
    log: Path  # takes what the first process prints

    def __call__(self) -> None:
        """Trains or resumes, in this process, so that a signal of Slurm's reaches training itself.

        Stopped by a signal, the run has saved its state, and the job goes back to the queue, unless Slurm ends it for
        good (scancel) or requeues it by itself. RuntimeError: `srgan fit` refused its settings; the log says why.
        """
        from submitit import JobEnvironment

        from srgan.cli.fit import main

        environment, number = JobEnvironment(), signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
        requeue = signal.getsignal(number)  # submitit's: writes down `checkpoint()`, asks Slurm, exits
        assert callable(requeue)
        if environment.global_rank == 0:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as file:
                for descriptor in (1, 2):
                    os.dup2(file.fileno(), descriptor)
        status = main(self.options)
        if 0 < status <= 128:
            raise RuntimeError(f"Expected exit status 0 of srgan fit, found {status}. See {self.log}.")
        running = ("squeue", "--noheader", "--jobs", environment.raw_job_id, "--format=%T")  # not if Slurm ends it
        if status and environment.global_rank == 0 and _slurm(*running).strip() == "RUNNING":
            requeue(number, None)

    def checkpoint(self) -> Any:
        """What the requeued job does: the same, since the same command resumes."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class Job(NamedTuple):
    id: str  # "12_3": the third of array 12
    state: str  # in Slurm's words


class Queue:
    """The jobs of the runs in a folder that all nodes see; its `slurm/jobs.json` keeps what was submitted."""

    def __init__(self, root: Path) -> None:
        if shutil.which("sbatch") is None:
            raise RuntimeError("Expected Slurm's commands, found no sbatch. Type this on a login node of the cluster.")
        if find_spec("submitit") is None:
            raise RuntimeError("CLUSTER=slurm needs submitit, which is not installed: pip install 'submitit>=1.5'.")
        self.folder = root.resolve() / "slurm"
        self.record = self.folder / "jobs.json"

    def _submitted(self) -> dict[str, list[str]]:
        """Name of each array -> folders of its runs."""
        return json.loads(self.record.read_text(encoding="utf-8")) if self.record.exists() else {}

    def jobs(self) -> dict[str, Job]:
        """Waiting and running jobs, by the folder of their run."""
        submitted, found = self._submitted(), dict[str, Job]()
        listed = _slurm("squeue", "--me", "--noheader", "--array", "--format=%K|%i|%T|%j") if submitted else ""
        for line in listed.splitlines():
            index, job_id, state, name = line.strip().split("|", 3)  # others' names may have a | in them
            if name in submitted:
                found[submitted[name][int(index) if index.isdigit() else 0]] = Job(job_id, state)
        return found

    def submit(self, runs: Sequence[Run], options: Options) -> dict[Run, Job]:
        """Submits runs that are not in the queue yet, an array for each number and kind of devices; all runs' jobs."""
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError

        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            queued = self.jobs()
            arrays: dict[tuple[int, bool], list[Run]] = {}
            for run in [run for run in runs if _key(run) not in queued]:
                arrays.setdefault((options.processes(run), run.on_gpu), []).append(run)
            for (processes, on_gpus), members in arrays.items():
                # Names are written down before Slurm hears of them: no interruption loses a job.
                name = f"srgan-{uuid.uuid4().hex[:8]}"
                write_json(self.record, self._submitted() | {name: [_key(run) for run in members]})
                executor = SlurmExecutor(self.folder, max_num_timeout=MOST_TIMEOUTS)
                executor.update_parameters(**sbatch_parameters(name, processes, on_gpus, options))
                try:
                    with executor.batch():
                        for run in members:
                            executor.submit(FitJob(options.fit_options(run), run.folder.path.resolve() / "log.txt"))
                except FailedJobError as error:
                    raise RuntimeError(f"Slurm refused the jobs: {error}") from error
            queued = self.jobs()
        return {run: queued[_key(run)] for run in runs if _key(run) in queued}


def sbatch_parameters(name: str, processes: int, on_gpus: bool, options: Options) -> dict[str, Any]:
    """What submitit writes into the script of an array."""
    minutes = max(1, round(60 * options.hours))
    further = {"partition": options.partition} if options.partition else {}
    further |= {key.replace("-", "_"): value for key, value in options.sbatch.items()}
    return {
        "job_name": name,
        "time": minutes,
        "nodes": options.nodes,
        "ntasks_per_node": processes,
        "cpus_per_task": options.cpus or (8 if on_gpus else 1),
        "signal_delay_s": min(SECONDS_TO_SAVE, 30 * minutes),
        "setup": ["export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"],
        # --requeue: a job that dies with its node, or is pre-empted without a signal, starts again.
        "additional_parameters": {"requeue": True, "chdir": str(REPOSITORY)} | further,
        **({"gpus_per_node": processes} if on_gpus else {}),
        **({"array_parallelism": options.jobs} if options.jobs else {}),
    }


def sbatch_text(processes: int, on_gpus: bool, options: Options) -> str:
    parameters = sbatch_parameters("", processes, on_gpus, options)
    names = ("time", "nodes", "ntasks_per_node", "cpus_per_task", "gpus_per_node")
    shown = {name: parameters[name] for name in names if name in parameters} | parameters["additional_parameters"]
    flags = {f"--{name.replace('_', '-')}": value for name, value in shown.items() if name != "chdir"}
    return " ".join(flag if value is True else f"{flag}={value}" for flag, value in flags.items())


def wait(queue: Queue, runs: Sequence[Run]) -> None:
    """Shows progress until no run is waiting or running; Ctrl-C ends the showing, not the jobs."""
    with Display(runs) as display:
        while queued := [run for run in runs if _key(run) in (jobs := queue.jobs())]:
            running = [run for run in queued if jobs[_key(run)].state == "RUNNING"]
            display.show(running, [run for run in runs if run not in queued])
            time.sleep(POLL_SECONDS)


def _key(run: Run) -> str:
    return str(run.folder.path.resolve())


def _slurm(*command: str) -> str:
    """Output of one of Slurm's commands; RuntimeError if it failed."""
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        answer = finished.stderr.strip() or finished.stdout.strip()
        raise RuntimeError(f"Expected {command[0]} to succeed, found: {answer}")
    return finished.stdout
