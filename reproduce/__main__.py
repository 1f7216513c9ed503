"""`python -m reproduce COMMAND`, which the targets of make call: options come by the environment, or as words."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from reproduce.launcher.options import CAMPAIGN, Options, read
from reproduce.plan.run import count_gpus


def by_devices(options: Options) -> str:
    """Paper on a GPU or a cluster, else mini."""
    return "paper" if options.cluster or count_gpus() else "mini"


def by_runs(options: Options) -> str:
    """Paper if a run of Table II has been begun at it, else mini."""
    return "paper" if any((options.runs / "table2" / "paper").glob("*/*/run.json")) else "mini"


class Command(NamedTuple):
    action: str  # module and function: options -> exit status; imported when it is called, since some need torch
    names: str  # of its options
    auto: Callable[[Options], str] = by_devices  # what SCALE=auto stands for


COMMANDS = {
    "table2": Command("experiments.paper.table2", f"scale settings methods seeds images {CAMPAIGN}"),
    "collapse": Command("experiments.paper.collapse", f"settings seeds images {CAMPAIGN}"),
    "resume": Command("experiments.paper.resume", f"scale {CAMPAIGN}"),
    "sweep": Command("experiments.paper.sweep", f"scale settings seeds images {CAMPAIGN}"),
    "scale": Command("experiments.scale.scale", f"scale seeds images existing {CAMPAIGN}", lambda _: "mini"),
    "baselines": Command("experiments.baselines.baselines", f"scale seeds {CAMPAIGN}"),
    "null-model": Command("experiments.null_model.null_model", "shape persistence seeds runs"),
    "figures": Command("figures.index.figures", "scale figures axes formats seed images runs overrides", by_runs),
    "readme": Command("experiments.readme.readme", ""),
}


def main(words: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 (something failed or is missing), 2 (wrong usage), 130 (stopped)."""
    name, *words = (sys.argv[1:] if words is None else words) or [""]
    if name in ("-h", "--help"):
        print(f"python -m reproduce COMMAND, with --help for its options: {', '.join(COMMANDS)}")
        return 0
    if name not in COMMANDS:
        print(f"reproduce: expected a command ({', '.join(COMMANDS)}), found {name!r}", file=sys.stderr)
        return 2
    command = COMMANDS[name]
    module, _, function = command.action.rpartition(".")
    action = getattr(import_module(f"reproduce.{module}"), function)
    options = read(words, action.__doc__, command.names)
    if options.scale == "auto":
        options.scale = command.auto(options)
    try:
        options.check_cluster()
        return int(action(options))
    except (ValueError, RuntimeError, argparse.ArgumentError) as error:
        from srgan.cli.parser_messages import format_parser_message

        print(f"reproduce: {format_parser_message(str(error))}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
