"""Size of a report page of 52 runs at paper scale, and how soon it can be read in Chromium.

`python -m bench.report` makes the runs of Table II with invented numbers, through the writers of real ones (500
spectra, 50 evaluations, 50 sample grids each; one pair at the size of ImageNet-128), writes the page and opens it. It
prints the figures and writes bench/results/report.json. `--keep FOLDER` keeps runs and page.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from rich.progress import track
from sklearn.datasets import load_sample_image

from srgan.files import append_json_line, write_json
from srgan.metrics.collapse import CollapseThresholds, mode_collapse, spectral_collapse
from srgan.report.page import write_page
from srgan.runs import RunFolder, SpectralLayer

RESULTS = Path(__file__).parent / "results" / "report.json"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
OPENINGS = 5  # of each address
PAIRS = 26
ITERATIONS = 50_000
SPECTRA, EVALUATIONS, GRIDS, ROWS, OUTPUTS = 500, 50, 50, 500, 50
CONSTRAINTS = {"sn": "SpectralNormalization", "sr": "StaticRegularization"}


def discriminator_layers(image_size: int, channels: int) -> list[SpectralLayer]:
    """Those of the residual discriminators: 10 convolutions for 32 x 32, 17 for 128 x 128, and the linear head."""
    widths = [3, *[channels] * 4] if image_size == 32 else [3, *[channels * scale for scale in (1, 2, 4, 8, 16, 16)]]
    layers = []
    for block, (inputs, outputs) in enumerate(pairwise(widths)):
        hidden = outputs if block == 0 else inputs
        shapes = {"conv1": [hidden, inputs, 3, 3], "conv2": [outputs, hidden, 3, 3]}
        if inputs != outputs or (image_size == 32 and block == 1):
            shapes["shortcut"] = [outputs, inputs, 1, 1]
        for name, shape in shapes.items():
            rank = min(shape[0], int(np.prod(shape[1:])))
            layers.append(SpectralLayer(f"blocks.{block}.{name}", "Conv2d", shape, rank))
    return [*layers, SpectralLayer("linear", "Linear", [1, widths[-1]], 1)]


def synthesize(path: Path, method: str, image_size: int, channels: int, collapses: bool, seed: int) -> None:
    """One run folder with invented numbers: a spectrum that decays if the run collapses, photographs as samples."""
    random = np.random.default_rng(seed)
    folder = RunFolder(path)
    layers = discriminator_layers(image_size, channels)
    for t in np.linspace(0, ITERATIONS, SPECTRA).astype(int).tolist():
        sunk = 1 / (1 + np.exp(-(t - 30_000) / 2_000)) if collapses else 0.0
        folder.append_spectra(t, layers, [_spectrum(layer.rank, 0.4 + 5 * sunk, random) for layer in layers])
    for t in np.linspace(100, ITERATIONS, ROWS).astype(int).tolist():
        keys = ("loss/discriminator", "loss/generator", "score/real", "score/fake", "accuracy/real", "accuracy/fake")
        append_json_line(folder.losses, {"iteration": t} | dict(zip(keys, random.random(6).tolist(), strict=True)))
        nets = {
            net: dict(zip((layer.name for layer in layers), random.random(len(layers)).tolist(), strict=True))
            for net in ("generator", "discriminator")
        }
        append_json_line(folder.gradients, {"iteration": t} | nets)
    for t in np.linspace(1_000, ITERATIONS, EVALUATIONS).astype(int).tolist():
        fid = 20 + 200 * np.exp(-t / 8_000) + random.random() + (60 if collapses and t > 31_000 else 0)
        append_json_line(folder.scores, {"iteration": t, "FID": fid, "IS": 9 - fid / 40, "IS_std": 0.1})
    for t in np.linspace(0, ITERATIONS, OUTPUTS).astype(int).tolist():
        folder.append_outputs(
            t, {kind: random.normal(k, 1, 1_000) for k, kind in enumerate(("generated", "test", "train"))}
        )
    for t in np.linspace(0, ITERATIONS, GRIDS).astype(int).tolist():
        folder.samples.mkdir(exist_ok=True)
        _sample_grid(image_size, t / ITERATIONS, random).save(folder.samples / f"{t:08d}.png", compress_level=1)
    write_json(folder.protocol, {"num_fake_images": 5_000, "features": "inception", "seed": 0})
    _write_record(folder, method, image_size, channels)


def _spectrum(rank: int, decay: float, random: np.random.Generator) -> np.ndarray:
    values = np.exp(-decay * np.arange(rank) / rank) * (1 + 0.004 * random.standard_normal(rank))
    return np.sort(values)[::-1]


def _sample_grid(image_size: int, share: float, random: np.random.Generator) -> Image.Image:
    """64 crops of a photograph, out of noise with time, laid out as `srgan fit` does."""
    photograph = load_sample_image("china.jpg")
    factor = max(1, 64 // image_size)
    tile = image_size * factor
    grid = np.full((8 * (tile + 2) + 2,) * 2 + (3,), 255, np.uint8)
    for k in range(64):
        top, left = random.integers(0, 427 - image_size), random.integers(0, 640 - image_size)
        crop = photograph[top : top + image_size, left : left + image_size]
        noise = random.integers(0, 256, crop.shape)
        image = (min(1.0, 4 * share) * crop + max(0.0, 1 - 4 * share) * noise).astype(np.uint8)
        y, x = (2 + place * (tile + 2) for place in divmod(k, 8))
        grid[y : y + tile, x : x + tile] = image.repeat(factor, 0).repeat(factor, 1)
    return Image.fromarray(grid)


def _write_record(folder: RunFolder, method: str, image_size: int, channels: int) -> None:
    rows, history = folder.read_scores(), folder.read_spectra()
    assert history is not None
    verdicts = {
        "mode_collapse": vars(mode_collapse(rows)),
        "spectral_collapse": vars(spectral_collapse(history.iterations, history.judged())),
        "thresholds": vars(CollapseThresholds()),
    }
    constraint = {"class_path": f"srgan.constraints.{CONSTRAINTS[method]}", "init_args": {}}
    networks = {"image_size": image_size, "discriminator_channels": channels}
    config = {"model": {"networks": networks, "constraint": constraint, "seed": 1}, "samples": {"rows": 8}}
    config |= {"padding": {f"setting{k}": k for k in range(80)}}  # as many as a real run has
    write_json(
        folder.record,
        {
            "status": "finished", "command": ["srgan", "fit", "--run", str(folder.path)], "config": config, "seed": 1,
            "iterations": ITERATIONS, "parent": None, "commit": "0" * 40, "scores": rows, "verdicts": verdicts,
        },
    )  # fmt: skip


def synthesize_table(root: Path, pairs: int) -> None:
    """Pairs of SN and SR; every third SN collapses; the last pair is of ImageNet's size."""
    todo = [(pair, method) for pair in range(pairs) for method in CONSTRAINTS]
    for pair, method in track(todo, "inventing runs"):
        image_size, channels = (128, 64) if pair == pairs - 1 else (32, (128, 256)[pair % 2])
        path = root / f"{'ABCDE'[pair % 5]}_{pair}-{channels}" / f"{method}-seed1"
        if not RunFolder(path).record.exists():
            synthesize(
                path, method, image_size, channels, method == "sn" and pair % 3 == 0, 2 * pair + (method == "sr")
            )


def opening(browser: Browser, address: str, sign: str) -> tuple[float, float]:
    """Opens an address in a fresh context, until an element stands there.

    Returns:
        seconds from the start of navigation until the view is ready, and seconds of processor time that the page's
        main thread had taken when `sign` was there: the second hardly depends on what else the machine does.
    """
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(address)
    page.wait_for_selector(sign, state="attached", timeout=180_000)
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    milliseconds: float = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
    context.close()
    return milliseconds / 1_000, metrics["TaskDuration"]


def measure(root: Path) -> dict[str, Any]:
    """Writes the page and opens it at each kind of address."""
    started = time.perf_counter()
    page = root / "report.html"
    written = write_page(root, page, lambda runs: track(runs, "reading runs"))
    keys = sorted(path.parent.relative_to(root).as_posix().replace("/", "%2F") for path in root.rglob("run.json"))
    found: dict[str, Any] = {"runs": written.runs, "megabytes": page.stat().st_size / 1e6}
    found["writing_seconds"] = time.perf_counter() - started
    address = page.resolve().as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        views = {
            "overview": ("", "main h1"),
            "run": (f"#run={keys[0]}", ".plot.curves[data-drawn]"),
            "compare": (f"#compare={keys[0]},{keys[1]}", ".plot[data-drawn]"),
        }
        for name, (hash_, sign) in views.items():
            seconds, processor = zip(*(opening(browser, address + hash_, sign) for _ in range(OPENINGS)), strict=True)
            found[f"{name}_ready_seconds"] = {"fastest": min(seconds), "median": statistics.median(seconds)}
            found[f"{name}_processor_seconds"] = statistics.median(processor)
        found |= {"chromium": browser.version, "load_average": os.getloadavg()[0], "cores": os.cpu_count()}
        browser.close()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures in a temporary folder, or in one that is kept."""
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where runs and page stay; runs in it are taken")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary)
        synthesize_table(root, options.pairs)
        found = measure(root)
    print(json.dumps(found, indent=2))
    if options.pairs == PAIRS:
        write_json(RESULTS, found)


if __name__ == "__main__":
    main()
