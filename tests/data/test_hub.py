"""Data sets of Hugging Face's library on the disk: prepared, saved, image folders, parquet; in any process."""

import os
import pickle
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from conftest import random_pixels, save_image
from PIL import Image
from torch.utils.data import DataLoader

from srgan.cli.main import main
from srgan.data import FolderData, HubData, ImageData
from srgan.data.image_data import _BatchOfIteration
from srgan.prepare.decoding import read_image
from srgan.utils.distributed import ProcessGroup


def prepare(root: Path, out: Path, *options: str) -> Path:
    assert main(["prepare", str(root), str(out), "--image-size", "8", "--workers", "1", *options]) == 0
    return out


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """130 training images, for three shards, and 6 test images, in three classes; 8 x 8."""
    folder = tmp_path_factory.mktemp("root")
    for split, count in (("train", 130), ("test", 6)):
        for k, pixels in enumerate(random_pixels(count, 8, 8, 3)):
            save_image(folder / split / f"n{k % 3}" / f"{k:03d}.png", pixels)
    return folder


@pytest.fixture(scope="module")
def prepared(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(root, tmp_path_factory.mktemp("train") / "out")


def make(prepared: Path, **settings: Any) -> HubData:
    return HubData(str(prepared), image_size=8, **settings)


def equal_batches(one: ImageData, other: ImageData, ranks: ProcessGroup) -> bool:
    found, expected = one.batch(3, ranks), other.batch(3, ranks)
    return torch.equal(found.images, expected.images) and torch.equal(found.labels, expected.labels)


def test_batches_are_those_of_the_same_images_in_memory(root: Path, prepared: Path) -> None:
    on_disk = make(prepared, batch_size=50, n_dis=2, seed=4)
    in_memory = FolderData(str(root), 8, batch_size=50, n_dis=2, seed=4)
    assert on_disk.num_classes == in_memory.num_classes == 3
    assert on_disk.num_images("train") == 130
    assert all(equal_batches(on_disk, in_memory, ranks) for ranks in (ProcessGroup(), ProcessGroup(1, 2)))
    assert torch.equal(on_disk.load("train").images, in_memory.load("train").images)


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_processes_that_read_ahead_read_the_same(prepared: Path, start: str, workers: int) -> None:
    data = make(prepared, batch_size=40, n_dis=1)
    expected = [data.batch(iteration) for iteration in range(12)]  # files are open here before the others start
    loader = DataLoader(
        _BatchOfIteration(data, ProcessGroup()), batch_size=None, sampler=range(12), num_workers=workers,
        multiprocessing_context=start,
    )  # fmt: skip
    for found, batch in zip(loader, expected, strict=True):
        assert found.iteration == batch.iteration
        assert torch.equal(found.images, batch.images)
        assert torch.equal(found.labels, batch.labels)


def test_sent_to_another_process_it_carries_no_pixels(prepared: Path) -> None:
    data = make(prepared)
    data.batch(0)
    assert len(pickle.dumps(data)) < 20_000


def test_a_part_for_measuring_is_a_sample_of_all_classes(prepared: Path) -> None:
    data = make(prepared, seed=1)
    part = torch.cat([batch.labels for batch in data.real_images("train", range(30), batch_size=7)])
    assert len(part) == 30
    assert part.bincount().min() >= 3  # the first 30 on the disk are all of one class
    whole = torch.cat([batch.images for batch in make(prepared, seed=2).real_images("train", range(130))])
    stored = data.load("train").images
    assert sorted(map(bytes, whole.flatten(1).numpy())) == sorted(map(bytes, stored.flatten(1).numpy()))
    middle = next(data.real_images("train", range(40, 50)))
    assert torch.equal(middle.images, whole[40:50])


def test_the_test_split_is_a_folder_of_its_own(root: Path, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="test_path to a folder"):
        make(prepared).load("test")
    test = prepare(root, tmp_path / "test", "--split", "test")
    data = HubData(str(prepared), test_path=str(test), image_size=8)
    expected = FolderData(str(root), 8).load("test")
    assert torch.equal(data.load("test").images, expected.images)
    assert torch.equal(data.load("test").labels, expected.labels)


def test_the_key_names_every_byte(root: Path, prepared: Path, tmp_path: Path) -> None:
    again = prepare(root, tmp_path / "again/out")
    assert make(again).key == make(prepared).key
    changed = Path(shutil.copytree(root, tmp_path / "root"))
    save_image(changed / "train/n0/000.png", np.zeros((8, 8, 3), np.uint8))
    assert make(prepare(changed, tmp_path / "changed/out")).key != make(prepared).key


def test_the_key_names_the_test_split_too(root: Path, prepared: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(root, tmp_path / "root"))
    save_image(changed / "test/n0/000.png", np.zeros((8, 8, 3), np.uint8))
    tests = [prepare(each, tmp_path / each.parent.name, "--split", "test") for each in (root, changed)]
    found = [HubData(str(prepared), test_path=str(test), image_size=8) for test in tests]
    assert found[0].num_images("test") == found[1].num_images("test")  # or other statistics would have another name
    assert len({make(prepared).key, *(data.key for data in found)}) == 3


def test_folders_that_cannot_be_read_say_what_to_do(root: Path, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere', found nothing\. Run: srgan prepare ROOT .*nowhere"):
        make(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"16 x 16.*found 8 x 8.*--image-size 16"):
        HubData(str(prepared), image_size=16).num_images("train")
    for damage in (lambda part: part.unlink(), lambda part: os.truncate(part, 3000)):
        out = Path(shutil.copytree(prepared, tmp_path / "out", dirs_exist_ok=True))
        damage(out / "data-00001.arrow")
        with pytest.raises(ValueError, match=r"out' cannot be opened.*Run again"):
            make(out).num_images("train")
    (out / "state.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"not finished\. Run the same command again"):
        make(out)
    other_classes = Path(shutil.copytree(root, tmp_path / "root"))
    shutil.rmtree(other_classes / "test/n2")
    test = prepare(other_classes, tmp_path / "test", "--split", "test")
    with pytest.raises(ValueError, match="Expected the training split's classes"):
        HubData(str(prepared), test_path=str(test), image_size=8).num_images("test")
    with pytest.raises(IndexError):
        make(prepared).fetch("train", torch.tensor([130]))


# Data sets that nobody prepared.


def files(count: int, size: int = 12) -> list[bytes]:
    """PNGs of `random_pixels(count, size, size, 3)`."""
    buffers = [BytesIO() for _ in range(count)]
    for pixels, buffer in zip(random_pixels(count, size, size, 3), buffers, strict=True):
        Image.fromarray(pixels).save(buffer, "PNG")
    return [buffer.getvalue() for buffer in buffers]


def hub_set(count: int, label: Any = None, **columns: list[Any]) -> datasets.Dataset:
    """As on the hub: image files in a column `img`, a column of classes `fine`, and what else is named."""
    labels = datasets.ClassLabel(names=["ant", "bee", "cat"]) if label is None else label
    features = datasets.Features({"img": datasets.Image(), "fine": labels})
    rows = {"img": [{"bytes": file, "path": None} for file in files(count)], "fine": [k % 3 for k in range(count)]}
    data = datasets.Dataset.from_dict(rows, features)
    for name, values in columns.items():
        data = data.add_column(name, values)
    return data


def decoded(count: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([read_image(file, 8) for file in files(count)]))


def test_every_form_of_the_library_gives_the_same_images(tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": hub_set(13), "validation": hub_set(5)})
    both.save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "parquet").mkdir()
    for split, data in both.items():
        data.to_parquet(str(tmp_path / f"parquet/{split}-00000-of-00001.parquet"))
    for k, file in enumerate(files(13)):
        path = tmp_path / "folder/train" / ("ant", "bee", "cat")[k % 3] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    for name in ("saved", "parquet"):
        data = HubData(str(tmp_path / name), test_split="validation", image_size=8)
        assert torch.equal(data.load("train").images, decoded(13))
        assert torch.equal(data.load("test").images, decoded(5))
        assert data.labels("train").tolist() == [k % 3 for k in range(13)]
        assert (data.num_classes, data.has_test_split, data.name) == (3, True, name)
    folder = HubData(str(tmp_path / "folder"), image_size=8)
    assert torch.equal(folder.load("train").images, decoded(13)[[*range(0, 13, 3), *range(1, 13, 3), *range(2, 13, 3)]])
    assert folder.num_classes == 3
    assert not folder.has_test_split


def test_images_are_decoded_once_and_the_key_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_set(13).save_to_disk(str(tmp_path / "saved"))
    hub_set(14).save_to_disk(str(tmp_path / "elsewhere/saved"))
    first = HubData(str(tmp_path / "saved"), image_size=8)
    images, key = first.load("train").images, first.key
    assert HubData(str(tmp_path / "elsewhere/saved"), image_size=8).key != key
    monkeypatch.setattr("srgan.data.hub.read_image", lambda *_: pytest.fail("decoded again"))
    again = HubData(str(tmp_path / "saved"), image_size=8)
    assert torch.equal(again.load("train").images, images)
    assert again.key == key
    monkeypatch.undo()
    assert HubData(str(tmp_path / "saved"), image_size=4).key != key


def test_several_processes_decode_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srgan.data.hub.MIN_PARALLEL_IMAGES", 10)
    hub_set(13, id=[*range(13)]).save_to_disk(str(tmp_path / "parallel"))
    data = HubData(str(tmp_path / "parallel"), image_size=8, num_workers=2)
    assert torch.equal(data.load("train").images, decoded(13))
    assert data.labels("train").tolist() == [k % 3 for k in range(13)]


def test_columns_are_found_or_named(tmp_path: Path) -> None:
    coarse = datasets.ClassLabel(names=["insect", "mammal"])
    data = hub_set(6, coarse=[0, 0, 1, 0, 0, 1]).cast_column("coarse", coarse)
    data.save_to_disk(str(path := tmp_path / "two"))
    with pytest.raises(ValueError, match="label_column to be one of fine, coarse, found None"):
        HubData(str(path), image_size=8).num_images("train")
    assert HubData(str(path), label_column="coarse", image_size=8).labels("train").tolist() == [0, 0, 1, 0, 0, 1]
    with pytest.raises(ValueError, match="image_column to be one of img, found fine"):
        HubData(str(path), image_column="fine", image_size=8).num_images("train")
    with pytest.raises(ValueError, match="Expected a column of images, found fine, coarse"):
        open_saved(data.remove_columns("img"), tmp_path / "none").num_images("train")
    unlabelled = open_saved(data.remove_columns(["fine", "coarse"]), tmp_path / "unlabelled")
    assert unlabelled.fetch("train", torch.tensor([5, 0])).labels.tolist() == [0, 0]
    assert unlabelled.num_classes == 1
    numbers = open_saved(hub_set(6, datasets.Value("int8")), tmp_path / "numbers", label_column="fine")
    assert numbers.num_classes == 3
    assert numbers.labels("train").dtype == torch.int64


def open_saved(data: datasets.Dataset, path: Path, **settings: Any) -> HubData:
    data.save_to_disk(str(path))
    return HubData(str(path), image_size=8, **settings)


def test_images_and_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    missing = hub_set(3).cast_column("fine", datasets.ClassLabel(names=["ant", "bee", "cat"]))
    hidden = missing.map(lambda row: {"fine": -1})  # as the test split of ImageNet on the hub
    with pytest.raises(ValueError, match="Expected a label for every image"):
        open_saved(hidden, tmp_path / "hidden").num_images("train")
    broken = datasets.Dataset.from_dict(
        {"img": [{"bytes": files(1)[0][:60], "path": "1.png"}]}, datasets.Features({"img": datasets.Image()})
    )
    with pytest.raises(ValueError, match=r"Cannot read image '1\.png'"):
        open_saved(broken, tmp_path / "broken").num_images("train")
    with pytest.raises(ValueError, match=r"Expected the split 'test'.*found train"):
        open_saved(datasets.DatasetDict({"train": missing}), tmp_path / "one", test_split="test").num_images("test")


@pytest.mark.parametrize("feature", ["binary", "struct"])
def test_bytes_that_nobody_declared_to_be_images_are_taken_for_images(tmp_path: Path, feature: str) -> None:
    value = datasets.Value("binary")
    kind = value if feature == "binary" else {"bytes": value, "path": datasets.Value("string")}
    rows = [file if feature == "binary" else {"bytes": file, "path": None} for file in files(5)]
    data = datasets.Dataset.from_dict({"image": rows}, datasets.Features({"image": kind}))
    assert torch.equal(open_saved(data, tmp_path / "raw").load("train").images, decoded(5))


def test_what_is_no_data_set_of_images_and_classes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = hub_set(3, datasets.ClassLabel(names=["ant", "bee", "cat"])).add_column("label", ["ant", "bee", "cat"])
    with pytest.raises(ValueError, match=r"label_column, found label of string\. .*class_encode_column\('label'\)"):
        open_saved(words, tmp_path / "words", label_column="label").num_images("train")
    with pytest.raises(ValueError, match=r"Expected a column for label_column nothing, found none .* Set it to null"):
        open_saved(words.select_columns("img"), tmp_path / "only", label_column="nothing").num_images("train")
    rows = {"img": [{"bytes": file, "path": None} for file in files(3)] + [None]}
    null = datasets.Dataset.from_dict(rows, datasets.Features({"img": datasets.Image()}))
    with pytest.raises(ValueError, match="Expected an image in each row, found none in row 3"):
        open_saved(null, tmp_path / "null").num_images("train")
    with pytest.raises(ValueError, match=r"empty' cannot be opened .*: it has no rows\."):
        open_saved(null.select([]), tmp_path / "empty").num_images("train")
    datasets.DatasetDict({"train": null.select([]), "test": null}).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(ValueError, match="no rows"):
        HubData(str(tmp_path / "splits"), image_size=8).num_images("train")
    null.select([]).to_parquet(str(tmp_path / "parquet/train.parquet"))
    with pytest.raises(ValueError, match=r"parquet' cannot be opened .* corresponds to no data"):
        HubData(str(tmp_path / "parquet"), image_size=8).num_images("train")
    ragged = datasets.Dataset.from_dict(
        {"image": [[1, 2, 3], [4]]}, datasets.Features({"image": datasets.List(datasets.Value("uint8"))})
    )
    with pytest.raises(ValueError, match="8 x 8 in 'ragged', found lists of bytes that are no square RGB images"):
        open_saved(ragged, tmp_path / "ragged").num_images("train")
    numbers = hub_set(6, datasets.Value("int8"))
    assert open_saved(numbers, tmp_path / "numbers").num_classes == 1
    assert "No labels are used; fine holds integers. To use them: label_column fine" in capsys.readouterr().err
    for content in ("{}", "[]", "7", '{"_data_files": 3}'):
        (tmp_path / "numbers/state.json").write_text(content)
        with pytest.raises(ValueError, match=r"numbers' cannot be opened as a data set of Hugging Face's"):
            HubData(str(tmp_path / "numbers"), image_size=8).num_images("train")


def test_a_copy_of_a_data_set_is_the_same(tmp_path: Path) -> None:
    for k, file in enumerate(files(6)):
        path = tmp_path / f"images/train/{k % 2}/{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file)
    shutil.copytree(tmp_path / "images", tmp_path / "moved", copy_function=shutil.copyfile)
    first, second = (HubData(str(tmp_path / name), image_size=8) for name in ("images", "moved"))
    assert first.key == second.key
    (tmp_path / "moved/train/0/0.png").write_bytes(files(7)[6])
    assert HubData(str(tmp_path / "moved"), image_size=8).key != first.key


def test_a_name_that_the_hub_does_not_know_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="'nobody/nothing' cannot be opened"):
        HubData("nobody/nothing").prepare_data()


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_one_config_trains_on_any_of_them(tmp_path: Path) -> None:
    hub_set(13).save_to_disk(str(tmp_path / "saved"))
    options = {
        "data.init_args.path": tmp_path / "saved", "data.init_args.image_size": 8, "data.init_args.batch_size": 4,
        "model.networks.init_args.generator_channels": 4,
        "model.networks.init_args.discriminator_channels": 4, "model.iterations": 2, "scores.every": 0,
        "samples.every": 0, "scores.final": "null",
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    assert (
        main(["fit", "-c", "configs/hub.yaml", "-c", "configs/sn.yaml", "--run", str(tmp_path / "run"), *arguments])
        == 0
    )
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()
