"""`srgan report RUN_OR_FOLDER`: a run, or a folder of runs, as one HTML file that opens anywhere."""

import sys
from collections.abc import Sequence

from srgan.cli.arguments import parser_of, user_path
from srgan.report.page import write_page


def main(arguments: Sequence[str]) -> int:
    """Writes the page, or leaves the one before as it was."""
    description = "Write a run, or all runs below a folder, as one self-contained HTML file."
    epilog = "Runs that are still training are shown up to now; run the command again to update."
    parser = parser_of("report", description, epilog=epilog)
    parser.add_argument("folder", type=user_path, metavar="RUN_OR_FOLDER", help="run folder, or a folder of runs")
    parser.add_argument("--output", type=user_path, metavar="FILE", help="(default: report.html in the folder)")
    options = parser.parse_args(arguments)
    output = options.output or options.folder / "report.html"
    count, notes = write_page(options.folder, output)
    for note in notes:
        print(f"left out: {note}", file=sys.stderr)
    print(f"{output}: {count} run{'s' * (count != 1)}, {output.stat().st_size / 1e6:.1f} MB")
    return 0
