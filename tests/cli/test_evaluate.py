"""`srgan evaluate` through the command line: a run's own scores again, on any devices, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_pixels, save_image
from processes import run_on_two

from srgan.checkpoints.pretrained import load
from srgan.cli.fit import FAILED
from srgan.cli.main import main
from srgan.data import FolderData
from srgan.metrics.features import ClassifierFeatures, hash_weights
from srgan.runs.folder import RunFolder

TRAIN = [
    "fit", "-c", "configs/folder.yaml", "-c", "configs/sr-d.yaml", "--data.init_args.image_size", "8",
    "--data.init_args.batch_size", "4", "--model.networks.init_args.num_classes", "3",
    "--model.networks.init_args.generator_channels", "4", "--model.networks.init_args.discriminator_channels", "4",
    "--model.networks.init_args.latent_dim", "8", "--model.n_dis", "1", "--model.iterations", "4",
    "--model.compile", "false",
    "--samples.every", "0", "--losses.every", "0", "--spectra.every", "0",
    "--scores.every", "2", "--scores.protocol.num_fake_images", "200", "--scores.protocol.num_real_images", "70",
    "--scores.protocol.batch_size", "20", "--scores.final.num_fake_images", "330",
    "--scores.final.inception_splits", "3", "--scores.final.intra_fid_classes", "3",
    "--scores.final.intra_fid_images", "30",
]  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """75 PNGs of 8 x 8 in three classes."""
    root = tmp_path_factory.mktemp("images") / "pictures"
    for k, pixels in enumerate(random_pixels(75, 8, 8, 3)):
        save_image(root / f"class {k % 3}" / f"{k:02d}.png", pixels)
    return root


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A conditional generator of four iterations, scored in training and at the end."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    assert main([*TRAIN, "--data.init_args.path", str(images), "--run", str(folder.path)]) == 0
    return folder


FID_IS_ALONE = ["--protocol.kid", "false", "--protocol.prdc", "false"]
ONE_SPLIT = ["--protocol.inception_splits", "1", "--protocol.intra_fid_classes", "0", *FID_IS_ALONE]


@pytest.fixture
def other_cache(run: RunFolder, cache_of_this_session: Path, tmp_path: Path) -> Path:
    """Holds nothing but the classifier, which takes seconds to train."""
    unfinished = shutil.ignore_patterns(".*")  # of other tests that run now
    shutil.copytree(cache_of_this_session / "classifiers", tmp_path / "cache" / "classifiers", ignore=unfinished)
    return tmp_path / "cache"


def flat(scores: dict[str, Any]) -> dict[str, float]:
    """Every number under a name of its own."""
    lists = {name: value for name, value in scores.items() if isinstance(value, list)}
    single = {name: value for name, value in scores.items() if name not in lists}
    return single | {f"{name}.{k}": value for name, values in lists.items() for k, value in enumerate(values)}


def evaluate(checkpoint: Path, output: Path, *options: str) -> dict[str, Any]:
    assert main(["evaluate", str(checkpoint), *options, "--accelerator", "cpu", "--output", str(output)]) == 0
    record: dict[str, Any] = json.loads(output.read_text())
    return record


def test_a_second_classifier_scores_a_checkpoint(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ClassifierFeatures, "steps", 1)
    protocol = ["--protocol.intra_fid_classes", "0", "--protocol.prdc", "false"]
    first, second = (
        evaluate(run.checkpoint, tmp_path / f"{name}.json", "--features", name, *protocol)
        for name in ("classifier", "densenet")
    )
    assert [record["protocol"]["features"] for record in (first, second)] == ["classifier", "densenet"]
    assert first["protocol"]["weights_hash"] != second["protocol"]["weights_hash"]
    assert first["generator_hash"] == second["generator_hash"]
    assert first["scores"].keys() == second["scores"].keys()
    assert first["scores"]["FID_cls"] != second["scores"]["FID_cls"]


# What a run records.


def test_a_run_ends_with_scores_by_both_protocols(run: RunFolder) -> None:
    protocol, final = run.read_protocol(), run.read_final()
    assert protocol is not None
    assert final is not None
    assert [row["iteration"] for row in run.read_scores()] == [2, 4]
    assert protocol["num_fake_images"] == 200
    assert (final["iteration"], final["protocol"]["num_fake_images"], final["protocol"]["inception_splits"]) == (
        4,
        330,
        3,
    )
    assert {"FID_cls", "IS_cls", "IS_cls_std", "KID_cls", "precision_cls", "coverage_cls"} <= final["scores"].keys()
    assert len(final["scores"]["FID_intra_cls_classes"]) == 3
    run.roll_back(run.history_marks(), 4)
    assert run.read_final() == final


def test_a_resumed_run_forgets_its_final_scores(run: RunFolder, tmp_path: Path) -> None:
    copied = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    copied.roll_back(copied.history_marks(), 3)
    assert copied.read_final() is None


def test_impossible_final_protocols_are_refused_before_training(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data.init_args.path", str(images), "--run", str(tmp_path / "run")]
    wrong = {
        "Expected a generator with classes": ["--model.networks.init_args.num_classes", "0"],
        "at least two real images of every class": ["--scores.protocol.num_real_images", "4"],
        "Expected Inception weights": ["--scores.features", "inception", "--scores.inception_weights", "gone.pth"],
    }
    for message, settings in wrong.items():
        assert main([*TRAIN, *options, *settings, "--scores.final.prdc", "false"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("srgan fit: ")
        assert message in said
    assert not RunFolder(tmp_path / "run").scores.exists()


# The same scores again.


def test_a_checkpoint_scores_as_its_run_did(run: RunFolder, tmp_path: Path) -> None:
    """By the final protocol, and by that in training: the same images and batches."""
    final = run.read_final()
    assert final is not None
    again = evaluate(run.checkpoint, tmp_path / "final.json")
    assert flat(again["scores"]) == pytest.approx(flat(final["scores"]), rel=1e-7)
    assert again["protocol"] == final["protocol"]
    again = evaluate(run.checkpoint, tmp_path / "short.json", "--protocol.num_fake_images", "200", *ONE_SPLIT)
    assert {"iteration": again["iteration"]} | again["scores"] == run.read_scores()[-1]


def test_two_processes_score_as_one(run: RunFolder, tmp_path: Path, other_cache: Path) -> None:
    """Counts are exact (330 images make 17 batches), the order of IS's splits is kept, real images are shared too.

    The command starts its second process by itself; nothing of real images is cached yet.
    """
    one = evaluate(run.checkpoint, tmp_path / "one.json")
    two = tmp_path / "two.json"
    options = ["--devices", "2", "--accelerator", "cpu", "--output", str(two)]
    command = [sys.executable, "-m", "srgan", "evaluate", str(run.checkpoint), *options]
    environment = os.environ | {"SRGAN_CACHE": str(other_cache)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    record = json.loads(two.read_text())
    assert record["hardware"]["devices"] == 2
    assert record["protocol"] == one["protocol"]
    assert flat(record["scores"]) == pytest.approx(flat(one["scores"]), rel=1e-6)
    cached = [path.parent.name for path in sorted(other_cache.rglob("*.npz"))]
    assert [name for name in cached if name != "classifiers"] == ["images", "real-features", "real-statistics"]


def test_a_run_on_two_processes_scores_as_its_checkpoint_on_one(
    images: Path, tmp_path: Path, other_cache: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    devices = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"]
    options = ["--data.init_args.path", str(images), "--run", str(folder.path)]
    run_on_two([*TRAIN, *options, *devices], tmp_path / "logs", SRGAN_CACHE=str(other_cache))
    final = folder.read_final()
    assert final is not None
    assert len(folder.read_scores()) == 2  # written by one of them
    again = evaluate(folder.checkpoint, tmp_path / "one.json")
    assert flat(again["scores"]) == pytest.approx(flat(final["scores"]), rel=1e-6)


# What it says and what it takes.


def test_the_record_names_what_was_scored(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_classes = ["--protocol.intra_fid_classes", "1000", "--protocol.intra_fid_images", "20"]
    arguments = ["--protocol.seed", "5", *FID_IS_ALONE, *of_classes]
    record = evaluate(run.checkpoint, tmp_path / "new" / "scores.json", *arguments)
    assert record["generator_hash"] == hash_weights(load(run.checkpoint).generator)
    assert record["command"][:5] == ["srgan", "evaluate", str(run.checkpoint), "--protocol.seed", "5"]
    assert (record["iteration"], record["constraint"]) == (4, "SR-d, unit scale")
    assert record["commit"]
    assert record["protocol"]["seed"] == 5
    assert record["protocol"]["intra_fid_labels"] == [0, 1, 2]
    assert record["protocol"]["intra_fid_classes"] == 3
    assert "KID_cls" not in record["scores"]
    printed = capsys.readouterr().out
    assert "FID_intra_cls" in printed
    assert "num_fake_images 330" in printed


def test_a_checkpoint_is_self_contained(run: RunFolder, images: Path, tmp_path: Path) -> None:
    """Moved away from its run, and its data to another place: the file holds every setting."""
    moved = shutil.copy(run.checkpoint, tmp_path / "moved.ckpt")
    elsewhere = shutil.copytree(images, tmp_path / "elsewhere" / "pictures")
    short = ["--protocol.num_fake_images", "40", *ONE_SPLIT]
    record = evaluate(Path(moved), tmp_path / "scores.json", *short, "--data.init_args.path", str(elsewhere))
    assert record["scores"] == evaluate(run.checkpoint, tmp_path / "other.json", *short)["scores"]
    stored = torch.load(moved, weights_only=True)["srgan_config"]
    assert stored == (run.read_record() or {})["config"]


def test_scores_in_training_outlast_a_failure_of_the_final_ones(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("srgan.metrics.formulas.kernel_distance", fail)  # which only the final protocol asks for
    folder = RunFolder(tmp_path / "run")
    assert main([*TRAIN, "--data.init_args.path", str(images), "--run", str(folder.path)]) == FAILED
    assert [row["iteration"] for row in folder.read_scores()] == [2, 4]
    assert folder.read_final() is None


# What it refuses.


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["evaluate", *arguments, "--accelerator", "cpu"]) == 2
    return capsys.readouterr().err


def test_devices_that_are_not_there_are_refused(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert main(["evaluate", str(run.checkpoint), "--accelerator", "cuda"]) == 2
    assert "found --accelerator cuda --devices 1" in capsys.readouterr().err


def test_data_of_another_size_is_refused_before_it_is_fetched(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A download may take hours."""
    monkeypatch.setattr(FolderData, "prepare_data", lambda _: pytest.fail("fetched"))
    assert "Expected data of 8 pixels" in refused(capsys, str(run.checkpoint), "--data.init_args.image_size", "16")


def test_a_stopped_evaluation_says_so(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("srgan.metrics.formulas.frechet_distance", stop)
    assert main(["evaluate", str(run.checkpoint), "--accelerator", "cpu"]) == 130
    assert "srgan evaluate: stopped" in capsys.readouterr().err


@pytest.mark.parametrize(("message", "error"), [("out of memory", RuntimeError), ("no link", ConnectionError)])
def test_only_a_failed_download_is_missing_data(
    message: str, error: type[Exception], run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error(message)

    where = "feature_network" if error is RuntimeError else "check_features"
    monkeypatch.setattr(f"srgan.cli.evaluate.{where}", fail)
    arguments = [str(run.checkpoint), "--accelerator", "cpu"]
    if error is RuntimeError:
        with pytest.raises(RuntimeError, match=message):
            main(["evaluate", *arguments])
    else:
        assert main(["evaluate", *arguments]) == 2


def test_third_party_files_are_refused(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "found nothing" in refused(capsys, str(tmp_path / "nowhere.ckpt"))
    weights = torch.load(run.checkpoint, weights_only=True)
    third_party = {
        "text.ckpt": b"not a checkpoint at all",
        "empty.ckpt": b"",
        "cut.ckpt": run.checkpoint.read_bytes()[:2000],
    }
    for name, content in third_party.items():
        (tmp_path / name).write_bytes(content)
    torch.save(weights["state_dict"], tmp_path / "plain.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    torch.save({"srgan_config": Path("unpickled")}, tmp_path / "code.ckpt")
    for path in sorted(tmp_path.glob("*.ckpt")):
        assert f"Expected a checkpoint written by srgan fit, found another file at '{path}'" in refused(
            capsys, str(path)
        )


def test_checkpoints_that_do_not_fit_are_refused(
    run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = torch.load(run.checkpoint, weights_only=True)
    stored["srgan_config"]["model"]["networks"]["init_args"]["generator_channels"] = 6
    torch.save(stored, tmp_path / "wide.ckpt")
    assert "Expected weights of the networks" in refused(capsys, str(tmp_path / "wide.ckpt"))
    stored["srgan_config"]["model"]["renamed"] = 1
    torch.save(stored, tmp_path / "older.ckpt")
    assert "that this version of srgan knows" in refused(capsys, str(tmp_path / "older.ckpt"))


def test_missing_data_and_wrong_settings_are_refused(
    run: RunFolder, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(run.checkpoint)
    said = refused(capsys, checkpoint, "--data.init_args.path", str(tmp_path / "gone"))
    assert "Expected a folder or tar of images" in said
    assert "--data.init_args" in said
    output = tmp_path / "new" / "scores.json"
    wrong_size = ["--data.init_args.image_size", "16", "--output", str(output)]
    assert "Expected data of 8 pixels, found 16" in refused(capsys, checkpoint, *wrong_size)
    assert not output.parent.exists()
    assert "renamed" in refused(capsys, checkpoint, "--data.init_args.renamed", "16")
    assert "Expected num_fake_images of at least" in refused(capsys, checkpoint, "--protocol.num_fake_images", "1")
    assert "found the folder" in refused(capsys, checkpoint, "--output", str(tmp_path))
    weights = ["--features", "inception", "--inception_weights", str(tmp_path / "gone.pth")]
    assert "Expected Inception weights" in refused(capsys, checkpoint, *weights)
    two_classes = shutil.copytree(images, tmp_path / "two")
    shutil.rmtree(two_classes / "class 2")
    said = refused(capsys, checkpoint, "--data.init_args.path", str(two_classes))
    assert "Expected data of the generator's 3 classes for FID within classes, found 2" in said
    assert "no-such-option" in refused(capsys, checkpoint, "--no-such-option")
