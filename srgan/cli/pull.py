"""`srgan pull`: a model of the Hugging Face hub as a folder, which `srgan.load` and the commands read."""

import argparse
import sys
from pathlib import Path

from srgan.utils.files import expanded
from srgan.utils.optional_packages import require


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog="srgan pull",
        description="Downloads a model that srgan push put on the hub: weights, settings, model card; and reads it.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="OWNER/NAME", help="model on the hub")
    parser.add_argument("--folder", type=expanded, metavar="DIR", help="where it goes (default: NAME)")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="CLASS_PATH",
        help="a class of yours that the settings name; once for each",
    )  # fmt: skip
    return parser


def main(arguments: list[str]) -> int:
    """Downloads; returns the exit status: 0 done, 2 where there is no such model, or another kind of one."""
    options = arguments_parser().parse_args(arguments)
    require("huggingface_hub")
    from srgan.checkpoints.export_folder import check_same_content, read_folder  # takes seconds
    from srgan.checkpoints.hub import HUB_ID, download

    try:
        if not HUB_ID.fullmatch(options.name):
            raise ValueError(f"Expected OWNER/NAME of a model on the hub, found '{options.name}'.")
        folder = options.folder or Path(options.name.partition("/")[2])
        check_same_content(folder)
        download(options.name, folder)
        print(f"{read_folder(folder, options.allow).title} in {folder}")
    except (ValueError, OSError) as error:
        print(f"srgan pull: {error}", file=sys.stderr)
        return 2
    return 0
