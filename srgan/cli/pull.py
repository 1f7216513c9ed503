"""`srgan pull`: a model of the Hugging Face hub as a folder, which `srgan.load` and the commands read."""

from pathlib import Path

from srgan.cli.arguments import add_allow, parser_of, user_path
from srgan.utils.optional_packages import require


def main(arguments: list[str]) -> int:
    """Downloads a model and checks that it can be read."""
    description = "Download a model that srgan push put on the Hugging Face hub: weights, settings, model card."
    parser = parser_of("pull", description)
    parser.add_argument("name", metavar="OWNER/NAME", help="model on the hub")
    parser.add_argument("--folder", type=user_path, metavar="DIR", help="output folder (default: NAME)")
    add_allow(parser)
    options = parser.parse_args(arguments)
    require("huggingface_hub")
    from srgan.checkpoints.export_folder import check_same_content, read_folder  # takes seconds
    from srgan.checkpoints.sources import HUB_ID, download

    if not HUB_ID.fullmatch(options.name):
        raise ValueError(f"Expected OWNER/NAME of a model on the hub, found '{options.name}'.")
    folder = options.folder or Path(options.name.partition("/")[2])
    check_same_content(folder)
    download(options.name, folder)
    print(f"{read_folder(folder, options.allow).title} in {folder}")
    return 0
