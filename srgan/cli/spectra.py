"""`srgan spectra`: singular values of every weight of any checkpoint."""

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from srgan.checkpoints.reading import RunCheckpoint
from srgan.cli.arguments import parser_of, user_path
from srgan.collapse import CollapseThresholds, spectral_collapse
from srgan.inspection.find_weights import count_shared_parts
from srgan.inspection.layer_spectra import InspectedFile, LayerSpectrum, inspect_file, matching, spectra_of
from srgan.utils.files import write_json, write_text

DESCRIPTION = """\
Compute the singular values of every weight in a checkpoint, each as a matrix [out, in * k * k]. No code in the file is
run."""
DISCRIMINATOR = "discriminator."
HEADERS = ["sigma_1", "tail\nmean", "p10", "p50", "effective\nrank", "stable\nrank", "condi-\ntion"]
EXPLANATION = (
    "N: number of singular values. tail mean: mean of sigma_k/sigma_1 over k > N/4. p10, p50: percentiles of "
    "sigma_k/sigma_1. effective rank: exp(entropy of sigma/sum sigma). stable rank: sum sigma^2/sigma_1^2. "
    "condition: sigma_1/sigma_N."
)
MAX_NAMES = 5  # in a note
MAX_PANELS = 60
MAX_TITLE_LENGTH = 21  # characters that fit above a panel


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = parser_of("spectra", DESCRIPTION)
    source = "run (last checkpoint), .pt, .pth, .ckpt or .safetensors, Hugging Face folder of either, Chainer .npz"
    shown = "only layers of these names; may be repeated (default for srgan checkpoints: 'discriminator.*')"
    turned = "layers that are transposed convolutions, [in, out, k, k]; may be repeated"
    add = parser.add_argument
    add("checkpoint", type=user_path, metavar="RUN|CKPT", help=source)
    add("--plot", type=user_path, metavar="FILE.png|pdf", help="plot sigma_k / sigma_1 of each layer")
    add("--log-scale", action="store_true", help="logarithmic vertical axis of the plot")
    add("--csv", type=user_path, metavar="FILE", help="write the table in full precision")
    add("--json", type=user_path, metavar="FILE", help="write the table and all singular values")
    add("--layers", action="append", default=[], metavar="GLOB", help=shown)
    add("--transposed", action="append", default=[], metavar="GLOB", help=turned)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Prints the table with notes, and writes the files that were asked for."""
    options = parse(arguments)
    if options.plot:
        from srgan.plotting import FORMATS  # the extra report

        if options.plot.suffix.lower() not in FORMATS:
            raise ValueError(f"Expected --plot FILE.png or FILE.pdf, found '{options.plot}'.")
    file = inspect_file(options.checkpoint)
    globs = options.layers or ([f"{DISCRIMINATOR}*"] if file.checkpoint else ["*"])
    weights = matching(file.weights, globs, "--layers")
    spectra = spectra_of(weights, options.transposed)
    falls, verdict = collapse_so_far(file.checkpoint) if file.checkpoint else ({}, "")
    print(file.checkpoint.title if file.checkpoint else f"{file.path}: {len(file.weights)} weights")
    _print_table(spectra, falls)
    print(EXPLANATION)
    for note in filter(None, [verdict, *_notes(file, spectra, bool(options.transposed))]):
        print(f"- {note}")
    if len(weights) < len(file.weights) and not options.layers:
        print(f"{len(file.weights) - len(weights)} further layers are not shown (--layers '*' shows all).")
    if options.csv:
        write_text(options.csv, _csv(spectra))
    if options.json:
        record: dict[str, Any] = {"checkpoint": str(file.path)}
        record |= {name: getattr(file.checkpoint, name, None) for name in ("iteration", "constraint")}
        write_json(options.json, record | {"layers": [layer.record() for layer in spectra]})
    if options.plot:
        draw(spectra, file.checkpoint.title if file.checkpoint else file.path.name, options.log_scale, options.plot)
    for path in filter(None, (options.csv, options.json, options.plot)):
        print(f"wrote {path}")
    return 0


def collapse_so_far(checkpoint: RunCheckpoint) -> tuple[dict[str, float], str]:
    """Layer -> tail mean relative to its largest until a checkpoint; whether the spectra have collapsed, in words."""
    history = checkpoint.run.read_spectra() if checkpoint.run else None
    if history is None or not (count := int((history.iterations <= checkpoint.iteration).sum())):
        return {}, (
            "Whether spectra have collapsed shows only over time, and no recorded run was found around this file "
            "(RUN/checkpoints/ beside RUN/spectra.bin)."
        )
    thresholds = CollapseThresholds(**checkpoint.config["verdicts"])
    history = history.first(count)
    verdict = spectral_collapse(history.iterations, history.judged(), thresholds)
    now = {name: summary.at(-1) for name, summary in history.summaries(thresholds).items()}
    fallen = sum(bool(now[name]["collapsed"]) for name in history.judged())
    return {DISCRIMINATOR + name: summary["fall"] for name, summary in now.items()}, (
        f"Spectral collapse: {f'since iteration {verdict.iteration:,}' if verdict.collapsed else 'none until here'}. "
        f"The tail mean of {fallen} of {len(history.judged())} convolutions larger than 1×1 lies below "
        f"{thresholds.tail_mean:g} × its largest so far; {thresholds.layers:.0%} make a collapse."
    )


def _print_table(spectra: Sequence[LayerSpectrum], falls: dict[str, float]) -> None:
    """A row for each layer, never wrapped or cut; what is the same for all is in the notes."""
    shows_behind = len({layer.behind for layer in spectra}) > 1
    titles = ["N", *HEADERS, *["tail /\nlargest"] * bool(falls), *["raw weight\nbehind"] * shows_behind]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for place, title in enumerate(["layer", "shape", *titles]):
        table.add_column(title, justify="right" if place > 1 else "left", no_wrap=True)
    for layer in spectra:
        values = [f"{value:.4g}" for value in layer.numbers.values()]
        fall = [f"{falls[layer.name]:.4g}" if layer.name in falls else ""] if falls else []
        shape = "×".join(map(str, layer.shape))
        table.add_row(layer.name, shape, str(len(layer.sigma)), *values, *fall, *[layer.behind] * shows_behind)
    width = Console(width=10_000).measure(table).maximum
    Console(width=width, soft_wrap=True).print(table)


def _notes(file: InspectedFile, spectra: Sequence[LayerSpectrum], told_transposed: bool) -> list[str]:
    """What the file of a third party does not tell, what all weights have in common, and which of them are broken."""
    foreign = file.checkpoint is None
    kinds = {layer.behind for layer in spectra}
    unknown = [layer.name for layer in spectra if foreign and layer.behind == "a parametrization"]
    broken = [layer.name for layer in spectra if not layer.is_finite]
    zero = [layer.name for layer in spectra if layer.sigma[0] == 0]
    notes = {
        "Convolutions are read as [out, in, k, k]. Names and shapes do not tell a transposed one, [in, out, k, k]: say "
        "which they are by --transposed GLOB. A grouped one is read as one matrix over all its groups, as spectral "
        "normalization does.": foreign and not told_transposed and any(len(layer.shape) > 2 for layer in spectra),
        f"What the parametrization makes of these raw weights is not in the file: {_names(unknown)}.": unknown,
        f"Left out, since their names do not say weight: {_names(file.others)}.": foreign and file.others,
        f"All are the raw weights behind {next(iter(kinds))}.": len(kinds) == 1 and kinds != {""},
        f"NaN or infinity in: {_names(broken)}. The training has diverged.": broken,
        f"All zero: {_names(zero)}.": zero,
    }
    return [note for note, applies in notes.items() if applies]


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


def _csv(spectra: Sequence[LayerSpectrum]) -> str:
    """A line for each layer; missing numbers are empty, the condition of a singular matrix is inf."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["layer", "shape", "N", *spectra[0].numbers, "behind"])
    for layer in spectra:
        values = ["" if np.isnan(value) else repr(value) for value in layer.numbers.values()]
        writer.writerow([layer.name, "x".join(map(str, layer.shape)), len(layer.sigma), *values, layer.behind])
    return text.getvalue()


def draw(spectra: Sequence[LayerSpectrum], title: str, log_scale: bool, path: Path) -> None:
    """A panel for each finite layer; ValueError if there are none, or more than fit on a page."""
    from srgan.plotting import grid_of_layers, save, style  # the extra report

    finite = [layer for layer in spectra if layer.is_finite]
    if not 0 < len(finite) <= MAX_PANELS:
        raise ValueError(
            f"Expected 1 to {MAX_PANELS} layers without NaN and infinity to plot, found {len(finite)}. Choose some by "
            "--layers GLOB."
        )
    panels = {
        f"{name}\nN = {len(layer.sigma)}, tail {layer.numbers['tail_mean']:.2f}": layer.ratios[None]
        for name, layer in zip(short_names([layer.name for layer in finite]), finite, strict=True)
    }
    with style():
        figure = grid_of_layers(panels, np.array([1]), title, "log" if log_scale else "linear")
        save(figure, path)  # one curve each, the darkest


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the parts that all begin with; of one that is still too long its place and its end."""
    parts = [name.split(".") for name in names]
    shared = count_shared_parts(part[:-1] for part in parts) if len(names) > 1 else 0
    shorter = [".".join(part[shared:]) for part in parts]
    return [
        name if len(name) <= MAX_TITLE_LENGTH else f"{place}…{name[-MAX_TITLE_LENGTH + 4 :]}"
        for place, name in enumerate(shorter, start=1)
    ]
