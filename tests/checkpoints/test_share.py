"""`srgan push`, `srgan pull`: folders without pickles, there and back over the hub's own HTTP API on loopback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from tiny_runs import fit

import srgan
from srgan.checkpoints.export_folder import FILES, without_places
from srgan.cli.main import main
from srgan.runs.folder import RunFolder

SCORED = ["--scores.every", "4", "--scores.protocol.num_fake_images", "40", "--scores.protocol.num_real_images", "40",
          "--scores.protocol.batch_size", "20", "--scores.final", "null"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Scored, with a moving average."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    assert (
        fit(folder, "--model.iterations", "4", "--model.ema_decay", "0.5", "--model.constraint", "sr-s", *SCORED) == 0
    )
    return folder


@pytest.fixture
def exported(run: RunFolder, tmp_path: Path) -> Path:
    assert main(["push", str(run.path), "--folder", str(tmp_path / "exported")]) == 0
    return tmp_path / "exported"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub_server.HubServer]:
    """An empty hub, with a login."""
    with hub_server.serving() as server:
        turn_to(server.endpoint, tmp_path / "hub-cache", monkeypatch)
        monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
        yield server


def turn_to(endpoint: str, cache: Path, patch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and HF_HOME would do in a process that has not imported the library yet."""
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {"ENDPOINT": endpoint, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": cache}.items():
        patch.setattr(f"huggingface_hub.constants.{name}", value)


def assert_same_images(source: str | Path, run: RunFolder) -> None:
    """To the bit, of the last weights and of their average."""
    for ema in (False, True):
        theirs, ours = (srgan.load(place, ema, device="cpu") for place in (source, run.path))
        assert torch.equal(theirs.generate(5), ours.generate(5))
        assert (theirs.method, theirs.iteration) == (ours.method, ours.iteration)
        for name, value in ours.discriminator.state_dict().items():
            assert torch.equal(theirs.discriminator.state_dict()[name], value)


# Folders.


def test_a_folder_gives_the_same_images_and_holds_no_pickle(run: RunFolder, exported: Path, tmp_path: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == sorted(FILES)
    assert_same_images(exported, run)
    about = json.loads((exported / "config.json").read_text())
    assert about["scores"] | {"iteration": 4} == run.read_scores()[-1]
    assert about["protocol"] == run.read_protocol()
    for source, name in ((exported, "a.png"), (run.checkpoint, "b.png")):
        assert main(["sample", str(source), "--device", "cpu", "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert main(["spectra", str(exported)]) == 0


def test_the_card_says_what_it_is_and_how_to_load_it(run: RunFolder, exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    assert card.data.library_name == "srgan"
    assert card.text.strip().startswith("# SR-s on DigitsData, 8 x 8\n")
    scores = run.read_scores()[-1]
    for row in (f"| FID_cls | {scores['FID_cls']:.6g} |", "| iteration | 4 of 4 |", "decay 0.5"):
        assert row in card.text
    (block,) = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    namespace: dict[str, torch.Tensor] = {}
    exec(block.replace("OWNER/NAME", str(exported)), namespace)
    assert namespace["images"].shape == (16, 3, 8, 8)


def test_absolute_paths_lose_their_folders() -> None:
    settings = {"path": "/data/of/somebody/photographs.tar", "others": ["/a/b", "c/d", 3, None], "seed": 0}
    assert without_places(settings) == {"path": "photographs.tar", "others": ["b", "c/d", 3, None], "seed": 0}


def test_a_folder_that_holds_something_else_is_left_alone(
    run: RunFolder, tmp_path: Path, hub: hub_server.HubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    assert main(["push", str(run.path), "someone/sr"]) == 0
    for command in (["push", str(run.path)], ["pull", "someone/sr"]):
        assert main([*command, "--folder", str(tmp_path / "mine")]) == 2
        assert "Expected a new or empty folder" in capsys.readouterr().err
    assert (tmp_path / "mine" / "README.md").read_text() == "mine"


def test_damaged_and_third_party_folders_are_refused(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = exported / "config.json"
    whole, weights = settings.read_text(), (exported / "model.safetensors").read_bytes()
    third_party = json.loads(whole)
    third_party["settings"]["model"]["networks"]["class_path"] = "os.system"
    wrong = {
        "found JSONDecodeError": whole[:50],
        "found KeyError": '{"model_type": "bert"}',
        "settings without one of data, model": '{"settings": {}, "iteration": 1, "constraint": "SN"}',
        "found os.system. Nothing of it was imported": json.dumps(third_party),
    }
    for message, text in wrong.items():
        settings.write_text(text)
        with pytest.raises(ValueError, match=re.escape(message)):
            srgan.load(exported)
    settings.write_text(whole)
    (exported / "model.safetensors").write_bytes(weights[:-9])
    assert main(["sample", str(exported)]) == 2
    assert "found SafetensorError" in capsys.readouterr().err
    (exported / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="found FileNotFoundError"):
        srgan.load(exported)


# The hub.


def test_what_was_pushed_and_pulled_gives_the_same_images(
    run: RunFolder, hub: hub_server.HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["push", str(run.path), "someone/sr", "--private"]) == 0
    assert f"run: SR-s, iteration 4: {hub.endpoint}/someone/sr" in capsys.readouterr().out
    assert hub.models["someone/sr"].keys() == set(FILES)
    assert hub.private == {"someone/sr"}
    assert 'srgan.load("someone/sr")' in hub.models["someone/sr"]["README.md"].decode()
    assert_same_images("someone/sr", run)
    assert main(["pull", "someone/sr"]) == 0
    assert "sr: SR-s, iteration 4 in sr" in capsys.readouterr().out
    assert_same_images(Path("sr"), run)
    assert main(["sample", "someone/sr", "--device", "cpu"]) == 0
    assert main(["pull", "someone/sr"]) == 0  # again, over what was pulled


def test_a_folder_goes_to_the_hub_as_it_is(exported: Path, hub: hub_server.HubServer) -> None:
    (exported / "README.md").write_text("In words of my own.")
    (exported / "private.txt").write_text("no part of it")
    assert main(["push", str(exported), "someone/sr"]) == 0
    assert hub.models["someone/sr"] == {name: (exported / name).read_bytes() for name in FILES}
    assert hub.private == set()
    assert load_file(exported / "model.safetensors")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["push", "RUN"], "Expected OWNER/NAME or --folder DIR to write to, found none"),
        (["push", "RUN", "someone/sr", "--folder", "x"], "found both. Give one."),
        (["push", "RUN", "sr"], "Expected OWNER/NAME for a model on the hub, found 'sr'"),
        (["push", "nowhere", "someone/sr"], "Expected a checkpoint"),
        (["push", "EXPORTED", "--folder", "x"], "found one already"),
        (["pull", "sr"], "Expected OWNER/NAME of a model on the hub, found 'sr'"),
        (["pull", "someone/none"], "Expected the hub's model 'someone/none', found RepositoryNotFoundError"),
        (["pull", "someone/bert"], "Expected config.json and model.safetensors as srgan push writes them"),
        (["sample", "someone/none"], "found nothing at"),
        (["sample", "checkpoints/none.ckpt"], "Expected a checkpoint at"),
    ],
)
def test_what_cannot_be_shared_is_a_sentence(
    words: list[str], message: str, run: RunFolder, exported: Path, hub: hub_server.HubServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    hub.models["someone/bert"] = {"config.json": b"{}", "model.safetensors": b"", "README.md": b""}
    capsys.readouterr()
    assert main([{"RUN": str(run.path), "EXPORTED": str(exported)}.get(word, word) for word in words]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"srgan {words[0]}: ")
    assert message in said
    assert not hub.models.get("someone/sr")


def test_without_login_or_way_nothing_is_written(
    exported: Path, hub: hub_server.HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    assert main(["push", str(exported), "someone/sr"]) == 2
    assert "hf auth login" in capsys.readouterr().err
    assert hub.models == {}
    turn_to("http://127.0.0.1:9", tmp_path / "hub-cache", monkeypatch)  # where nobody answers
    assert main(["push", str(exported), "someone/sr"]) == 2
    assert "found ConnectError" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r"found nothing at '.*someone/sr'; on the hub: Expected"):
        srgan.load("someone/sr")


@pytest.mark.parametrize("command", ["sample", "evaluate"])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("iteration", "Infinity"), ("iteration", "1" + "0" * 300), ("iteration", "null"), ("iteration", "-1"),
        ("settings", "null"), ("settings", "[" * 200_000), ("settings", "{}"), ("settings", "[]"), ("settings", "7"),
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_damaged_settings_are_a_sentence(
    key: str, text: str, command: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported / "config.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {key: "HERE"}).replace('"HERE"', text))
    capsys.readouterr()
    assert main([command, str(exported)]) == 2
    said = capsys.readouterr().err
    assert f"srgan {command}: Expected config.json and model.safetensors as srgan push writes them" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("section", ["model", "data", "samples", "scores"])
@pytest.mark.parametrize("value", [None, 5, [], "text"])
def test_sections_that_are_no_settings_are_a_sentence(
    section: str, value: object, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported / "config.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps(about | {"settings": about["settings"] | {section: value}}))
    capsys.readouterr()
    for command in ("sample", "evaluate"):
        assert main([command, str(exported)]) == 2
        said = capsys.readouterr().err
        assert "settings without one of data, model, samples, scores" in said
        assert said.count("\n") == 1
