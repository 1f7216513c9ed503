"""`python -m bench` runs the benchmarks one after the other, then writes docs/speed.md: what `make bench` does."""

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from bench.harness import environment
from bench.page import BENCHMARKS, PAGE, RESULTS, page, read_results
from srgan.utils.files import write_json, write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 if a benchmark failed, 2 for an unknown one."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="names of benchmarks (default: all)")
    parser.add_argument("--page", action="store_true", help="measure nothing, write docs/speed.md anew")
    options = parser.parse_args(arguments)
    names = options.only.split() or BENCHMARKS
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        print(f"bench: expected names of {', '.join(BENCHMARKS)}; found {', '.join(unknown)}.", file=sys.stderr)
        return 2
    failed = []
    for name in [] if options.page else names:
        print(f"{name} ...", flush=True)
        try:
            result = environment() | {"tables": import_module(f"bench.{name}").measure()}
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            write_json(RESULTS / f"{name}.json", result)
    write_text(PAGE, page(read_results(RESULTS)))
    print(f"{PAGE} is written." + (f" Failed: {', '.join(failed)}." if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
