"""`srgan compare`: two checkpoints side by side: weights, spectra, settings, scores, samples."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from srgan.checkpoints import RunCheckpoint
from srgan.files import write_json
from srgan.inspection.comparison import LEADING, LayerComparison, compare_layers, layers_in_common, pixel_distance
from srgan.inspection.layers import LookedInto, chosen_weights, look_into
from srgan.inspection.printing import complain, headline, new_table, number, scores_at, short_headline, show
from srgan.pictures import FORMATS
from srgan.runs import flatten_settings

NUMBERS = [
    "|A-B|\n/|A|", "same of\nW/sigma_1", "overlap", "sigma_1\nA", "\nB", "tail\nmean A", "\nB", "effective\nrank A",
    "\nB",
]  # fmt: skip
EXPLANATION = (
    "|A-B|/|A|: Frobenius, of the raw weights. overlap: mean squared cosine between the spans of the "
    f"{LEADING} leading right singular vectors, 1: the same. tail mean: of sigma_k/sigma_1 over k > N/4. effective "
    "rank: exp(entropy of sigma/sum sigma)."
)


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog="srgan compare",
        description="Two checkpoints side by side, layer by layer. Of srgan fit's own also settings that differ, "
        "scores, and images from the same latents; of any other torch checkpoints weights and spectra.",
        allow_abbrev=False,
    )
    parser.add_argument("a", type=Path, metavar="A", help="a checkpoint")
    parser.add_argument("b", type=Path, metavar="B", help="another one with layers of the same names")
    parser.add_argument("--output", type=Path, metavar="FILE.png|pdf", help="spectra over one another, and samples")
    parser.add_argument("--log", action="store_true", help="the picture's vertical axes are logarithmic")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all of it, and every singular value")
    parser.add_argument("--net", choices=("discriminator", "generator", "all"), default="all", help="(default: all)")
    parser.add_argument(
        "--layers", action="append", default=[], metavar="GLOB", help="only layers of such names; may be repeated"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="that draws samples (default: auto)")
    return parser


def main(arguments: list[str]) -> int:
    """Compares; returns the exit status: 0 done, 2 on wrong input, 130 when stopped by Ctrl-C."""
    options = arguments_parser().parse_args(arguments)
    try:
        if options.output and options.output.suffix.lower() not in FORMATS:
            raise ValueError(f"Expected --output FILE.png or FILE.pdf, found '{options.output}'.")
        a, b = look_into(options.a), look_into(options.b)
        pairs = layers_in_common(a, b)
        kept = {weight.name for weight in chosen_weights([first for first, _ in pairs], options.net, options.layers)}
        compared = compare_layers([pair for pair in pairs if pair[0].name in kept])
        grids = _grids(a.checkpoint, b.checkpoint, options.device) if a.checkpoint and b.checkpoint else None
        record = _record(a, b, compared, grids)
        _report(a, b, compared, record)
        _write(a, b, compared, grids, record, options)
    except (ValueError, OSError) as error:
        return complain("compare", error)
    except KeyboardInterrupt:
        return 130
    return 0


def _grids(a: RunCheckpoint, b: RunCheckpoint, device: str) -> tuple[np.ndarray, np.ndarray]:
    """`[rows * rows, H, W, 3]` uint8 of each: the first images of the runs' own sample grids."""
    from srgan.inspection.generator import StoredGenerator, chosen_device  # these take seconds

    both = [StoredGenerator.read(checkpoint.path, chosen_device(device)) for checkpoint in (a, b)]
    rows = min(stored.grid_settings["rows"] for stored in both)
    first, second = (stored.grid(rows).permute(0, 2, 3, 1).numpy() for stored in both)
    return first, second


def settings_that_differ(a: dict[str, Any], b: dict[str, Any]) -> dict[str, list[Any]]:
    """Dotted name -> values in A and in B; None where there is no such setting."""
    first, second = flatten_settings(a), flatten_settings(b)
    names = [*first, *(name for name in second if name not in first)]
    return {name: [first.get(name), second.get(name)] for name in names if first.get(name) != second.get(name)}


def _same_latents(a: RunCheckpoint, b: RunCheckpoint) -> bool:
    networks = [checkpoint.config["model"]["networks"]["init_args"] for checkpoint in (a, b)]
    return all(networks[0].get(name) == networks[1].get(name) for name in ("latent_dim", "num_classes"))


def _record(
    a: LookedInto, b: LookedInto, compared: Sequence[LayerComparison], grids: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Any]:
    """For JSON; what only our own checkpoints tell is null for others."""
    record: dict[str, Any] = {
        "a": {"checkpoint": str(a.path)},
        "b": {"checkpoint": str(b.path)},
        "settings": None,
        "pixel_distance": None,
        "layers": [layer.record() for layer in compared],
        "only_a": _missing(a, b),
        "only_b": _missing(b, a),
    }
    for side, looked in (("a", a), ("b", b)):
        if looked.checkpoint:
            record[side] |= {
                "iteration": looked.checkpoint.iteration,
                "constraint": looked.checkpoint.constraint,
                "scores": scores_at(looked.checkpoint) or None,
            }
    if a.checkpoint and b.checkpoint and grids:
        record["settings"] = settings_that_differ(a.checkpoint.config, b.checkpoint.config)
        if _same_latents(a.checkpoint, b.checkpoint) and grids[0].shape == grids[1].shape:
            record["pixel_distance"] = pixel_distance(*grids)
    return record


def _missing(looked: LookedInto, other: LookedInto) -> list[str]:
    names = {weight.name for weight in other.weights}
    return [weight.name for weight in looked.weights if weight.name not in names]


def _report(a: LookedInto, b: LookedInto, compared: Sequence[LayerComparison], record: dict[str, Any]) -> None:
    for letter, looked in (("A", a), ("B", b)):
        print(f"{letter}: {headline(looked.checkpoint) if looked.checkpoint else looked.path}")
    if record["settings"]:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("setting", "A", "B"):
            table.add_column(title, overflow="fold")
        for name, values in record["settings"].items():
            table.add_row(name, *("–" if value is None else str(value) for value in values))
        show(table)
    show(_table(compared))
    print(EXPLANATION)
    for side in ("only_a", "only_b"):
        if record[side]:
            some = ", ".join(record[side][:5]) + (" ..." if len(record[side]) > 5 else "")
            print(f"- Only in {side[-1].upper()}, {len(record[side])} layers: {some}")
    if record["pixel_distance"] is not None:
        print(f"- Images from the same latents differ by {record['pixel_distance']:.1f} of 255, on average.")
    elif a.checkpoint and b.checkpoint:
        print("- The images of A and B are not from the same latents, or not of one size: they cannot be compared.")


def _table(compared: Sequence[LayerComparison]) -> Table:
    table = new_table("layer", "shape", NUMBERS)
    for layer in compared:
        a, b = layer.a, layer.b
        shape = a.shape_text if a.shape == b.shape else f"{a.shape_text}\n{b.shape_text}"
        distances = (layer.distance, layer.normalized_distance, layer.overlap)
        measures = ("sigma_1", "tail_mean", "effective_rank")
        values = [number(side.numbers[measure]) for measure in measures for side in (a, b)]
        table.add_row(layer.name, shape, *("–" if value is None else number(value) for value in distances), *values)
    return table


def _write(
    a: LookedInto,
    b: LookedInto,
    compared: Sequence[LayerComparison],
    grids: tuple[np.ndarray, np.ndarray] | None,
    record: dict[str, Any],
    options: argparse.Namespace,
) -> None:
    """The files that were asked for."""
    if options.json:
        write_json(options.json, record)
        print(f"wrote {options.json}")
    if options.output:
        from srgan.inspection.figures import comparison_figure
        from srgan.pictures import save, style

        finite = [layer for layer in compared if layer.a.is_finite and layer.b.is_finite]
        if not finite:
            raise ValueError("Expected a layer without NaN and infinity to draw, found none.")
        names = [short_headline(looked.checkpoint) if looked.checkpoint else looked.path.name for looked in (a, b)]
        with style():
            save(comparison_figure(finite, names, grids, "log" if options.log else "linear"), options.output)
        print(f"wrote {options.output}")
