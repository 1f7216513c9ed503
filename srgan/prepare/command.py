"""`srgan prepare`: the command line."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from srgan.files import only_process
from srgan.prepare.job import LOCK, list_root, look_at_finished, prepare, refuse_places
from srgan.prepare.manifest import Preparation
from srgan.prepare.progress import Reporter, printable
from srgan.prepare.shards import MANIFEST, REPORT, left_out
from srgan.prepare.work import SIGNALS

SHOWN = 20
EPILOG = """\
ROOT is the folder of the official layout (train/<synset>/*.JPEG), any folder or uncompressed tar file of
<split>/<class>/<image> or <class>/<image>, or the official ILSVRC2012_img_train.tar as it is.

Every image is turned upright (EXIF), converted to RGB, cut to the central square of its short side, and resized
(bilinear, antialiased). What is no readable image is left out and listed in OUT/report.json. A command that was
stopped, however it was, goes on when typed again, to the same bytes; on a finished OUT it checks that ROOT, where it
is still there, has the same files, and the sizes of OUT's.

exit status: 0 every file is an image in OUT; 1 finished, but files were left out; 2 not possible, the message says
why; 130, 143 stopped.
"""


def main(arguments: Sequence[str]) -> int:
    """Prepares a data set; returns the exit status."""
    options = parse(arguments)
    job = Preparation(options.root, options.out, options.image_size, options.split)
    reporter = Reporter()
    try:
        refuse_places(job)
        waiting = printable(f"{job.out}: another process prepares this folder; waiting for it.")
        with stoppable(), only_process(job.out / LOCK, waiting):
            report = finish(job, options.verify, options.retry, options.workers, reporter)
    except Signalled as error:
        print(f"{job.out}: stopped; the same command goes on.", file=sys.stderr)
        return 128 + error.number
    except (BrokenProcessPool, MemoryError) as error:
        killed = "a worker process was killed, perhaps for want of memory"
        what = killed if isinstance(error, BrokenProcessPool) else printable(f"too little memory for {error}")
        print(f"srgan prepare: {what}. The same command goes on; with fewer --workers it needs less.", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"srgan prepare: {printable(str(error))}", file=sys.stderr)
        return 2
    print_report(job.out, report)
    return 1 if report["unreadable"] else 0


def finish(job: Preparation, every_byte: bool, retry: bool, workers: int, reporter: Reporter) -> dict[str, Any]:
    """The report of the folder: as it is if that is finished and whole, else of the work that was left.

    Raises:
        ValueError, OSError: what `look_at_finished` and `prepare` refuse.
    """
    listing = list_root(job, reporter)
    anew = left_out(job.out) if retry else set()
    if (job.out / MANIFEST).exists():
        report, damaged = look_at_finished(job, listing, every_byte, workers, reporter)
        anew |= damaged
        if report is not None and not anew:
            unseen = " (ROOT not looked at)" if listing is None else ""
            print(f"{job.out}: finished already{unseen}, {'every byte' if every_byte else 'all sizes'} checked.")
            return report
    return prepare(job, listing, anew, workers, reporter)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Options; exits with 2 on wrong ones."""
    parser = argparse.ArgumentParser(prog="srgan prepare", description="Prepares a data set for training, once.")
    data_sets = parser.add_subparsers(title="data sets", metavar="DATA_SET", required=True)
    imagenet = data_sets.add_parser(
        "imagenet",
        help="a folder or tar file of photographs to small squares, for srgan.data.ImageNetData",
        description="Prepares ImageNet, or any photographs in one folder per class, for srgan.data.ImageNetData.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    imagenet.add_argument("root", metavar="ROOT", type=Path, help="folder or uncompressed tar file of images")
    imagenet.add_argument("out", metavar="OUT", type=Path, help="folder of the result, new or to be gone on with")
    imagenet.add_argument("--image-size", type=positive, default=128, metavar="N", help="H = W (default: %(default)s)")
    imagenet.add_argument("--split", type=folder_name, default="train", help="folder of the split (default: train)")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    imagenet.add_argument(
        "--workers", type=positive, default=cores, metavar="N",
        help="processes, each needs about 0.3 GB for ImageNet (default: the cores, %(default)s here)",
    )  # fmt: skip
    imagenet.add_argument("--retry", action="store_true", help="try again what was left out")
    imagenet.add_argument("--verify", action="store_true", help="check every byte of an OUT that is finished already")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """An argument of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found '{text}'")
    return int(text)


def folder_name(text: str) -> str:
    """An argument that is the name of one folder."""
    if not text or "/" in text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"expected the name of a folder in ROOT, found '{text}'")
    return text


class Signalled(BaseException):
    """Ctrl-C or SIGTERM; passes through handlers of ordinary errors."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def stoppable() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM raises `Signalled`; further ones wait for the end of the cleaning up."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Signalled(number)

    before = {each: signal.signal(each, stop) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def print_report(out: Path, report: dict[str, Any]) -> None:
    """What became of the files."""
    print(f"{out}: {report['images']:,} images of {report['classes']:,} classes from {report['files']:,} files.")
    for kind, count in report["conversions"].items():
        print(f"  {kind}: {count:,}")
    for title, lines in (
        ("left out, unreadable", [f"{entry['file']}: {entry['reason']}" for entry in report["unreadable"]]),
        ("passed over, hidden or in no class folder", report["ignored"]),
    ):
        if lines:
            print(f"{title}: {len(lines):,}")
            print("".join(f"  {printable(line)}\n" for line in lines[:SHOWN]), end="")
        if len(lines) > SHOWN:
            print(f"  and {len(lines) - SHOWN:,} more in {out / REPORT}")
    if report["unreadable"]:
        print("OUT is complete without them. To have them in it, repair them in place and add --retry.")
