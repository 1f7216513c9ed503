"""What is installed works without the clone: the built wheel in an environment of its own. `make test-wheel`."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path
from sysconfig import get_path

import pytest

import srgan
from srgan.cli.configs import names
from srgan.utils.optional_packages import DISTRIBUTION, EXTRA_OF

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (path,) = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The bin folder of an environment that has the wheel and, by links to ours, all packages but the optional ones."""
    environment = wheel.with_name("environment")
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    required = wheel.with_name("required")
    required.mkdir()
    for entry in Path(get_path("purelib")).iterdir():
        if re.split(r"[-.]", entry.name)[0] not in EXTRA_OF:
            (required / entry.name).symlink_to(entry)
    (packages / "required.pth").write_text(str(required))
    return python.parent


def run(installed: Path, *command: str, folder: Path) -> str:
    """What an installed command prints in a folder of its own."""
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program, *options = command
    words = [str(installed / program), *options]
    return subprocess.run(words, cwd=folder, env=elsewhere, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_the_wheel_holds_every_configuration_and_page(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"srgan/configs/{name}.yaml" for name in names()} <= held
    package = REPOSITORY / "srgan"
    ours = [path for path in package.rglob("*") if path.suffix in (".py", ".js", ".css", ".html", ".typed")]
    assert {str(path.relative_to(REPOSITORY)) for path in ours} <= held
    assert {path.partition("/")[0] for path in held} == {"srgan", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}


def test_extras_in_sentences_are_those_of_the_wheel(installed: Path) -> None:
    (folder,) = installed.parent.glob("lib/python*/site-packages/*.dist-info")
    about = PathDistribution(folder).metadata
    assert about["Name"] == DISTRIBUTION
    assert about["Version"] == srgan.__version__
    assert {*EXTRA_OF.values(), "dev"} <= set(about.get_all("Provides-Extra") or ())
    assert f"\nversion: {srgan.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()


ONE_LINER = """
import torch, srgan
D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(288, 1))
optimizer = torch.optim.Adam(D.parameters())
srgan.regularize(D, "sr-s", optimizer=optimizer)
for _ in range(5):
    optimizer.zero_grad()
    D(torch.randn(2, 3, 8, 8)).mean().backward()
    optimizer.step()
print(srgan.__file__, float(srgan.spectra(D)["0"][3]))
"""


def test_the_installed_package_works_outside_of_the_clone(installed: Path, tmp_path: Path) -> None:
    where, fourth_of_eight = run(installed, "python", "-c", ONE_LINER, folder=tmp_path).split()
    assert Path(where).is_relative_to(installed.parent)
    assert float(fourth_of_eight) > 0.95
    assert run(installed, "srgan", "--version", folder=tmp_path).strip() == srgan.__version__
    listed = run(installed, "srgan", "configs", folder=tmp_path).splitlines()
    assert [line.split()[0] for line in listed] == names()
    fit = ["srgan", "fit", "-c", "digits", "-c", "sr-s", "--run", "x", "--model.iterations", "20"]
    said = run(installed, *fit, "--scores.every", "0", "--trainer.accelerator", "cpu", folder=tmp_path)
    assert said == "x: finished, 20 iterations.\n"
    assert "tail" in run(installed, "srgan", "spectra", "x/checkpoints/last.ckpt", folder=tmp_path)
