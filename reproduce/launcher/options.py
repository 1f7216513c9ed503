"""The options of all experiments: the Makefile's variables, or the command line's words of the same names."""

import argparse
import math
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from reproduce.plan.run import IMAGES, REPOSITORY, Run
from reproduce.plan.settings import METHODS, SETTINGS

# Option of sbatch -> what sets it, and all that depends on it.
VARIABLE_OF = {"time": "HOURS", "nodes": "NODES", "cpus-per-task": "CPUS", "gpus-per-node": "GPUS"}
CAMPAIGN = "runs overrides dry_run jobs gpus cluster partition nodes cpus hours sbatch wait"  # of commands that train
Reader = Callable[[str], Any]


def reader(expected: str, convert: Reader, holds: Callable[[Any], bool] = lambda _: True) -> Reader:
    """How an option's text is read: by `convert`. Refused where that fails or the result does not hold."""

    def read_text(text: str) -> Any:
        try:
            if holds(value := convert(text)):
                return value
        except (ValueError, yaml.YAMLError):
            pass
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")

    return read_text


def split(text: str) -> list[str]:
    return text.replace(",", " ").split()


def one_of(*choices: str) -> Reader:
    return reader(" or ".join(filter(None, choices)), str, choices.__contains__)


def some_of(*choices: str) -> Reader:
    """In the order of the choices; all for empty text."""
    expected = f"{', '.join(choices)} or several"
    return reader(expected, lambda text: sorted(set(split(text) or choices), key=choices.index))


def dotted_settings(text: str) -> dict[str, Any]:
    pairs = dict(word.split("=", 1) for word in text.split())
    return {name: yaml.safe_load(value) for name, value in pairs.items()}


def sbatch_options(text: str) -> dict[str, str | bool]:
    """Options as sbatch names them, without their dashes; those without a value are switches."""
    pairs = [word.lstrip("-").partition("=") for word in text.split()]
    for name in [name for name, _, _ in pairs if name in VARIABLE_OF]:
        raise argparse.ArgumentTypeError(f"expected {VARIABLE_OF[name]}=... for this, found {name!r}")
    return {name: value if equals else True for name, equals, value in pairs}


def yes(text: str) -> bool:
    return text != "0"


def rows(text: str) -> list[str]:
    return [row.name for row in SETTINGS] if split(text) == ["all"] else split(text)


def whole_numbers(text: str) -> list[int]:
    return [int(word) for word in split(text)]


NUMBERS = reader("whole numbers such as '1 2 3'", whole_numbers, lambda found: min(found, default=0) >= 0)
SEEDS = reader("every seed once", NUMBERS, lambda found: len(set(found)) == len(found))  # twice is no second sample
SHARES = reader("numbers such as '0 0.9'", lambda text: [*map(float, split(text))])
COUNT = reader("a whole number of at least 0", int, lambda found: found >= 0)
HOURS = reader("hours above 0", float, lambda found: 0 < found < math.inf)
DOTTED = reader("settings such as 'model.n_dis=1'", dotted_settings, lambda found: all("." in name for name in found))
SBATCH = reader("options such as 'mem=64G exclusive'", sbatch_options, lambda found: "" not in found)
OPTIONS: dict[str, tuple[Reader, str, str]] = {
    "scale": (one_of("auto", "mini", "small", "paper"), "auto", "auto: paper on a GPU or on a cluster, else mini"),
    "settings": (rows, "", "rows of Table I, e.g. 'A_64-128 C_32-32', or all"),
    "methods": (some_of(*METHODS), "", "sn, sr or both"),
    "seeds": (SEEDS, "", "one run for each, e.g. '1 2 3'"),
    "images": (str, "", "scale small: a folder or tar of CIFAR-10's images, in place of the download"),
    "existing": (str, "", "a folder of runs made elsewhere (digits/D6/sr-s-seed11, ...) to read; nothing is run"),
    "shape": (NUMBERS, "", "of a weight, e.g. '8 8 3 3'"),
    "persistence": (SHARES, "", "correlations of the noise from one step to the next, e.g. '0 0.9'"),
    "figures": (NUMBERS, "", "numbers in the paper, e.g. '2 4 8'; default: all"),
    "axes": (one_of("linear", "log"), "linear", "of sigma_k / sigma_1: linear or log"),
    "formats": (some_of("png", "pdf"), "png", "png, pdf or both"),
    "seed": (COUNT, "1", "of the runs that are shown"),
    "runs": (Path, str(REPOSITORY / "runs"), "where runs, tables and pictures are"),
    "overrides": (DOTTED, "", "settings of every run, e.g. 'model.iterations=300 model.n_dis=1'"),
    "dry_run": (yes, "0", "1: show the plan, write the settings of each run and show its command; run nothing"),
    "jobs": (COUNT, "0", "runs at a time; default: as many as there are GPUs, else cores, or all on a cluster"),
    "gpus": (COUNT, "0", "of each run (on each node); default: as the plan says"),
    "cluster": (one_of("", "slurm"), "", "slurm: submit the runs instead"),
    "partition": (str, "", "of the cluster"),
    "nodes": (lambda text: COUNT(text) or 1, "1", "of each run; default: 1"),
    "cpus": (COUNT, "0", "of each process on a cluster; default: 8 beside a GPU, else 1"),
    "hours": (HOURS, "24", "limit of a job; longer runs go on in the next"),
    "sbatch": (SBATCH, "", "more of sbatch's options: 'account=gan mem=64G'"),
    "wait": (yes, "0", "1: show progress until all jobs have ended"),
}
"""Name -> how its text is read, the text that empty text stands for, and what it is for."""


def meaning(name: str, text: str) -> Any:
    read_text, default, _ = OPTIONS[name]
    return read_text(text or default)


class Options(argparse.Namespace):
    """Values of OPTIONS by their names; what a command does not take has its default."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**{name: meaning(name, "") for name in OPTIONS} | values)

    def check_cluster(self) -> None:
        """ValueError where something is said of a cluster, and none is named."""
        given = {"PARTITION": self.partition, "NODES": self.nodes != 1, "CPUS": self.cpus, "SBATCH": self.sbatch}
        if any(given.values()) and not self.cluster:
            names = ", ".join(name for name, value in given.items() if value)
            raise ValueError(f"Expected CLUSTER=slurm beside {names}, found no cluster. Add it.")

    def with_images(self) -> dict[str, Any]:
        """Overrides of the runs, with the folder or tar of IMAGES; ValueError at another scale than small."""
        if self.images and self.scale != "small":
            raise ValueError(f"Expected IMAGES with SCALE=small alone, found it with {self.scale}.")
        return {**({IMAGES: self.images} if self.images else {}), **self.overrides}

    def processes(self, run: Run) -> int:
        """Processes (Slurm: tasks) of a run on each node; ValueError if its devices do not share out evenly."""
        if not self.gpus and run.devices % self.nodes:
            raise ValueError(
                f"Expected NODES that divide the devices of {run.name}, {run.devices}, found {self.nodes}. "
                "Set NODES, or GPUS for so many on each node."
            )
        return int(self.gpus or run.devices // self.nodes)

    def fit_options(self, run: Run) -> list[str]:
        return run.write_plan(self.processes(run), self.nodes)


def read(words: Sequence[str], description: str | None, names: str) -> Options:
    """What was asked for: by words such as "--jobs", "2", then by the environment, where make puts its variables: JOBS.

    Without words, variables on make's command line are refused if they are not among the `names` of options.
    """
    # No usage: it would have the options' names in lower case, where a user of make has typed variables.
    parser = argparse.ArgumentParser("reproduce", argparse.SUPPRESS, description)
    for name in names.split():
        option, value, what_for = f"--{name.replace('_', '-')}", os.environ.get(name.upper(), ""), OPTIONS[name][2]
        parser.add_argument(option, default=value, type=partial(meaning, name), help=what_for, metavar="...")
    taken = names.upper().split()
    if not words and (strangers := typed_variables().difference(taken)):
        found = ", ".join(sorted(strangers))
        parser.error(f"expected variables that this command takes ({', '.join(taken)}), found {found}")
    return Options(**vars(parser.parse_args(words)))


def typed_variables() -> set[str]:
    """Names of the variables on make's command line, but for those of the Makefile itself."""
    _, _, assignments = os.environ.get("MAKEFLAGS", "").partition("-- ")
    typed = re.split(r"(?<!\\) ", assignments)  # make escapes the blanks in values
    return {word.partition("=")[0] for word in typed if word} - {"PYTHON", "BIN", "SHELL"}
