"""What a constructor says of its settings arrives at whoever typed them: whole, and nothing else."""

import ast
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from tiny_runs import fit

import srgan
from srgan.cli.main import main
from srgan.constraints import Unconstrained
from srgan.data import DigitsData
from srgan.losses import Hinge
from srgan.networks import ResNetPair
from srgan.runs.folder import RunFolder

PACKAGE = Path(srgan.__file__).parent


def sentences() -> list[str]:
    """All that constructors and the checks of settings under the parser raise, with 7 in the place of values."""
    found: set[str] = set()
    places = ("data", "prepare", "networks", "constraints", "callbacks", "metrics", "loggers", "training")
    files = [path for place in places for path in (PACKAGE / place).rglob("*.py")]
    files += [PACKAGE / "losses.py", PACKAGE / "utils" / "distributed.py"]
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                message = node.exc.args[0]
                parts = message.values if isinstance(message, ast.JoinedStr) else [message]
                if all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
                    found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts))
    return sorted(found)


class RefusingData(DigitsData):
    """Data that refuse their settings."""

    def __init__(self, message: str, kind: str = "ValueError", **settings: Any) -> None:
        raise {"ValueError": ValueError, "TypeError": TypeError, "OSError": OSError}[kind](message)


class RefusingPair(ResNetPair):
    """Nets that refuse their sizes."""

    def __init__(self, message: str, image_size: int = 8) -> None:
        raise ValueError(message)


class RefusingConstraint(Unconstrained):
    """A method that refuses its settings."""

    def __init__(self, message: str) -> None:
        raise ValueError(message)


class RefusingLoss(Hinge):
    """A loss that refuses its settings."""

    def __init__(self, message: str) -> None:
        raise ValueError(message)


class RefusingCallback(pl.Callback):
    """A callback that refuses its settings."""

    def __init__(self, message: str) -> None:
        raise ValueError(message)


PLACES = {
    "data": "RefusingData", "model.networks": "RefusingPair", "model.constraint": "RefusingConstraint",
    "model.loss": "RefusingLoss", "trainer.callbacks": "RefusingCallback",
}  # fmt: skip
BEGINNINGS = [
    "Expected a folder at 'x', found nothing.",
    "Expected an image size of 8, found 7.",
    "Expected image_size of 8, found 7.",
    "'x' is prepared half: go on.",
    "Does not validate against the third rule.",
    "Expected one of two\n  - Expected a list\n  - Expected a <class 'int'>. Got value: 7",
]


def test_there_are_sentences_of_all_kinds() -> None:
    """Else the tests below would try nothing."""
    assert len(sentences()) > 60
    assert sum(one.startswith(("Expected a ", "Expected an ")) for one in sentences()) > 10


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("message", BEGINNINGS)
def test_whatever_a_constructor_says_arrives_from_every_place(
    message: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [f"--{place}", f"test_settings_messages.{PLACES[place]}"]
    options += [f"--{place}.{'init_args.' * (place != 'trainer.callbacks')}message", message]
    assert fit(RunFolder(tmp_path / "run"), *options) == 2
    assert capsys.readouterr().err == f"srgan fit: {message}\n"


def test_every_sentence_of_the_package_arrives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under the data, where the parser hides them best, as exceptions of three kinds."""
    for place, message in enumerate(sentences()):
        path = tmp_path / "data.yaml"
        values = {"message": message, "kind": ["ValueError", "TypeError", "OSError"][place % 3]}
        settings = {"class_path": "test_settings_messages.RefusingData", "init_args": values}
        path.write_text(repr({"data": settings}))
        assert main(["fit", "-c", str(path), "--run", str(tmp_path / "run")]) == 2
        assert capsys.readouterr().err == f"srgan fit: {message}\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-c", "folder", "--data.init_args.path", "nope"], "Expected a folder or tar of images at '"),
        (["-c", "folder"], "Expected a folder or tar of images at '"),
        (["-c", "hub", "--data.init_args.path", "./nope"], "Expected a data set in the folder '"),
        (["-c", "imagenet128"], "Run: srgan prepare ROOT"),
        (["-c", "cifar10", "--data.init_args.image_size", "64"], "Expected an image size of 32, 16 or 8 for CIFAR-10"),
        (["-c", "stl10", "--data.init_args.image_size", "64"], "Expected an image size of 32 for STL-10, found 64."),
        (["-c", "digits", "--data.init_args.image_size", "256"], "Expected an image size of 8, 16, 32, 64 or 128"),
        (["-c", "digits", "--data.init_args.batch_size", "0"], "Expected image_size, batch_size and n_dis of at least"),
        (["-c", "digits", "--data", "FolderData"], "Expected path for the FolderData of --data, found none."),
        (["-c", "digits", "-c", "began", "--model.loss.init_args.gamma", "2"], "Expected gamma in (0, 1]"),
        (["-c", "digits", "--model.feature_matching", "FeatureMatching", "--model.feature_matching.weight", "-1"],
         "Expected a positive weight and decay_iterations"),
        (["-c", "digits", "--scores.protocol.seed", "-1"], "Expected a seed of the protocol in 0 ... 4294967295"),
        (["-c", "digits", "--trainer.callbacks", "EarlyStopping"],
         "Expected monitor for the EarlyStopping of --trainer.callbacks, found none."),
        (["-c", "digits", "--samples.rows", "1000000"], "Expected samples.rows of at most 1000, found 1000000."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_the_commonest_mistakes_are_told_in_their_own_words(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *options, "-c", "sn", "--run", "run"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "<class '" not in said
    assert "Namespace" not in said


def test_the_outer_sentence_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A constructor may explain what another library said."""
    assert fit(RunFolder(tmp_path / "run"), "--from-checkpoint=~nobody-here/x") == 2
    assert "Expected a user with a home folder in '~nobody-here/x', found none." in capsys.readouterr().err


ABSURD = [
    "model.networks.init_args.generator_channels", "model.networks.init_args.latent_dim", "model.n_dis",
    "model.iterations", "data.init_args.batch_size", "scores.protocol.num_real_images", "outputs.images",
    "scores.protocol.num_fake_images", "model.constraint.init_args.power_iterations",
]  # fmt: skip


@pytest.mark.parametrize("setting", ABSURD)
def test_absurd_sizes_are_refused_by_name(setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(RunFolder(tmp_path / "run"), "-c", "sn", f"--{setting}", "1000000000") == 2
    assert capsys.readouterr().err == (
        "srgan fit: Expected sizes and counts below 1,000,000,000 in the settings of a run, found "
        f"{setting} 1000000000. Lower it.\n"
    )


def test_nets_that_no_memory_holds_are_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(RunFolder(tmp_path / "run"), "--model.networks.init_args.generator_channels", "900000000") == 2
    said = capsys.readouterr().err
    assert said.startswith("srgan fit: Expected networks that fit into memory, found ")
    assert "Or lower the widths" in said
    assert said.count("\n") == 1


def test_home_is_where_a_tilde_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After `=` no shell expands it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("model: {iterations: 1}\n")
    assert fit(RunFolder(Path("~/run")), "--config=~/mine.yaml") == 0
    assert (tmp_path / "run" / "run.json").is_file()
    branch = ["--from-checkpoint=~/run", "--model.iterations", "2"]
    assert fit(RunFolder(Path("~/branch")), *branch) == 0
    assert main(["sample", "~/run", "--output=~/x.png", "--device", "cpu"]) == 0
    assert main(["spectra", "~/run", "--csv=~/x.csv", "--json=~/x.json"]) == 0
    assert main(["report", "~/run", "--output=~/x.html"]) == 0
    assert main(["push", "~/run", "--folder=~/pushed"]) == 0
    capsys.readouterr()
    made = {"run", "branch", "x.png", "x.csv", "x.json", "x.html", "pushed"}
    assert made <= {path.name for path in tmp_path.iterdir()}
    assert not Path("~").exists()
