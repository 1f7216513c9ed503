"""How soon the command line answers: `srgan --help`, and a run of scale mini until its first iteration is done.

`python -m bench.startup` prints and writes bench/results/startup.json. Each time a fresh process, in turns; the run is
told apart by its `progress.json`, which it writes after its first iteration. The first round fills the cache (files of
Python, the classifier of the scores) and does not count, but is reported.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.measure import environment, in_turns, write_result
from bench.worker import REPOSITORY

REPETITIONS = 5
SECONDS_BETWEEN_LOOKS = 0.005
SRGAN = [sys.executable, "-m", "srgan"]
SETTINGS = ["-c", "configs/mini.yaml", "-c", "configs/sn.yaml"]


def help_seconds() -> float:
    """Until `srgan --help` has ended."""
    start = time.perf_counter()
    subprocess.run([*SRGAN, "--help"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def first_iteration_seconds(folder: Path, threads: int) -> float:
    """From the command until `srgan fit` has done an iteration of mini; then the run is ended.

    Raises:
        RuntimeError: the run ended before.
    """
    with tempfile.TemporaryDirectory(dir=folder) as run:
        environment = os.environ | {"SRGAN_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": str(threads)}
        start = time.perf_counter()
        process = subprocess.Popen([*SRGAN, "fit", *SETTINGS, "--run", run], cwd=REPOSITORY, env=environment)
        try:
            while not (Path(run) / "progress.json").exists():
                if process.poll() is not None:
                    raise RuntimeError(f"Expected a run of mini, found that it ended with status {process.returncode}.")
                time.sleep(SECONDS_BETWEEN_LOOKS)
            return time.perf_counter() - start
        finally:
            process.kill()
            process.wait()


def main() -> None:
    """Measures both."""
    parser = argparse.ArgumentParser(prog="python -m bench.startup", description="How soon the command line answers.")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--threads", type=int, default=1, help="of the run; the reproduction takes one")
    options = parser.parse_args()
    result = environment(options.threads) | {"repetitions": options.repetitions}
    with tempfile.TemporaryDirectory() as folder:
        acts: dict[str, Callable[[], float]] = {
            "help": help_seconds,
            "first iteration of mini": partial(first_iteration_seconds, Path(folder), options.threads),
        }
        found = in_turns(acts, 1 + options.repetitions, warm_ups=0)
    result["seconds"] = {name: statistics.median(values[1:]) for name, values in found.items()}
    result["first_time_seconds"] = {name: values[0] for name, values in found.items()}
    for name, seconds in result["seconds"].items():
        print(f"{name:>24} {seconds:6.2f} s (the first time {result['first_time_seconds'][name]:.2f} s)")
    write_result("startup", result)


if __name__ == "__main__":
    main()
