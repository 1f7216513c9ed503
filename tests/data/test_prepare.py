"""`srgan prepare`: every layout, every kind of file, and real images."""

import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest
from conftest import pack, random_pixels, save_image
from PIL import Image
from preparing import SIZE, classes, content, images_and_labels, prepare, report

from srgan.cli.main import main


def checksums(out: Path) -> dict[str, bytes]:
    """The Arrow files, byte by byte."""
    return {name: found for name, found in content(out).items() if name.endswith(".arrow")}


# Layouts.


def test_images_come_in_the_order_of_classes_and_names(prepared: Path) -> None:
    images, labels = images_and_labels(prepared)
    assert np.array_equal(images, random_pixels(150, SIZE, SIZE, 3).transpose(0, 3, 1, 2))
    assert labels == [0] * 50 + [1] * 50 + [2] * 50
    assert classes(prepared) == {"n0": 50, "n1": 50, "n2": 50}
    parts = [datasets.Dataset.from_file(str(path)) for path in sorted(prepared.glob("*.arrow"))]
    assert [len(part) for part in parts] == [64, 64, 22]


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
    assert checksums(tmp_path / "out") == checksums(prepared)


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
        assert checksums(out) == checksums(prepared)
        assert {Path(name).name for name in report(out)["ignored"]} == {".DS_Store", "classes.txt"}
    assert prepare(root, tmp_path / "val", "--split", "val") == 0
    assert images_and_labels(tmp_path / "val")[1] == [0]


def test_links_to_folders_are_followed_but_not_in_circles(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(photographs, tmp_path / "root"))
    shutil.move(root / "train/n2", tmp_path / "elsewhere")
    (root / "train/n2").symlink_to(tmp_path / "elsewhere")
    (root / "train/n0/again").symlink_to(root / "train")
    (root / "train/n2/again").symlink_to(root)
    assert prepare(root, tmp_path / "out") == 0
    assert checksums(tmp_path / "out") == checksums(prepared)


def test_below_a_folder_of_a_split_classes_may_have_subfolders(tmp_path: Path) -> None:
    for name in ("cat/2019/1.png", "cat/2020/1.png", "dog/2019/1.png"):
        save_image(tmp_path / "root/train" / name, random_pixels(SIZE, SIZE, 3))
    assert prepare(tmp_path / "root", tmp_path / "out") == 0
    assert classes(tmp_path / "out") == {"cat": 2, "dog": 1}


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
    assert classes(tmp_path / "out") == classes(prepared)
    assert np.array_equal(images_and_labels(tmp_path / "out")[0], images_and_labels(prepared)[0])
    assert prepare(root, tmp_path / "out") == 1  # finished already, and still not every file


def test_what_was_left_out_is_tried_again_on_demand(
    photographs: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = Path(shutil.copytree(photographs, tmp_path / "root")), tmp_path / "out"
    shutil.move(root / "train/n1/060.png", tmp_path / "away.png")
    (root / "train/n1/060.png").symlink_to(tmp_path / "not yet.png")
    assert prepare(root, out) == 1
    assert "repair them in place and add --retry" in capsys.readouterr().out
    assert prepare(root, out, "--retry") == 1
    shutil.move(tmp_path / "away.png", tmp_path / "not yet.png")
    untouched = (out / "data-00002.arrow").stat().st_ino
    assert prepare(root, out) == 1  # what was left out stays left out
    assert prepare(root, out, "--retry") == 0
    assert content(out) == content(prepared)
    assert (out / "data-00002.arrow").stat().st_ino == untouched
    assert prepare(root, out, "--retry") == 0
    assert "already finished" in capsys.readouterr().out


# Real images.


@pytest.fixture(scope="module")
def sample_prepared(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """220 JPEGs of ImageNet at 128 x 128, without disturbance."""
    out = tmp_path_factory.mktemp("sample") / "out"
    assert main(["prepare", str(shared_data / "imagenet-sample.tar"), str(out)]) == 0
    return out


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
    }  # fmt: skip
    assert greyscale == 23
    assert enlarged
    images, labels = images_and_labels(sample_prepared)
    assert np.array_equal(images, np.stack(expected))
    assert labels == list(range(220))
