"""`srgan prepare imagenet`: every layout, every kind of file, and every way to be stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import pack, random_pixels, save_image
from filelock import FileLock
from PIL import Image

from srgan.cli import main
from srgan.prepare.shards import PreparedImages

SIZE = 8


def prepare(root: Path, out: Path, *options: str) -> int:
    return main(["prepare", "imagenet", str(root), str(out), "--image-size", str(SIZE), "--workers", "1", *options])


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def content(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def images_and_labels(out: Path) -> tuple[np.ndarray, list[int]]:
    prepared = PreparedImages(out)
    return prepared.read(list(range(len(prepared)))), prepared.labels.tolist()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT/train/<class>/<image>: 150 PNGs in three classes, for three shards: `random_pixels(150, 8, 8, 3)`."""
    root = tmp_path_factory.mktemp("photographs")
    for k, pixels in enumerate(random_pixels(150, SIZE, SIZE, 3)):
        save_image(root / "train" / f"n{k // 50}" / f"{k:03d}.png", pixels)
    return root


@pytest.fixture(scope="module")
def prepared(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert prepare(photographs, out) == 0
    return out


@pytest.fixture(scope="module")
def sample_prepared(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """220 JPEGs of ImageNet at 128 x 128, without disturbance."""
    out = tmp_path_factory.mktemp("sample") / "out"
    assert main(["prepare", "imagenet", str(shared_data / "imagenet-sample.tar"), str(out)]) == 0
    return out


# Layouts.


def test_images_come_in_the_order_of_classes_and_names(prepared: Path) -> None:
    images, labels = images_and_labels(prepared)
    assert np.array_equal(images, random_pixels(150, SIZE, SIZE, 3).transpose(0, 3, 1, 2))
    assert labels == [0] * 50 + [1] * 50 + [2] * 50
    assert PreparedImages(prepared).classes == {"n0": 50, "n1": 50, "n2": 50}
    arrays = [np.load(path) for path in sorted(prepared.glob("*.npy"))]  # a format that numpy itself reads
    assert [len(array) for array in arrays] == [64, 64, 22]
    assert np.array_equal(np.concatenate(arrays), images)


def nested_tar(root: Path, folder: Path) -> Path:
    """One tar file per class inside a tar file, as ILSVRC2012_img_train.tar."""
    (folder / "classes").mkdir(parents=True)
    for path in (root / "train").iterdir():
        pack(path, folder / "classes" / path.name, ".tar")
    return pack(folder / "classes", folder / "official", ".tar")


@pytest.mark.parametrize("layout", ["unsplit", "tar", "unsplit tar", "official tar"])
def test_every_layout_gives_the_same_images(photographs: Path, prepared: Path, tmp_path: Path, layout: str) -> None:
    roots: dict[str, Callable[[], Path]] = {
        "unsplit": lambda: photographs / "train",
        "tar": lambda: pack(photographs, tmp_path / "split", ".tar"),
        "unsplit tar": lambda: pack(photographs / "train", tmp_path / "unsplit", ".tar"),
        "official tar": lambda: nested_tar(photographs, tmp_path / "nested"),
    }
    assert prepare(roots[layout](), tmp_path / "out") == 0
    assert PreparedImages(tmp_path / "out").checksum == PreparedImages(prepared).checksum


def test_the_number_of_workers_changes_nothing(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    assert prepare(photographs, tmp_path / "out", "--workers", "3") == 0
    assert content(tmp_path / "out") == content(prepared)


def test_another_split_and_hidden_files_are_left_alone(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(photographs, tmp_path / "root"))
    save_image(root / "val/n1/new.png", random_pixels(SIZE, SIZE, 3))
    (root / "train/n0/.DS_Store").write_bytes(b"x")
    (root / "train/classes.txt").write_text("n0 n1 n2")
    for source in (root, pack(root, tmp_path / "root", ".tar")):
        out = tmp_path / f"out{source.suffix}"
        assert prepare(source, out) == 0
        assert PreparedImages(out).checksum == PreparedImages(prepared).checksum
        assert {Path(name).name for name in report(out)["ignored"]} == {".DS_Store", "classes.txt"}
    assert prepare(root, tmp_path / "val", "--split", "val") == 0
    assert images_and_labels(tmp_path / "val")[1] == [0]


# Files that are left out.


def test_files_that_are_no_whole_image_are_listed_and_the_rest_is_prepared(
    photographs: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(photographs, tmp_path / "root"))
    whole = (root / "train/n1/060.png").read_bytes()
    planted = {
        "train/n0/cut.JPEG": whole[: len(whole) // 2],
        "train/n0/garbage.JPEG": random_pixels(5000).tobytes(),
        "train/n1/empty.JPEG": b"",
        "train/n2/zz-text.JPEG": b"<html>404 Not Found</html>",
    }
    for path, damage in planted.items():
        (root / path).write_bytes(damage)
    (root / "train/n2/zz-nowhere.JPEG").symlink_to("nowhere")
    os.mkfifo(root / "train/n2/zz-pipe.JPEG")
    assert prepare(root, tmp_path / "out") == 1
    found = report(tmp_path / "out")
    assert (found["files"], found["images"], found["classes"]) == (156, 150, 3)
    left_out = {entry["file"]: entry["reason"] for entry in found["unreadable"]}
    assert set(left_out) == {*planted, "train/n2/zz-nowhere.JPEG", "train/n2/zz-pipe.JPEG"}
    assert left_out["train/n1/empty.JPEG"] == "the file is empty"
    assert "not an image" in left_out["train/n2/zz-text.JPEG"]
    assert "not an image" in left_out["train/n0/garbage.JPEG"]
    assert "truncated" in left_out["train/n0/cut.JPEG"]
    shown = capsys.readouterr().out
    assert "150 images of 3 classes from 156 files" in shown
    assert all(f"{path}: {reason}" in shown for path, reason in left_out.items())
    assert PreparedImages(tmp_path / "out").classes == PreparedImages(prepared).classes
    assert np.array_equal(images_and_labels(tmp_path / "out")[0], images_and_labels(prepared)[0])
    assert prepare(root, tmp_path / "out") == 1  # finished already, and still not every file


# Stopped, damaged, shared.


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stopped_and_started_again_gives_the_same_bytes(
    shared_data: Path, sample_prepared: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    sample, out = shared_data / "imagenet-sample.tar", tmp_path / "out"
    command = [sys.executable, "-m", "srgan", "prepare", "imagenet", str(sample), str(out), "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not (out / "images-00000.json").exists():
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, stop) if stop == signal.SIGINT else process.send_signal(stop)
    shown = process.communicate()[1]
    assert process.returncode == (-stop if stop == signal.SIGKILL else 128 + stop)
    assert stop == signal.SIGKILL or "stopped; the same command goes on" in shown
    assert "Traceback" not in shown
    assert not (out / "manifest.json").exists()
    with pytest.raises(FileNotFoundError, match=r"not finished.*same command again"):
        PreparedImages(out)
    first = (out / "images-00000.npy").stat()
    assert main(command[3:]) == 0
    assert content(out) == content(sample_prepared)
    assert (out / "images-00000.npy").stat().st_ino == first.st_ino  # what was done was not done again


def test_no_worker_outlives_a_killed_command(shared_data: Path, tmp_path: Path) -> None:
    sample = str(shared_data / "imagenet-sample.tar")
    command = [sys.executable, "-m", "srgan", "prepare", "imagenet", sample, str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (tmp_path / "out/images-00000.json").exists():
        assert process.poll() is None
        time.sleep(0.002)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}/exe").exists() for child in children):
        assert time.monotonic() < deadline, "workers are still there"
        time.sleep(0.05)


def test_a_shard_that_lost_bytes_is_made_anew(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    os.truncate(out / "images-00001.npy", 1000)
    with pytest.raises(ValueError, match=r"images-00001\.npy.*found 1000.*Run again"):
        PreparedImages(out)
    assert prepare(photographs, out) == 0
    assert content(out) == content(prepared)


def test_verify_finds_and_mends_a_changed_byte(
    photographs: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    changed = bytearray((out / "images-00002.npy").read_bytes())
    changed[-1] ^= 1
    (out / "images-00002.npy").write_bytes(changed)
    assert prepare(photographs, out) == 0  # of the right size: only a look at every byte can tell
    assert "finished already, all sizes checked" in capsys.readouterr().out
    assert prepare(photographs, out, "--verify") == 0
    assert "1 of 3 shards are damaged" in capsys.readouterr().err
    assert content(out) == content(prepared)
    assert prepare(photographs, out, "--verify") == 0
    assert "every byte checked" in capsys.readouterr().out


def test_a_finished_folder_does_not_need_its_originals(prepared: Path, tmp_path: Path) -> None:
    assert prepare(tmp_path / "gone", prepared) == 0


def test_a_second_process_waits(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "srgan", "prepare", "imagenet", str(photographs), str(out), "--image-size", "8"]
    with FileLock(out / ".lock"):
        process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "waiting for it" in process.stderr.readline()
        assert {path.name for path in out.iterdir()} == {".lock"}
    process.communicate()
    assert process.returncode == 0
    assert content(out) == content(prepared)


# Refusals.


def refused(capsys: pytest.CaptureFixture[str], root: Path, out: Path, *options: str) -> str:
    """The message, in one line of words."""
    assert prepare(root, out, *options) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return " ".join(message.split())


def test_roots_that_cannot_be_prepared(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert "found nothing" in refused(capsys, tmp_path / "nowhere", out)
    assert "found train. Choose with --split" in refused(capsys, photographs, out, "--split", "val")
    for suffix in (".tar.gz", ".tar.xz"):
        assert "not compressed" in refused(capsys, pack(photographs, tmp_path / "packed", suffix), out)
    tar = pack(photographs, tmp_path / "whole", ".tar")
    (tmp_path / "cut.tar").write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    assert "whole tar file" in refused(capsys, tmp_path / "cut.tar", out)
    (tmp_path / "text.tar").write_text("not a tar file")
    assert "whole tar file" in refused(capsys, tmp_path / "text.tar", out)
    (tmp_path / "flat").mkdir()
    save_image(tmp_path / "flat/1.png", random_pixels(SIZE, SIZE, 3))
    assert "<class>/<image>" in refused(capsys, tmp_path / "flat", out)
    root = Path(shutil.copytree(photographs, tmp_path / "root"))
    (root / "train/n3").mkdir()
    assert "n3" in refused(capsys, root, out)
    (tmp_path / "none/n0").mkdir(parents=True)
    (tmp_path / "none/n0/1.JPEG").write_bytes(b"x")
    assert "none of which can be read: n0/1.JPEG" in refused(capsys, tmp_path / "none", tmp_path / "none-out")


def test_outs_that_cannot_be_written(
    photographs: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "image_size: 8 there, 16 here" in refused(capsys, photographs, prepared, "--image-size", "16")
    assert "OUT outside of the images" in refused(capsys, photographs, photographs / "train" / "out")
    assert not (photographs / "train" / "out").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/thesis.tex").write_text("years of work")
    assert "found thesis.tex in it" in refused(capsys, photographs, tmp_path / "thesis")
    root = Path(shutil.copytree(photographs, tmp_path / "root"))
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    (out / "manifest.json").unlink()  # not finished
    (root / "train/n0/000.png").unlink()
    assert "Files were added, removed or renamed" in refused(capsys, root, out)


def test_a_disk_that_is_too_small_is_said_before_the_work(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "GB free" in refused(capsys, photographs, tmp_path / "out", "--image-size", "1000000")
    assert not list((tmp_path / "out").glob("images-*"))


@pytest.mark.parametrize(
    "options",
    [["--workers", "0"], ["--workers", "two"], ["--image-size", "-8"], ["--split", "train/n0"], ["--split", ""]],
)
def test_wrong_options_are_refused(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        prepare(tmp_path, tmp_path / "out", *options)
    assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_preparing_needs_no_torch() -> None:
    code = "import sys, srgan.prepare.command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Real images.


def test_imagenet_jpegs_give_what_the_authors_pipeline_gives(shared_data: Path, sample_prepared: Path) -> None:
    expected, greyscale, enlarged = [], 0, 0
    with tarfile.open(shared_data / "imagenet-sample.tar") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if not member.isfile():
                continue
            image = Image.open(archive.extractfile(member))  # type: ignore[arg-type]
            greyscale += image.mode == "L"
            side = min(image.size)
            enlarged += side < 128
            left, top = (image.width - side) // 2, (image.height - side) // 2
            cropped = Image.fromarray(np.asarray(image.convert("RGB"))[top : top + side, left : left + side])
            expected.append(np.asarray(cropped.resize((128, 128), Image.Resampling.BILINEAR)).transpose(2, 0, 1))
    assert report(sample_prepared) == {
        "files": 220, "images": 220, "classes": 220, "unreadable": [], "ignored": [],
        "conversions": {"enlarged": enlarged, "greyscale": greyscale},
    }  # fmt: skip
    assert greyscale == 23
    images, labels = images_and_labels(sample_prepared)
    assert np.array_equal(images, np.stack(expected))
    assert labels == list(range(220))
