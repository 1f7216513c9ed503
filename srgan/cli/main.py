"""The command line. Nothing heavy is imported before a command needs it."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from srgan.utils.optional_packages import advice, installed_version

OTHERS = ("evaluate", "report", "spectra", "sample", "push", "pull", "dashboard", "prepare", "configs")
COMMANDS = {"fit": "srgan.cli.fit_help"} | {name: f"srgan.cli.{name}" for name in OTHERS}
"""Command -> the module whose `main(arguments) -> exit status` runs it."""

HELP = """\
usage: srgan COMMAND [options]

SR-GAN: spectral regularization for combating mode collapse in GANs.

commands:
  fit        train a generator and a discriminator; run the same command again to resume:
               srgan fit -c digits -c sr-s --run runs/digits-sr-s
             continue from a checkpoint under another constraint:
               srgan fit -c digits -c sr-s --run runs/digits-rescued \\
                   --from-checkpoint runs/digits-sn
  evaluate   compute FID, IS, KID, precision and recall of a checkpoint:
               srgan evaluate runs/digits-sr-s --output scores.json
  report     write a run, or a folder of runs, as one self-contained HTML page:
               srgan report runs/digits-sr-s
  spectra    compute the singular values of any PyTorch or Chainer checkpoint:
               srgan spectra resnet18.pth --plot spectra.png
  sample     draw images from a checkpoint: grids, classes, truncation, interpolations:
               srgan sample runs/digits-sr-s
  push       export a checkpoint as safetensors with a model card, to a folder or the Hugging Face hub:
               srgan push runs/digits-sr-s OWNER/NAME
  pull       download a model from the hub:
               srgan pull OWNER/NAME
  dashboard  create a Weights & Biases workspace and report for a project:
               srgan dashboard --entity NAME --project srgan
  prepare    convert a folder or tar file of photographs to Arrow files for training:
               srgan prepare /data/ILSVRC2012 data/imagenet128
  configs    list the configurations that come with srgan, or print one:
               srgan configs digits
  srgan COMMAND --help shows all options of a command.

options:
  -h, --help     show this help
  --version      show the version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status (2: wrong input or a missing package, 130: stopped by Ctrl-C)."""
    command, *options = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if command == "--version":
        print(installed_version())
        return 0
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"srgan: expected a command ({known}), found {command!r}. See: srgan --help", file=sys.stderr)
        return 2
    try:
        status: int = import_module(COMMANDS[command]).main(options)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        if (sentence := advice(error.name)) is None:
            raise
        print(f"srgan {command}: {sentence}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, e.g. `head`, has stopped
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:  # of wrong input; the message says what to do
        if command == "fit":  # which reports wrong input itself
            raise
        print(f"srgan {command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"srgan {command}: stopped.", file=sys.stderr)
        return 130
    return status
