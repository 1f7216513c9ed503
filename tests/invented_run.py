"""A run folder of paper size with invented numbers, through the writers of real ones."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

from srgan.collapse import CollapseThresholds, mode_collapse, spectral_collapse
from srgan.constraints import SpectralNormalization
from srgan.runs.folder import RunFolder, SpectralLayer
from srgan.utils.files import append_json_line, write_json

ITERATIONS = 50_000
SPECTRA, EVALUATIONS, GRIDS, ROWS, OUTPUTS = 500, 50, 50, 500, 50


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
            layers.append(SpectralLayer(f"blocks.{block}.{name}", "Conv2d", shape, rank, rank))
    return [*layers, SpectralLayer("linear", "Linear", [1, widths[-1]], 1, 1)]


def synthesize(path: Path, image_size: int, channels: int) -> None:
    """One run folder with invented numbers: its spectra decay, its scores collapse, photographs are its samples."""
    random = np.random.default_rng(0)
    folder = RunFolder(path)
    layers = discriminator_layers(image_size, channels)
    for t in np.linspace(0, ITERATIONS, SPECTRA).astype(int).tolist():
        sunk = 1 / (1 + np.exp(-(t - 30_000) / 2_000))
        folder.append_spectra(t, layers, [_spectrum(layer.rank, 0.4 + 5 * sunk, random) for layer in layers])
    for t in np.linspace(100, ITERATIONS, ROWS).astype(int).tolist():
        keys = ("loss/discriminator", "loss/generator", "logits/real", "logits/fake", "accuracy/real", "accuracy/fake")
        append_json_line(folder.losses, {"iteration": t} | dict(zip(keys, random.random(6).tolist(), strict=True)))
        nets = {
            net: dict(zip((layer.name for layer in layers), random.random(len(layers)).tolist(), strict=True))
            for net in ("generator", "discriminator")
        }
        append_json_line(folder.gradients, {"iteration": t} | nets)
    for t in np.linspace(1_000, ITERATIONS, EVALUATIONS).astype(int).tolist():
        fid = 20 + 200 * np.exp(-t / 8_000) + random.random() + (60 if t > 31_000 else 0)
        append_json_line(folder.scores, {"iteration": t, "FID": fid, "IS": 9 - fid / 40, "IS_std": 0.1})
    for t in np.linspace(0, ITERATIONS, OUTPUTS).astype(int).tolist():
        folder.append_outputs(
            t, {kind: random.normal(k, 1, 1_000) for k, kind in enumerate(("generated", "test", "train"))}
        )
    for t in np.linspace(0, ITERATIONS, GRIDS).astype(int).tolist():
        folder.samples.mkdir(exist_ok=True)
        _sample_grid(image_size, t / ITERATIONS, random).save(folder.samples / f"{t:08d}.png", compress_level=1)
    write_json(folder.protocol, {"num_fake_images": 5_000, "features": "inception", "seed": 0})
    _write_record(folder, image_size, channels)


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


def _write_record(folder: RunFolder, image_size: int, channels: int) -> None:
    rows, history = folder.read_scores(), folder.read_spectra()
    assert history is not None
    verdicts = {
        "mode_collapse": vars(mode_collapse(rows)),
        "spectral_collapse": vars(spectral_collapse(history.iterations, history.judged())),
        "thresholds": vars(CollapseThresholds()),
    }
    constraint = {"class_path": "srgan.constraints.SpectralNormalization", "init_args": {}}
    sizes = {"image_size": image_size, "discriminator_channels": channels}
    networks = {"class_path": "srgan.networks.ResNetPair", "init_args": sizes}
    words = SpectralNormalization().words
    config = {"model": {"networks": networks, "constraint": constraint, "seed": 1}, "samples": {"rows": 8}}
    config |= {"data": {"class_path": "srgan.data.CIFAR10Data", "init_args": {"image_size": image_size}}}
    config |= {"padding": {f"setting{k}": k for k in range(80)}}  # as many as a real run has
    write_json(
        folder.record,
        {
            "status": "finished", "command": ["srgan", "fit", "--run", str(folder.path)], "config": config, "seed": 1,
            "constraint": words, "iterations": ITERATIONS, "parent": None, "commit": "0" * 40, "verdicts": verdicts,
        },
    )  # fmt: skip
