"""Prepared images on the disk: the same batches as from memory, in any process."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_pixels, save_image
from torch.utils.data import DataLoader

from srgan.cli import main
from srgan.data import FolderData, ImageData, ImageNetData
from srgan.data.base import _BatchOfIteration
from srgan.parallel import Ranks


def prepare(root: Path, out: Path, *options: str) -> Path:
    assert main(["prepare", "imagenet", str(root), str(out), "--image-size", "8", "--workers", "1", *options]) == 0
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


def make(prepared: Path, **settings: int) -> ImageNetData:
    return ImageNetData(str(prepared), None, 8, **settings)


def equal_batches(one: ImageData, other: ImageData, ranks: Ranks) -> bool:
    found, expected = one.batch(3, ranks), other.batch(3, ranks)
    return torch.equal(found.images, expected.images) and torch.equal(found.labels, expected.labels)


def test_batches_are_those_of_the_same_images_in_memory(root: Path, prepared: Path) -> None:
    on_disk = make(prepared, batch_size=50, n_dis=2, seed=4)
    in_memory = FolderData(str(root), 8, batch_size=50, n_dis=2, seed=4)
    assert on_disk.num_classes == in_memory.num_classes == 3
    assert on_disk.num_images("train") == 130
    assert all(equal_batches(on_disk, in_memory, ranks) for ranks in (Ranks(), Ranks(1, 2)))
    assert torch.equal(on_disk.load("train").images, in_memory.load("train").images)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_that_read_ahead_read_the_same(prepared: Path, start: str) -> None:
    data = make(prepared, batch_size=40, n_dis=1)
    expected = [data.batch(iteration) for iteration in range(12)]  # files are open here before the others start
    loader = DataLoader(
        _BatchOfIteration(data, Ranks()), batch_size=None, sampler=range(12), num_workers=2,
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
    with pytest.raises(ValueError, match="--split val and set test_path"):
        make(prepared).load("test")
    test = prepare(root, tmp_path / "test", "--split", "test")
    data = ImageNetData(str(prepared), str(test), image_size=8)
    expected = FolderData(str(root), 8).load("test")
    assert torch.equal(data.load("test").images, expected.images)
    assert torch.equal(data.load("test").labels, expected.labels)


def test_the_key_names_every_byte(root: Path, prepared: Path, tmp_path: Path) -> None:
    again = prepare(root, tmp_path / "again")
    assert make(again).key == make(prepared).key
    changed = Path(shutil.copytree(root, tmp_path / "root"))
    save_image(changed / "train/n0/000.png", np.zeros((8, 8, 3), np.uint8))
    assert make(prepare(changed, tmp_path / "changed")).key != make(prepared).key


def test_the_key_names_the_test_split_too(root: Path, prepared: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(root, tmp_path / "root"))
    save_image(changed / "test/n0/000.png", np.zeros((8, 8, 3), np.uint8))
    tests = [prepare(each, tmp_path / each.parent.name, "--split", "test") for each in (root, changed)]
    found = [ImageNetData(str(prepared), str(test), image_size=8) for test in tests]
    assert found[0].num_images("test") == found[1].num_images("test")  # or other statistics would have another name
    assert len({make(prepared).key, *(data.key for data in found)}) == 3


def test_folders_that_cannot_be_read_say_what_to_do(root: Path, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"found none\. Run: srgan prepare imagenet ROOT .*nowhere"):
        make(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"16 x 16.*found 8 x 8.*--image-size 16"):
        ImageNetData(str(prepared), image_size=16)
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    (out / "images-00001.npy").unlink()
    with pytest.raises(ValueError, match=r"images-00001\.npy.*found 0\. Run again"):
        make(out)
    (out / "manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"not finished\. Run the same command again"):
        make(out)
    other_classes = Path(shutil.copytree(root, tmp_path / "root"))
    shutil.rmtree(other_classes / "test/n2")
    test = prepare(other_classes, tmp_path / "test", "--split", "test")
    with pytest.raises(ValueError, match="Expected the 3 classes"):
        ImageNetData(str(prepared), str(test), image_size=8)


def test_a_shard_cut_while_training_is_an_error_and_not_noise(prepared: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    data = make(out)
    os.truncate(out / "images-00002.npy", 200)
    with pytest.raises(ValueError, match=r"images-00002\.npy.*cut short"):
        data.fetch("train", torch.tensor([0, 129]))
    with pytest.raises(IndexError, match=r"\[0, 130\), found 130"):
        data.fetch("train", torch.tensor([130]))
