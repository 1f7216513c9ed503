"""`srgan prepare`: the command line."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srgan.cli.arguments import parser_of, positive, user_path
from srgan.prepare.image_sources import printable
from srgan.prepare.preparation import JOB, LOCK, REPORT, prepare
from srgan.utils.files import file_lock
from srgan.utils.optional_packages import require
from srgan.utils.provenance import usable_cores

SHOWN = 20
EPILOG = """\
ROOT is ImageNet's official folder (train/<synset>/*.JPEG), its official ILSVRC2012_img_train.tar, or any folder or
uncompressed tar file of <split>/<class>/<image> or <class>/<image>.

Each image is rotated upright (EXIF), converted to RGB, center-cropped to a square and resized (bilinear, antialiased).
Files that are not readable images are left out and listed in OUT/report.json. Run the same command again to resume: the
result is the same bit for bit. On a finished OUT this checks the list of files in ROOT, if it is still there, and the
sizes of OUT's files, and remakes damaged ones.

OUT opens with datasets.load_from_disk(OUT).

exit status: 0 every file is an image in OUT; 1 finished, but files were left out; 2 error; 130 stopped.
"""


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    require("datasets")
    out: Path = options.out
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        check_places(options.root, out, options.split)
        with file_lock(out / LOCK, f"{out}: another process prepares it; waiting for it."):
            report, made = prepare(**vars(options))
    except KeyboardInterrupt:
        print(f"{out}: stopped; run the command again to resume.", file=sys.stderr)
        return 128 + signal.SIGINT
    except MemoryError as error:
        raise ValueError(f"too little memory for {error}. Run it again with fewer --workers to resume.") from error
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    print_report(out, report, made)
    return 1 if report["unreadable"] else 0


def check_places(root: Path, out: Path, split: str) -> None:
    """Raises an error, before anything is written, if ROOT is missing or OUT lies in it, where it would be listed."""
    if not root.exists() and not (out / JOB).exists():
        raise FileNotFoundError(f"Expected a folder or tar file of images at '{root.resolve()}', found nothing.")
    listed = (root / split if (root / split).is_dir() else root).resolve()
    if listed in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"Expected OUT outside of the images in '{listed}', found '{out}'.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    description = "Convert ImageNet, or any photographs in one folder per class, for srgan.data.HubData."
    parser = parser_of("prepare", description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", metavar="ROOT", type=user_path, help="folder or uncompressed tar file of images")
    parser.add_argument("out", metavar="OUT", type=user_path, help="output folder, new or to be resumed")
    parser.add_argument("--image-size", type=positive, default=128, metavar="N", help="H = W (default: %(default)s)")
    parser.add_argument("--split", type=folder_name, default="train", help="folder of the split (default: %(default)s)")
    workers = "images decoded in parallel (default: one per core, %(default)s here)"
    parser.add_argument("--workers", type=positive, default=usable_cores(), metavar="N", help=workers)
    parser.add_argument("--retry", action="store_true", help="retry files that were left out")
    parser.add_argument("--verify", action="store_true", help="check every byte of existing output")
    return parser.parse_args(arguments)


def folder_name(text: str) -> str:
    if not text or "/" in text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"expected the name of a folder in ROOT, found '{text}'")
    return text


def print_report(out: Path, report: dict[str, Any], made: int) -> None:
    counts = f"{report['images']:,} images of {report['classes']:,} classes from {report['files']:,} files"
    print(f"{out}: {counts}, {made:,} read now{'' if made else ': already finished'}.")
    unreadable = [f"{entry['file']}: {entry['reason']}" for entry in report["unreadable"]]
    passed_over = "passed over, hidden or in no class folder"
    for title, lines in (("left out, unreadable", unreadable), (passed_over, report["ignored"])):
        if lines:
            more = [f"and {len(lines) - SHOWN:,} more in {out / REPORT}"] if len(lines) > SHOWN else []
            print(printable("\n  ".join([f"{title}: {len(lines):,}", *lines[:SHOWN], *more])))
    if faint := report.get("faint"):
        print(faint)
    if unreadable:
        print("OUT is complete without them. To have them in it, repair them in place and add --retry.")
