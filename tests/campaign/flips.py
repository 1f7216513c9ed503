"""Flipped bits in what a run reads again: told, or without effect."""

import random
import shutil
from pathlib import Path

from campaign.forks import Child
from campaign.subject import differences, train
from campaign.trials import Attempt, Outcome, Trial
from srgan.runs import RunFolder

NOTICES = ("Goes on from", "is damaged and is made anew", "found none that is sound")


def flip_in_run(names: str) -> Trial:
    """A bit of one of the files of a run that was cut: it goes on to the same bits, or refuses."""

    def trial(attempt: Attempt) -> Outcome:
        world, draw, folder, _ = attempt
        shutil.copytree(world.reference, folder)
        run = RunFolder(folder)
        run.final.unlink()
        run.record.write_text(run.record.read_text().replace('"finished"', '"running"'))
        flip(draw.choice(sorted(folder.glob(names))), draw)
        ended = Child(lambda: train(folder)).wait()
        told = any(notice in ended.said for notice in NOTICES)
        if ended.problem or ended.status not in (0, 2) or (ended.status == 2 and not told):
            return Outcome(1, ended.problem or f"exit status {ended.status}: {ended.said}")
        if ended.status == 2:
            return Outcome(1, None, ("refused",))
        return Outcome(1, differences(folder, world.reference), ("detected" if told else "harmless",))

    return trial


def flip_in_cache(names: str) -> Trial:
    """A bit of a file of the cache: made anew, and the scores are the same."""

    def trial(attempt: Attempt) -> Outcome:
        world, draw, folder, _ = attempt
        import os

        cache = folder.with_name("cache")
        shutil.copytree(os.environ["SRGAN_CACHE"], cache)
        os.environ["SRGAN_CACHE"] = str(cache)
        shutil.copytree(world.reference, folder)
        run = RunFolder(folder)
        run.final.unlink()
        run.record.write_text(run.record.read_text().replace('"finished"', '"running"'))
        flip(draw.choice(sorted(cache.glob(names))), draw)
        ended = Child(lambda: train(folder)).wait()
        if ended.problem or ended.status:
            return Outcome(1, ended.problem or f"exit status {ended.status}: {ended.said}")
        told = any(notice in ended.said for notice in NOTICES)
        return Outcome(1, differences(folder, world.reference), ("detected" if told else "harmless",))

    return trial


def flip(path: Path, draw: random.Random) -> None:
    """One bit of a file; other names of the same file keep theirs."""
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.unlink()
    path.write_bytes(content)


TRIALS = {
    "last checkpoint": (flip_in_run("checkpoints/last.ckpt"), 80),
    "histories": (flip_in_run("*.[jb][si][on]*l*"), 40),
    "statistics of real images": (flip_in_cache("real-statistics/*.crc"), 40),
    "classifier": (flip_in_cache("classifiers/*.crc"), 10),
}
