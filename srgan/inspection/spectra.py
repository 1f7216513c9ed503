"""`srgan spectra`: singular values of every weight of any torch checkpoint."""

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from srgan.checkpoints import RunCheckpoint
from srgan.files import write_json, write_text
from srgan.inspection.layers import EXPLANATION, LayerSpectrum, LookedInto, chosen_weights, look_into, spectra_of
from srgan.inspection.printing import complain, headline, new_table, number, short_headline, show
from srgan.metrics.collapse import CollapseThresholds, spectral_collapse, tail_mean
from srgan.pictures import FORMATS

DISCRIMINATOR = "discriminator."
HEADERS = ["sigma_1", "tail\nmean", "p10", "p50", "effective\nrank", "stable\nrank", "condi-\ntion"]
MOST_NAMES = 5  # in a note


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog="srgan spectra",
        description="Singular values of every weight in a checkpoint of any torch model, as a table, a picture, files. "
        "A weight is read as the matrix [out, in * k * k]. Nothing that the file may hold beside tensors is run.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CKPT", help="of torch.save (.pt, .pth, .ckpt) or .safetensors"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE.png|pdf", help="sigma_k / sigma_1 of each layer")
    parser.add_argument("--log", action="store_true", help="the picture's vertical axis is logarithmic")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="the table, in full precision")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the table and every singular value")
    parser.add_argument(
        "--net", choices=("discriminator", "generator", "all"),
        help="by the names of layers (default: discriminator in a checkpoint of srgan fit, else all)",
    )  # fmt: skip
    parser.add_argument(
        "--layers", action="append", default=[], metavar="GLOB", help="only layers of such names; may be repeated"
    )
    parser.add_argument(
        "--transposed", action="append", default=[], metavar="GLOB",
        help="layers that are transposed convolutions, [in, out, k, k], which a file does not tell; may be repeated",
    )  # fmt: skip
    return parser


def main(arguments: list[str]) -> int:
    """Prints and writes; returns the exit status: 0 done, 2 on wrong input, 130 when stopped by Ctrl-C."""
    options = arguments_parser().parse_args(arguments)
    try:
        if options.picture and options.picture.suffix.lower() not in FORMATS:
            raise ValueError(f"Expected --picture FILE.png or FILE.pdf, found '{options.picture}'.")
        looked = look_into(options.checkpoint)
        net = options.net or ("discriminator" if looked.checkpoint else "all")
        weights = chosen_weights(looked.weights, net, options.layers)
        spectra = spectra_of(weights, options.transposed)
        _report(looked, spectra, bool(options.transposed))
        hidden = len(looked.weights) - len(weights)
        if hidden and not options.layers:
            print(f"{hidden} further layers are not shown (--net all shows both nets).")
        _write(looked, spectra, options)
    except (ValueError, OSError) as error:
        return complain("spectra", error)
    except KeyboardInterrupt:
        return 130
    return 0


def _report(looked: LookedInto, spectra: list[LayerSpectrum], told_transposed: bool) -> None:
    """Table, verdict and notes."""
    falls = _falls(looked.checkpoint) if looked.checkpoint else {}
    print(headline(looked.checkpoint) if looked.checkpoint else f"{looked.path}: {len(looked.weights)} weights")
    show(_table(spectra, falls, looked.checkpoint is not None))
    print(EXPLANATION)
    notes = _verdict(looked.checkpoint) if looked.checkpoint else _notes(looked, spectra, told_transposed)
    for note in [*notes, *_findings(spectra)]:
        print(f"- {note}")


def _table(spectra: Sequence[LayerSpectrum], falls: dict[str, float], ours: bool) -> Table:
    """A row for each layer; what is the same for all is in the notes. Ours are under the names of the nets."""
    shows_behind = not ours and len({layer.behind for layer in spectra}) > 1
    table = new_table("layer", "shape", ["N", *HEADERS, *["tail /\nlargest"] * bool(falls)])
    if shows_behind:
        table.add_column("raw weight\nbehind", no_wrap=True)
    above = ""
    for layer in spectra:
        net, _, rest = layer.name.partition(".")
        if ours and net != above:
            table.add_row(f"{net}.", style="bold")
            above = net
        fall = [number(falls[layer.name]) if layer.name in falls else ""] if falls else []
        values = [number(value) for value in layer.numbers.values()]
        behind = [layer.behind] if shows_behind else []
        name = f" {rest}" if ours else layer.name
        table.add_row(name, layer.shape_text, str(len(layer.sigma)), *values, *fall, *behind)
    return table


def _falls(checkpoint: RunCheckpoint) -> dict[str, float]:
    """Layer -> its tail mean in units of the largest until then, by the run's record."""
    history = checkpoint.run.read_spectra() if checkpoint.run else None
    if history is None:
        return {}
    until = history.iterations <= checkpoint.iteration
    tails = {name: tail_mean(rows[until]) for name, rows in history.spectra.items() if until.any()}
    return {DISCRIMINATOR + name: float(tail[-1] / tail.max()) if tail.max() > 0 else 0 for name, tail in tails.items()}


def _verdict(checkpoint: RunCheckpoint) -> list[str]:
    """Whether the discriminator's spectra have collapsed, which takes the run's record."""
    history = checkpoint.run.read_spectra() if checkpoint.run else None
    if history is None:
        return [
            "Whether spectra have collapsed shows over time only, and there is no record of a run around this file "
            "(RUN/checkpoints/ beside RUN/spectra.bin)."
        ]
    thresholds = CollapseThresholds(**checkpoint.config["verdicts"])
    until = history.iterations <= checkpoint.iteration
    judged = {name: rows[until] for name, rows in history.judged().items()}
    verdict = spectral_collapse(history.iterations[until], judged, thresholds)
    falls = _falls(checkpoint)
    fallen = sum(falls[DISCRIMINATOR + name] < thresholds.tail_mean for name in judged) if falls else 0
    said = f"since iteration {verdict.iteration:,}" if verdict.collapsed else "none until here"
    return [
        f"Spectral collapse: {said}. The tail mean of {fallen} of {len(judged)} convolutions larger than 1×1 lies "
        f"below {thresholds.tail_mean:g} × its largest so far; {thresholds.layers:.0%} make a collapse."
    ]


def _notes(looked: LookedInto, spectra: Sequence[LayerSpectrum], told_transposed: bool) -> list[str]:
    """What a state dict leaves open."""
    notes = []
    convolutions = [layer for layer in spectra if len(layer.shape) > 2]
    if convolutions and not told_transposed:
        notes.append(
            "Convolutions are read as [out, in, k, k]. Names and shapes do not tell a transposed one, [in, out, k, k]: "
            "say which they are by --transposed GLOB."
        )
    narrow = [layer.name for layer in convolutions if layer.shape[1] == 1 and layer.shape[0] > 1]
    if convolutions:
        notes.append(
            "A grouped convolution is read as one matrix over all its groups, as spectral normalization does"
            + (f"; probably depthwise: {_names(narrow)}." if narrow else ".")
        )
    unknown = [layer.name for layer in spectra if layer.behind == "a parametrization"]
    if unknown:
        notes.append(f"What the parametrization makes of these raw weights is not in the file: {_names(unknown)}.")
    if looked.others:
        notes.append(f"Left out, since their names do not say weight: {_names(looked.others)}.")
    return notes


def _findings(spectra: Sequence[LayerSpectrum]) -> list[str]:
    """What all weights are, and which of them say that something went wrong."""
    kinds = {layer.behind for layer in spectra}
    same = [f"All are the raw weights behind {kinds.pop()}."] if len(kinds) == 1 and kinds != {""} else []
    broken = [layer.name for layer in spectra if not layer.is_finite]
    zero = [layer.name for layer in spectra if layer.sigma[0] == 0]
    notes = [f"NaN or infinity in: {_names(broken)}. The training has diverged."] if broken else []
    return same + notes + ([f"All zero: {_names(zero)}."] if zero else [])


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")


def _write(looked: LookedInto, spectra: Sequence[LayerSpectrum], options: argparse.Namespace) -> None:
    """The files that were asked for."""
    written = []
    if options.csv:
        write_text(options.csv, _csv(spectra))
        written.append(options.csv)
    if options.json:
        write_json(options.json, _record(looked, spectra))
        written.append(options.json)
    if options.picture:
        from srgan.inspection.figures import spectra_figure
        from srgan.pictures import save, style

        finite = [layer for layer in spectra if layer.is_finite]
        if not finite:
            raise ValueError("Expected a layer without NaN and infinity to draw, found none.")
        title = short_headline(looked.checkpoint) if looked.checkpoint else looked.path.name
        with style():
            save(spectra_figure(finite, title, "log" if options.log else "linear"), options.picture)
        written.append(options.picture)
    if written:
        print("wrote " + ", ".join(str(path) for path in written))


def _csv(spectra: Sequence[LayerSpectrum]) -> str:
    """A line for each layer; absent numbers are empty, the condition of a singular matrix is inf."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["layer", "shape", "N", *spectra[0].numbers, "behind"])
    for layer in spectra:
        values = ["" if np.isnan(value) else repr(value) for value in layer.numbers.values()]
        writer.writerow([layer.name, "x".join(map(str, layer.shape)), len(layer.sigma), *values, layer.behind])
    return text.getvalue()


def _record(looked: LookedInto, spectra: Sequence[LayerSpectrum]) -> dict[str, Any]:
    """For JSON."""
    checkpoint = looked.checkpoint
    return {
        "checkpoint": str(looked.path),
        "iteration": checkpoint.iteration if checkpoint else None,
        "constraint": checkpoint.constraint if checkpoint else None,
        "layers": [layer.record() for layer in spectra],
    }
