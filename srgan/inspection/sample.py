"""`srgan sample`: images from a checkpoint's generator."""

import argparse
import sys
from pathlib import Path

from srgan.inspection.printing import complain


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog="srgan sample",
        description="Images from the generator of a checkpoint of srgan fit. Without options: the grid that the run "
        "itself drew at that iteration (samples/*.png), bit for bit on the same kind of device.",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="e.g. runs/NAME/checkpoints/last.ckpt")
    parser.add_argument("--output", type=Path, metavar="FILE", help=".png, .gif or .mp4 (default: named by content)")
    parser.add_argument("--gif", action="store_true", help="an animation where --output does not say so")
    parser.add_argument("--rows", type=_positive, metavar="N", help="of a grid (default: the run's)")
    parser.add_argument("--columns", type=_positive, metavar="N", help="images in a row")
    parser.add_argument("--seed", type=int, metavar="N", help="of the latents (default: the run's)")
    kinds = parser.add_argument_group("instead of a grid of independent images")
    kinds.add_argument("--classes", metavar="K[,K...]|all", help="a row for each class of a conditional generator")
    kinds.add_argument("--walk", type=_positive, metavar="N", help="N walks between points, along great circles")
    kinds.add_argument("--dimension", metavar="D[,D...]|all", help="a row for each latent dimension, from -2 to 2")
    drawing = parser.add_argument_group("how they are drawn")
    drawing.add_argument(
        "--truncation", type=float, metavar="PSI",
        help="draw entries of z beyond +-PSI again, as BigGAN does: better single images, less variety",
    )  # fmt: skip
    drawing.add_argument(
        "--statistics", choices=("running", "batch"),
        help="of batch norm (default: the run's); walks, classes and dimensions take the run's own grid for the batch",
    )  # fmt: skip
    drawing.add_argument("--frames", type=_positive, default=24, metavar="N", help="from point to point (default: 24)")
    drawing.add_argument("--fps", type=float, default=20, metavar="N", help="frames per second (default: 20)")
    drawing.add_argument("--device", default="auto", metavar="NAME", help="cpu, cuda, ... (default: auto)")
    files = parser.add_argument_group("for other tools")
    files.add_argument(
        "--images", type=Path, metavar="FOLDER|FILE.npz",
        help="single images instead: those that the run's scores are measured on, the first of them first",
    )  # fmt: skip
    files.add_argument("--number", type=_positive, metavar="N", help="of single images (default: as the run scores)")
    return parser


def main(arguments: list[str]) -> int:
    """Draws and writes; returns the exit status: 0 done, 2 on wrong input, 130 when stopped by Ctrl-C."""
    options = arguments_parser().parse_args(arguments)
    try:
        _refuse_contradictions(options)
        output = _output(options)
        from srgan.inspection.sheets import draw, export_images  # takes seconds; contradictions do not wait for it

        print(export_images(options) if options.images else draw(options, output))
    except (ValueError, OSError) as error:
        return complain("sample", error)
    except KeyboardInterrupt:
        again = " The same command goes on." if options.images and options.images.suffix != ".npz" else ""
        print(f"srgan sample: stopped.{again}", file=sys.stderr)
        return 130
    return 0


def _refuse_contradictions(options: argparse.Namespace) -> None:
    """Raises:
    ValueError: options that exclude one another.
    """
    kinds = [name for name in ("walk", "dimension") if getattr(options, name)]
    if len(kinds) > 1:
        raise ValueError("Expected --walk or --dimension, found both.")
    if options.images and (kinds or options.output or options.gif or options.rows or options.columns):
        raise ValueError(
            "Expected --images with --number, --seed, --classes, --truncation or --statistics, found options of a "
            "picture."
        )
    if options.number and not options.images:
        raise ValueError("Expected --number with --images, found it alone. A grid has --rows and --columns.")
    if options.rows and (kinds or options.classes):
        raise ValueError("Expected --rows for a grid of independent images, found another kind of rows too.")
    if not 1 <= options.fps <= 50:
        raise ValueError(f"Expected --fps in 1 ... 50 (a GIF's shortest frame is 1/50 s), found {options.fps:g}.")


def _output(options: argparse.Namespace) -> Path:
    """Where the picture goes."""
    if options.output:
        path: Path = options.output
        if options.gif and path.suffix.lower() != ".gif":
            raise ValueError(f"Expected --output FILE.gif with --gif, found '{path}'.")
        return path
    kinds = {"walk": options.walk, "dimensions": options.dimension, "classes": options.classes}
    name = next((name for name, chosen in kinds.items() if chosen), "samples")
    return Path(f"{name}.gif" if options.gif else f"{name}.png")


def _positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {text}")
    return int(text)
