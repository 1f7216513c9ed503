"""STL-10 in torchvision's layout, shrunk once and kept."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import random_pixels
from torchvision.datasets import STL10

from srgan.data import STL10Data
from srgan.data.torchvision_data import shrunk_path
from srgan.utils.images import shrink


@pytest.fixture(scope="module")
def stl10_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """12 unlabelled, 3 training and 4 test images in torchvision's layout, with their checksums for torchvision."""
    root = tmp_path_factory.mktemp("stl10")
    (root / STL10.base_folder).mkdir()

    def write(name: str, content: np.ndarray) -> list[str]:
        (root / STL10.base_folder / name).write_bytes(content.tobytes())
        return [name, hashlib.md5(content.tobytes()).hexdigest()]

    def write_labelled(split: str, count: int) -> list[list[str]]:
        labels = np.arange(1, count + 1, dtype=np.uint8)
        return [write(f"{split}_X.bin", random_pixels(count, 3, 96, 96)), write(f"{split}_y.bin", labels)]

    with pytest.MonkeyPatch.context() as patch:
        unlabelled = write("unlabeled_X.bin", random_pixels(12, 3, 96, 96))
        patch.setattr(STL10, "train_list", [*write_labelled("train", 3), unlabelled])
        patch.setattr(STL10, "test_list", write_labelled("test", 4))
        yield root


@pytest.mark.parametrize(("split", "torchvisions"), [("train", "unlabeled"), ("test", "test")])
def test_pixels_are_means_of_torchvisions(stl10_root: Path, split: str, torchvisions: str) -> None:
    upright = np.stack([np.asarray(image) for image, _ in STL10(str(stl10_root), torchvisions)])  # [n, 96, 96, 3]
    means = upright.reshape(-1, 32, 3, 32, 3, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    images, labels = STL10Data(str(stl10_root)).load("train" if split == "train" else "test")
    assert np.array_equal(images.numpy(), np.rint(means))  # nine numbers have no ties
    assert labels.tolist() == [0] * len(upright)


def test_means_are_rounded_to_the_nearest() -> None:
    squares = np.zeros((1, 3, 96, 96), np.uint8)
    squares[..., 0:3, 0:3] = [[0, 0, 0], [0, 4, 0], [0, 0, 0]]  # 4/9
    squares[..., 0:3, 3:6] = [[1, 1, 1], [1, 1, 0], [0, 0, 0]]  # 5/9
    squares[..., 3:6, 0:3] = 255
    found = shrink(squares, 3)
    assert found.shape == (1, 3, 32, 32)
    assert (found[..., :2, :2] == [[0, 1], [255, 0]]).all()


def test_batches_come_from_the_unlabelled_images(stl10_root: Path) -> None:
    data = STL10Data(str(stl10_root), batch_size=4, n_dis=3)
    data.prepare_data()
    batch = data.batch(0)
    epoch = batch.images.flatten(0, 1).flatten(1)
    known = data.load("train").images.flatten(1)
    assert sorted(map(bytes, epoch.numpy())) == sorted(map(bytes, known.numpy()))
    assert data.num_images("train") == 12
    assert not batch.labels.any()


def test_shrunk_images_do_not_need_the_download(stl10_root: Path, tmp_path: Path) -> None:
    data = STL10Data(str(stl10_root))
    data.prepare_data()
    kept = shrunk_path("train")
    written = kept.stat().st_mtime_ns
    elsewhere = STL10Data(str(tmp_path / "empty"))
    elsewhere.prepare_data()
    assert torch.equal(elsewhere.load("train").images, data.load("train").images)
    assert kept.stat().st_mtime_ns == written
    assert not (tmp_path / "empty").exists()


def test_without_stl10_and_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(STL10, "url", "http://127.0.0.1:9/stl10_binary.tar.gz")  # nobody listens there
    monkeypatch.setenv("no_proxy", "*")
    for load in (lambda data: data.prepare_data(), lambda data: data.load("test")):
        with pytest.raises(ConnectionError, match=r"stl10_binary\.tar\.gz there, or train on a folder"):
            load(STL10Data(str(tmp_path / "data")))


def test_a_download_that_is_not_stl10_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(STL10, "url", "http://127.0.0.1:9/stl10_binary.tar.gz")
    (tmp_path / STL10.base_folder).mkdir()
    for name, _ in STL10.train_list + STL10.test_list:
        (tmp_path / STL10.base_folder / name).write_bytes(bytes(3 * 96 * 96))
    with pytest.raises(ConnectionError, match="cannot be downloaded"):
        STL10Data(str(tmp_path)).load("train")
    assert not shrunk_path("train").exists()
