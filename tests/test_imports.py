"""Which module may import which."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import srgan

PACKAGE = Path(srgan.__file__).parent
ORDER = [
    {"utils"},
    {"collapse", "spectral", "plotting", "prepare"},
    {"data", "runs"},
    {"networks"},
    {"constraints"},
    {"losses", "metrics", "loggers", "report"},
    {"training"},
    {"checkpoints"},
    {"callbacks"},
    {"inspection"},
    {"cli"},
    {"__main__"},
]


REPRODUCE = [
    {"plan"},
    {"launcher", "results"},
    {"evidence"},
    {"experiments"},
    {"figures"},
    {"__main__"},
]
FIGURES = [
    {"runs"},
    {"training_figures"},
    {"hyperparameter_figures"},
    {"index"},
]
LEVELS = {
    package: {unit: level for level, units in enumerate(order) for unit in units}
    for package, order in (("srgan", ORDER), ("reproduce", REPRODUCE), ("reproduce.figures", FIGURES))
}


PUBLIC = {f"srgan.{name}" for name in srgan.__all__}
"""What `from srgan import ...` gives to others: inside, each module names the module that it is in."""


def imported_units(path: Path, package: str) -> Iterator[str]:
    """The modules and packages right below a package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports, found a relative one"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name == package or name in PUBLIC:
                yield "__init__"
            elif name.startswith(f"{package}."):
                yield name.removeprefix(f"{package}.").partition(".")[0]


def files_of(package: str) -> list[tuple[str, Path]]:
    folder = PACKAGE.parent / package.replace(".", "/")
    return [(package, path.relative_to(folder)) for path in sorted(folder.rglob("*.py"))]


@pytest.mark.parametrize(("package", "path"), [place for package in LEVELS for place in files_of(package)])
def test_imports_flow_one_way(package: str, path: Path) -> None:
    folder, levels = PACKAGE.parent / package.replace(".", "/"), LEVELS[package]
    unit = path.with_suffix("").parts[0]
    imported = set(imported_units(folder / path, package))
    if unit == "__init__":
        assert imported <= {"checkpoints", "constraints"}  # the public one-liners, on first use
        return
    assert "__init__" not in imported, f"{package}.{unit} imports the package itself: name the module"
    assert unit in levels, f"{package}.{unit} is new: say here what it may import"
    upward = {other for other in imported if other != unit and levels.get(other, -1) >= levels[unit]}
    assert not upward, f"{package}.{unit} imports {upward}, which is not below it"


@pytest.mark.parametrize("path", files_of("srgan"))
def test_the_package_knows_nothing_of_the_reproduction(path: tuple[str, Path]) -> None:
    assert not set(imported_units(PACKAGE / path[1], "reproduce"))


@pytest.mark.parametrize(
    "name", ["srgan.runs.folder", "srgan.utils.files", "srgan.collapse", "srgan.plotting", "srgan.cli.main"]
)
def test_reporting_needs_no_torch(name: str) -> None:
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
