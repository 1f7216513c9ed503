"""What a user types and imports first: configurations by name, optional packages, help that answers at once."""

import importlib
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import one_liner
import pytest
import yaml
from tiny_runs import fit

import srgan
from srgan.cli import fit_help as fit_command
from srgan.cli.configs import first_sentence, known, path_of, with_paths
from srgan.cli.main import COMMANDS, main
from srgan.runs.folder import RunFolder
from srgan.utils.optional_packages import DISTRIBUTION, EXTRA_OF, installed_version

ADVICE = (
    r'srgan {}: Expected the package \w+, found none\. Install it: pip install "spectral-regularization-gan\[\w+\]"\n'
)
TORCH_ALONE = """
import runpy, sys
script, run, *packages = sys.argv[1:]
sys.modules |= dict.fromkeys(packages)
sys.argv = [script, run]
runpy.run_path(script, run_name="__main__")
try:
    sys.modules["srgan"].load(run + "-folder")
except ModuleNotFoundError as error:
    assert str(error).endswith('pip install "spectral-regularization-gan[hub]"'), error
else:
    raise AssertionError("a folder of safetensors was read without them")
"""


def test_the_one_liners_need_torch_and_numpy_alone(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    assert fit(RunFolder(Path(run)), "--model.iterations", "1") == 0
    assert main(["push", run, "--folder", f"{run}-folder"]) == 0
    done = subprocess.run(
        [sys.executable, "-c", TORCH_ALONE, one_liner.__file__, run, *EXTRA_OF], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["fit", "-c", "digits", "--run", "x"],
        ["evaluate", "x"],
        ["sample", "."],
        ["spectra", "x"],
        ["push", ".", "--folder", "y"],
        ["pull", "someone/sr"],
        ["report", "."],
        ["prepare", ".", "out"],
        ["dashboard"],
    ],
    ids=lambda command: command[0],
)
def test_each_command_without_its_extra_says_in_a_sentence_what_to_install(command: list[str], tmp_path: Path) -> None:
    code = "import sys; sys.modules |= dict.fromkeys({!r}); from srgan.cli.main import main; sys.exit(main({!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code.format(list(EXTRA_OF), command)], cwd=tmp_path, capture_output=True, text=True
    )
    assert re.fullmatch(ADVICE.format(command[0]), done.stderr), done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("command", "package"),
    [
        (["report", "."], "plotly"),
        (["dashboard"], "wandb"),
        (["prepare", ".", "out"], "datasets"),
        (["push", ".", "someone/sr"], "huggingface_hub"),
        (["pull", "someone/sr"], "huggingface_hub"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_missing_package_is_a_sentence_with_the_command(command: list[str], package: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from srgan.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert f"Expected the package {package}, found none" in done.stderr
    assert f'pip install "spectral-regularization-gan[{EXTRA_OF[package]}]"' in done.stderr
    assert done.stderr.count("\n") == 1


def test_names_stand_for_configurations_and_files_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_paths(["-c", "digits", "--config=sr-s", "--run", "digits", "--print_config", "--x", "-1.5"]) == [
        f"--config={path_of('digits')}", f"--config={path_of('sr-s')}", "--run=digits", "--print_config", "--x=-1.5"
    ]  # fmt: skip
    Path("digits").mkdir()
    assert with_paths(["-c=digits"]) == [f"--config={path_of('digits')}"]  # a folder is no configuration
    Path("sr-s").write_text("model: {}")
    Path("mine.yaml").write_text("model: {}")
    assert with_paths(["-c", "sr-s", "-c", "mine.yaml"]) == ["--config=sr-s", "--config=mine.yaml"]
    with pytest.raises(ValueError, match=r"one of batch-norm, .*, sr-d, sr-s, .*; found 'digit'"):
        with_paths(["-c", "digit"])


def test_configurations_are_listed_with_what_they_are_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    listed = dict(re.findall(r"^(\S+) +(.+)$", capsys.readouterr().out, re.MULTILINE))
    assert listed == {name: first_sentence(name) for name in known()}
    assert main(["configs", "digits"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["data"]["class_path"] == "srgan.data.DigitsData"
    assert main(["configs", "digit"]) == 2
    assert "found 'digit'" in capsys.readouterr().err


@pytest.mark.parametrize("name", known())
def test_a_configuration_begins_with_a_sentence(name: str) -> None:
    assert path_of(name).read_text().startswith("# ")
    assert first_sentence(name)[-1].isalnum() or first_sentence(name)[-1] in ".%"
    assert len(first_sentence(name)) <= 120


def test_wrong_input_is_a_message_and_an_error_in_training_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: list[str]) -> int:
        raise ValueError("what was found")

    for command in COMMANDS:
        module = importlib.import_module(COMMANDS[command])
        monkeypatch.setattr(module, "main", fail)
        if command == "fit":
            with pytest.raises(ValueError, match="what was found"):
                main([command])
        else:
            assert main([command]) == 2
            assert capsys.readouterr().err == f"srgan {command}: what was found\n"


def test_help_answers_at_once() -> None:
    code = "import sys; from srgan.cli.main import main; main(['fit', '--help']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout == fit_command.HELP
    assert done.stdout.startswith("usage: srgan fit ")


def test_dir_shows_what_is_public() -> None:
    """Also before any of it was imported."""
    code = "import srgan, sys; print(*dir(srgan)); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == sorted(srgan.__all__)


def test_the_version_is_that_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version(DISTRIBUTION)

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("srgan.utils.optional_packages.version", absent)
    assert installed_version() == "unknown"
