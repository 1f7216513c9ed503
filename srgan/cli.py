"""The command line. Nothing heavy is imported before a command needs it."""

import sys
from collections.abc import Sequence

HELP = """\
usage: srgan COMMAND [options]

SR-GAN: spectral regularization for combating mode collapse in GANs.

commands:
  fit       train a generator and a discriminator, or resume a run:
              srgan fit -c configs/digits.yaml -c configs/sr-s.yaml --run runs/digits-sr-s
            the same command again resumes a run that was stopped; another constraint goes on from a checkpoint:
              srgan fit -c configs/digits.yaml -c configs/sr-d.yaml --run runs/digits-sr-d \\
                  --from-checkpoint runs/digits-sn/checkpoints/last.ckpt
            all settings: srgan fit --help
  evaluate  score the generator of a checkpoint again, under any protocol:
              srgan evaluate runs/digits-sr-s/checkpoints/last.ckpt --num-fake-images 50000 --output scores.json
            all options: srgan evaluate --help
  prepare   turn a folder or tar file of photographs into arrays that training reads, once:
              srgan prepare imagenet /data/ILSVRC2012 data/imagenet128
            all options: srgan prepare imagenet --help

options:
  -h, --help     this text
  --version      the version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status (2: wrong usage, 130: stopped by Ctrl-C)."""
    command, *options = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help"):
        print(HELP, end="")
        return 0
    if command == "--version":
        from srgan import __version__

        print(__version__)
        return 0
    if command == "fit":
        from srgan.fit import main as fit

        return fit(options)
    if command == "evaluate":
        from srgan.evaluate import main as evaluate

        return evaluate(options)
    if command == "prepare":
        from srgan.prepare.command import main as prepare

        return prepare(options)
    print(f"srgan: expected a command (fit, evaluate, prepare), found {command!r}. See: srgan --help", file=sys.stderr)
    return 2
