"""Flipped bits in what a run reads again: told, or without effect."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
from tiny_runs import assert_identical

from faults.forks import Child, Ended
from faults.subject import differences, train
from faults.trials import Attempt, Outcome, Trial
from srgan.checkpoints.reading import read_file
from srgan.checkpoints.resume import find_resume_point
from srgan.runs.folder import RunFolder
from srgan.utils.files import read_cached

NOTICES = ("Resuming from", "is damaged and will be recreated", "found none that is sound")
FLIPS_IN_A_TRIAL = 10
"""All are judged by what reads the file; the last one also by the command, to its end."""


def flip_in_run(names: str) -> Trial:
    """A bit of one of the files of a run that was cut: it goes on to the same bits, or refuses."""

    def trial(attempt: Attempt) -> Outcome:
        folder = attempt.folder
        run = cut_run(attempt)
        sound = read_file(run.checkpoint)
        kinds: list[str] = []
        for number in range(FLIPS_IN_A_TRIAL):
            path = attempt.draw.choice(sorted(folder.glob(names)))
            content = path.read_bytes()
            flip(path, attempt.draw)
            try:
                point = find_resume_point(run)
                detected = point is None or point.checkpoint != run.checkpoint
            except ValueError:
                detected = True
            if not detected and path == run.checkpoint:
                try:
                    assert_identical(read_file(path), sound)
                except AssertionError as error:
                    return Outcome(number + 1, f"a flipped bit of {path.name} was taken for sound: {error}")
            elif not detected:
                return Outcome(number + 1, f"a flipped bit of {path.name} was not told")
            if number + 1 < FLIPS_IN_A_TRIAL:
                kinds.append("detected" if detected else "harmless")
                path.write_bytes(content)
        ended = Child(lambda: train(folder)).wait()
        return judged(attempt, ended, kinds)

    return trial


def flip_in_cache(names: str) -> Trial:
    """A bit of a file of the cache: made anew, and the scores are the same."""

    def trial(attempt: Attempt) -> Outcome:
        cache = attempt.folder.with_name("cache")
        shutil.copytree(os.environ["SRGAN_CACHE"], cache)
        os.environ["SRGAN_CACHE"] = str(cache)
        cut_run(attempt)
        kinds: list[str] = []
        for number in range(FLIPS_IN_A_TRIAL):
            path = attempt.draw.choice(sorted(cache.glob(names)))
            content, arrays = path.read_bytes(), np.load(path).files
            sound = read_cached(path, *arrays)
            flip(path, attempt.draw)
            found = read_cached(path, *arrays)
            if found is not None:  # no bit of a value: they are under checksums
                try:
                    np.testing.assert_equal(found, sound)
                except AssertionError as error:
                    return Outcome(number + 1, f"a flipped bit of {path.name} was taken for sound: {error}")
            if number + 1 < FLIPS_IN_A_TRIAL:
                kinds.append("detected" if found is None else "harmless")
                path.write_bytes(content)
        return judged(attempt, Child(lambda: train(attempt.folder)).wait(), kinds)

    return trial


def cut_run(attempt: Attempt) -> RunFolder:
    """A copy of the undisturbed run that lacks its final scores."""
    run = RunFolder(shutil.copytree(attempt.world.reference, attempt.folder))
    run.final.unlink()
    run.record.write_text(run.record.read_text().replace('"finished"', '"running"'))
    return run


def judged(attempt: Attempt, ended: Ended, kinds: list[str]) -> Outcome:
    """By what the command made of the last flip."""
    told = any(notice in ended.said for notice in NOTICES)
    problem = ended.problem
    if not problem and (ended.status not in (0, 2) or (ended.status == 2 and not told)):
        problem = f"exit status {ended.status}: {ended.said}"
    if not problem and ended.status == 0:
        problem = differences(attempt.folder, attempt.world.reference)
    last = "refused" if ended.status == 2 else "detected" if told else "harmless"
    return Outcome(FLIPS_IN_A_TRIAL, problem, (*kinds, last))


def flip(path: Path, draw: random.Random) -> None:
    """One bit of a file; other names of the same file keep theirs."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.unlink()
    path.write_bytes(content)


TRIALS = {
    "last checkpoint": (flip_in_run("checkpoints/last.ckpt"), 120),
    "histories": (flip_in_run("[glos]*.[jb]*"), 40),
    "statistics of real images": (flip_in_cache("real-statistics/*.npz"), 40),
    "classifier": (flip_in_cache("classifiers/*.npz"), 20),
}
