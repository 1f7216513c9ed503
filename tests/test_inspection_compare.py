"""`srgan compare` through the command line, on two runs and on others' checkpoints."""

import json
import math
from pathlib import Path
from typing import Any

import inspecting
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from srgan.checkpoints import read_run_checkpoint, rebuild_training
from srgan.cli import main
from srgan.constraints import spectral_layers
from srgan.files import append_json_line
from srgan.inspection.comparison import leading_overlap, relative_distance
from srgan.inspection.figures import mosaic, short_names
from srgan.runs import RunFolder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    root = tmp_path_factory.mktemp("compare")
    images = inspecting.small_images(root / "images")
    return {constraint: inspecting.train(images, root / constraint, constraint) for constraint in ("sn", "sr-s")}


def compare(a: Path, b: Path, *arguments: object) -> dict[str, Any]:
    """What it writes."""
    path = a.parent / f"{a.stem}-{b.stem}.json"
    assert main(["compare", str(a), str(b), "--json", str(path), "--device", "cpu", *map(str, arguments)]) == 0
    record: dict[str, Any] = json.loads(path.read_text())
    path.unlink()
    return record


def test_two_runs_side_by_side(runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = runs["sn"], runs["sr-s"]
    record = compare(a.checkpoint, b.checkpoint, "--output", tmp_path / "c.png")
    printed = capsys.readouterr().out
    assert (record["a"]["constraint"], record["b"]["constraint"]) == ("SpectralNormalization", "StaticRegularization")
    assert record["a"]["iteration"] == record["b"]["iteration"] == 4
    assert record["settings"].pop("model.constraint.class_path")[0] == "srgan.constraints.SpectralNormalization"
    assert all(name.startswith("model.constraint.") for name in record["settings"])
    assert "model.constraint.init_args.compensated_fraction" in printed

    states = [torch.load(run.checkpoint, weights_only=True)["state_dict"] for run in (a, b)]
    module = rebuild_training(read_run_checkpoint(a.checkpoint))
    assert {layer["name"] for layer in record["layers"]} == {name for name, _ in spectral_layers(module)}
    for layer in record["layers"]:
        key = f"{layer['name']}.weight"
        key = key if key in states[0] else f"{layer['name']}.parametrizations.weight.original"
        A, B = (state[key].double().flatten(1).numpy() for state in states)
        assert layer["distance"] == pytest.approx(np.linalg.norm(A - B) / np.linalg.norm(A), rel=1e-9)
        A_normalized, B_normalized = (W / np.linalg.norm(W, 2) for W in (A, B))
        expected = np.linalg.norm(A_normalized - B_normalized) / np.linalg.norm(A_normalized)
        assert layer["normalized_distance"] == pytest.approx(expected, rel=1e-6)
        for side, W in (("a", A), ("b", B)):
            assert layer[side]["sigma_1"] == pytest.approx(np.linalg.norm(W, 2), rel=1e-9)

    grids = [np.asarray(Image.open(run.read_samples()[4]).convert("RGB")).astype(int) for run in (a, b)]
    inside = np.ones(grids[0].shape[:2], dtype=bool)
    lines = [place for start in range(0, grids[0].shape[0], 66) for place in (start, start + 1)]
    inside[lines], inside[:, lines] = False, False
    assert record["pixel_distance"] == pytest.approx(np.abs(grids[0] - grids[1])[inside].mean(), abs=1e-3)
    assert f"differ by {record['pixel_distance']:.1f} of 255" in printed
    picture = np.asarray(Image.open(tmp_path / "c.png").convert("RGB"))
    assert picture.shape[0] > picture.shape[1] / 2
    colourful = np.ptp(picture[picture.shape[0] * 2 // 3 :].astype(int), axis=2) > 60
    assert colourful.mean() > 0.1  # the sample grids are in the lower part


def test_a_checkpoint_against_itself(runs: dict[str, RunFolder]) -> None:
    record = compare(runs["sn"].checkpoint, runs["sn"].checkpoint)
    assert record["settings"] == {}
    assert record["pixel_distance"] == 0
    for layer in record["layers"]:
        assert layer["distance"] == layer["normalized_distance"] == 0
        assert layer["overlap"] == pytest.approx(1)


def test_iterations_of_a_run_and_their_scores(runs: dict[str, RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    """The scores of each checkpoint are those at its iteration."""
    run = runs["sr-s"]
    for iteration, fid in ((2, 80.5), (4, 41.25)):
        append_json_line(run.scores, {"iteration": iteration, "FID_cls": fid, "IS_cls": 2.0})
    try:
        first = run.checkpoint.with_name("00000002.ckpt")
        record = compare(first, run.checkpoint, "--net", "discriminator", "--layers", "*conv?")
    finally:
        run.scores.unlink()
    assert [record[side]["scores"]["FID_cls"] for side in "ab"] == [80.5, 41.25]
    assert "iteration 2, FID_cls 80.5" in capsys.readouterr().out
    assert all(layer["name"].startswith("discriminator.") and "conv" in layer["name"] for layer in record["layers"])
    assert all(layer["distance"] > 0 for layer in record["layers"])


def test_others_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spectra where shapes differ, distances where they agree; nothing of ours."""

    def save(name: str, **layers: nn.Module) -> Path:
        torch.save(nn.ModuleDict(layers).state_dict(), tmp_path / name)
        return tmp_path / name

    torch.manual_seed(0)
    a = save("a.pth", same=nn.Conv2d(3, 6, 3), wider=nn.Linear(4, 5), lost=nn.Linear(2, 2))
    b = save("b.pth", same=nn.Conv2d(3, 6, 3), wider=nn.Linear(4, 9), added=nn.Linear(2, 2))
    record = compare(a, b, "--output", tmp_path / "c.pdf")
    assert (record["settings"], record["pixel_distance"], record["a"]) == (None, None, {"checkpoint": str(a)})
    same, wider = record["layers"]
    assert same["distance"] > 0
    assert (wider["distance"], wider["overlap"]) == (None, None)
    assert (wider["a"]["N"], wider["b"]["shape"]) == (4, [9, 4])
    assert (record["only_a"], record["only_b"]) == (["lost"], ["added"])
    assert "Only in B, 1 layers: added" in capsys.readouterr().out
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_narrow_terminal_loses_nothing(
    width: int, runs: dict[str, RunFolder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names may be folded, numbers may not be cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    record = compare(runs["sn"].checkpoint, runs["sr-s"].checkpoint, "--layers", "discriminator.blocks.0.*")
    printed = capsys.readouterr().out
    assert "…" not in printed
    for layer in record["layers"]:
        assert f"{layer['a']['effective_rank']:.3g}" in printed
        assert "×".join(map(str, layer["a"]["shape"])) in printed
        assert layer["name"][:14] in printed


def test_zero_and_broken_weights_have_no_distance(tmp_path: Path) -> None:
    good = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    torch.save({"a.weight": good, "b.weight": good, "c.weight": torch.zeros(2, 2)}, tmp_path / "a.pth")
    torch.save({"a.weight": good * math.nan, "b.weight": torch.zeros(2, 2), "c.weight": good}, tmp_path / "b.pth")
    broken, to_zero, from_zero = compare(tmp_path / "a.pth", tmp_path / "b.pth")["layers"]
    assert broken["distance"] is broken["overlap"] is from_zero["distance"] is None
    assert (to_zero["distance"], to_zero["normalized_distance"]) == (1, None)


def test_refusals(runs: dict[str, RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: object) -> str:
        assert main(["compare", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    checkpoint = runs["sn"].checkpoint
    torch.save(nn.Sequential(nn.Linear(2, 3)).state_dict(), tmp_path / "other.pth")
    said = refused(checkpoint, tmp_path / "other.pth")
    assert "Expected layers of the same names in both checkpoints, found none" in said
    assert "generator.linear" in said
    assert "found nothing" in refused(checkpoint, tmp_path / "nowhere.pth")
    assert "FILE.png or FILE.pdf" in refused(checkpoint, checkpoint, "--output", "c.html")
    assert "to match a layer" in refused(checkpoint, checkpoint, "--layers", "nothing*")


# The measures.


def test_distance_is_relative_to_the_first() -> None:
    A = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert relative_distance(A, torch.zeros(2, 2)) == 1
    assert relative_distance(A, 3 * A) == pytest.approx(2)


def test_overlap_of_leading_directions() -> None:
    """1 for the same span, whatever the order and the left side; 0 for orthogonal ones; cos^2 of the angle between."""
    torch.manual_seed(0)
    V = torch.linalg.qr(torch.randn(12, 12, dtype=torch.float64))[0]
    U, W = (torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0] for _ in range(2))
    sigma = torch.tensor([9.0, 8, 7, 3, 2, 1], dtype=torch.float64)
    A = U @ torch.diag(sigma) @ V[:, :6].T
    swapped = W @ torch.diag(sigma[[2, 0, 1, 4, 5, 3]]) @ V[:, :6].T
    assert leading_overlap(A, swapped, 3) == pytest.approx(1)
    elsewhere = W @ torch.diag(sigma) @ V[:, 6:].T
    assert leading_overlap(A, elsewhere, 3) == pytest.approx(0, abs=1e-12)
    turned = torch.cat([V[:, :1] * math.cos(0.3) + V[:, 6:7] * math.sin(0.3), V[:, 1:6]], dim=1)
    assert leading_overlap(A, W @ torch.diag(sigma) @ turned.T, 1) == pytest.approx(math.cos(0.3) ** 2)
    assert leading_overlap(A, W @ torch.diag(sigma) @ turned.T, 3) == pytest.approx((2 + math.cos(0.3) ** 2) / 3)


def test_names_in_pictures_are_short_and_distinct() -> None:
    names = [f"discriminator.blocks.{k}.conv{j}" for k in range(4) for j in (1, 2)]
    assert short_names(names)[:2] == ["0.conv1", "0.conv2"]
    assert short_names(["generator.linear", "discriminator.linear"]) == ["G.linear", "D.linear"]
    assert short_names(["discriminator.linear"]) == ["D.linear"]
    assert short_names(["x" * 30 + ".a", "y.b"]) == ["…" + "x" * 18 + ".a", "y.b"]


def test_a_mosaic_holds_its_images_in_order() -> None:
    images = np.arange(9 * 2 * 2 * 3, dtype=np.uint8).reshape(9, 2, 2, 3)
    square = mosaic(images)
    assert square.shape == (8, 8, 3)
    for k, image in enumerate(images):
        row, column = divmod(k, 3)
        np.testing.assert_array_equal(square[3 * row : 3 * row + 2, 3 * column : 3 * column + 2], image)
