"""`srgan push`: a checkpoint as a folder for others, on disk or on the Hugging Face hub."""

import tempfile
from pathlib import Path

from srgan.cli.arguments import add_allow, parser_of, user_path
from srgan.utils.optional_packages import require

PLACEHOLDER = "OWNER/NAME"  # on the card of a folder, until it is uploaded

DESCRIPTION = """\
Export the networks of a checkpoint: weights as safetensors, settings and scores as JSON, a model card. Absolute paths
in the settings are reduced to file names. Uploading needs a login (hf auth login) and the extra hub."""


def main(arguments: list[str]) -> int:
    parser = parser_of("push", DESCRIPTION)
    source = "checkpoint, run folder (its last checkpoint), or a folder written by --folder, uploaded as it is"
    parser.add_argument("path", type=user_path, metavar="PATH", help=source)
    parser.add_argument("name", nargs="?", metavar="OWNER/NAME", help="model on the hub, created if needed")
    parser.add_argument("--folder", type=user_path, metavar="DIR", help="write to this folder instead of uploading")
    parser.add_argument("--private", action="store_true", help="create the model as private")
    add_allow(parser)
    options = parser.parse_args(arguments)
    if (options.name is None) == (options.folder is None):
        found = "both" if options.name else "none"
        raise ValueError(f"Expected OWNER/NAME or --folder DIR to write to, found {found}. Give one.")
    require("huggingface_hub" if options.name else "safetensors")  # before work that takes a while
    from srgan.checkpoints.export_folder import CARD, is_exported, write_folder
    from srgan.checkpoints.rebuilding import rebuild_nets  # takes seconds
    from srgan.checkpoints.sources import HUB_ID, read_local, upload
    from srgan.utils.files import write_text

    if options.name and not HUB_ID.fullmatch(options.name):
        raise ValueError(f"Expected OWNER/NAME for a model on the hub, found '{options.name}'.")
    place, path, exported = options.folder, options.path, is_exported(options.path)
    checkpoint = read_local(path, options.allow)
    if place and exported:
        raise ValueError(f"Expected a checkpoint or a run to write as a folder, found one already: '{path}'.")
    if place:
        write_folder(checkpoint, place, PLACEHOLDER)
    elif exported:
        rebuild_nets(checkpoint)  # nothing goes out that could not be loaded
        if (card := path / CARD).is_file():
            write_text(card, card.read_text(encoding="utf-8").replace(PLACEHOLDER, options.name))
        place = upload(path, options.name, options.private)
    else:
        with tempfile.TemporaryDirectory() as folder:
            write_folder(checkpoint, Path(folder), options.name)
            place = upload(Path(folder), options.name, options.private)
    print(f"{checkpoint.title}: {place}")
    return 0
