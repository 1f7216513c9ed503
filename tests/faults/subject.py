"""The run that trials disturb, what it writes and when, and whether another one is the same bit by bit."""

import gc
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_runs import assert_identical, assert_same_run

import srgan.callbacks.run_recorder
import srgan.cli.fit
from reproduce.plan.run import PLAN, Run
from srgan.cli.fit import RunCLI
from srgan.cli.main import main
from srgan.metrics.features import ClassifierFeatures
from srgan.runs.folder import RunFolder

SETTINGS = {
    "model.networks.class_path": "srgan.networks.DCGANPair",
    "data.init_args.image_size": 16, "data.init_args.batch_size": 2,
    "model.networks.init_args.generator_channels": 2, "model.networks.init_args.discriminator_channels": 2,
    "model.networks.init_args.latent_dim": 4, "model.n_dis": 1, "model.iterations": 10,
    "scores.every": 5, "scores.protocol.num_fake_images": 20, "scores.protocol.num_real_images": 20,
    "scores.protocol.batch_size": 20, "scores.final.num_fake_images": 40, "outputs.every": 5, "outputs.images": 8,
    "samples.every": 5, "samples.rows": 2, "spectra.every": 2, "losses.every": 1, "gradients.every": 5,
    "checkpoints.every": 3, "checkpoints.keep_every": 5,
}  # fmt: skip
KINDS = {
    "checkpoint": r"checkpoints/\.?(last|previous)\.ckpt",
    "kept checkpoint": r"checkpoints/\.?\d+\.ckpt",
    "history row": r"\.?\w+\.(jsonl|bin)|\.?(spectra|outputs)\.json",
    "samples": r"samples/",
    "final scores": r"\.?final\.json",
    "run.json": r"\.?run\.json",
    "other file": r"",
}
"""What a path inside a run folder belongs to: the first that its beginning fits."""


def run_of(folder: Path, **changes: Any) -> Run:
    """The run, in some folder."""
    return Run(name="faults", folder=RunFolder(folder), configs=("digits", "sr-d"), overrides=SETTINGS | changes)


def words_of(folder: Path, **changes: Any) -> list[str]:
    """The options of `srgan fit` that make it, typed one by one."""
    words = ["-c", "digits", "-c", "sr-d"]
    for name, value in (SETTINGS | changes).items():
        words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return [*words, "--run", str(folder)]


class Prepared:
    """Settings that were read and built once, before the fork; the command that a child types is the whole one."""

    def __init__(self) -> None:
        self.read = srgan.cli.fit.compose
        self.words = words_of(Path("RUN"))
        self.cli: RunCLI | None = self.read(self.words)
        assert self.cli is not None
        text = self.cli.parser.dump(self.cli.config, skip_none=False, skip_link_targets=False)
        vars(self.cli.parser)["dump"] = lambda *_, **__: text
        commit = srgan.callbacks.run_recorder.commit()
        srgan.callbacks.run_recorder.commit = lambda: commit
        srgan.cli.fit.compose = self.compose
        ClassifierFeatures.steps = 20  # it need not read well
        gc.collect()
        gc.freeze()  # else each child's first collection copies all memory

    def compose(self, arguments: list[str], cli: type[RunCLI] = RunCLI) -> RunCLI:
        """The prepared one for the command that it was prepared for, once in a process."""
        ours = self.cli
        plan = Path(arguments[-1])
        planned = len(arguments) == 2 and plan.name == PLAN
        if ours is None or not (planned or arguments[:-1] == self.words[:-1]):
            return self.read(arguments, cli)
        self.cli, ours.config["run"] = None, str(plan.parent) if planned else arguments[-1]
        return ours


def train(folder: Path, **changes: Any) -> int:
    """The command, the same whenever it is typed."""
    return main(["fit", *words_of(folder, **changes)])


def watch_writes(folder: Path, note: Callable[[str, str], None]) -> None:
    """Calls `note(kind, event)` right before each change of a file of a run in this process.

    Python tells of them: opening to write, renaming, linking, removing, cutting, making folders.
    """
    root = os.fspath(folder.absolute()) + os.sep

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.link", "os.remove", "os.truncate", "os.mkdir"):
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = arguments[1] if event in ("os.rename", "os.link") else arguments[0]
        if isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(root):  # noqa: PTH100
            inside = os.path.abspath(path)[len(root) :]  # noqa: PTH100
            note(next(kind for kind, pattern in KINDS.items() if re.match(pattern, inside)), event)

    sys.addaudithook(hear)


def differences(folder: Path, reference: Path) -> str | None:
    """How a finished run differs from the undisturbed one; None if it is the same bit by bit."""
    ours, theirs = RunFolder(folder), RunFolder(reference)
    try:
        assert_same_run(ours, theirs)
        for name in ("final.json", "protocol.json", "config.yaml"):
            assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
        for number, picture in theirs.read_samples().items():
            assert ours.read_samples()[number].read_bytes() == picture.read_bytes(), picture.name
        records = [run.read_record() or {} for run in (ours, theirs)]
        for key in ("status", "missing", "reported", "verdicts", "config", "seed"):
            assert_identical(records[0][key], records[1][key], key)
        left = [path.name for path in folder.rglob(".*")]
        assert not left, f"leftovers {left}"
    except (AssertionError, OSError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return None


def end_here(number: int = signal.SIGKILL) -> None:
    """This process gets a signal, now."""
    os.kill(os.getpid(), number)
