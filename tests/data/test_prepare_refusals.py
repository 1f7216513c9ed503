"""`srgan prepare`: what it refuses, and in which words."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import pack, random_pixels, save_image
from preparing import SIZE, prepare

from srgan.data import FolderData


def refused(capsys: pytest.CaptureFixture[str], root: Path, out: Path, *options: str) -> str:
    """The message, in one line of words."""
    assert prepare(root, out, *options) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    return " ".join(message.split())


def test_roots_that_cannot_be_prepared(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert "found nothing" in refused(capsys, tmp_path / "nowhere", out)
    assert "found train. Rename it; srgan prepare can also choose another one (--split)" in refused(
        capsys, photographs, out, "--split", "val"
    )
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


def test_classes_of_one_name_are_not_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "root"
    for name in ("cat/2019/1.png", "dog/2019/1.png"):
        save_image(root / name, random_pixels(SIZE, SIZE, 3))
    tar = pack(root, tmp_path / "packed", ".tar")
    for source in (root, tar):
        message = refused(capsys, source, tmp_path / "out")
        assert "found 'cat/2019' and 'dog/2019'. Move the classes below a folder train/" in message
        with pytest.raises(ValueError, match="found 'cat/2019' and 'dog/2019'"):
            FolderData(str(source), SIZE).load("train")
    root.rename(tmp_path / "train")
    assert FolderData(str(tmp_path), SIZE).num_classes == 2


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
    (out / "job.json").rename(tmp_path / "job.json")
    assert "found nothing" in refused(capsys, tmp_path / "nowhere", out)  # nobody knows what was prepared there
    (tmp_path / "job.json").rename(out / "job.json")
    (out / "state.json").unlink()  # not finished
    (root / "train/n0/000.png").unlink()
    assert "Files were added, removed or renamed" in refused(capsys, root, out)


def test_a_disk_that_is_too_small_is_said_before_the_work(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "GB free" in refused(capsys, photographs, tmp_path / "out", "--image-size", "1000000")
    assert not list((tmp_path / "out").glob("data-*"))


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
    code = "import sys, srgan.cli.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
