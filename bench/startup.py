"""Start-up.

From the command, fresh processes of one thread, in turns; medians of five. A run of mini has done its first iteration
when its `progress.json` is there. The first time of all fills the cache (the classifier of the scores).
"""

import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.harness import Tables, in_turns, seconds_of
from bench.worker import start

REPETITIONS = 5
FIT = ["srgan", "fit", "-c", "digits", "-c", "mini", "-c", "sn"]


def ask_for_help() -> None:
    """`srgan --help`, until it has ended."""
    assert start(["srgan", "--help"], 1, stdout=subprocess.DEVNULL).wait() == 0


def first_iteration_seconds(folder: Path) -> float:
    """From the command until `srgan fit` has done an iteration of mini; then the run is ended."""
    with tempfile.TemporaryDirectory(dir=folder) as run:
        started = time.perf_counter()
        process = start([*FIT, "--run", run], 1, env={"SRGAN_CACHE": str(folder / "cache")})
        try:
            while not (Path(run) / "progress.json").exists():
                if process.poll() is not None:
                    raise RuntimeError(f"Expected a run of mini, found that it ended with status {process.returncode}.")
                time.sleep(0.005)
            return time.perf_counter() - started
        finally:
            process.kill()
            process.wait()


def measure() -> Tables:
    """Both."""
    with tempfile.TemporaryDirectory() as folder:
        first_iteration = partial(first_iteration_seconds, Path(folder))
        acts = {"help": partial(seconds_of, ask_for_help), "first iteration of mini": first_iteration}
        found = in_turns(acts, 1 + REPETITIONS, warm_ups=0)
    return {
        "": [
            {"until the end of": name, "s": statistics.median(values[1:]), "the first time, s": values[0]}
            for name, values in found.items()
        ]
    }
