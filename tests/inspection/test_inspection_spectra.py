"""`srgan spectra` through the command line, on our checkpoints and on others'."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import inspecting
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from srgan.cli.main import main
from srgan.cli.spectra import short_names
from srgan.collapse import tail_mean
from srgan.runs.folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("spectra")
    return inspecting.train(inspecting.small_images(folder / "images"), folder / "run", "sn")


@pytest.fixture
def third_party(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.ConvTranspose2d(8, 4, 2), nn.Linear(9, 5))
    torch.save({"model": net.state_dict()}, tmp_path / "third_party.pth")
    return tmp_path / "third_party.pth"


def spectra(*arguments: object) -> int:
    return main(["spectra", *map(str, arguments)])


def test_whoever_reads_the_first_lines_only_gets_no_error(third_party: Path) -> None:
    command = f"set -o pipefail; '{sys.executable}' -u -m srgan spectra '{third_party}' | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")


def test_our_checkpoint_has_the_spectra_that_its_run_recorded(run: RunFolder, tmp_path: Path) -> None:
    """The discriminator alone by default, and numpy's singular values of the raw weights."""
    assert spectra(run.path, "--json", tmp_path / "s.json") == 0  # its last checkpoint
    record = json.loads((tmp_path / "s.json").read_text())
    assert (record["iteration"], record["constraint"]) == (4, "SN")
    history = run.read_spectra()
    assert history is not None
    assert [layer["name"] for layer in record["layers"]] == [f"discriminator.{layer.name}" for layer in history.layers]
    weights = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    for layer in record["layers"]:
        name = layer["name"].removeprefix("discriminator.")
        W = weights[f"{layer['name']}.parametrizations.weight.original"].double().flatten(1).numpy()
        np.testing.assert_allclose(layer["sigma"], np.linalg.svd(W, compute_uv=False), rtol=1e-9)
        np.testing.assert_allclose(layer["sigma"] / history.sigma_1[name][-1], history.spectra[name][-1], rtol=1e-5)
        assert layer["tail_mean"] == pytest.approx(tail_mean(history.spectra[name][-1]), rel=1e-5)


def test_both_nets_and_globs(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def names(*globs: str) -> list[str]:
        options = [option for glob in globs for option in ("--layers", glob)]
        assert spectra(run.checkpoint, "--json", tmp_path / "s.json", *options) == 0
        return [layer["name"] for layer in json.loads((tmp_path / "s.json").read_text())["layers"]]

    discriminator = names()
    assert "further layers are not shown (--layers '*' shows all)" in capsys.readouterr().out
    assert {name.partition(".")[0] for name in discriminator} == {"discriminator"}
    assert names("*") == [*names("generator.*"), *discriminator]
    assert len(names("*.linear", "*.blocks.0.conv?")) == 2 + 2 * 2
    assert "further layers" not in capsys.readouterr().out


def test_the_verdict_of_a_checkpoint_in_its_run(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the record until its iteration; a file alone says what is missing."""
    assert spectra(run.checkpoint) == 0
    printed = capsys.readouterr().out
    assert "iteration 4" in printed
    assert "Spectral collapse: none until here. The tail mean of 0 of" in printed
    assert "largest" in printed
    moved = tmp_path / "moved.ckpt"
    moved.write_bytes(run.checkpoint.read_bytes())
    assert spectra(moved) == 0
    assert "no recorded run was found around this file" in capsys.readouterr().out


def test_a_collapse_is_told_from_the_record(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recorded tails once stood higher than they can: all have fallen since."""
    copied = RunFolder(tmp_path / "run")
    copied.checkpoint.parent.mkdir(parents=True)
    copied.checkpoint.write_bytes(run.checkpoint.read_bytes())
    history = run.read_spectra()
    assert history is not None
    for iteration, scale in ((2, 1.0), (4, 0.1)):
        sigmas = [np.concatenate([[1.0], np.full(layer.rank - 1, scale)]) for layer in history.layers]
        copied.append_spectra(iteration, history.layers, sigmas)
    assert spectra(copied.checkpoint) == 0
    printed = capsys.readouterr().out
    assert "Spectral collapse: since iteration 4." in printed


def test_table_and_csv_hold_the_same_layers(
    third_party: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert spectra(third_party, "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json") == 0
    printed = capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    record = json.loads((tmp_path / "s.json").read_text())
    assert [row["layer"] for row in rows] == ["0", "1", "2", "3"]
    for row, layer in zip(rows, record["layers"], strict=True):
        assert float(row["effective_rank"]) == layer["effective_rank"]
        assert row["shape"] == "x".join(map(str, layer["shape"]))
        assert row["shape"].replace("x", "×") in printed
    assert "--transposed GLOB" in printed


def test_transposed_convolutions_are_told(
    third_party: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def rank(*arguments: str) -> int:
        assert spectra(third_party, "--json", tmp_path / "s.json", *arguments) == 0
        return int(json.loads((tmp_path / "s.json").read_text())["layers"][2]["N"])

    assert (rank(), rank("--transposed", "2")) == (8, 4)
    assert "--transposed GLOB" not in capsys.readouterr().out.rpartition("third_party.pth")[2]


@pytest.mark.parametrize("options", [["--plot", "p.png"], ["--plot", "p.PDF", "--log-scale"]])
def test_pictures(third_party: Path, tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert spectra(third_party, *options) == 0
    written = tmp_path / options[1]
    if written.suffix == ".png":
        assert np.asarray(Image.open(written).convert("L")).std() > 5
    else:
        assert written.read_bytes().startswith(b"%PDF")
    assert {path.name for path in tmp_path.iterdir()} == {"third_party.pth", options[1]}


def test_more_layers_than_a_page_has_panels_are_not_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({f"layer{k}.weight": torch.ones(2, 2) for k in range(70)}, tmp_path / "deep.pth")
    assert spectra(tmp_path / "deep.pth", "--plot", tmp_path / "deep.png") == 2
    assert "Expected 1 to 60 layers" in capsys.readouterr().err
    assert spectra(tmp_path / "deep.pth", "--plot", tmp_path / "deep.png", "--layers", "layer1*") == 0


def test_names_above_panels_are_short_and_distinct() -> None:
    names = [f"discriminator.blocks.{k}.conv{j}" for k in range(4) for j in (1, 2)]
    assert short_names(names)[:2] == ["0.conv1", "0.conv2"]
    assert short_names(["generator.linear", "discriminator.linear"]) == ["generator.linear", "discriminator.linear"]
    deep = [f"encoder.layer.{k}.attention.self.query_projection" for k in range(30)]
    shown = short_names(["head", *deep])
    assert len(set(shown)) == 31
    assert max(map(len, shown)) <= 21


def test_diverged_and_zero_weights_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = {"a.weight": torch.full((2, 3), torch.nan), "b.weight": torch.zeros(2, 3), "c.weight": torch.eye(3)}
    torch.save(weights, tmp_path / "bad.pth")
    assert spectra(tmp_path / "bad.pth", "--csv", tmp_path / "s.csv", "--plot", tmp_path / "p.png") == 0
    printed = capsys.readouterr().out
    assert "NaN or infinity in: a." in printed
    assert "All zero: b." in printed
    assert "a,2x3,2,,,,,,,," in (tmp_path / "s.csv").read_text()
    torch.save({"a.weight": weights["a.weight"]}, tmp_path / "worse.pth")
    assert spectra(tmp_path / "worse.pth", "--plot", tmp_path / "none.png") == 2
    assert not (tmp_path / "none.png").exists()


def test_refusals(third_party: Path, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: object) -> str:
        assert spectra(*arguments) == 2
        return capsys.readouterr().err

    assert "found nothing" in refused(tmp_path / "nowhere.pth")
    assert "found a folder that is no run with one" in refused(tmp_path)
    assert "FILE.png or FILE.pdf" in refused(third_party, "--plot", tmp_path / "p.jpg")
    said = refused(run.checkpoint, "--layers", "discriminator.blocks.0.konv1")
    assert "Expected --layers 'discriminator.blocks.0.konv1' to match a layer" in said
    assert "among them discriminator.blocks.0.conv1," in said
    assert "Expected --transposed 'up*' to match" in refused(third_party, "--transposed", "up*")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    assert "Expected weights in" in refused(tmp_path / "empty.pth")


def test_looking_needs_no_training_code() -> None:
    """Lightning takes seconds to import."""
    code = "import sys, srgan.cli.spectra; sys.exit('pytorch_lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
