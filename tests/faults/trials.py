"""What a trial is, and how hundreds of them share the time."""

import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from faults.forks import Child


@dataclass(frozen=True)
class World:
    """What all trials share.

    Attributes:
        reference: the undisturbed run.
        cpu_seconds: that the undisturbed run computed for.
        writes: kinds of its changes of files, one after the other.
        scratch: folder for what trials need.
    """

    reference: Path
    cpu_seconds: float
    writes: list[str]
    scratch: Path


class Outcome(NamedTuple):
    """Of a trial: how many disturbances it tried, what was wrong, and words that are counted (e.g. "detected")."""

    tried: int
    problem: str | None = None
    kinds: tuple[str, ...] = ()


class Attempt(NamedTuple):
    """What one trial gets.

    Attributes:
        world: what all trials share.
        draw: of its own.
        folder: for its run; its own, and not there yet.
        number: of the trial among those of its name, from 0.
    """

    world: World
    draw: random.Random
    folder: Path
    number: int


Trial = Callable[[Attempt], Outcome]


class Tally:
    """Outcomes of the trials of one name."""

    def __init__(self, name: str, trial: Trial, wanted: int) -> None:
        self.name, self.trial, self.wanted = name, trial, wanted
        self.started = self.ended = self.count = 0
        self.problems: list[str] = []
        self.kinds: dict[str, int] = {}

    @property
    def share(self) -> float:
        """How much of what is wanted is there, with what trials under way may bring."""
        return (self.count + self.started * max(1.0, self.mean)) / self.wanted

    @property
    def mean(self) -> float:
        """Disturbances of a trial that has ended."""
        return self.count / self.ended if self.ended else 1.0

    def take(self, outcome: Outcome) -> None:
        self.started -= 1
        self.ended += 1
        self.count += outcome.tried
        for kind in outcome.kinds:
            self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if outcome.problem:
            self.problems.append(outcome.problem)
            print(f"{self.name}: {outcome.problem}\n", flush=True)


def run_trials(tallies: Sequence[Tally], world: World, seed: int, jobs: int, seconds: float) -> None:
    """Does trials, always of the name that is furthest behind, until all are there or the time is up.

    Args:
        tallies: filled.
        world: what trials share.
        seed: of all draws.
        jobs: trials at a time, each in a process of its own.
        seconds: after which no trial starts.
    """
    deadline = time.monotonic() + seconds
    active: dict[Child, tuple[Tally, Path]] = {}
    numbers = {tally.name: 0 for tally in tallies}
    while tallies:
        behind = min(tallies, key=lambda tally: tally.share)
        if behind.share < 1 and len(active) < jobs and time.monotonic() < deadline:
            number = numbers[behind.name]
            numbers[behind.name] += 1
            behind.started += 1
            folder = world.scratch / f"{tallies.index(behind)}-{number}"
            active[_begin(behind, world, seed, number, folder)] = (behind, folder)
            continue
        if not active:
            return
        for child in [child for child in active if child.poll() is not None]:
            tally, folder = active.pop(child)
            tally.take(_outcome(child, folder))
            shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.01)


def _begin(tally: Tally, world: World, seed: int, number: int, folder: Path) -> Child:
    def action() -> int:
        folder.mkdir()
        draw = random.Random(f"{seed} {tally.name} {number}")
        outcome = tally.trial(Attempt(world, draw, folder / "run", number))
        (folder / "outcome.json").write_text(json.dumps(outcome))
        return 0

    return Child(action)


def _outcome(child: Child, folder: Path) -> Outcome:
    try:
        count, problem, kinds = json.loads((folder / "outcome.json").read_text())
        return Outcome(count, problem, tuple(kinds))
    except (OSError, ValueError):
        return Outcome(0, f"the trial itself failed: {child.said.decode(errors='replace')[-1500:]}")
