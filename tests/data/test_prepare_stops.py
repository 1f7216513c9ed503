"""`srgan prepare` stopped, damaged, shared, looked at again: nothing is lost, and the bytes are the same."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from filelock import FileLock
from preparing import content, prepare

from srgan.cli.main import main
from srgan.data import HubData


@pytest.fixture(scope="module")
def many(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """440 photographs: 7 parts, so that a command is stopped before its last one on a busy machine too."""
    root = tmp_path_factory.mktemp("many")
    with tarfile.open(shared_data / "imagenet-sample.tar") as archive:
        for copy in ("0", "1"):
            archive.extractall(root / "train" / copy, filter="data")
    return root


@pytest.fixture(scope="module")
def many_prepared(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared without disturbance."""
    out = tmp_path_factory.mktemp("many-prepared") / "out"
    assert main(["prepare", str(many), str(out)]) == 0
    return out


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stopped_and_started_again_gives_the_same_bytes(
    many: Path, many_prepared: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "srgan", "prepare", str(many), str(out), "--workers", "1"]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    while not (out / "data-00000.json").exists():
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, stop) if stop == signal.SIGINT else process.send_signal(stop)
    shown = process.communicate()[1]
    assert process.returncode == (-stop if stop == signal.SIGKILL else 128 + signal.SIGINT)
    assert stop == signal.SIGKILL or "stopped; run the command again to resume" in shown
    assert "Traceback" not in shown
    assert not (out / "state.json").exists()
    with pytest.raises(FileNotFoundError, match=r"not finished.*same command again"):
        HubData(str(out))
    first = (out / "data-00000.arrow").stat()
    assert main(command[3:]) == 0
    assert content(out) == content(many_prepared)
    assert (out / "data-00000.arrow").stat().st_ino == first.st_ino  # what was done was not done again


def test_a_part_that_lost_bytes_is_made_anew(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    os.truncate(out / "data-00001.arrow", 1000)
    with pytest.raises(ValueError, match=r"cannot be opened.*Run again.*srgan prepare"):
        HubData(str(out), image_size=8).num_images("train")
    assert prepare(photographs, out) == 0
    assert content(out) == content(prepared)


def test_verify_finds_and_mends_a_changed_byte(
    photographs: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    changed = bytearray((out / "data-00002.arrow").read_bytes())
    changed[-1] ^= 1
    (out / "data-00002.arrow").write_bytes(changed)
    assert prepare(photographs, out) == 0  # of the right size: only a look at every byte can tell
    assert "already finished" in capsys.readouterr().out
    assert prepare(photographs, out, "--verify") == 0
    assert "22 read now" in capsys.readouterr().out
    assert content(out) == content(prepared)
    assert prepare(photographs, out, "--verify") == 0
    assert "already finished" in capsys.readouterr().out


def test_a_finished_folder_does_not_need_its_originals(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(tmp_path / "gone", prepared) == 0
    assert "already finished" in capsys.readouterr().out


def test_a_finished_folder_is_not_taken_for_that_of_another_root(
    photographs: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(prepared)
    assert prepare(photographs, prepared) == 0
    other = Path(shutil.copytree(photographs, tmp_path / "other"))
    (other / "train/n0/000.png").rename(other / "train/n0/other.png")
    assert prepare(other, prepared) == 2
    assert "Files were added, removed or renamed" in capsys.readouterr().err
    assert content(prepared) == before


def test_a_damaged_folder_that_cannot_be_mended_keeps_what_it_has(
    photographs: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    changed = bytearray((out / "data-00002.arrow").read_bytes())
    changed[-1] ^= 1
    (out / "data-00002.arrow").write_bytes(changed)
    before = content(out)
    assert prepare(tmp_path / "gone", out, "--verify") == 2
    assert "needed to make data-00002.arrow in" in capsys.readouterr().err
    assert content(out) == before
    with monkeypatch.context() as patch:
        patch.setattr("srgan.prepare.preparation.DECODER", "Pillow 0.1")
        assert prepare(photographs, out, "--verify") == 2
        assert "decoder: Pillow" in capsys.readouterr().err
        assert content(out) == before
    assert prepare(photographs, out, "--verify") == 0
    assert content(out) == content(prepared)


def test_a_second_process_waits(photographs: Path, prepared: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [sys.executable, "-m", "srgan", "prepare", str(photographs), str(out), "--image-size", "8"]
    with FileLock(out / ".lock"):
        process = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "waiting for it" in process.stderr.readline()
        assert {path.name for path in out.iterdir()} == {".lock"}
    process.communicate()
    assert process.returncode == 0
    assert content(out) == content(prepared)
