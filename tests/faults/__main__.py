"""`make fault-injection`: does all trials, prints what was wrong, writes the table into reliability.md."""

import math
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import torch

torch.set_num_threads(1)

from faults import flips, full_disk, inputs, kills, mistakes, overhead, power_loss  # noqa: E402
from faults.forks import Child  # noqa: E402
from faults.subject import Prepared, train, watch_writes  # noqa: E402
from faults.trials import Tally, Trial, World, run_trials  # noqa: E402
from srgan.utils.files import write_text  # noqa: E402
from srgan.utils.provenance import processor, usable_cores  # noqa: E402

PAGE = Path("docs/explanation/reliability.md")
BEGIN, END = "<!-- faults -->", "<!-- end of faults -->"
POWER_CUT, OVERHEAD = "power cut", "overhead"
PARTS: dict[str, dict[str, tuple[Trial, int]]] = {
    "killed": kills.TRIALS,
    "flipped bit": flips.TRIALS,
    "bad input": inputs.TRIALS | mistakes.TRIALS,
    "disk full": full_disk.TRIALS,
}


def main() -> int:
    seed, minutes = int(os.environ.get("SEED") or 0), float(os.environ.get("MINUTES") or 20)
    only = (os.environ.get("ONLY") or "").split()
    names = [*PARTS, POWER_CUT, OVERHEAD]
    if unknown := [one for one in only if not any(name.startswith(one) for name in names)]:
        print(f"Expected ONLY to begin names among {', '.join(names)}, found {', '.join(unknown)}.", file=sys.stderr)
        return 2
    chosen = [name for name in names if not only or name.startswith(tuple(only))]
    scale = float(os.environ.get("COUNTS") or 1)
    started = time.monotonic()
    Prepared()
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        os.environ["SRGAN_CACHE"] = f"{scratch}/cache"
        measuring = begin_overhead(Path(scratch)) if OVERHEAD in chosen else None
        world = make_world(Path(scratch))
        parts = dict(PARTS)
        if POWER_CUT in chosen:
            parts[POWER_CUT] = {"after each change of a file": (power_loss.cut_power, power_loss.make_states(world))}
        print(f"undisturbed: {world.cpu_seconds:.1f} s of computing, {len(world.writes)} changes of files", flush=True)
        tallies = {
            part: [
                Tally(f"{part}: {name}", trial, max(1, round(wanted * scale)))
                for name, (trial, wanted) in trials.items()
            ]
            for part, trials in parts.items()
            if part in chosen
        }
        flat = [tally for group in tallies.values() for tally in group]
        seconds = 60 * minutes - (time.monotonic() - started) - 45
        run_trials(flat, world, seed, int(os.environ.get("JOBS") or usable_cores()), seconds)
        if measuring:
            words = measuring.wait(seconds=90.0 if flat else 1800.0, cpu_seconds=math.inf).said.strip().splitlines()
            print(*words, sep="\n")
    table = as_table(tallies, seed, time.monotonic() - started)
    if measuring:
        table += f"\n\n{words[-1] if words else 'The overhead was not measured in that time.'}"
    print(table)
    if not only and scale >= 1:
        text = PAGE.read_text()
        before, _, rest = text.partition(BEGIN)
        write_text(PAGE, f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
    return int(any(tally.problems for tally in flat))


def begin_overhead(scratch: Path) -> Child:
    """Measures what it costs, in a process of its own, which trials run beside."""

    def action() -> int:
        print(overhead.measure(scratch / "overhead"))
        return 0

    return Child(action)


def make_world(scratch: Path) -> World:
    """The undisturbed run, and what it writes; twice, since the first also fills the cache."""
    for name in ("filling", "reference"):
        log = scratch / f"{name}.writes"

        def action(name: str = name, log: Path = log) -> int:
            kinds: list[str] = []
            watch_writes(scratch / name, lambda kind, event: kinds.append(kind))
            status = train(scratch / name)
            log.write_text("\n".join(kinds))
            return status

        seconds = [0.0]

        def watch(child: Child, seconds: list[float] = seconds) -> None:
            seconds.append(child.cpu_seconds)

        ended = Child(action).wait(watch=watch)
        if ended.status:
            raise SystemExit(f"Expected a run to disturb, found: {ended.said}")
    return World(scratch / "reference", max(seconds), log.read_text().splitlines(), scratch)


def as_table(tallies: dict[str, list[Tally]], seed: int, seconds: float) -> str:
    """Markdown."""
    lines = ["| fault | trials | outcome | failures |", "|---|---:|---|---:|"]
    for group in tallies.values():
        for tally in group:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.kinds.items()))
            kinds = kinds or ("" if tally.problems else "bit-for-bit identical")
            lines.append(f"| {tally.name} | {tally.count} | {kinds} | {len(tally.problems)} |")
    where = f"{processor()}, {usable_cores()} cores"
    return "\n".join(
        [f"`make fault-injection SEED={seed}` on {date.today()}, {seconds / 60:.0f} minutes, {where}:", "", *lines]
    )


if __name__ == "__main__":
    sys.exit(main())
