"""Reading runs for a report page, what the page holds of them, and what the command refuses."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from invented_run import SPECTRA, synthesize
from PIL import Image
from reporting import COLLAPSE, ODD_NAME, overview_of, run_folders, stored_run, unpacked

from srgan.cli import main
from srgan.metrics.verdicts import effective_rank, stable_rank, tail_mean
from srgan.report.page import SAMPLE_BYTES, SPECTRAL_VALUES
from srgan.report.sample_pictures import native, sample_strip
from srgan.report.thinning import kept_positions, kept_times, pack_spectra
from srgan.runs import RunFolder

LARGEST_PAGE = 30e6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def page(runs: Path) -> Path:
    assert main(["report", str(runs)]) == 0
    return runs / "report.html"


def index_of(page: Path, key: str) -> int:
    return [run["key"] for run in overview_of(page)["runs"]].index(key)


# What is kept of a history.


@given(st.sets(st.integers(0, 5_000), min_size=1, max_size=300), st.integers(2, 60), st.data())
def test_thinning_keeps_first_last_and_required_times(times: set[int], most: int, data: st.DataObject) -> None:
    iterations = np.array(sorted(times))
    required = data.draw(st.lists(st.one_of(st.none(), st.sampled_from(sorted(times))), max_size=10))
    kept = iterations[kept_times(iterations, most, required)]
    assert {iterations[0], iterations[-1], *(t for t in required if t is not None)} <= set(kept)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(most, len({iterations[0], iterations[-1], *required} - {None}))
    if len(iterations) <= most:
        assert len(kept) == len(iterations)


@given(st.integers(1, 2_000), st.integers(2, 128))
def test_thinning_keeps_the_first_and_the_last_singular_value(N: int, most: int) -> None:
    kept = kept_positions(N, most)
    assert {0, N - 1} <= set(kept.tolist())
    assert len(kept) <= most
    assert (np.diff(kept) > 0).all()


def test_packed_spectra_keep_half_a_per_mille_at_the_top_and_five_per_cent_at_a_ten_thousandth() -> None:
    spectra = np.geomspace(1, 1e-8, 400).reshape(4, 100)[[0, 2, 1, 3]]  # goes up and down in time
    back = unpacked(pack_spectra(spectra), *spectra.shape)
    error = np.abs(back - spectra)
    assert (error[spectra > 0.5] / spectra[spectra > 0.5]).max() < 5e-4
    assert (error[spectra > 1e-4] / spectra[spectra > 1e-4]).max() < 0.05
    assert error.max() < 1e-3


# Sample grids.


def grid_of(images: np.ndarray, factor: int) -> Image.Image:
    """As `srgan fit` lays out `[64, S, S, 3]`."""
    tile = images.shape[1] * factor
    pixels = np.full((8 * (tile + 2) + 2,) * 2 + (3,), 255, np.uint8)
    for k, image in enumerate(images):
        y, x = (2 + place * (tile + 2) for place in divmod(k, 8))
        pixels[y : y + tile, x : x + tile] = image.repeat(factor, 0).repeat(factor, 1)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("size", "factor"), [(8, 8), (16, 4), (32, 2), (64, 1)])
def test_a_grid_loses_its_enlargement_and_nothing_else(size: int, factor: int) -> None:
    images = np.random.default_rng(size).integers(0, 256, (64, size, size, 3), dtype=np.uint8)
    small = np.asarray(native(grid_of(images, factor), size, 8))
    for k, image in enumerate(images):
        y, x = (place * (size + 1) for place in divmod(k, 8))
        assert (small[y : y + size, x : x + size] == image).all()
    assert small.shape == (8 * (size + 1) - 1,) * 2 + (3,)


def test_a_grid_of_an_unknown_layout_is_only_shrunk() -> None:
    assert native(Image.new("RGB", (1_000, 600)), 32, 8).size == (528, 317)


def test_samples_stay_within_their_budget(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = {}
    for t in range(0, 120, 10):
        pictures[t] = tmp_path / f"{t:08d}.png"
        grid_of(random.integers(0, 256, (64, 16, 16, 3), dtype=np.uint8), 4).save(pictures[t])
    config = {"data": {"init_args": {"image_size": 16}}, "samples": {"rows": 8}}
    qualities, counts = [], []
    for budget in (10_000_000, 300_000, 60_000):
        strip = sample_strip(pictures, config, [50], budget)
        assert sum(len(picture) for picture in strip.pictures) * 3 / 4 <= 1.2 * budget  # sizes are estimated from three
        assert {0, 50, 110} <= set(strip.iterations)
        assert len(strip.pictures) == len(strip.iterations)
        qualities.append(strip.quality)
        counts.append(len(strip.iterations))
    assert qualities[0] == 100 > qualities[1] > qualities[2] == 40
    assert counts[0] == 12 > counts[2]


# The page.


def test_the_numbers_of_a_page_are_those_of_the_runs_files(runs: Path, page: Path) -> None:
    for key in ("pair/sn", "pair/sr-s", "pair/collapsed"):
        folder = RunFolder(runs / key)
        run, packed = stored_run(page, index_of(page, key))
        history = folder.read_spectra()
        assert history is not None
        assert run["times"] == history.iterations.tolist()
        at = 0
        for layer in run["layers"]:
            spectrum = history.spectra[layer["name"]]
            for name, function in (
                ("tail_mean", tail_mean), ("effective_rank", effective_rank), ("stable_rank", stable_rank),
            ):  # fmt: skip
                assert layer[name] == pytest.approx(function(spectrum), rel=1e-3)
            size = 2 * spectrum.size
            assert layer["k"] == list(range(1, spectrum.shape[1] + 1))
            assert unpacked(packed[at : at + size], *spectrum.shape) == pytest.approx(spectrum, abs=5e-4)
            at += size
        assert at == len(packed)
        rows = folder.read_scores()
        assert run["scores"]["iteration"] == [row["iteration"] for row in rows]
        assert run["scores"]["FID_cls"] == pytest.approx([row["FID_cls"] for row in rows], rel=1e-3)
        assert run["losses"]["accuracy/real"] == pytest.approx([row["accuracy/real"] for row in folder.read_losses()])
        norms = [row["generator"]["linear"] for row in folder.read_gradients()]
        assert run["gradients"]["generator"]["linear"] == pytest.approx(norms, rel=1e-3)
        outputs = folder.read_outputs()
        assert outputs is not None
        assert set(run["outputs"]["counts"]) == set(outputs.outputs) == {"train", "test", "generated"}
        assert {sum(row) for counts in run["outputs"]["counts"].values() for row in counts} == {100}
        assert run["outputs"]["means"]["train"] == pytest.approx(outputs.outputs["train"].mean(axis=1), rel=1e-3)
        assert run["samples"]["iterations"] == list(folder.read_samples())


def test_verdicts_are_the_recorded_ones_and_computed_for_a_run_that_trains(runs: Path, page: Path) -> None:
    by_key = {run["key"]: run for run in overview_of(page)["runs"]}
    collapsed = by_key["pair/collapsed"]
    assert collapsed["verdicts"] == {
        kind: {"collapsed": True, "iteration": COLLAPSE} for kind in ("mode_collapse", "spectral_collapse")
    }
    assert collapsed["verdicts_final"]
    record = RunFolder(runs / "pair" / "sn").read_record()
    assert record is not None
    running = by_key["running"]
    assert "verdicts" not in (RunFolder(runs / "running").read_record() or {})
    assert running["verdicts"] == {kind: record["verdicts"][kind] for kind in running["verdicts"]}
    assert not running["verdicts_final"]
    assert by_key["bare"]["verdicts"]["mode_collapse"] == record["verdicts"]["mode_collapse"]  # from its run.json


def test_a_run_without_recordings_and_one_whose_grid_is_half_written_are_there(page: Path) -> None:
    bare, packed = stored_run(page, index_of(page, "bare"))
    assert packed == b""
    nothing = ("layers", "times", "scores", "losses", "gradients", "outputs", "warnings", "final")
    assert [bool(bare[name]) for name in nothing] == [False] * len(nothing)
    running, _ = stored_run(page, index_of(page, "running"))
    assert running["samples"]["iterations"] == [0, 10]
    assert running["gradients"] is running["outputs"] is None


def test_runs_that_differ_in_their_method_alone_stand_in_one_row(page: Path) -> None:
    overview = overview_of(page)
    rows = {row["folder"]: [overview["runs"][k]["key"] for k in row["runs"]] for row in overview["rows"]}
    assert rows["pair"] == ["pair/collapsed", "pair/sn", "pair/sr-d", "pair/sr-s"]
    assert rows["odd"] == [f"odd/{ODD_NAME}"]
    assert sum(len(row["runs"]) for row in overview["rows"]) == len(overview["runs"])


def test_a_run_that_branched_off_names_its_parent(page: Path) -> None:
    run, _ = stored_run(page, index_of(page, "pair/sr-d"))
    assert run["parent_key"] == "pair/sn"
    assert run["parent"]["iteration"] == 20


def test_broken_runs_are_left_out_with_a_note(runs: Path, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs), "--output", str(runs / "again.html")]) == 0
    assert "left out: broken: its run.json cannot be read" in capsys.readouterr().err
    (note,) = overview_of(page)["notes"]
    assert note.startswith("broken: ")
    assert (runs / "again.html").read_bytes() == page.read_bytes()


def test_a_broken_front_page_is_left_out_with_a_note(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "pair" / "sn", tmp_path / "sn", ignore=shutil.ignore_patterns("checkpoints"))
    for content in ("{", "[]", '{"sections": [{"title": "a", "table": {"rows": [1]}}]}'):
        (tmp_path / "front.json").write_text(content)
        assert main(["report", str(tmp_path)]) == 0
        overview = overview_of(tmp_path / "report.html")
        assert overview["front"] is None
        assert overview["notes"][0].startswith("front.json: cannot be read")


def test_text_from_runs_never_becomes_markup(page: Path) -> None:
    text = page.read_text()
    assert "<title>Table &lt;II&gt;</title>" in text
    assert ODD_NAME not in text
    assert "<mini>" not in text


def test_nothing_is_left_to_fetch(page: Path) -> None:
    text = page.read_text()
    assert "default-src 'none'" in text
    assert "<script src" not in text
    assert text.count("<link") == text.count('<link rel="icon" href="data:,">') == 1


@pytest.mark.parametrize(("image_size", "channels", "share"), [(32, 256, 1 / 52)])
def test_52_runs_of_paper_size_stay_under_30_megabytes(
    tmp_path: Path, image_size: int, channels: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthesize(tmp_path / "sn", image_size, channels)
    monkeypatch.setattr("srgan.report.page.SPECTRAL_VALUES", int(SPECTRAL_VALUES * share))
    monkeypatch.setattr("srgan.report.page.SAMPLE_BYTES", int(SAMPLE_BYTES * share))
    assert main(["report", str(tmp_path / "sn")]) == 0
    page = tmp_path / "sn" / "report.html"
    run, _ = stored_run(page, 0)
    text = page.read_text()
    of_one_run = text.index('id="plotly"') - text.index('id="run-0"')
    assert len(text) + of_one_run / share < LARGEST_PAGE
    assert run["recorded_times"] == SPECTRA
    assert len(run["times"]) >= 100
    assert min(len(layer["k"]) for layer in run["layers"] if layer["N"] == channels) >= 24
    assert len(run["samples"]["iterations"]) >= 10
    assert {0, 50_000, run["verdicts"]["spectral_collapse"]["iteration"]} <= set(run["times"])


# Refusals.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "found nothing at"),
        ("file", "expected a folder, found the file"),
        ({}, "no run.json in it"),
        ({"run.json": "{"}, "run.json cannot be read"),
        ({"run.json": json.dumps({"status": "running"})}, "found no config, command, iterations, seed"),
        ({"run.json": "[]"}, "expected an object"),
    ],
)
def test_what_holds_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: object, words: str
) -> None:
    path = tmp_path / "runs"
    if content == "file":
        path.write_text("")
    elif isinstance(content, dict):
        path.mkdir()
        for name, text in content.items():
            (path / name).write_text(text)
    assert main(["report", str(path)]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html"))


def test_an_output_that_is_a_folder_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs / "pair" / "sn"), "--output", str(tmp_path)]) == 2
    assert "found the folder" in capsys.readouterr().err
