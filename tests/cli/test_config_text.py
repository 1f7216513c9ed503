"""Files of settings: what YAML would take in silence is refused with file and line; methods go by their names."""

from pathlib import Path

import pytest
import yaml
from tiny_runs import fit

from srgan.cli.config_text import Text, check_links, values_of, with_settings_read
from srgan.cli.fit import compose
from srgan.constraints import SpectralNormalization, SpectralRegularization
from srgan.runs.folder import RunFolder

REFUSED = {
    "a section twice": (
        "model: {iterations: 5}\ndata: {init_args: {batch_size: 4}}\nmodel: {seed: 7}\n",
        "found model in lines 1 and 3, of which the first would be lost",
    ),
    "a setting twice": ("model:\n  seed: 1\n  n_dis: 2\n  seed: 3\n", "found model.seed in lines 2 and 4"),
    "in a list": ("trainer:\n  callbacks:\n  - {class_path: A, class_path: B}\n", "callbacks.0.class_path in lines 3"),
    "an alias": ("model: &m {networks: *m}", "Expected settings without YAML aliases (*name)"),
    "the length": ("trainer: {max_steps: 3}", "found one in line 1. Set model.iterations."),
    "a seed of the data": ("\ndata: {init_args: {seed: 3}}", "found one in line 2. Set model.seed."),
    "n_dis of the data": ("data:\n  init_args: {n_dis: 3}\nmodel: {n_dis: 2}", "found one in line 2. Set model.n_dis."),
    "a size of the nets": ("model: {networks: {init_args: {image_size: 8}}}", "Set data.init_args.image_size."),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_lost_in_silence_is_refused(
    content: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    for words in (["-c", str(path)], [f"--config={path}"]):
        assert fit(RunFolder(tmp_path / "run"), *words) == 2
        said = capsys.readouterr().err
        assert sentence in said
        assert f"'{path}'" in said
        assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_settings_on_the_command_line_are_given_once_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(RunFolder(tmp_path / "run"), "--model", "{seed: 1, n_dis: 1, seed: 2}") == 2
    assert "found model.seed in lines 1 and 1" in capsys.readouterr().err
    assert fit(RunFolder(tmp_path / "run"), "--trainer", "{max_steps: 3}") == 2
    assert "Expected no trainer.max_steps in '{max_steps: 3}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--trainer.max_steps=3", "--data.init_args.n_dis=3", "--data.seed=1", "--model.networks.image_size=8"]
)
def test_options_that_follow_others_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(RunFolder(tmp_path / "run"), option) == 2
    assert "which does not apply here. Set --" in capsys.readouterr().err


def test_the_same_key_in_several_places_is_no_repetition() -> None:
    content = "a: {b: 1, c: {b: 2}}\nd: [{b: 1}, {b: 2}, [1, 1]]\ne: {[1]: 2}\n"
    text = Text("here", "", content)
    check_links(text, values_of(text))
    assert {name: node.value for name, node in values_of(text).items()} == {
        "a.b": "1", "a.c.b": "2", "d.0.b": "1", "d.1.b": "2", "d.2.0": "1", "d.2.1": "1", "e.#0.0": "1", "e.#0": "2",
    }  # fmt: skip


@pytest.mark.parametrize(("codec", "found"), [("utf-16", "one in UTF-16"), ("latin-1", "byte 0xfc in line 2")])
def test_a_file_in_another_encoding_is_named(
    codec: str, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: {seed: 3}\n# Schlüssel\n", encoding=codec)
    assert fit(RunFolder(tmp_path / "run"), "-c", str(path)) == 2
    assert capsys.readouterr().err == (
        f"srgan fit: Expected settings in UTF-8 in '{path}', found {found}. Save it as UTF-8.\n"
    )


@pytest.mark.parametrize(
    "content", ["model: {constraint: sr-s, seed: 3}\n", "# mine\nmodel:\n  constraint: 'sr-s'  # ours\n  seed: 3\n",
                "\ufeffmodel: {constraint: sr-s}\nmodel.seed: 3\n"]
)  # fmt: skip
def test_a_method_goes_by_its_name_in_a_file(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "-c", str(path), "--model.iterations", "1") == 0
    record = folder.read_record()
    assert record is not None
    assert record["constraint"]["label"] == "SR-s"
    assert record["config"]["model"]["seed"] == 3
    assert record["command"][-4:-2] == ["-c", str(path)]


def test_the_resolved_settings_of_a_run_are_a_configuration(tmp_path: Path) -> None:
    """They hold what follows other settings, too."""
    first, again = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "again")
    assert fit(first, "--model.iterations", "1") == 0
    stored = yaml.safe_load(first.config.read_text())
    assert stored["trainer"]["max_steps"] == 2
    assert with_settings_read([f"--config={first.config}"])[-1:] == [f"--config={first.config}"]
    assert fit(again, "-c", str(first.config), "--model.iterations", "2") == 0
    record = again.read_record()
    assert record is not None
    assert record["iterations"] == 2


@pytest.mark.parametrize(
    "before", [[], ["-c", "sn"], ["-c", "sr-s", "--sr.scale", "keep"], ["-c", "sr-d", "--sr.scale=3"]]
)
@pytest.mark.parametrize("how", ["file", "name", "class_path", "json"])
def test_a_class_starts_from_its_own_defaults(before: list[str], how: str, tmp_path: Path) -> None:
    """Also where the constraint before it, the default SN included, has a setting of the same name."""
    path = "srgan.constraints.SpectralRegularization"
    (tmp_path / "mine.yaml").write_text(
        f"model:\n  constraint:\n    class_path: {path}\n    init_args: {{power_iterations: 2}}\n"
    )
    given = {
        "file": ["-c", str(tmp_path / "mine.yaml")],
        "name": ["--model.constraint", path, "--sr.power_iterations", "2"],
        "class_path": [f"--model.constraint.class_path={path}", "--sr.power_iterations", "2"],
        "json": [f'--model.constraint={{"class_path": "{path}", "init_args": {{"power_iterations": 2}}}}'],
    }[how]
    model = compose(["-c", "digits", *before, *given, "--run", str(tmp_path / "run")]).model
    assert model.constraint == SpectralRegularization(power_iterations=2)


def test_a_setting_without_a_class_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("model: {constraint: {init_args: {power_iterations: 2}}}")
    arguments = ["-c", "digits", "-c", "sn-unit", "-c", str(tmp_path / "mine.yaml"), "--run", str(tmp_path / "run")]
    assert compose(arguments).model.constraint == SpectralNormalization(2, "unit")
