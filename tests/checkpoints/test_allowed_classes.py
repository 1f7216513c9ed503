"""Settings in a checkpoint: nothing of somebody else's is imported unless the user names it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from tiny_runs import fit

from srgan.checkpoints.reading import read_file, read_run_checkpoint
from srgan.checkpoints.rebuilding import rebuild_nets
from srgan.cli.main import main
from srgan.data import ImageData
from srgan.runs.folder import RunFolder


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a checkpoint."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    assert fit(folder, "--model.iterations", "1", "--model.constraint", "sr-s") == 0
    found: dict[str, Any] = read_file(folder.checkpoint)
    return found


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module beside the checkpoint, which leaves a file behind when it is imported."""
    (tmp_path / "evil.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
        "from srgan.constraints import SpectralNormalization\nclass Evil(SpectralNormalization):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "ran"
    sys.modules.pop("evil", None)


SETTINGS = ("model", "constraint", "init_args")
PLACES = [("model", "constraint"), ("model", "networks"), ("model", "loss"), ("data",), (*SETTINGS, "spectral_map"),
          (*SETTINGS, "schedule")]  # fmt: skip


def written(content: dict[str, Any], place: tuple[str, ...], value: Any, path: Path) -> Path:
    """A checkpoint with another setting at that place."""
    changed = torch.load(_bytes(content, path), weights_only=True)
    settings = changed["srgan_config"]
    for key in place[:-1]:
        settings = settings[key]
    settings[place[-1]] = value
    torch.save(changed, path)
    return path


def _bytes(content: dict[str, Any], path: Path) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize("value", [{"class_path": "evil.Evil", "init_args": {}}, "evil.Evil"], ids=["class", "text"])
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_code_beside_a_checkpoint_is_never_imported(
    place: tuple[str, ...], value: Any, command: str, content: dict[str, Any], evil: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = written(content, place, value, tmp_path / "other.ckpt")
    assert main([command, str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "Nothing of it was imported" in said
    assert not evil.exists()
    assert "evil" not in sys.modules


def test_a_yaml_file_in_the_place_of_an_object_is_not_read(content: dict[str, Any], evil: Path, tmp_path: Path) -> None:
    (tmp_path / "constraint.yaml").write_text("class_path: evil.Evil\n")
    path = written(content, ("model", "constraint"), str(tmp_path / "constraint.yaml"), tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"found '.*constraint\.yaml'. Nothing of it was imported"):
        read_run_checkpoint(path)
    for value in ("evil.Evil", str(tmp_path / "constraint.yaml"), None, ["evil.Evil"]):
        path = written(content, ("data",), value, tmp_path / "other.ckpt")
        with pytest.raises(ValueError, match="Expected an object's settings for data in"):
            read_run_checkpoint(path)
    assert not evil.exists()


def test_no_data_of_ours_takes_an_object(content: dict[str, Any]) -> None:
    """`srgan evaluate` lets the parser read its settings, which would import what a text in its place names."""
    plain = (str, int, bool, type(None))
    for kind in ImageData.__subclasses__():
        for name, hint in get_type_hints(kind.__init__).items():
            assert all(one in plain for one in (get_args(hint) or (hint,))), (kind, name)


def test_what_the_user_names_is_imported(content: dict[str, Any], evil: Path, tmp_path: Path) -> None:
    place, value = ("model", "constraint"), {"class_path": "evil.Evil", "init_args": {}}
    path = written(content, place, value, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"add --allow evil\.Evil"):
        read_run_checkpoint(path)
    nets = rebuild_nets(read_run_checkpoint(path, ["evil.Evil"]))
    assert type(nets.constraint).__name__ == "Evil"
    assert evil.exists()


def test_a_choice_by_an_enum_is_rebuilt(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of somebody's own constraint: settings hold the member's name."""
    (tmp_path / "chosen.py").write_text(
        "from dataclasses import dataclass\nfrom enum import Enum\nfrom srgan.constraints import Constraint\n"
        "class Side(Enum):\n    rows = 1\n    columns = 2\n"
        "@dataclass(frozen=True)\nclass Chosen(Constraint):\n"
        "    side: Side = Side.rows\n    other: Side | None = None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    given: dict[str, Any] = {"class_path": "chosen.Chosen", "init_args": {"side": "columns", "other": "rows"}}
    path = written(content, ("model", "constraint"), given, tmp_path / "other.ckpt")
    constraint: Any = rebuild_nets(read_run_checkpoint(path, ["chosen.Chosen"])).constraint
    assert (constraint.side.name, constraint.other.name) == ("columns", "rows")
    path = written(
        content, ("model", "constraint"), given | {"init_args": {"side": "diagonal"}}, tmp_path / "other.ckpt"
    )
    with pytest.raises(ValueError, match="found the text 'diagonal'"):
        rebuild_nets(read_run_checkpoint(path, ["chosen.Chosen"]))


@pytest.mark.parametrize("command", ["sample", "evaluate"])
def test_commands_take_what_the_user_names(
    command: str, content: dict[str, Any], evil: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, value = ("model", "constraint"), {"class_path": "evil.Evil", "init_args": {}}
    path = written(content, place, value, tmp_path / "other.ckpt")
    output = str(tmp_path / ("samples.png" if command == "sample" else "scores.json"))
    scored = ["--protocol.num_fake_images", "40", "--protocol.num_real_images", "40", "--protocol.batch_size", "20"]
    options = ["--device", "cpu"] if command == "sample" else [*scored, "--accelerator", "cpu"]
    assert main([command, str(path), "--allow", "evil.Evil", "--output", output, *options]) == 0, capsys.readouterr()
    assert Path(output).exists()


def test_every_shipped_setting_is_accepted(content: dict[str, Any], tmp_path: Path) -> None:
    path = _bytes(content, tmp_path / "same.ckpt")
    assert read_run_checkpoint(path).config == content["srgan_config"]


def test_a_class_that_this_version_lacks_is_not_called_third_party(
    content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {"class_path": "srgan.constraints.Gone", "init_args": {"form": "raw"}}
    path = written(content, ("model", "constraint"), gone, tmp_path / "older.ckpt")
    assert main(["sample", str(path)]) == 2
    said = capsys.readouterr().err
    assert "found srgan.constraints.Gone. Take the version that wrote it." in said
    assert said.count("\n") == 1


NO_CLASSES_OF_OURS = [
    "srgan.utils.files.os.system",
    "srgan.utils.files.shutil.rmtree",
    "srgan.checkpoints.reading.pickle.loads",
    "srgan.cli.main.import_module",
    "srgan.training.module.torch.nn.Linear",
    "srgan.utils.files.write_text",
    "srgan.constraints",
    "srgan.cli.main.COMMANDS",
    "srgan.checkpoints.reading.argparse.ArgumentParser",
    "srgan.__main__",
]


@pytest.mark.parametrize("name", NO_CLASSES_OF_OURS)
@pytest.mark.parametrize("place", [("model", "constraint"), ("data",)], ids=".".join)
def test_what_a_module_of_ours_imported_is_no_class_of_ours(
    place: tuple[str, ...], name: str, content: dict[str, Any], tmp_path: Path
) -> None:
    path = written(content, place, {"class_path": name, "init_args": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=f"found {name}. Take the version that wrote it."):
        read_run_checkpoint(path)


def test_the_command_line_does_not_start_while_a_file_is_loaded(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`srgan.__main__` is a module that is there to be run."""
    monkeypatch.delitem(sys.modules, "srgan.__main__", raising=False)
    monkeypatch.setattr(sys, "argv", ["script.py", "--version"])
    path = written(content, ("model", "loss"), {"class_path": "srgan.__main__"}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"found srgan\.__main__"):
        read_run_checkpoint(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("model", "networks", "init_args", "generator_channels"), 10**12, "Expected sizes and counts below"),
        (("model", "networks", "init_args", "latent_dim"), 900_000_000, "Expected nets that fit into memory in"),
        (("model", "networks", "init_args", "latent_dim"), None, "Expected settings that this version of srgan knows"),
        (("model", "seed"), None, "Expected settings that this version of srgan knows"),
        (("model", "ema_decay"), True, "Expected settings that this version of srgan knows"),
        (("model", "normalize_generator"), 1, "Expected settings that this version of srgan knows"),
        (("model", "constraint", "init_args", "scale"), [1.0], "Expected settings that this version of srgan knows"),
        (("model", "later"), True, "Expected settings that this version of srgan knows"),
        (("model", "constraint", "dict_kwargs"), {"odd": 1}, "Expected settings that this version of srgan knows"),
        (("samples", "rows"), 10**12, "Expected sizes and counts below"),
    ],
    ids=str,
)
def test_settings_of_odd_values_are_refused_in_a_sentence(
    place: tuple[str, ...], value: Any, sentence: str, command: str, content: dict[str, Any], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = written(content, place, value, tmp_path / "odd.ckpt")
    assert main([command, str(path)]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
