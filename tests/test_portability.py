"""Systems without POSIX: what it alone brings is taken away, and the one-liner, watch, spectra and load still work."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_runs import fit

from srgan.runs.folder import RunFolder
from srgan.utils.distributed import POLITE_STOPS

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
import srgan
from srgan import regularize
D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(288, 1))
optimizer = torch.optim.Adam(D.parameters())
regularize(D, "sr-s", optimizer=optimizer)
monitor = srgan.watch(D, every=1)
D(torch.randn(2, 3, 8, 8)).mean().backward()
optimizer.step()
monitor.step()
assert len(srgan.spectra(D)) == len(srgan.spectra(srgan.export(D))) == 2
srgan.unregularize(D)
from srgan.utils.cpu import keep_freed_memory
assert keep_freed_memory() is False
"""
COMMANDS = """
from srgan.cli.main import main
import srgan
from srgan.utils.provenance import usable_cores, versions
run, out = sys.argv[1:]
gan = srgan.load(run, device="cpu")
assert gan.generate(2).shape == (2, 3, 8, 8)
assert len(srgan.spectra(srgan.export(gan.discriminator))) == len(srgan.spectra(gan.discriminator))
assert main(["push", run, "--folder", out + "/folder"]) == 0
assert srgan.load(out + "/folder", device="cpu").iteration == gan.iteration
assert main(["spectra", run, "--csv", out + "/x.csv", "--picture", out + "/x.png"]) == 0
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
        [sys.executable, "-W", "ignore", "-c", TAKEN_AWAY + code, *words], capture_output=True, text=True,
        env=None, timeout=300, cwd=Path(__file__).parents[1],
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
    run(f"sys.path.insert(0, {str(Path(__file__).parent)!r})" + TRAINS, str(tmp_path / "run"))


@pytest.mark.skipif(sys.platform == "win32", reason="has two of them")
def test_posix_has_all_polite_stops() -> None:
    assert [stop.name for stop in POLITE_STOPS] == ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]
