"""What tests share: a cache of their own, small image files, and the real data that lies beside the repository."""

import hashlib
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import preparing
import pytest
import torch
from PIL import Image
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.datasets import CIFAR10

from srgan.data import CIFAR10Data, DigitsData, FolderData, ImageData

MakeData = Callable[..., ImageData]
TAR_FORMATS = {".tar": "tar", ".tar.gz": "gztar", ".tar.xz": "xztar"}
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny nets are fastest on one thread, and on a busy machine by far; processes that tests start see it too."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def cache_of_this_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Classifiers and statistics are made once per session, whatever its workers, and never in the user's cache."""
    session = tmp_path_factory.getbasetemp()
    folder = (session.parent if "PYTEST_XDIST_WORKER" in os.environ else session) / "srgan-cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SRGAN_CACHE", str(folder))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "hub")
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real images; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real images are not here: expected the folder '{SHARED_DATA}'")
    return SHARED_DATA


def random_pixels(*shape: int) -> np.ndarray:
    """The same bytes for the same shape."""
    return np.random.default_rng(shape).integers(0, 256, shape, dtype=np.uint8)


def save_image(path: Path, pixels: np.ndarray, mode: str = "RGB") -> Path:
    """Writes `[H, W, 3]` uint8 as an image of a colour mode of Pillow's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def pack(folder: Path, tar: Path, suffix: str) -> Path:
    """The folder's content as a tar file `<tar><suffix>`, a suffix of TAR_FORMATS."""
    return Path(shutil.make_archive(str(tar), TAR_FORMATS[suffix], folder))


@pytest.fixture(scope="session")
def cifar10_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A CIFAR-10 of 12 training and 4 test images in torchvision's layout, with their checksums for torchvision."""
    root = tmp_path_factory.mktemp("cifar10")
    folder = root / CIFAR10.base_folder
    folder.mkdir()

    def write(name: str, content: object) -> str:
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    def write_batch(name: str, count: int) -> list[list[str]]:
        labels = [k % 10 for k in range(count)]
        return [[name, write(name, {"data": random_pixels(count, 3072), "labels": labels})]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CIFAR10, "train_list", write_batch("data_batch_1", 12))
        patch.setattr(CIFAR10, "test_list", write_batch("test_batch", 4))
        names = write("batches.meta", {"label_names": [f"class {k}" for k in range(10)]})
        patch.setattr(CIFAR10, "meta", {"filename": "batches.meta", "key": "label_names", "md5": names})
        yield root


@pytest.fixture(scope="session")
def folder_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 PNGs of 8 x 8 in three classes, not split: `class <k % 3>/<k>.png` is `random_pixels(12, 8, 8, 3)[k]`."""
    root = tmp_path_factory.mktemp("folder")
    for k, pixels in enumerate(random_pixels(12, 8, 8, 3)):
        save_image(root / f"class {k % 3}" / f"{k:02d}.png", pixels)
    return root


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT/train/<class>/<image>: 150 PNGs in three classes, for three shards: `random_pixels(150, 8, 8, 3)`."""
    root = tmp_path_factory.mktemp("photographs")
    for k, pixels in enumerate(random_pixels(150, 8, 8, 3)):
        save_image(root / "train" / f"n{k // 50}" / f"{k:03d}.png", pixels)
    return root


@pytest.fixture(scope="session")
def prepared(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, prepared."""
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert preparing.prepare(photographs, out) == 0
    return out


@pytest.fixture(params=["digits", "folder", "cifar10"])
def make_data(request: pytest.FixtureRequest, folder_root: Path, cifar10_root: Path) -> MakeData:
    """A data module of each kind, by its batch_size, n_dis and seed."""
    makers: dict[str, MakeData] = {
        "digits": lambda **settings: DigitsData(8, **settings),
        "folder": lambda **settings: FolderData(str(folder_root), 8, **settings),
        "cifar10": lambda **settings: CIFAR10Data(str(cifar10_root), **settings),
    }
    return makers[request.param]


class RandomInception(FeatureExtractorInceptionV3):
    """torch-fidelity's network that keeps its random weights, spread so that signals get through."""

    def load_state_dict(self, *_: Any, **__: Any) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                torch.nn.init.kaiming_normal_(parameter)


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the format of torch-fidelity's Inception file, which is not here without a network."""
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RandomInception("inception-v3-compat", ["2048"], str(folder / "empty.pth"))
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"
