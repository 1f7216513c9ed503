"""`srgan sample`: images from a checkpoint's generator."""

import argparse
import importlib.util
import sys
from pathlib import Path

from srgan.utils.files import expanded
from srgan.utils.optional_packages import advice

SUFFIXES = (".png", ".gif", ".mp4")


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog="srgan sample",
        description="Images from the generator of a checkpoint of srgan fit. Without options: the grid that the run "
        "itself drew at that iteration (samples/*.png), bit for bit on the same kind of device.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "checkpoint", metavar="RUN|CKPT",
        help="the folder of a run (its last checkpoint), a checkpoint, a folder of srgan pull, or OWNER/NAME",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=expanded, metavar="FILE", help=".png, .gif or .mp4 (default: named by content)"
    )
    parser.add_argument("--gif", action="store_true", help="an animation where --output does not say so")
    parser.add_argument("--rows", type=_positive, metavar="N", help="of a grid (default: the run's)")
    parser.add_argument("--columns", type=_positive, metavar="N", help="images in a row")
    parser.add_argument("--seed", type=int, metavar="N", help="of the latents (default: the run's)")
    parser.add_argument("--classes", metavar="K[,K...]|all", help="a row for each class of a conditional generator")
    parser.add_argument(
        "--truncation", type=float, metavar="THRESHOLD",
        help="a threshold: entries of z beyond +-THRESHOLD are drawn again, as BigGAN does: better single images, less "
        "variety (not StyleGAN's psi, which pulls latents to their mean)",
    )  # fmt: skip
    parser.add_argument("--ema", action="store_true", help="the moving average of the generator (--model.ema_decay)")
    parser.add_argument("--frames", type=_positive, default=24, metavar="N", help="from point to point (default: 24)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="CLASS_PATH",
        help="a class of yours that the checkpoint's settings name, to import; once for each",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda, ... (default: auto)")
    parser.add_argument(
        "--num-images", type=_positive, metavar="N", help="of --export-images (default: as the run scores)"
    )
    kinds = parser.add_argument_group("instead of a grid of independent images").add_mutually_exclusive_group()
    kinds.add_argument("--walk", type=_positive, metavar="N", help="N walks between points, along great circles")
    kinds.add_argument("--dimension", metavar="D[,D...]|all", help="a row for each latent dimension, from -2 to 2")
    kinds.add_argument(
        "--export-images", type=expanded, metavar="FOLDER|FILE.npz",
        help="single images: those that the run's scores are measured on, the first of them first",
    )  # fmt: skip
    return parser


def main(arguments: list[str]) -> int:
    """Draws and writes; returns the exit status: 0 done, 2 on wrong input, 130 when stopped by Ctrl-C."""
    options = arguments_parser().parse_args(arguments)
    try:
        path = options.export_images or _picture(options)
        from srgan.inspection.sheets import make  # takes seconds; wrong wishes do not wait for it

        print(make(options, path))
    except (ValueError, OSError) as error:
        print(f"srgan sample: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = " The same command goes on." if options.export_images and options.export_images.suffix != ".npz" else ""
        print(f"srgan sample: stopped.{again}", file=sys.stderr)
        return 130
    return 0


def _picture(options: argparse.Namespace) -> Path:
    """Where the picture goes; ValueError for another suffix, nothing that moves, or no PyAV."""
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


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text}")
    return int(text)
