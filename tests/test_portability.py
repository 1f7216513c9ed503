"""Systems without POSIX: what it alone brings is taken away, and the one-liner, watch, spectra and load still work."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import fit
from tracked import REPOSITORY

from srgan.runs.folder import RunFolder
from srgan.utils.distributed import GRACEFUL_SIGNALS

TAKEN_AWAY = """
import ctypes, os, signal, sys
import filelock, subprocess, torch  # each has its own way there
torch.set_num_threads(1)
for name in [name for name in dir(signal) if name.startswith("SIG") and name not in ("SIGABRT", "SIGFPE", "SIGILL",
             "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN")]:
    delattr(signal, name)
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("fork", "getuid", "geteuid", "setsid", "killpg", "sched_getaffinity", "sysconf", "getloadavg", "mkfifo"):
    delattr(os, name)
real_cdll, real_open = ctypes.CDLL, os.open
def cdll(name, *rest, **more):
    if name is None:
        raise TypeError("bad argument type for built-in operation")
    return real_cdll(name, *rest, **more)
def open_no_folder(path, *rest, **more):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return real_open(path, *rest, **more)
ctypes.CDLL, os.open = cdll, open_no_folder
import srgan.utils.files
srgan.utils.files.WINDOWS = True
"""
ONE_LINER = """
import one_liner
one_liner.on_a_discriminator()
from srgan.utils.cpu import keep_freed_memory
assert keep_freed_memory() is False
"""
COMMANDS = """
import one_liner
from srgan.cli.main import main
from srgan.utils.provenance import usable_cores, versions
run, out = sys.argv[1:]
one_liner.on_a_run(run)
assert main(["push", run, "--folder", out + "/folder"]) == 0
one_liner.on_a_run(out + "/folder")
assert main(["spectra", run, "--csv", out + "/x.csv", "--plot", out + "/x.png"]) == 0
assert main(["sample", run, "--output", out + "/grid.png", "--device", "cpu"]) == 0
assert usable_cores() > 0 and versions()
"""
TRAINS = """
from tiny_runs import fit
from srgan.runs.folder import RunFolder
folder = RunFolder(sys.argv[1])
assert fit(folder, "--model.iterations", "5") == 0
record = folder.read_record()
assert record["peak_memory"] == {} and record["status"] == "finished"
"""


def run(code: str, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TAKEN_AWAY + code, *words], capture_output=True, text=True, timeout=300,
        cwd=Path(__file__).parents[1], env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_one_liner_needs_no_posix() -> None:
    run(ONE_LINER)


def test_load_spectra_and_sample_need_no_posix(tmp_path: Path) -> None:
    assert fit(RunFolder(tmp_path / "run"), "--model.iterations", "1") == 0
    run(COMMANDS, str(tmp_path / "run"), str(tmp_path))
    assert {"x.csv", "x.png", "grid.png"} <= {path.name for path in tmp_path.iterdir()}


def test_training_needs_no_posix(tmp_path: Path) -> None:
    """A run on one device; signals of a cluster are not there, and the peak of memory is not told."""
    run(TRAINS, str(tmp_path / "run"))


@pytest.mark.skipif(sys.platform == "win32", reason="has two of them")
def test_posix_has_all_polite_stops() -> None:
    assert [stop.name for stop in GRACEFUL_SIGNALS] == ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]


def reads_without_encoding(path: Path) -> list[int]:
    """Lines on which a file is read as text in the system's encoding, which is not UTF-8 on Windows."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    reads = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "read_text"]
    return [call.lineno for call in reads if not call.args and not call.keywords]


def test_text_is_read_as_utf_8_on_any_system() -> None:
    files = [path for folder in ("srgan", "reproduce") for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(files) > 100
    assert {path: lines for path in files if (lines := reads_without_encoding(path))} == {}
