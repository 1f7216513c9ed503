"""The list of benchmarks: the order in which `make bench` runs them, and docs/speed.md shows them."""

from typing import NamedTuple


class Benchmark(NamedTuple):
    """A script `bench/<name>.py` that writes `bench/results/<name>.json`.

    Attributes:
        name: of both files.
        title: its section's.
        threads: of PyTorch, where the script has no say of its own; None: it has.
        photographs: whether it reads a tar of them, which somebody has to name.
    """

    name: str
    title: str
    threads: int | None = None
    photographs: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """What its process needs to be told besides."""
        return {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}

    @property
    def options(self) -> list[str]:
        """Of the script, without what somebody has to name."""
        return ["-m", f"bench.{self.name}"]

    @property
    def command(self) -> str:
        """What to type."""
        return f'make bench ONLY="{self.name}"' + (" IMAGES=photographs.tar" if self.photographs else "")


BENCHMARKS = [
    Benchmark("spectral", "Spectral regularization"),
    Benchmark("step", "A training iteration beside its peers'"),
    Benchmark("limit", "The share of the machine's convolution rate"),
    Benchmark("scaling", "Processes and micro-batches"),
    Benchmark("growth", "Growth with the batch and with the channels"),
    Benchmark("startup", "Start-up"),
    Benchmark("tracking", "Recording and logging", threads=1),
    Benchmark("scoring", "Scoring"),
    Benchmark("loading", "Images from memory and from disk"),
    Benchmark("data", "Formats for ImageNet-128", threads=1, photographs=True),
    Benchmark("report", "The report page"),
]
