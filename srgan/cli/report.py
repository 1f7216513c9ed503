"""`srgan report RUN_OR_FOLDER`: a run, or a folder of runs, as one HTML file that opens anywhere."""

import argparse
import sys
from collections.abc import Sequence

from srgan.report.page import write_page
from srgan.utils.files import expanded


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0, 2 (nothing to report on), 130 (stopped by Ctrl-C; no page is left half-written)."""
    parser = argparse.ArgumentParser(
        prog="srgan report",
        description="Writes a run, or all runs below a folder, as one HTML file that opens without a network.",
        epilog="Runs that are still training are shown as far as they are; run the command again for more.",
    )
    parser.add_argument(
        "folder", type=expanded, metavar="RUN_OR_FOLDER", help="a run's folder, or one with runs below it"
    )
    parser.add_argument(
        "--output", type=expanded, metavar="FILE", help="where to write; default: report.html in the folder"
    )
    options = parser.parse_args(arguments)
    output = options.output or options.folder / "report.html"
    try:
        written = write_page(options.folder, output)
    except OSError as error:
        print(f"srgan report: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("srgan report: stopped; nothing was written.", file=sys.stderr)
        return 130
    for note in written.notes:
        print(f"left out: {note}", file=sys.stderr)
    print(f"{output}: {written.runs} run{'s' * (written.runs != 1)}, {written.size / 1e6:.1f} MB")
    return 0
