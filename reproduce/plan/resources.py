"""What runs get: cores and GPUs of this machine, or nodes of a cluster."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reproduce.plan.run import Run
from srgan.utils.provenance import usable_cores


@dataclass(frozen=True)
class Resources:
    """How an experiment is carried out."""

    jobs: int = 0  # runs at a time; 0: as many as there are GPUs, else cores; on a cluster: no limit
    gpus: int = 0  # processes of each run (on each node), one GPU each; 0: as many as the run says
    cluster: str = ""  # "slurm", or "" for this machine
    nodes: int = 1  # machines of each run
    cpus: int = 0  # of each process on a cluster; 0: 8 beside a GPU, else 1
    hours: float = 24.0  # limit of one job on a cluster; a run that needs longer is saved, requeued, and goes on
    sbatch: Mapping[str, str | bool] = field(default_factory=dict)  # further options, e.g. {"mem": "64G"}
    wait: bool = False  # whether to show progress until all jobs on a cluster have ended
    dry_run: bool = False  # whether to show plan and commands alone

    def processes(self, run: Run) -> int:
        """Processes (Slurm: tasks) of a run on each node.

        Raises:
            ValueError: the run's number of devices does not share out evenly.
        """
        if not self.gpus and run.devices % self.nodes:
            raise ValueError(
                f"Expected NODES that divide the devices of {run.name}, {run.devices}, found {self.nodes}. "
                "Set NODES, or GPUS for so many on each node."
            )
        return self.gpus or run.devices // self.nodes

    def fit_options(self, run: Run) -> list[str]:
        """Options of `srgan fit` for a run on these, after writing its plan."""
        return run.write_plan(self.processes(run), self.nodes)


def count_gpus() -> int:
    """CUDA devices of this machine."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def check_gpus(needs: Mapping[Run, int], gpus: int) -> None:
    """Checks that each run's processes find a GPU each; on the CPU (`gpus` 0) all do.

    Raises:
        ValueError: they do not.
    """
    largest = max(needs.values(), default=0)
    if gpus and largest > gpus:
        names = ", ".join(run.name for run, need in needs.items() if need > gpus)
        raise ValueError(
            f"Expected {largest} GPUs, found {gpus}, for: {names}. Set GPUS={gpus} to train each run on so many "
            "with more accumulation, choose other rows by SETTINGS, or submit to a cluster: CLUSTER=slurm."
        )


def choose_gpus(need: int, taken: Iterable[Sequence[int]], gpus: int, jobs: int) -> list[int] | None:
    """Which GPUs the next run gets: the least busy; None while too few are free, [] on the CPU (`gpus` 0).

    More runs at a time (`jobs`) than there are GPUs share them evenly; `taken` are those of the active runs.
    """
    if not gpus:
        return []
    load = Counter(gpu for some in taken for gpu in some)
    free = sorted((gpu for gpu in range(gpus) if load[gpu] < math.ceil(jobs / gpus)), key=lambda gpu: load[gpu])
    return free[:need] if len(free) >= need else None


def threads_of_each(needs: Sequence[int], gpus: int, jobs: int) -> int:
    """CPU threads of each process: an even share of the cores beside GPUs, else one, so that results do not vary."""
    if not gpus:
        return 1
    processes = min(sum(sorted(needs, reverse=True)[:jobs]), gpus * math.ceil(jobs / gpus))
    return max(1, usable_cores() // max(1, processes))
