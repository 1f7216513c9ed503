"""The command line. Nothing heavy is imported before a command needs it."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from srgan.utils.optional_packages import advice, installed_version

COMMANDS = {
    "fit": "srgan.cli.fit_help",
    "evaluate": "srgan.cli.evaluate",
    "report": "srgan.cli.report",
    "spectra": "srgan.cli.spectra",
    "sample": "srgan.cli.sample",
    "push": "srgan.cli.push",
    "pull": "srgan.cli.pull",
    "dashboard": "srgan.cli.dashboard",
    "prepare": "srgan.cli.prepare",
    "configs": "srgan.cli.configs",
}
"""Command -> the module whose `main(arguments) -> exit status` runs it."""

HELP = """\
usage: srgan COMMAND [options]

SR-GAN: spectral regularization for combating mode collapse in GANs.

commands:
  fit        train a generator and a discriminator, or resume a run:
               srgan fit -c digits -c sr-s --run runs/digits-sr-s
             the same command again resumes a run that was stopped; another constraint goes on from a checkpoint:
               srgan fit -c digits -c sr-s --run runs/digits-rescued \\
                   --from-checkpoint runs/digits-sn
  evaluate   score the generator of a checkpoint again, under any protocol:
               srgan evaluate runs/digits-sr-s --output scores.json
  report     a run, or a folder of runs, as one page that opens anywhere:
               srgan report runs/digits-sr-s
  spectra    singular values of any checkpoint, ours or not:
               srgan spectra resnet18.pth --plot spectra.png
  sample     images from a checkpoint's generator: grids, classes, truncation, walks:
               srgan sample runs/digits-sr-s
  push       nets of a checkpoint for others: safetensors, settings, a model card, in a folder or on Hugging Face's hub:
               srgan push runs/digits-sr-s OWNER/NAME
  pull       a model of that hub as a folder:
               srgan pull OWNER/NAME
  dashboard  a Weights & Biases workspace and report for a project of such runs:
               srgan dashboard --entity NAME --project srgan
  prepare    turn a folder or tar file of photographs into Arrow files that training reads, once:
               srgan prepare imagenet /data/ILSVRC2012 data/imagenet128
  configs    the configurations that -c knows by name, or the text of one:
               srgan configs digits
  all options of a command: srgan COMMAND --help

options:
  -h, --help     this text
  --version      the version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status (2: wrong usage or a missing package, 130: stopped by Ctrl-C)."""
    command, *options = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if command == "--version":
        print(installed_version())
        return 0
    if command not in COMMANDS:
        print(
            f"srgan: expected a command ({', '.join(COMMANDS)}), found {command!r}. See: srgan --help", file=sys.stderr
        )
        return 2
    try:
        status: int = import_module(COMMANDS[command]).main(options)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if (sentence := advice(error.name)) is None:
            raise
        print(f"srgan {command}: {sentence}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads, as `head` does, has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"srgan {command}: stopped.", file=sys.stderr)
        return 130
    return status
