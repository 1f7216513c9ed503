"""What is installed works without the clone: the built wheel in an environment of its own. `make test-wheel`."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import PathDistribution, packages_distributions, requires
from pathlib import Path
from sysconfig import get_path
from typing import Any

import one_liner
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import srgan
from srgan.cli.configs import known
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
    """The bin folder of an environment that has the wheel and, by links to ours, what the extra train brings."""
    environment = wheel.with_name("environment")
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    required = wheel.with_name("required")
    required.mkdir()
    for entry in Path(get_path("purelib")).iterdir():
        name = re.split(r"[-.]", entry.name)[0]
        if EXTRA_OF.get(name, "train") == "train" or name == "safetensors":
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
    assert {f"srgan/configs/{name}.yaml" for name in known()} <= held
    package = REPOSITORY / "srgan"
    ours = [path for path in package.rglob("*") if path.suffix in (".py", ".js", ".css", ".html", ".typed")]
    assert {str(path.relative_to(REPOSITORY)) for path in ours} <= held
    assert {path.partition("/")[0] for path in held} == {"srgan", f"{wheel.name.rsplit('-', 3)[0]}.dist-info"}


def brought(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[str]:
    """Names of the distributions that some of these requirements ask for, and of theirs in turn."""
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield canonicalize_name(requirement.name)
            if requirement.name != DISTRIBUTION:
                yield from brought(requires(requirement.name) or (), requirement.extras or {""})


def test_the_extra_in_a_sentence_brings_the_package(installed: Path) -> None:
    about = metadata_of(installed)
    distributions = packages_distributions()
    for package, extra in EXTRA_OF.items():
        names = {canonicalize_name(name) for name in distributions[package]}
        assert names & set(brought(about.get_all("Requires-Dist"), {extra})), (package, extra)


def test_the_one_liner_brings_torch_and_numpy(installed: Path) -> None:
    first = [Requirement(one) for one in metadata_of(installed).get_all("Requires-Dist")]
    assert {one.name for one in first if one.marker is None} == {"torch", "numpy"}


def metadata_of(installed: Path) -> Any:
    (folder,) = installed.parent.glob("lib/python*/site-packages/*.dist-info")
    return PathDistribution(folder).metadata


def test_extras_in_sentences_are_those_of_the_wheel(installed: Path) -> None:
    about = metadata_of(installed)
    assert about["Name"] == DISTRIBUTION
    assert about["Version"] == srgan.__version__
    assert {*EXTRA_OF.values(), "all", "dev"} <= set(about.get_all("Provides-Extra") or ())
    assert f"\nversion: {srgan.__version__}\n" in (REPOSITORY / "CITATION.cff").read_text()


def test_the_installed_package_works_outside_of_the_clone(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "python", one_liner.__file__, folder=tmp_path).splitlines()[-1]
    assert Path(where).is_relative_to(installed.parent)
    assert run(installed, "srgan", "--version", folder=tmp_path).strip() == srgan.__version__
    listed = run(installed, "srgan", "configs", folder=tmp_path).splitlines()
    assert [line.split()[0] for line in listed] == [*known()]
    fit = ["srgan", "fit", "-c", "digits", "-c", "sr-s", "--run", "x", "--model.iterations", "20"]
    said = run(installed, *fit, "--scores.every", "0", "--trainer.accelerator", "cpu", folder=tmp_path)
    assert said == "x: finished, 20 iterations. To see it: srgan report x\n"
    assert "tail" in run(installed, "srgan", "spectra", "x/checkpoints/last.ckpt", folder=tmp_path)
