"""The options of all experiments: the Makefile's variables, or the command line's words of the same names."""

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from reproduce.plan.resources import Resources, count_gpus
from reproduce.plan.run import IMAGES, REPOSITORY
from reproduce.plan.settings import METHODS, SETTINGS

Options = argparse.Namespace


def read(
    arguments: Sequence[str] | None,
    description: str | None,
    names: str,
    detect: Callable[[Options], str] | None = None,
) -> Options:
    """What was asked for. Empty text means the default.

    Args:
        arguments: words such as "--jobs", "2"; None: the process's. What they leave out comes from the
            environment, into which the Makefile puts its variables: JOBS.
        description: of the command.
        names: options that it takes.
        detect: decides on SCALE=auto; None: paper on a GPU or a cluster, else mini.
    """
    # No usage: it would have the options' names in lower case, where a user of make has typed variables.
    parser = argparse.ArgumentParser("reproduce", argparse.SUPPRESS, description)
    for name in names.split():
        kind, words = OPTIONS[name]
        word = f"--{name.replace('_', '-')}"
        parser.add_argument(word, default=os.environ.get(name.upper(), ""), type=kind, help=words, metavar="...")
    if arguments is None and (strangers := typed_variables() - {name.upper() for name in names.split()}):
        taken = ", ".join(name.upper() for name in names.split())
        parser.error(f"expected variables that this command takes ({taken}), found {', '.join(sorted(strangers))}")
    found = parser.parse_args(arguments)
    if getattr(found, "scale", None) == "auto":
        found.scale = (detect or _by_devices)(found)
    return found


def typed_variables() -> set[str]:
    """Names of the variables on make's command line, but for those of the Makefile itself."""
    _, _, assignments = os.environ.get("MAKEFLAGS", "").partition("-- ")
    words = re.split(r"(?<!\\) ", assignments)  # make escapes the blanks in values
    return {word.partition("=")[0] for word in words if word} - {"PYTHON", "BIN", "SHELL"}


def resources(found: Options) -> Resources:
    """Those options that say how to carry an experiment out.

    Raises:
        ValueError: some are a cluster's, and none is named.
    """
    of_clusters = ("partition", "nodes", "cpus", "sbatch")
    if given := [name.upper() for name in of_clusters if getattr(found, name) and not found.cluster]:
        raise ValueError(f"Expected CLUSTER=slurm beside {', '.join(given)}, found no cluster. Add it.")
    sbatch = found.sbatch | ({"partition": found.partition} if found.partition else {})
    return Resources(
        found.jobs, found.gpus, found.cluster, found.nodes or 1, found.cpus, found.hours, sbatch, found.wait,
        found.dry_run,
    )  # fmt: skip


def _by_devices(found: Options) -> str:
    return "paper" if found.cluster or count_gpus() else "mini"


def with_images(options: Options) -> dict[str, Any]:
    """Overrides of the runs, with the folder or tar that IMAGES names for scale small.

    Raises:
        ValueError: another scale has images of its own.
    """
    if options.images and options.scale != "small":
        raise ValueError(f"Expected IMAGES with SCALE=small alone, found it with {options.scale}.")
    overrides: dict[str, Any] = options.overrides
    return {IMAGES: options.images} | overrides if options.images else overrides


def _one_of(*choices: str) -> Callable[[str], str]:
    """The first stands for empty text."""

    def one_of(text: str) -> str:
        if text and text not in choices:
            raise argparse.ArgumentTypeError(f"expected {' or '.join(filter(None, choices))}, found {text!r}")
        return text or choices[0]

    return one_of


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _some_of(*choices: str) -> Callable[[str], list[str]]:
    """In the order of the choices; all for empty text."""

    def some_of(text: str) -> list[str]:
        words = _words(text) or list(choices)
        if not set(words) <= set(choices):
            raise argparse.ArgumentTypeError(f"expected {', '.join(choices)} or several, found {text!r}")
        return [choice for choice in choices if choice in words]

    return some_of


def _rows(text: str) -> list[str]:
    """Rows of Table I; [] for the default ones."""
    words = _words(text)
    return [setting.name for setting in SETTINGS] if words == ["all"] else words


def _numbers(text: str) -> list[int]:
    words = _words(text)
    if not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers such as '1 2 3', found {text!r}")
    return [int(word) for word in words]


def _shares(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers such as '0 0.9', found {text!r}") from None


def _seeds(text: str) -> list[int]:
    """Of one run each, [] for the default ones: the same twice would be no second sample."""
    numbers = _numbers(text)
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"expected every seed once, found {text!r}")
    return numbers


def _count(text: str) -> int:
    if text and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, found {text!r}")
    return int(text or 0)


def _hours(text: str) -> float:
    try:
        hours = float(text or 24)
    except ValueError:
        hours = math.nan
    if not 0 < hours < math.inf:
        raise argparse.ArgumentTypeError(f"expected hours above 0, found {text!r}")
    return hours


def _yes(text: str) -> bool:
    return text not in ("", "0")


VARIABLE_OF = {"time": "HOURS", "nodes": "NODES", "cpus-per-task": "CPUS", "gpus-per-node": "GPUS"}
"""Option of sbatch -> what sets it, and all that depends on it."""


def _sbatch(text: str) -> dict[str, str | bool]:
    """Options as sbatch names them, without their dashes; those without a value are switches."""
    pairs = [word.lstrip("-").partition("=") for word in text.split()]
    if not all(name for name, _, _ in pairs):
        raise argparse.ArgumentTypeError(f"expected options such as 'mem=64G exclusive', found {text!r}")
    for name, _, _ in pairs:
        if name in VARIABLE_OF:
            raise argparse.ArgumentTypeError(f"expected {VARIABLE_OF[name]}=... for this, found {name!r}")
    return {name: value if equals else True for name, equals, value in pairs}


def _overrides(text: str) -> dict[str, Any]:
    pairs = [word.partition("=") for word in text.split()]
    if not all(name and equals for name, equals, _ in pairs):
        raise argparse.ArgumentTypeError(f"expected settings such as 'model.iterations=300', found {text!r}")
    return {name: yaml.safe_load(value) for name, _, value in pairs}


def _folder(text: str) -> Path:
    return Path(text) if text else REPOSITORY / "runs"


OPTIONS: dict[str, tuple[Callable[[str], Any], str]] = {
    "scale": (
        _one_of("auto", "mini", "small", "paper"),
        "which size of experiment; auto: paper on a GPU or a cluster, else mini",
    ),
    "settings": (_rows, "rows of Table I, e.g. 'A_64-128 C_32-32', or all"),
    "methods": (_some_of(*METHODS), "sn, sr or both"),
    "seeds": (_seeds, "one run for each, e.g. '1 2 3'"),
    "images": (str, "scale small: a folder or tar of CIFAR-10's images, in place of the download"),
    "existing": (str, "a folder of runs made elsewhere (digits/D6/sr-s-seed11, ...), which are read; nothing is run"),
    "shape": (_numbers, "of a weight, e.g. '8 8 3 3'"),
    "persistence": (_shares, "correlations of the noise from one step to the next, e.g. '0 0.9'"),
    "figures": (_numbers, "numbers in the paper, e.g. '2 4 8'; all without"),
    "axes": (_one_of("linear", "log"), "of sigma_k / sigma_1: linear or log"),
    "formats": (lambda text: _some_of("png", "pdf")(text or "png"), "png, pdf or both"),
    "seed": (lambda text: _count(text or "1"), "of the runs that are shown"),
    "runs": (_folder, "where runs, tables and pictures are"),
    "overrides": (_overrides, "settings of every run, e.g. 'model.iterations=300 model.n_dis=1'"),
    "dry_run": (_yes, "1: show the plan and the commands, run nothing"),
    "jobs": (_count, "runs at a time; without: as many as there are GPUs, else cores, or all on a cluster"),
    "gpus": (_count, "of each run (on each node); without: as the plan says"),
    "cluster": (_one_of("", "slurm"), "slurm: submit the runs instead"),
    "partition": (str, "of the cluster"),
    "nodes": (_count, "of each run"),
    "cpus": (_count, "of each process on a cluster; without: 8 beside a GPU, else 1"),
    "hours": (_hours, "limit of a job; longer runs go on in the next"),
    "sbatch": (_sbatch, "more of sbatch's options: 'account=gan mem=64G'"),
    "wait": (_yes, "1: show progress until all jobs have ended"),
}
"""Name -> what its text means, and what for."""
CAMPAIGN = "runs overrides dry_run jobs gpus cluster partition nodes cpus hours sbatch wait"
"""What every experiment takes."""
