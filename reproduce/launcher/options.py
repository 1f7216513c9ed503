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
VARIABLE_OF = {"time": "HOURS", "nodes": "NODES", "cpus-per-task": "CPUS", "gpus-per-node": "GPUS"}
"""Option of sbatch -> what sets it, and all that depends on it."""


def expected(what: str, text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"expected {what}, found {text!r}")


def one_of(*choices: str) -> Callable[[str], str]:
    def choose(text: str) -> str:
        if text not in choices:
            raise expected(" or ".join(filter(None, choices)), text)
        return text

    return choose


def split_words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def some_of(*choices: str) -> Callable[[str], list[str]]:
    """In the order of the choices; all for empty text."""

    def choose(text: str) -> list[str]:
        found = split_words(text) or list(choices)
        if not set(found) <= set(choices):
            raise expected(f"{', '.join(choices)} or several", text)
        return [choice for choice in choices if choice in found]

    return choose


def rows(text: str) -> list[str]:
    return [setting.name for setting in SETTINGS] if split_words(text) == ["all"] else split_words(text)


def numbers(text: str) -> list[int]:
    if not all(word.isdecimal() for word in split_words(text)):
        raise expected("whole numbers such as '1 2 3'", text)
    return [int(word) for word in split_words(text)]


def seeds(text: str) -> list[int]:
    found = numbers(text)
    if len(set(found)) < len(found):  # the same twice would be no second sample
        raise expected("every seed once", text)
    return found


def shares(text: str) -> list[float]:
    try:
        return [float(word) for word in split_words(text)]
    except ValueError:
        raise expected("numbers such as '0 0.9'", text) from None


def count(text: str) -> int:
    if not text.isdecimal():
        raise expected("a whole number of at least 0", text)
    return int(text)


def hours(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise expected("hours above 0", text)
    return found


def yes(text: str) -> bool:
    return text != "0"


def sbatch(text: str) -> dict[str, str | bool]:
    """Options as sbatch names them, without their dashes; those without a value are switches."""
    pairs = [word.lstrip("-").partition("=") for word in text.split()]
    if not all(name for name, _, _ in pairs):
        raise expected("options such as 'mem=64G exclusive'", text)
    for name, _, _ in pairs:
        if name in VARIABLE_OF:
            raise expected(f"{VARIABLE_OF[name]}=... for this", name)
    return {name: value if equals else True for name, equals, value in pairs}


def settings(text: str) -> dict[str, Any]:
    pairs = [word.partition("=") for word in text.split()]
    if not all(name and equals for name, equals, _ in pairs):
        raise expected("settings such as 'model.iterations=300'", text)
    return {name: yaml.safe_load(value) for name, _, value in pairs}


OPTIONS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "scale": (
        one_of("auto", "mini", "small", "paper"),
        "auto",
        "size of the experiment; auto: paper on a GPU or a cluster, else mini",
    ),
    "settings": (rows, "", "rows of Table I, e.g. 'A_64-128 C_32-32', or all"),
    "methods": (some_of(*METHODS), "", "sn, sr or both"),
    "seeds": (seeds, "", "one run for each, e.g. '1 2 3'"),
    "images": (str, "", "scale small: a folder or tar of CIFAR-10's images, in place of the download"),
    "existing": (
        str,
        "",
        "a folder of runs made elsewhere (digits/D6/sr-s-seed11, ...), which are read; nothing is run",
    ),
    "shape": (numbers, "", "of a weight, e.g. '8 8 3 3'"),
    "persistence": (shares, "", "correlations of the noise from one step to the next, e.g. '0 0.9'"),
    "figures": (numbers, "", "numbers in the paper, e.g. '2 4 8'; default: all"),
    "axes": (one_of("linear", "log"), "linear", "of sigma_k / sigma_1: linear or log"),
    "formats": (some_of("png", "pdf"), "png", "png, pdf or both"),
    "seed": (count, "1", "of the runs that are shown"),
    "runs": (Path, str(REPOSITORY / "runs"), "where runs, tables and pictures are"),
    "overrides": (settings, "", "settings of every run, e.g. 'model.iterations=300 model.n_dis=1'"),
    "dry_run": (yes, "0", "1: show the plan, write the settings of each run and show its command; run nothing"),
    "jobs": (count, "0", "runs at a time; default: as many as there are GPUs, else cores, or all on a cluster"),
    "gpus": (count, "0", "of each run (on each node); default: as the plan says"),
    "cluster": (one_of("", "slurm"), "", "slurm: submit the runs instead"),
    "partition": (str, "", "of the cluster"),
    "nodes": (count, "0", "of each run; default: 1"),
    "cpus": (count, "0", "of each process on a cluster; default: 8 beside a GPU, else 1"),
    "hours": (hours, "24", "limit of a job; longer runs go on in the next"),
    "sbatch": (sbatch, "", "more of sbatch's options: 'account=gan mem=64G'"),
    "wait": (yes, "0", "1: show progress until all jobs have ended"),
}
"""Name -> what its text means, the text that empty text stands for, and what for."""
CAMPAIGN = "runs overrides dry_run jobs gpus cluster partition nodes cpus hours sbatch wait"
"""What every experiment takes."""


def read(
    arguments: Sequence[str] | None,
    description: str | None,
    names: str,
    detect: Callable[[Options], str] | None = None,
) -> Options:
    """What was asked for.

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
        convert, default, what_for = OPTIONS[name]

        def meaning(text: str, convert: Callable[[str], Any] = convert, default: str = default) -> Any:
            return convert(text or default)

        value = os.environ.get(name.upper(), "")
        parser.add_argument(f"--{name.replace('_', '-')}", default=value, type=meaning, help=what_for, metavar="...")
    if arguments is None and (strangers := typed_variables() - {name.upper() for name in names.split()}):
        taken = ", ".join(name.upper() for name in names.split())
        parser.error(f"expected variables that this command takes ({taken}), found {', '.join(sorted(strangers))}")
    found = parser.parse_args(arguments)
    if getattr(found, "scale", None) == "auto":
        by_devices = "paper" if found.__dict__.get("cluster") or count_gpus() else "mini"
        found.scale = detect(found) if detect else by_devices
    return found


def typed_variables() -> set[str]:
    """Names of the variables on make's command line, but for those of the Makefile itself."""
    _, _, assignments = os.environ.get("MAKEFLAGS", "").partition("-- ")
    typed = re.split(r"(?<!\\) ", assignments)  # make escapes the blanks in values
    return {word.partition("=")[0] for word in typed if word} - {"PYTHON", "BIN", "SHELL"}


def resources(found: Options) -> Resources:
    """Those options that say how to carry an experiment out.

    Raises:
        ValueError: some are a cluster's, and none is named.
    """
    of_clusters = ("partition", "nodes", "cpus", "sbatch")
    if given := [name.upper() for name in of_clusters if getattr(found, name) and not found.cluster]:
        raise ValueError(f"Expected CLUSTER=slurm beside {', '.join(given)}, found no cluster. Add it.")
    partition = {"partition": found.partition} if found.partition else {}
    return Resources(
        found.jobs, found.gpus, found.cluster, found.nodes or 1, found.cpus, found.hours, found.sbatch | partition,
        found.wait, found.dry_run,
    )  # fmt: skip


def with_images(options: Options) -> dict[str, Any]:
    """Overrides of the runs, with the folder or tar that IMAGES names for scale small.

    Raises:
        ValueError: another scale has images of its own.
    """
    if options.images and options.scale != "small":
        raise ValueError(f"Expected IMAGES with SCALE=small alone, found it with {options.scale}.")
    overrides: dict[str, Any] = options.overrides
    return ({IMAGES: options.images} if options.images else {}) | overrides
