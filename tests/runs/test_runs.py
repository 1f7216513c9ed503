"""The files of a run, and what recording spectra writes into them."""

import contextlib
import json
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

import srgan
from srgan.callbacks import RunRecorder, SpectraRecorder
from srgan.data import DigitsData
from srgan.networks import ResNetPair
from srgan.runs.folder import RunFolder, SpectralLayer
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.utils.files import append_json_line, read_json_lines, write_atomically, write_json, write_text

# Files that are never half-written.


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "run.json"
    write_text(path, "old")

    def fail_half_way(file: IO[bytes]) -> None:
        file.write(b"ne")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        write_atomically(path, fail_half_way)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]  # no temporary file stays
    write_text(path, "new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_holds_no_nan_and_no_infinity(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "run.json", {"FID": None})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "run.json", {"FID": number})
    assert json.loads((tmp_path / "run.json").read_text()) == {"FID": None}
    with pytest.raises(ValueError, match="Out of range"):
        append_json_line(tmp_path / "scores.jsonl", {"FID": number})
    assert read_json_lines(tmp_path / "scores.jsonl") == []


def test_rows_of_an_earlier_version_are_not_called_damaged_alone(tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_text('{"iteration": 100, "FID": 10.5}\n')
    with pytest.raises(ValueError, match="an earlier version of srgan wrote it"):
        read_json_lines(tmp_path / "scores.jsonl")


def test_rows_survive_a_last_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "scores.jsonl"
    assert read_json_lines(path) == []
    rows = [{"iteration": t, "FID": 10.5 - t, "IS_std": None} for t in (100, 200, 300)]
    for row in rows:
        append_json_line(path, row)
    assert read_json_lines(path) == rows
    whole = path.read_bytes()
    for cut in range(1, len(whole) // 3):
        path.write_bytes(whole[:-cut])
        assert read_json_lines(path) == rows[:2]


def test_a_row_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    """Whatever bit flips in a row, it is refused or still the same row; a flipped end of the last line drops it."""
    path = tmp_path / "scores.jsonl"
    rows = [{"iteration": t, "FID": 10.5 - t, "IS_std": None} for t in (100, 200, 300)]
    for row in rows:
        append_json_line(path, row)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 6):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            with contextlib.suppress(ValueError):
                assert read_json_lines(path) == (rows if place < len(whole) - 1 else rows[:2])


# Run folders.

LAYERS = [SpectralLayer("conv", "Conv2d", [4, 3, 3, 3], 4, 4), SpectralLayer("head", "Linear", [1, 4], 1, 1)]


def recorded_run(path: Path, iterations: list[int]) -> RunFolder:
    """A run folder with rows, spectra and pictures of these iterations."""
    folder = RunFolder(path)
    for iteration in iterations:
        append_json_line(folder.scores, {"iteration": iteration, "FID": iteration / 2})
        append_json_line(folder.losses, {"iteration": iteration, "loss/generator": -1.0})
        append_json_line(folder.gradients, {"iteration": iteration, "generator": {}, "discriminator": {"conv": 1.0}})
        append_json_line(folder.warnings, {"iteration": iteration, "name": "name", "message": "message"})
        folder.append_spectra(iteration, LAYERS, [max(iteration, 1) * np.array([1, 0.5, 0.25, 0.125]), np.array([2.0])])
        folder.append_outputs(iteration, {"train": np.arange(3) + iteration, "generated": -np.ones(3)})
        write_text(folder.samples / f"{iteration:08d}.png", "picture")
    return folder


def test_an_empty_run_folder_holds_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert [folder.read_record(), folder.read_protocol(), folder.read_progress(), folder.read_spectra()] == [None] * 4
    assert [folder.read_scores(), folder.read_losses(), folder.read_samples()] == [[], [], {}]
    assert [folder.read_gradients(), folder.read_warnings(), folder.read_outputs()] == [[], [], None]
    folder.roll_back({}, 0)
    assert not folder.path.exists()


def test_spectra_survive_a_last_record_that_was_cut(tmp_path: Path) -> None:
    folder = recorded_run(tmp_path, [0, 20, 40])
    whole = folder.spectra.path.read_bytes()
    size = len(whole) // 3
    for cut in (0, 1, size - 1, size, 3 * size - 1, 3 * size):
        folder.spectra.path.write_bytes(whole[: len(whole) - cut])
        history = folder.read_spectra()
        assert history is not None
        assert history.iterations.tolist() == [0, 20, 40][: (3 * size - cut) // size]
    folder.spectra.path.write_bytes(whole[:-1])
    history = folder.read_spectra()
    assert history is not None
    assert history.layers == LAYERS
    assert history.sigma_1["conv"].tolist() == [1, 20]
    assert history.spectra["conv"].tolist() == [[1, 0.5, 0.25, 0.125]] * 2
    assert history.spectra["head"].tolist() == [[1]] * 2


@pytest.mark.parametrize(("iteration", "kept"), [(40, [0, 20, 40]), (39, [0, 20]), (20, [0, 20]), (-1, [])])
@pytest.mark.parametrize("cut", [False, True])
def test_everything_beyond_an_iteration_is_forgotten(
    tmp_path: Path, iteration: int, kept: list[int], cut: bool
) -> None:
    folder = recorded_run(tmp_path, kept)
    marks = folder.history_marks()
    for later in {0, 20, 40} - set(kept):
        recorded_run(tmp_path, [later])
    if cut:  # the beginnings of what was being written when the run was killed
        rows = (folder.scores, folder.losses, folder.gradients, folder.warnings)
        for path in (*rows, folder.spectra.path, folder.outputs.path):
            path.write_bytes(path.read_bytes() + path.read_bytes()[:7])
    folder.roll_back(marks, iteration)
    expected = recorded_run(tmp_path / "expected", kept)
    assert folder.read_scores() == expected.read_scores()
    assert folder.read_losses() == expected.read_losses()
    assert list(folder.read_samples()) == kept
    assert folder.read_gradients() == expected.read_gradients()
    assert folder.read_warnings() == expected.read_warnings()
    for records, wanted in ((folder.spectra, expected.spectra), (folder.outputs, expected.outputs)):
        assert records.layout.exists() == records.path.exists() == bool(kept)
        assert not kept or records.path.read_bytes() == wanted.path.read_bytes()


def test_a_flipped_bit_in_a_record_is_refused(tmp_path: Path) -> None:
    folder = recorded_run(tmp_path, [0, 20])
    whole = folder.spectra.path.read_bytes()
    for place in range(len(whole)):
        folder.spectra.path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"record [12] of .*spectra.bin.* damaged"):
            folder.read_spectra()


def test_damage_before_the_marks_is_told_and_what_came_after_them_is_not_looked_at(tmp_path: Path) -> None:
    folder = recorded_run(tmp_path, [0, 20])
    marks = folder.history_marks()
    recorded_run(tmp_path, [40])
    assert folder.damaged_histories(marks) == []
    folder.scores.write_bytes(folder.scores.read_bytes()[: marks["scores.jsonl"][0] - 1])
    folder.losses.write_bytes(folder.losses.read_bytes().replace(b"-1.0", b"-2.0", 1))
    folder.spectra.path.unlink()
    assert folder.damaged_histories(marks) == ["scores.jsonl", "losses.jsonl", "spectra.bin"]


def test_records_of_another_layout_are_refused_and_lose_nothing(tmp_path: Path) -> None:
    folder = recorded_run(tmp_path, [0, 20])
    before = folder.outputs.path.read_bytes()
    with pytest.raises(ValueError, match=r"'images': 3\} there and .*'images': 4\} now"):
        folder.append_outputs(40, {"train": np.arange(4), "generated": np.arange(4)})
    assert folder.outputs.path.read_bytes() == before
    folder.roll_back({}, -1)  # the run starts anew: nothing binds it
    folder.append_outputs(0, {"train": np.arange(4), "test": np.arange(4), "generated": np.arange(4)})
    history = folder.read_outputs()
    assert history is not None
    assert list(history.outputs) == ["train", "test", "generated"]


@pytest.mark.parametrize(
    ("kind", "shape", "shortcut", "judged"),
    [
        ("Conv2d", [8, 4, 1, 1], True, False),
        ("ConvTranspose2d", [8, 4, 1, 1], True, False),
        ("Conv2d", [8, 4, 3, 3], False, True),
        ("Conv2d", [8, 4, 1, 3], False, True),
        ("Conv2d", [8, 4, 3, 1], False, True),
        ("Linear", [1, 8], False, False),
        ("Embedding", [1, 1], False, False),
    ],
)
def test_shortcuts_are_the_1_x_1_convolutions(kind: str, shape: list[int], shortcut: bool, judged: bool) -> None:
    layer = SpectralLayer("layer", kind, shape, 1, 1)
    assert layer.is_judged == judged
    assert (layer.is_convolution and not layer.is_judged) == shortcut


# Recording spectra.

NETWORKS = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=8)


def untrained() -> AdversarialTraining:
    return AdversarialTraining(NETWORKS, iterations=3, n_dis=2, seed=1)


def train(folder: RunFolder) -> AdversarialTraining:
    """Three iterations from the start, spectra recorded every second one."""
    module = untrained()
    callbacks = [RunRecorder({"config": {}, "constraint": module.constraint.words}), SpectraRecorder(every=2)]
    for callback in callbacks:
        callback.folder = folder
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=optimizer_steps(3, module.n_dis), callbacks=[*callbacks], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsData(8, batch_size=2, n_dis=2, seed=1))
    return module


def as_recorded(spectra: dict[str, torch.Tensor]) -> dict[str, list[float]]:
    return {name: sigma.float().tolist() for name, sigma in spectra.items()}


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_recorded_spectra_are_those_of_the_discriminator(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    trained = train(folder)
    history = folder.read_spectra()
    assert history is not None
    assert history.iterations.tolist() == [0, 2, 3]  # before the first, every second, and the last
    for t, discriminator in ((0, untrained().discriminator), (2, trained.discriminator)):
        assert {name: spectra[t].tolist() for name, spectra in history.spectra.items()} == {
            name: pytest.approx(sigma, rel=1e-6) for name, sigma in as_recorded(srgan.spectra(discriminator)).items()
        }
        raw = srgan.spectra(discriminator, normalized=False)
        assert {name: float(sigma_1[t]) for name, sigma_1 in history.sigma_1.items()} == {
            name: pytest.approx(float(sigma[0]), rel=1e-6) for name, sigma in raw.items()
        }
    weights = {name: parameter.shape for name, parameter in NETWORKS.build()[1].named_parameters()}
    assert [layer.shape for layer in history.layers] == [
        list(weights[f"{layer.name}.weight"]) for layer in history.layers
    ]
    assert [layer.kind for layer in history.layers] == ["Conv2d"] * 10 + ["Linear"]
    assert len(history.judged()) == 8  # without the head and the shortcuts of the first two blocks
    assert not any("shortcut" in name or "linear" in name for name in history.judged())


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    train(folder)
    once = folder.spectra.path.read_bytes()
    train(folder)
    assert folder.spectra.path.read_bytes() == once
