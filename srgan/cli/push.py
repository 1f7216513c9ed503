"""`srgan push`: a checkpoint as a folder for others, on disk or on the Hugging Face hub."""

import argparse
import sys
import tempfile
from pathlib import Path

from srgan.utils.files import expanded
from srgan.utils.optional_packages import require

PLACEHOLDER = "OWNER/NAME"  # on the card of a folder, until it is uploaded

DESCRIPTION = """\
Writes the nets of a checkpoint for others: weights as safetensors, settings and scores as JSON, a model card. Absolute
paths in the settings lose their folders. The hub needs a login (hf auth login) and the extra hub."""


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(prog="srgan push", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "path", type=expanded, metavar="PATH",
        help="a checkpoint, a run folder (its last checkpoint), or a folder of --folder, which goes as it is",
    )  # fmt: skip
    parser.add_argument("name", nargs="?", metavar="OWNER/NAME", help="model on the hub, made if it is not there")
    parser.add_argument("--folder", type=expanded, metavar="DIR", help="write a folder, upload nothing")
    parser.add_argument("--private", action="store_true", help="a model that is made is private")
    parser.add_argument(
        "--allow", action="append", default=[], metavar="CLASS_PATH",
        help="a class of yours that the settings name, to import; once for each",
    )  # fmt: skip
    return parser


def main(arguments: list[str]) -> int:
    """Writes or uploads; returns the exit status: 0 done, 2 on wrong input, no login or no way to the hub."""
    options = arguments_parser().parse_args(arguments)
    try:
        print(push(options))
    except (ValueError, OSError) as error:
        print(f"srgan push: {error}", file=sys.stderr)
        return 2
    return 0


def push(options: argparse.Namespace) -> str:
    """Does it; says where the model is.

    Raises:
        ValueError: not one destination, or a checkpoint that cannot be loaded again.
        OSError: there is no such file, or the hub refuses.
    """
    if (options.name is None) == (options.folder is None):
        found = "both" if options.name else "none"
        raise ValueError(f"Expected OWNER/NAME or --folder DIR to write to, found {found}. Give one.")
    require("huggingface_hub" if options.name else "safetensors")  # before work that takes a while
    from srgan.checkpoints.export_folder import CARD, is_exported, write_folder
    from srgan.checkpoints.hub import HUB_ID, upload
    from srgan.checkpoints.rebuilding import rebuild_nets  # takes seconds
    from srgan.checkpoints.sources import read_local
    from srgan.utils.files import write_text

    if options.name and not HUB_ID.fullmatch(options.name):
        raise ValueError(f"Expected OWNER/NAME for a model on the hub, found '{options.name}'.")
    checkpoint = read_local(options.path, options.allow)
    exported = is_exported(options.path)
    if options.folder and exported:
        raise ValueError(f"Expected a checkpoint or a run to write as a folder, found one already: '{options.path}'.")
    if options.folder:
        write_folder(checkpoint, options.folder, PLACEHOLDER)
        return f"{checkpoint.title}: {options.folder}"
    if exported:
        rebuild_nets(checkpoint)  # nothing goes out that could not be loaded
        card = options.path / CARD
        if card.is_file():
            write_text(card, card.read_text().replace(PLACEHOLDER, options.name))
        return f"{checkpoint.title}: {upload(options.path, options.name, options.private)}"
    with tempfile.TemporaryDirectory() as folder:
        write_folder(checkpoint, Path(folder), options.name)
        return f"{checkpoint.title}: {upload(Path(folder), options.name, options.private)}"
