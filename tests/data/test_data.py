"""Ranges, the randomness of batches, and every data set and file layout."""

import os
import pickle
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import preparing
import pytest
import torch
from conftest import TAR_FORMATS, MakeData, pack, random_pixels, save_image
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.datasets import CIFAR10

from srgan.data import CIFAR10Data, FolderData, STL10Data
from srgan.prepare.image_sources import MAX_BYTES
from srgan.utils.distributed import ProcessGroup
from srgan.utils.images import dequantize, quantize

# The one place where ranges convert.


def test_dequantize_is_x_over_128_minus_1_plus_noise_below_one_128th() -> None:
    images = torch.arange(256, dtype=torch.uint8).repeat(40, 3, 1, 1)
    uniform = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    found = dequantize(images, uniform)
    lower = images.float() / 128 - 1
    assert found.dtype == torch.float32
    assert (found >= lower).all()
    assert (found <= lower + 1 / 128).all()
    noise = (found - lower) * 128
    assert noise.min() < 1e-3
    assert noise.max() > 1 - 1e-3
    assert noise.mean() == pytest.approx(1 / 2, abs=0.01)
    assert noise.var() == pytest.approx(1 / 12, abs=0.01)
    torch.testing.assert_close(noise, uniform, rtol=0, atol=2e-5)


def test_quantize_is_floor_of_127_5_x_plus_127_5() -> None:
    bytes_ = torch.arange(256)
    middle_of_step = (bytes_ + 0.5 - 127.5) / 127.5
    assert torch.equal(quantize(middle_of_step), bytes_.to(torch.uint8))
    assert quantize(torch.tensor([-1.0, 0.0, 0.999, 1.0])).tolist() == [0, 127, 254, 255]
    assert quantize(torch.tensor([-7.0, -1.01, 1.01, 7.0])).tolist() == [0, 0, 255, 255]


def test_batches_reach_the_networks_between_minus_1_and_1_with_noise_of_their_iteration(make_data: MakeData) -> None:
    data = make_data(batch_size=2, n_dis=2, seed=3)
    batch = data.batch(5)
    found = data.on_after_batch_transfer(batch, 0)
    assert found.iteration == 5
    noise = (found.images + 1) * 128 - batch.images.float()
    assert noise.min() >= 0
    assert noise.max() <= 1
    assert torch.equal(found.images, make_data(batch_size=2, n_dis=2, seed=3).on_after_batch_transfer(batch, 0).images)
    assert not torch.equal(found.images, data.on_after_batch_transfer(batch._replace(iteration=6), 0).images)


# Batches.


def test_a_batch_is_a_function_of_seed_and_iteration(make_data: MakeData) -> None:
    data, other = (make_data(batch_size=4, n_dis=2, seed=1) for _ in range(2))
    for iteration in (0, 1, 2):
        other.batch(iteration)  # what was drawn before does not matter
    torch.manual_seed(7)  # nor does the global random state
    found, again = data.batch(9), other.batch(9)
    assert (found.images.shape, found.images.dtype) == ((2, 4, 3, data.image_size, data.image_size), torch.uint8)
    assert (found.labels.shape, found.labels.dtype) == ((2, 4), torch.int64)
    assert torch.equal(found.images, again.images)
    assert torch.equal(found.labels, again.labels)


def test_other_seeds_iterations_and_updates_see_other_images(make_data: MakeData) -> None:
    data, other_seed = make_data(batch_size=4, n_dis=2, seed=1), make_data(batch_size=4, n_dis=2, seed=2)
    images = data.batch(0).images
    assert not torch.equal(images, other_seed.batch(0).images)
    assert not torch.equal(images, data.batch(1).images)
    assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_shares_of_the_ranks_make_up_the_global_batch(make_data: MakeData, world_size: int) -> None:
    data = make_data(batch_size=6, n_dis=2, seed=0)
    whole = data.batch(4)
    noisy = data.on_after_batch_transfer(whole, 0).images
    for rank in range(world_size):
        share, ranks = data.batch(4, ProcessGroup(rank, world_size)), ProcessGroup(rank, world_size)
        rows = slice(ranks.share(6).start, ranks.share(6).stop)
        assert torch.equal(share.images, whole.images[:, rows])
        assert torch.equal(share.labels, whole.labels[:, rows])
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)  # type: ignore[assignment]
        assert torch.equal(data.on_after_batch_transfer(share, 0).images, noisy[:, rows])


def test_processes_that_read_ahead_get_the_data_without_its_trainer(make_data: MakeData) -> None:
    """A trainer holds parametrized nets, which cannot be pickled."""
    data = make_data(batch_size=6, n_dis=2, seed=0)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    trainer = SimpleNamespace(
        global_rank=1, world_size=3, strategy=strategy, lightning_module=SimpleNamespace(iteration=0), net=lambda: None
    )
    data.trainer = trainer  # type: ignore[assignment]
    with pytest.raises((AttributeError, pickle.PicklingError), match="local object"):
        pickle.dumps(data)
    dataset = pickle.loads(pickle.dumps(data.train_dataloader().dataset))
    assert torch.equal(dataset[4].images, data.batch(4, ProcessGroup(1, 3)).images)
    assert data.trainer is trainer


def test_impossible_batches_are_refused(make_data: MakeData) -> None:
    for settings in ({"batch_size": 0}, {"n_dis": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            make_data(**settings)


@pytest.mark.parametrize("make_data", ["folder", "cifar10"], indirect=True)
def test_each_epoch_shows_every_image_once(make_data: MakeData) -> None:
    data = make_data(batch_size=5, n_dis=1)
    split = data.load("train")
    rows = torch.arange(5)
    epochs = torch.cat([which_images(data.draw(t, rows)[0], split.images) for t in range(12)]).view(5, 12)  # 60 draws
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(12).expand(5, 12))
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 5  # and each in another order
    images, labels = data.draw(3, rows)
    assert torch.equal(labels, split.labels[which_images(images, split.images)])


def which_images(drawn: Tensor, images: Tensor) -> Tensor:
    """Position of each drawn image in `images`."""
    equal = (drawn[:, None] == images[None]).flatten(2).all(dim=2)
    assert (equal.sum(dim=1) == 1).all()
    return equal.long().argmax(dim=1)


# CIFAR-10 through torchvision.


def test_cifar10_is_read_as_torchvision_lays_it_out(cifar10_root: Path) -> None:
    data = CIFAR10Data(str(cifar10_root))
    data.prepare_data()
    for (images, labels), count in ((data.load("train"), 12), (data.load("test"), 4)):
        assert np.array_equal(images.numpy(), random_pixels(count, 3072).reshape(count, 3, 32, 32))
        assert labels.tolist() == [k % 10 for k in range(count)]
    assert [len(images) for images, _ in data.real_images("test", range(4), batch_size=3)] == [3, 1]
    assert data.num_real_images("test", 50_000) == 4


@pytest.mark.parametrize("size", [16, 8])
def test_smaller_cifar10_images_are_means_rounded_to_the_nearest(cifar10_root: Path, size: int) -> None:
    factor = 32 // size
    full, small = CIFAR10Data(str(cifar10_root)).load("train"), CIFAR10Data(str(cifar10_root), size).load("train")
    means = full.images.double().unflatten(3, (size, factor)).unflatten(2, (size, factor)).mean(dim=(3, 5))
    assert torch.equal(small.images.double(), (means + 0.5).floor())
    assert torch.equal(small.labels, full.labels)


def test_other_sizes_of_cifar10_and_stl10_are_refused() -> None:
    with pytest.raises(ValueError, match=r"image size of 32, 16 or 8 for CIFAR-10, found 64\."):
        CIFAR10Data(image_size=64)
    with pytest.raises(ValueError, match=r"image size of 32 for STL-10, found 96\."):
        STL10Data(image_size=96)


def test_without_cifar10_and_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")  # nobody listens there
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(ConnectionError, match=r"cifar-10-python\.tar\.gz there, or train on a folder"):
        CIFAR10Data(str(tmp_path)).prepare_data()


# Folders and tars of images.


@pytest.mark.parametrize("medium", ["folder", *TAR_FORMATS])
def test_folders_and_tars_hold_the_same_images(folder_root: Path, tmp_path: Path, medium: str) -> None:
    path = folder_root if medium == "folder" else pack(folder_root, tmp_path / "images", medium)
    data = FolderData(str(path), 8)
    by_class = [k for label in range(3) for k in range(label, 12, 3)]
    assert not data.has_test_split
    for split in (data.load("train"), data.load("test")):  # not split: the same for both
        assert np.array_equal(split.images.numpy(), random_pixels(12, 8, 8, 3)[by_class].transpose(0, 3, 1, 2))
        assert split.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.num_classes == 3
    parts = [list(data.real_images("train", range(*bounds), batch_size=3)) for bounds in ((0, 12), (2, 7))]
    whole, some = (torch.cat([images for images, _ in part]) for part in parts)
    assert sorted(which_images(whole, data.load("train").images).tolist()) == list(range(12))
    assert torch.equal(some, whole[2:7])
    assert len({int(label) for batch in parts[1] for label in batch.labels}) == 3  # not class by class
    assert [data.num_real_images("train", count) for count in (7, 50_000)] == [7, 12]


@pytest.mark.parametrize("medium", ["folder", ".tar"])
def test_a_split_layout_keeps_training_and_test_apart(folder_root: Path, tmp_path: Path, medium: str) -> None:
    shutil.copytree(folder_root, tmp_path / "split" / "train")
    test_pixels = random_pixels(8, 8, 3)
    save_image(tmp_path / "split/test/class 0/new.png", test_pixels)
    (tmp_path / "split/train/class 0/notes.txt").write_text("not an image")
    path = tmp_path / "split" if medium == "folder" else pack(tmp_path / "split", tmp_path / "split", medium)
    data = FolderData(str(path), 8)
    assert torch.equal(data.load("train").images, FolderData(str(folder_root), 8).load("train").images)
    assert np.array_equal(data.load("test").images.numpy(), test_pixels.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("stray", ["val/class 0/a.png", "test/class 0/deeper/a.png"])
def test_no_image_of_another_split_gets_into_training(folder_root: Path, tmp_path: Path, stray: str) -> None:
    shutil.copytree(folder_root, tmp_path / "train")
    save_image(tmp_path / stray, random_pixels(8, 8, 3))
    data = FolderData(str(tmp_path), 8)
    assert len(data.load("train").images) == 12
    if not data.has_test_split:
        with pytest.raises(ValueError, match="Expected images at test/<class>"):
            data.load("test")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = save_image(tmp_path / "a/0.tif", random_pixels(8, 8, 3), mode)
    expected = np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1)
    found = FolderData(str(tmp_path), 8).load("train").images[0].numpy()
    assert np.array_equal(found, expected)
    assert np.array_equal(found[0], found[1]) == (mode in ("L", "1"))


def test_the_central_square_is_kept(tmp_path: Path) -> None:
    wide, tall = random_pixels(8, 20, 3), random_pixels(20, 8, 3)
    save_image(tmp_path / "a/0.png", wide)
    save_image(tmp_path / "a/1.png", tall)
    expected = np.stack([wide[:, 6:14], tall[6:14]]).transpose(0, 3, 1, 2)
    assert np.array_equal(FolderData(str(tmp_path), 8).load("train").images.numpy(), expected)


@pytest.mark.parametrize("size", [5, 16, 37])
def test_other_sizes_are_resized_antialiased(tmp_path: Path, size: int) -> None:
    pixels = random_pixels(size, size, 3)
    save_image(tmp_path / "a/0.png", pixels)
    whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    expected = interpolate(whole, (8, 8), mode="bilinear", antialias=True)[0]
    assert (FolderData(str(tmp_path), 8).load("train").images[0] - expected).abs().max() <= 1


def test_an_unreadable_image_is_named(folder_root: Path, tmp_path: Path) -> None:
    shutil.copytree(folder_root, tmp_path / "images")
    broken = tmp_path / "images/class 1/04.png"
    broken.write_bytes(broken.read_bytes()[:60])
    for path in (tmp_path / "images", pack(tmp_path / "images", tmp_path / "images", ".tar")):
        with pytest.raises(ValueError, match=r"class 1/04\.png"):
            FolderData(str(path), 8).load("train")


def test_a_pipe_and_a_huge_file_are_named_and_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the one would wait for ever, reading the other would fill the memory."""
    save_image(tmp_path / "images/class 0/0.png", random_pixels(8, 8, 3))
    os.mkfifo(tmp_path / "images/class 0/pipe.png")
    with pytest.raises(ValueError, match=r"class 0/pipe\.png.*not a regular file"):
        FolderData(str(tmp_path / "images"), 8).load("train")
    (tmp_path / "images/class 0/pipe.png").unlink()
    with (tmp_path / "images/class 0/huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ValueError, match=r"class 0/huge\.png.*larger than any photograph"):
        FolderData(str(tmp_path / "images"), 8).load("train")
    header = tarfile.TarInfo("class 0/huge.png")
    header.size = MAX_BYTES + 1
    with (tmp_path / "huge.tar").open("wb") as file:
        file.write(header.tobuf())
        file.truncate(MAX_BYTES + 20_000)
    with pytest.raises(ValueError, match=r"class 0/huge\.png.*larger than any photograph"):
        FolderData(str(tmp_path / "huge.tar"), 8).load("train")


def test_a_photograph_has_the_pixels_that_preparing_gives_it(tmp_path: Path) -> None:
    """Turned upright, and resized from its central square alone."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "images/a").mkdir(parents=True)
    Image.fromarray(random_pixels(50, 31, 3)).save(tmp_path / "images/a/0.png", exif=exif)
    assert preparing.prepare(tmp_path / "images", tmp_path / "out") == 0
    prepared = torch.from_numpy(preparing.images_and_labels(tmp_path / "out")[0])
    tar = pack(tmp_path / "images", tmp_path / "images", ".tar.gz")
    for path in (tmp_path / "images", tar):
        assert torch.equal(FolderData(str(path), 8).load("train").images, prepared)


def test_paths_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.*found nothing"):
        FolderData(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="found the empty folder"):
        FolderData(str(tmp_path)).load("train")
    (tmp_path / "class").mkdir()
    (tmp_path / "class/notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match=r"found none in 'class': of 1 file, class/notes\.txt: not an image"):
        FolderData(str(tmp_path)).load("train")
    (tmp_path / "images.tar").write_bytes(b"not a tar file")
    with pytest.raises(ValueError, match=r"cannot read.*images\.tar"):
        FolderData(str(tmp_path / "images.tar")).load("train")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.xz"])
def test_a_tar_that_was_cut_short_is_named(folder_root: Path, tmp_path: Path, suffix: str) -> None:
    tar = pack(folder_root, tmp_path / "images", suffix)
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"images\.tar"):
        FolderData(str(tar), 8).load("train")


def test_decoded_images_are_kept_until_a_file_changes(tmp_path: Path) -> None:
    path = save_image(tmp_path / "a/0.png", random_pixels(8, 8, 3))
    first = FolderData(str(tmp_path), 8)
    images, stat = first.load("train").images, path.stat()
    path.write_bytes(bytes(stat.st_size))  # no image any more, but of the same size and time: must not be read
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert torch.equal(FolderData(str(tmp_path), 8).load("train").images, images)
    save_image(path, 255 - random_pixels(8, 8, 3))
    second = FolderData(str(tmp_path), 8)
    assert torch.equal(second.load("train").images, 255 - images)
    assert second.key != first.key


# Real images.


def test_the_test_split_of_cifar10_as_jpegs(shared_data: Path) -> None:
    images, labels = FolderData(str(shared_data / "cifar10-jpg.tar.xz")).load("test")
    assert images.shape == (10_000, 3, 32, 32)
    assert labels.bincount().tolist() == [1_000] * 10
    assert images.float().mean(dim=(0, 2, 3)).tolist() == pytest.approx([126.0, 123.7, 114.9], abs=1)  # published


def test_imagenet_jpegs_of_all_sizes_and_greyscale(shared_data: Path) -> None:
    tar = shared_data / "imagenet-sample.tar"
    with tarfile.open(tar) as archive:
        counts = Counter(Path(member.name).parent.name for member in archive if member.isfile())
    images, labels = FolderData(str(tar), 128).load("train")
    assert images.shape == (220, 3, 128, 128)
    assert labels.bincount().tolist() == [counts[synset] for synset in sorted(counts)]
    grey = (images == images[:, :1]).flatten(1).all(dim=1)
    assert int(grey.sum()) >= 23
