"""`make gpu-check`: whether srgan is right and how fast it is on this GPU, without a download.

Parts come in order of value. Each is by itself: one that fails costs no other, and results are on the disk after each.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Any

import torch

from bench import gpu_correct, gpu_speed
from bench.gpu_setup import Setup, tiny
from bench.harness import Tables
from bench.page import table
from bench.worker import REPOSITORY
from srgan.utils.files import write_json, write_text
from srgan.utils.provenance import commit, now

PARTS: dict[str, Callable[[Setup], Tables]] = {
    "machine": gpu_correct.machine,
    "scores": gpu_correct.scores,
    "updates": gpu_correct.updates,
    "waits": gpu_correct.waits,
    "same bits": gpu_correct.same_bits,
    "whole runs": gpu_speed.whole_runs,
    "speed": gpu_speed.speed,
    "busy": gpu_speed.busy,
    "regularization": gpu_speed.regularization,
    "data": gpu_speed.data,
    "imagenet": gpu_speed.imagenet,
    "several GPUs": gpu_speed.several_gpus,
    "compiled": gpu_speed.compiled,
}
FOLDER = REPOSITORY / "build" / "gpu-check"


def measure(part: Callable[[Setup], Tables], setup: Setup) -> dict[str, Any]:
    """A part's tables or its failure, and its seconds."""
    started = time.perf_counter()
    try:
        found: dict[str, Any] = {"tables": part(setup)}
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return found | {"seconds": round(time.perf_counter() - started, 1)}


def page(results: Mapping[str, Any]) -> str:
    """Everything that was found, as Markdown."""
    where = f"{results['started']}, commit {results['commit'] or 'unknown'}, on {results['device']}."
    lines = ["# GPU check", "", where, ""]
    if results["device"] == "cpu":
        lines += ["**A trial without a GPU**: what is said of one below was computed on the CPU.", ""]
    for name, found in results["parts"].items():
        lines += [f"## {name[0].upper()}{name[1:]}", "", cleandoc(PARTS[name].__doc__ or ""), ""]
        lines += [f"{found['seconds']} s.", ""]
        if "error" in found:
            lines += [f"**Failed**: {found['error']}", "", "```text", found["traceback"].rstrip(), "```", ""]
        for caption, rows in found.get("tables", {}).items():
            lines += [f"**{caption}**", ""] if caption else []
            lines += table(rows) if rows else ["Not on this machine.", ""]
    return "\n".join(lines).rstrip() + "\n"


def check(setup: Setup, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Runs parts and writes `gpu-check.json` and `gpu-check.md` after each."""
    results: dict[str, Any] = {"started": now(), "commit": commit(), "device": str(setup.device), "parts": {}}
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        print(f"{name} ...", flush=True)
        results["parts"][name] = found = measure(PARTS[name], setup)
        print(f"{name}: {found.get('error', 'done')}, {found['seconds']} s", flush=True)
        write_json(folder / "gpu-check.json", results)
        write_text(folder / "gpu-check.md", page(results))
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 if a part failed, 2 where there is no such device or part."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu_check", description=__doc__)
    parser.add_argument("--only", default="", help=f"names of parts, with commas (default: all): {', '.join(PARTS)}")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--tiny", action="store_true", help="nets and counts so small that a CPU takes a minute")
    parser.add_argument("--out", type=Path, default=FOLDER, help=f"folder of the results (default: {FOLDER})")
    parser.add_argument("--iterations-only", action="store_true", help="print iterations per second of A_64-128")
    options = parser.parse_args(arguments)
    names = [name.strip() for name in options.only.split(",") if name.strip()] or list(PARTS)
    if unknown := sorted(set(names) - set(PARTS)):
        print(f"gpu-check: expected parts of {', '.join(PARTS)}; found {', '.join(unknown)}.", file=sys.stderr)
        return 2
    if options.device == "cuda" and not torch.cuda.is_available():
        print("gpu-check: expected a CUDA GPU, found none. To try it on a CPU: --device cpu --tiny.", file=sys.stderr)
        return 2
    device = torch.device(options.device)
    setup = tiny(device) if options.tiny else Setup(device)
    if options.iterations_only:
        print(gpu_speed.timed(setup)["it/s"])
        return 0
    results = check(setup, names, options.out)
    print(f"{options.out / 'gpu-check.md'} is written.")
    return int(any("error" in found for found in results["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
