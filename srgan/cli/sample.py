"""`srgan sample`: images from a checkpoint's generator."""

import argparse
import importlib.util
import sys
from pathlib import Path

from srgan.cli.arguments import add_allow, parser_of, positive, user_path
from srgan.utils.optional_packages import advice

DESCRIPTION = """\
Draw images from the generator of a checkpoint. Without options: the grid that the run itself drew at that iteration
(samples/*.png), bit for bit on the same kind of device."""
SUFFIXES = (".png", ".gif", ".mp4")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = parser_of("sample", DESCRIPTION)
    add = parser.add_argument
    source = "run folder (its last checkpoint), checkpoint, folder written by srgan pull, or OWNER/NAME on the hub"
    add("checkpoint", metavar="RUN|CKPT", help=source)
    add("--output", type=user_path, metavar="FILE", help=".png, .gif or .mp4")
    add("--gif", action="store_true", help="write an animation (without --output)")
    add("--rows", type=positive, metavar="N", help="rows of the grid (default: as in the run)")
    add("--columns", type=positive, metavar="N", help="images per row")
    add("--seed", type=int, metavar="N", help="random seed of the latents (default: as in the run)")
    add("--classes", metavar="K[,K...]|all", help="one row per class of a conditional generator")
    truncation = "resample entries of z beyond +-THRESHOLD, as BigGAN: better images, less variety (not StyleGAN's psi)"
    add("--truncation", type=float, metavar="THRESHOLD", help=truncation)
    add("--ema", action="store_true", help="use the generator's moving average (--model.ema_decay)")
    frames = "frames between two points of an animation (default: %(default)s)"
    add("--frames", type=positive, default=24, metavar="N", help=frames)
    add_allow(parser)
    add("--device", default="auto", metavar="NAME", help="cpu, cuda, ... (default: auto)")
    add("--num-images", type=positive, metavar="N", help="for --export-images (default: as many as are scored)")
    kinds = parser.add_argument_group("instead of a grid of independent samples").add_mutually_exclusive_group()
    kinds.add_argument("--walk", type=positive, metavar="N", help="N spherical interpolations between latents")
    kinds.add_argument("--dimension", metavar="D[,D...]|all", help="one row per latent dimension, from -2 to 2")
    exported = "single images for other tools: those on which the scores are computed"
    kinds.add_argument("--export-images", type=user_path, metavar="FOLDER|FILE.npz", help=exported)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    path = options.export_images or _picture(options)
    from srgan.inspection.sheets import make  # takes seconds; wrong options do not wait for it

    try:
        print(make(options, path))
    except KeyboardInterrupt:
        if options.export_images and path.suffix != ".npz":
            print("srgan sample: run the same command again to resume.", file=sys.stderr)
        raise
    return 0


def _picture(options: argparse.Namespace) -> Path:
    """Where to write; ValueError for another suffix, for an animation of nothing that moves, or without PyAV."""
    kinds = {"walk": options.walk, "dimensions": options.dimension, "classes": options.classes}
    name = next((name for name, chosen in kinds.items() if chosen), "samples")
    path: Path = options.output or Path(f"{name}.gif" if options.gif else f"{name}.png")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or (options.gif and suffix != ".gif"):
        raise ValueError(f"Expected a picture named *.png, *.gif or *.mp4 (*.gif with --gif), found '{path}'.")
    if suffix != ".png" and not (options.walk or options.dimension):
        raise ValueError(f"Expected something that moves for '{path}': add --walk N or --dimension d[,d...].")
    if suffix == ".mp4" and not importlib.util.find_spec("av"):
        raise ValueError(f"{advice('av')}; or write a .gif.")
    return path
