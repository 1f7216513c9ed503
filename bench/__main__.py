"""`python -m bench` runs the benchmarks one after the other, then writes docs/speed.md: what `make bench` does."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from bench.benchmarks import BENCHMARKS, Benchmark
from bench.worker import REPOSITORY

CHROMIUM = "/usr/bin/chromium"


def cannot_run(benchmark: Benchmark, images: str) -> str | None:
    """Why a benchmark is left out; None if it can run."""
    if benchmark.photographs and not images:
        return "name an uncompressed tar of photographs: make bench IMAGES=photographs.tar"
    if benchmark.name == "report" and not (find_spec("playwright") and os.access(CHROMIUM, os.X_OK)):
        return f"it needs playwright and {CHROMIUM}"
    return None


def run(benchmark: Benchmark, images: str) -> int:
    """The exit status of its process."""
    photographs = ["--images", images] if benchmark.photographs else []
    print(f"\n{benchmark.name}: {benchmark.title}", flush=True)
    command = [sys.executable, "-W", "ignore", *benchmark.options, *photographs]
    return subprocess.run(command, cwd=REPOSITORY, env=os.environ | benchmark.environment).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 if a benchmark failed, 2 for an unknown one."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="names of benchmarks (default: all)")
    parser.add_argument("--images", default="", help="a tar of photographs, for the benchmark 'data'")
    options = parser.parse_args(arguments)
    names = options.only.split() or [benchmark.name for benchmark in BENCHMARKS]
    if unknown := set(names) - {benchmark.name for benchmark in BENCHMARKS}:
        known = ", ".join(benchmark.name for benchmark in BENCHMARKS)
        print(f"bench: expected names of {known}; found {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    failed = []
    for benchmark in BENCHMARKS:
        if benchmark.name not in names:
            continue
        if reason := cannot_run(benchmark, options.images):
            print(f"\n{benchmark.name} is left out: {reason}", flush=True)
        elif run(benchmark, options.images):
            failed.append(benchmark.name)
    subprocess.run([sys.executable, "-m", "bench.table"], cwd=REPOSITORY, check=True)
    if failed:
        print(f"bench: failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
