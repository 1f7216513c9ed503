"""`srgan sample` through the command line, on a run of its own."""

import json
import shutil
import sys
from pathlib import Path

import inspecting
import numpy as np
import pytest
import torch
from PIL import Image

from srgan.checkpoints.pretrained import TrainedGAN, frozen_on, load, rendered
from srgan.cli.main import main
from srgan.networks.sampling import SCORED, generate, truncated_latents
from srgan.runs.folder import RunFolder
from srgan.utils.images import grid_picture, quantize

CPU = torch.device("cpu")
TILE = 64 + 2  # pixels of an enlarged image and the line beside it


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inspecting.small_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Conditional, drawn in test mode, to be scored on 45 images in batches of 20."""
    return inspecting.train(
        images, tmp_path_factory.mktemp("runs") / "conditional", "sn", "--model.networks.init_args.num_classes", "3",
        "--scores.protocol.num_fake_images", "45", "--scores.protocol.batch_size", "20", "--scores.protocol.seed", "2",
    )  # fmt: skip


@pytest.fixture(scope="module")
def batch_run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Unconditional, SN on the generator too, drawn with batch statistics."""
    folder = tmp_path_factory.mktemp("runs") / "batch"
    settings = ["--samples.generator_statistics", "batch", "--model.normalize_generator", "true"]
    return inspecting.train(images, folder, "sr-d", *settings)


@pytest.fixture
def stored(run: RunFolder) -> TrainedGAN:
    return load(run.checkpoint, device="cpu")


def sample(checkpoint: Path, output: Path, *arguments: object) -> np.ndarray:
    """The picture `[H, W, 3]`."""
    assert main(["sample", str(checkpoint), "--output", str(output), "--device", "cpu", *map(str, arguments)]) == 0
    return np.asarray(Image.open(output).convert("RGB"))


def tiles(picture: np.ndarray, columns: int) -> np.ndarray:
    """The images `[R, columns, 64, 64, 3]` of a grid, behind its margins."""
    left = picture.shape[1] - (TILE * columns + 2)
    rows = picture.shape[0] // TILE
    above = picture.shape[0] - (TILE * rows + 2)
    assert min(left, above) >= 0
    framed = picture[above : above + rows * TILE, left : left + columns * TILE]
    return framed.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)[:, :, 2:, 2:]


# The run's own grid.


@pytest.mark.parametrize("iteration", [2, 4])
@pytest.mark.parametrize("which", ["run", "batch_run"])
def test_by_default_the_grid_of_the_run(
    which: str, iteration: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder: RunFolder = request.getfixturevalue(which)
    checkpoint = folder.checkpoint.with_name(f"{iteration:08d}.ckpt")
    sample(checkpoint, tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes() == folder.read_samples()[iteration].read_bytes()


def test_the_same_command_gives_the_same_bytes(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert main(["sample", str(run.checkpoint), "--truncation", "0.7", "--device", "cpu"]) == 0
        assert "3 x 3 images of 8 x 8 pixels in samples.png" in capsys.readouterr().out
        shutil.copy("samples.png", f"copy{len(list(tmp_path.iterdir()))}.png")
    contents = [path.read_bytes() for path in tmp_path.glob("*.png")]
    assert len(contents) == 3
    assert len(set(contents)) == 1


def test_larger_grids_begin_with_the_same_images(run: RunFolder, tmp_path: Path) -> None:
    """In test mode, image j is a function of the seed and j."""
    first = tiles(sample(run.checkpoint, tmp_path / "a.png", "--rows", 1, "--columns", 5), 5)[0]
    more = tiles(sample(run.checkpoint, tmp_path / "b.png", "--rows", 2, "--columns", 7), 7)[0]
    np.testing.assert_array_equal(first, more[:5])
    other = tiles(sample(run.checkpoint, tmp_path / "c.png", "--rows", 1, "--columns", 5, "--seed", 1), 5)[0]
    assert (other != first).any(axis=(1, 2, 3)).all()


# Latents.


def test_truncation_keeps_what_is_within_and_draws_the_rest_again(stored: TrainedGAN) -> None:
    z, labels = stored.grid_latents(400)
    truncated, same_labels = stored.grid_latents(400, threshold=0.5)
    assert torch.equal(labels, same_labels)
    within = z.abs() <= 0.5
    assert torch.equal(truncated[within], z[within])
    assert truncated.abs().max() <= 0.5
    uniform = (torch.erf(truncated / 2**0.5) / torch.erf(torch.tensor(0.5 / 2**0.5)) + 1) / 2  # by its distribution
    assert (uniform.sort().values.flatten().sort().values - torch.linspace(0, 1, uniform.numel())).abs().max() < 0.03
    some = truncated_latents(stored.generator, range(100, 103), CPU, 0, "grid", 0.5)[0]
    assert torch.equal(some, truncated[100:103])


# What is drawn.


def test_a_row_for_each_class(run: RunFolder, stored: TrainedGAN, tmp_path: Path) -> None:
    """The same latents in every row; the classes are those of the generator."""
    grid = tiles(sample(run.checkpoint, tmp_path / "c.png", "--classes", "2,0", "--columns", 4), 4)
    z, _ = stored.grid_latents(4)
    for row, label in enumerate((2, 0)):
        direct = quantize(torch.cat(list(rendered(stored.generator, z, torch.full((4,), label)))))
        expected = tiles(np.asarray(grid_picture(direct, 4)), 4)[0]
        np.testing.assert_array_equal(grid[row], expected)
    assert sample(run.checkpoint, tmp_path / "all.png", "--classes", "all").shape[0] == 3 * TILE + 2


def test_a_walk_begins_and_ends_at_images_of_the_grid(run: RunFolder, tmp_path: Path) -> None:
    walk = tiles(sample(run.checkpoint, tmp_path / "w.png", "--walk", 2, "--columns", 6, "--classes", "1"), 6)
    assert walk.shape[:2] == (2, 6)
    row = tiles(sample(run.checkpoint, tmp_path / "g.png", "--classes", "1", "--columns", 4), 4)[0]
    np.testing.assert_array_equal(walk[:, 0], row[[0, 2]])
    np.testing.assert_array_equal(walk[:, -1], row[[1, 3]])


def test_dimensions_pass_the_point_itself(run: RunFolder, tmp_path: Path) -> None:
    """All rows differ, and none but the changed coordinate moves: at its own value every row shows the same image."""
    grid = tiles(sample(run.checkpoint, tmp_path / "d.png", "--dimension", "all", "--columns", 5), 5)
    assert grid.shape[:2] == (6, 5)
    assert all((grid[row, 0] != grid[row, 4]).any() for row in range(6))
    some = tiles(sample(run.checkpoint, tmp_path / "s.png", "--dimension", "1,3-4", "--columns", 5), 5)
    np.testing.assert_array_equal(some, grid[[1, 3, 4]])


def test_batch_statistics_of_the_runs_grid_hold_for_single_images(batch_run: RunFolder, tmp_path: Path) -> None:
    """A walk of a "batch" run starts at images of its grid, though its images come in other company."""
    walk = tiles(sample(batch_run.checkpoint, tmp_path / "w.png", "--walk", 3, "--columns", 4), 4)
    grid = tiles(sample(batch_run.checkpoint, tmp_path / "g.png"), 3).reshape(9, 64, 64, 3)
    assert np.abs(walk[:, 0].astype(int) - grid[[0, 2, 4]]).max() <= 1  # rounding: the batch norms were folded once


def test_freezing_leaves_the_generator_alone(stored: TrainedGAN) -> None:
    before = {name: value.clone() for name, value in stored.generator.state_dict().items()}
    frozen = frozen_on(stored.generator, *stored.grid_latents(9))
    assert not frozen.training
    assert all(torch.equal(value, before[name]) for name, value in stored.generator.state_dict().items())


# Animations.


def test_a_gif_repeats_for_ever(run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(run.checkpoint), "--walk", "3", "--gif", "--frames", "5", "--device", "cpu"]) == 0
    with Image.open("walk.gif") as animation:
        assert (animation.n_frames, animation.info["loop"], animation.info["duration"]) == (20, 0, 50)  # type: ignore[attr-defined]
        assert animation.size == (2 * TILE + 2, 2 * TILE + 2)
        frames = []
        for time in range(20):
            animation.seek(time)
            frames.append(np.asarray(animation.convert("RGB")).astype(int))
    steps = [np.abs(after - before).mean() for before, after in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 3 * np.mean(steps)  # the last frame leads to the first
    assert min(steps) > 0
    assert np.abs(frames[10] - frames[0]).mean() > 2 * np.mean(steps)


def test_a_dimension_goes_there_and_back(run: RunFolder, tmp_path: Path) -> None:
    sample(run.checkpoint, tmp_path / "d.gif", "--dimension", "0", "--frames", 4)
    with Image.open(tmp_path / "d.gif") as animation:
        assert animation.n_frames == 6  # type: ignore[attr-defined]


def test_a_video_shows_the_frames(run: RunFolder, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "walk.mp4"
    moving = ["--walk", "2", "--frames", "3", "--device", "cpu", "--output", str(path)]
    assert main(["sample", str(run.checkpoint), *moving]) == 0
    with av.open(path) as video:
        assert video.streams.video[0].average_rate == 20
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(frames) == 12
    start = tiles(frames[0], 2)[0, 0].astype(int)
    expected = tiles(sample(run.checkpoint, tmp_path / "w.png", "--walk", 2), 9)[0, 0].astype(int)
    assert expected.std() > 5
    assert np.abs(start.mean(axis=2) - expected.mean(axis=2)).mean() < 4  # colours are kept at half the size


def test_a_video_without_its_package_is_refused(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["sample", str(run.checkpoint), "--walk", "1", "--output", str(tmp_path / "w.mp4")]) == 2
    assert 'pip install "spectral-regularization-gan[report]"' in capsys.readouterr().err


# Files for other tools.


def test_single_images_are_those_that_were_scored(run: RunFolder, stored: TrainedGAN, tmp_path: Path) -> None:
    """The folder and the array hold the stream of the run's own scores."""
    folder, array = tmp_path / "images", tmp_path / "images.npz"
    for path in (folder, array):
        assert main(["sample", str(run.checkpoint), "--export-images", str(path), "--device", "cpu"]) == 0
    with np.load(array, allow_pickle=False) as arrays:
        pictures, labels = arrays["arr_0"], arrays["arr_1"]
    assert (pictures.shape, pictures.dtype) == ((45, 8, 8, 3), np.uint8)
    expected = list(generate(stored.generator, range(45), 2, SCORED, 20))
    np.testing.assert_array_equal(pictures, torch.cat([images for images, _ in expected]).permute(0, 2, 3, 1))
    np.testing.assert_array_equal(labels, torch.cat([own for _, own in expected]))
    files = sorted(folder.glob("*.png"))
    np.testing.assert_array_equal(np.stack([np.asarray(Image.open(file)) for file in files]), pictures)
    lines = (folder / "labels.csv").read_text().split()
    assert lines == ["file,class", *(f"{file.name},{label}" for file, label in zip(files, labels, strict=True))]


def test_a_stopped_export_goes_on(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def export(folder: str, *arguments: object) -> int:
        base = ["sample", str(run.checkpoint), "--device", "cpu", "--export-images", str(tmp_path / folder)]
        return main([*base, *map(str, arguments)])

    assert export("whole", "--classes", "0,2") == 0
    assert export("cut", "--classes", "0,2") == 0
    for name in ("000031.png", "000044.png"):
        (tmp_path / "cut" / name).unlink()
    (tmp_path / "cut" / "000022.png").write_bytes(b"half")  # in the batch that was written last
    for row in range(32, 44):
        (tmp_path / "cut" / f"{row:06d}.png").unlink()
    untouched = (tmp_path / "cut" / "000003.png").stat().st_mtime_ns
    assert export("cut", "--classes", "0,2") == 0
    assert (tmp_path / "cut" / "000003.png").stat().st_mtime_ns == untouched
    for path in sorted((tmp_path / "whole").iterdir()):
        assert (tmp_path / "cut" / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "whole" / "labels.csv").read_text().split()[1:3] == ["000000.png,0", "000001.png,2"]
    assert export("cut", "--classes", "0,2", "--seed", "5") == 2
    assert "one with a part of the same images" in capsys.readouterr().err
    assert export("cut", "--classes", "0,2", "--num-images", "30") == 2
    assert "Expected at most 30 images" in capsys.readouterr().err
    assert json.loads((tmp_path / "cut" / "images.json").read_text())["iteration"] == 4


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "3"], "Expected each class in 0 ... 2, as 0,3,5-7 or all, found '3'"),
        (["--classes", "x"], "found 'x'"),
        (["--dimension", "6"], "Expected each dimension in 0 ... 5"),
        (["--dimension", "0", "--classes", "0,1"], "Expected one of the --classes"),
        (["--truncation", "0"], "Expected a truncation in 0.02 ... 10"),
        (["--truncation", "nan"], "found nan"),
        (["--output", "x.jpg"], "*.png, *.gif or *.mp4"),
        (["--output", "x.gif"], "add --walk N or --dimension"),
        (["--output", "x.png", "--gif", "--walk", "1"], "*.gif with --gif"),
        (["--device", "nonsense"], "Expected a device that this machine has"),
    ],
)
def test_wrong_wishes_are_refused(
    run: RunFolder, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["sample", str(run.checkpoint), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.startswith("srgan sample: ")
    assert message in said
    assert not list(tmp_path.iterdir())


def test_what_holds_no_generator_is_refused(
    batch_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"conv.weight": torch.ones(2, 2)}, tmp_path / "other.pth")
    assert main(["sample", str(tmp_path / "other.pth")]) == 2
    assert "Expected a checkpoint written by srgan fit" in capsys.readouterr().err
    assert main(["sample", str(tmp_path / "nowhere.ckpt")]) == 2
    assert "found nothing" in capsys.readouterr().err
    assert main(["sample", str(batch_run.checkpoint), "--classes", "0"]) == 2
    assert "found one without classes" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["sample", str(batch_run.checkpoint), "--walk", "0"])
    with pytest.raises(SystemExit, match="2"):  # one kind of picture at a time
        main(["sample", str(batch_run.checkpoint), "--walk", "1", "--dimension", "0"])
