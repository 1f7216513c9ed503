"""Data as people have them: odd names and suffixes, Kaggle's layout, links, cut archives, dark images."""

import gzip
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import preparing
import pytest
import torch
from conftest import TAR_FORMATS, pack, random_pixels, save_image
from PIL import Image

from srgan.data import CIFAR10Data, FolderData, HubData, ImageData, STL10Data
from srgan.data.image_data import LabelledImages, Split
from srgan.metrics.features import ClassifierFeatures
from srgan.prepare.image_sources import list_sources

SIZE = 8


def save_as(path: Path, number: int, image_format: str) -> Path:
    """An image of its own in some format under any name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(random_pixels(20, SIZE, SIZE, 3)[number]).save(path, image_format)
    return path


def labelled(data: ImageData) -> tuple[torch.Tensor, list[int]]:
    images, labels = data.load("train")
    return images, labels.tolist()


# What is an image.


@pytest.fixture
def downloads(tmp_path: Path) -> Path:
    """Ten images in three classes, as browsers and wget save them."""
    root = tmp_path / "downloads"
    for k in range(3):
        save_as(root / f"cat/{k}.jpg", k, "JPEG")
        save_as(root / f"dog/{k}.jfif", 3 + k, "JPEG")
    save_as(root / "owl/1.gif", 6, "GIF")
    save_as(root / "owl/1.jpg?w=200", 7, "JPEG")
    save_as(root / "owl/without", 8, "PNG")
    save_as(root / "owl/2.jpg ", 9, "WEBP")
    return root


@pytest.mark.parametrize("medium", ["folder", ".tar"])
def test_files_are_images_by_their_content_alone(
    downloads: Path, tmp_path: Path, medium: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = downloads if medium == "folder" else pack(downloads, tmp_path / "packed", medium)
    images, labels = labelled(FolderData(str(path), SIZE))
    assert labels == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert "left out" not in capsys.readouterr().err
    assert preparing.prepare(path, tmp_path / "out") == 0
    assert np.array_equal(images.numpy(), preparing.images_and_labels(tmp_path / "out")[0])


@pytest.mark.parametrize("medium", ["folder", ".tar", ".tar.gz"])
def test_what_is_left_out_is_said_with_an_example(
    downloads: Path, tmp_path: Path, medium: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("notes.txt", "scan.heic", ".hidden"):
        (downloads / "cat" / name).write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    save_as(downloads / "stray.png", 0, "PNG")
    path = downloads if medium == "folder" else pack(downloads, tmp_path / "packed", medium)
    for _ in ("decoded", "cached"):
        assert len(labelled(FolderData(str(path), SIZE))[1]) == 10
        said = capsys.readouterr().err
        assert "left out 2 files, " in said
        assert "cat/notes.txt' for one: not an image of a known format" in said
        assert "left out 1 file, " in said
        assert "stray.png' for one: in no class folder" in said
        assert ".hidden" not in said


@pytest.mark.parametrize("medium", ["folder", ".tar"])
def test_a_class_of_which_nothing_is_left_is_refused(
    downloads: Path, tmp_path: Path, medium: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (downloads / "dog").iterdir():
        path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    path = downloads if medium == "folder" else pack(downloads, tmp_path / "packed", medium)
    with pytest.raises(ValueError, match=r"found none in 'dog': of 3 files, .*dog/0\.jfif: not an image"):
        FolderData(str(path), SIZE).load("train")
    assert preparing.prepare(path, tmp_path / "out") == 2
    assert "found none in 'dog'" in capsys.readouterr().err


def test_a_folder_of_the_file_system_is_no_class(downloads: Path) -> None:
    (downloads / "lost+found").mkdir()
    assert FolderData(str(downloads), SIZE).num_classes == 3


# Classes.


@pytest.mark.parametrize("medium", ["folder", ".tar"])
@pytest.mark.parametrize("name", ["1.png", "unknown/1.png", "aardvark/1.png"])
def test_classes_are_those_of_training(
    tmp_path: Path, name: str, medium: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kaggle's test/ has no classes, or one for all."""
    root = tmp_path / "kaggle"
    for k, kind in enumerate(("cat", "dog")):
        save_as(root / f"train/{kind}/1.png", k, "PNG")
    save_as(root / "test" / name, 2, "PNG")
    path = root if medium == "folder" else pack(root, tmp_path / "packed", medium)
    data = FolderData(str(path), SIZE)
    assert (data.num_classes, data.labels("train").tolist(), data.has_test_split) == (2, [0, 1], False)
    assert f"left out 1 file, 'test/{name}' for one" in capsys.readouterr().err
    save_as(root / "test/dog/1.png", 3, "PNG")
    path = root if medium == "folder" else pack(root, tmp_path / "again", medium)
    assert FolderData(str(path), SIZE).load("test").labels.tolist() == [1]


def test_images_of_no_class_train_without_scores_and_the_message_says_so(tmp_path: Path) -> None:
    for k in range(3):
        save_as(tmp_path / f"flat/{k}.png", k, "PNG")
    data = FolderData(str(tmp_path / "flat"), SIZE)
    assert labelled(data)[1] == [0, 0, 0]
    with pytest.raises(ValueError, match=r"at least two classes .* or train without scores: --scores\.every 0"):
        ClassifierFeatures.check(data)


# One data set wherever it lies, another when its images change.


def test_images_behind_linked_folders_are_looked_at(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        save_image(tmp_path / f"sources/{kind}/1.png", np.full((SIZE, SIZE, 3), 40, np.uint8))
        (tmp_path / "linked").mkdir(exist_ok=True)
        (tmp_path / "linked" / kind).symlink_to(tmp_path / "sources" / kind)
    first = FolderData(str(tmp_path / "linked"), SIZE)
    assert first.load("train").images.float().mean() == 40
    save_image(tmp_path / "sources/cat/1.png", np.full((SIZE, SIZE, 3), 220, np.uint8))
    save_image(tmp_path / "sources/cat/2.png", np.full((SIZE, SIZE, 3), 220, np.uint8))
    second = FolderData(str(tmp_path / "linked"), SIZE)
    assert second.load("train").images.float().mean(dim=(1, 2, 3)).tolist() == [220, 220, 40]
    assert second.key != first.key


def test_a_dangling_link_is_refused_though_the_rest_was_decoded(downloads: Path) -> None:
    (downloads / "cat/3.jpg").symlink_to(save_as(downloads.with_name("elsewhere.jpg"), 11, "JPEG"))
    assert len(labelled(FolderData(str(downloads), SIZE))[1]) == 11
    downloads.with_name("elsewhere.jpg").unlink()
    with pytest.raises(ValueError, match=r"cat/3\.jpg"):
        FolderData(str(downloads), SIZE).load("train")


def test_a_copy_of_a_folder_is_the_same_data_set(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(downloads, tmp_path / "job-17", copy_function=shutil.copyfile))  # with new times
    monkeypatch.chdir(tmp_path)
    paths = [str(downloads), f"{downloads}/", "downloads", "./downloads/.", str(copy)]
    assert len({FolderData(path, SIZE).key for path in paths}) == 1
    assert FolderData(str(pack(downloads, tmp_path / "packed", ".tar")), SIZE).key == FolderData(str(copy), SIZE).key
    (copy / "dog/0.jfif").replace(copy / "cat/9.jfif")  # the same images, labelled otherwise
    assert FolderData(str(copy), SIZE).key != FolderData(str(downloads), SIZE).key


class Grey(ImageData):
    """A data set of somebody's own."""

    name = "grey"
    num_classes = 1

    def __init__(self, value: int) -> None:
        super().__init__(SIZE, 2, 1, 0)
        self.value = value

    def load(self, split: Split) -> LabelledImages:
        pixels = torch.full((4, 3, SIZE, SIZE), self.value, dtype=torch.uint8)
        return LabelledImages(pixels, torch.zeros(4, dtype=torch.int64))


def test_the_key_of_ones_own_data_set_names_its_images() -> None:
    assert Grey(1).key == Grey(1).key
    assert Grey(1).key != Grey(2).key


# Archives.


def cut_at(tar: Path, place: int, name: str = "cut.tar") -> Path:
    cut = tar.with_name(name)
    cut.write_bytes(tar.read_bytes()[:place])
    return cut


def small_tar(tmp_path: Path, tar_format: int) -> Path:
    """20 images in two classes, of 1.5 kB."""
    for k in range(20):
        save_image(tmp_path / f"small/{k // 10}/{k:02d}.bmp", random_pixels(20, 16, 16, 3)[k])
    with tarfile.open(tmp_path / "small.tar", "w", format=tar_format) as archive:
        archive.add(tmp_path / "small", ".")
    return tmp_path / "small.tar"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_that_was_cut_anywhere_is_refused(tmp_path: Path, tar_format: int) -> None:
    tar = small_tar(tmp_path, tar_format)
    with tarfile.open(tar) as archive:
        members = archive.getmembers()
    end = members[-1].offset_data + (members[-1].size + 511) // 512 * 512
    places = {member.offset + more for member in members[1:] for more in (0, 1, 100, 511, 512, 700)}
    for place in sorted({place for place in places if place < end} | {end, end + 1, end + 511}):
        with pytest.raises(ValueError, match=r"Expected a folder or a whole tar file"):
            list_sources(cut_at(tar, place), ["train"])
    assert len(list_sources(cut_at(tar, end + 512), ["train"]).sources) == 20  # ends, with one block in place of two


def test_a_tar_without_its_last_blocks_is_said_to_lack_them(tmp_path: Path) -> None:
    tar = small_tar(tmp_path, tarfile.GNU_FORMAT)
    with tarfile.open(tar) as archive:
        archive.getmembers()
        end = archive.offset
    with pytest.raises(ValueError, match=rf"stops at byte {end:,}, without the block of zeros that ends a tar file"):
        list_sources(cut_at(tar, end), ["train"])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_tars_joined_by_cat_are_refused_and_not_read_by_half(tmp_path: Path, suffix: str) -> None:
    """Readers of tar files stop at the end of the first; GNU tar fills blocks up with zeros, however many."""
    tar = small_tar(tmp_path, tarfile.GNU_FORMAT)
    content = tar.read_bytes()
    joined = tmp_path / f"joined.tar{suffix}"
    joined.write_bytes((gzip.compress(content) if suffix else content) * 2)
    with pytest.raises(ValueError, match=r"more data follows the end of the archive at byte .* joined by cat"):
        FolderData(str(joined), SIZE).load("train")
    with tarfile.open(tmp_path / "nested.tar", "w") as archive:
        archive.add(cut_at(tar, len(content)), "n01440764.tar")
        tar.write_bytes(content * 2)
        archive.add(tar, "n01440765.tar")
    with pytest.raises(ValueError, match="joined by cat"):
        list_sources(tmp_path / "nested.tar", ["train"])
    tar.write_bytes(content + bytes(3 << 20))
    assert len(list_sources(tar, ["train"]).sources) == 20


def test_a_damaged_header_does_not_end_an_archive(tmp_path: Path) -> None:
    tar = small_tar(tmp_path, tarfile.GNU_FORMAT)
    with tarfile.open(tar) as archive:
        place = archive.getmembers()[12].offset
    content = bytearray(tar.read_bytes())
    content[place + 150] ^= 1
    tar.write_bytes(content)
    with pytest.raises(ValueError, match=rf"cut short or damaged at byte {place:,} \(bad checksum\)"):
        list_sources(tar, ["train"])


def test_a_cut_tar_inside_of_archives_and_behind_compression_is_refused(tmp_path: Path) -> None:
    tar = small_tar(tmp_path, tarfile.GNU_FORMAT)
    with tarfile.open(tar) as archive:
        cut = cut_at(tar, archive.getmembers()[12].offset + 100)
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(cut.read_bytes()))
    with pytest.raises(ValueError, match="cut short"):
        FolderData(str(tmp_path / "cut.tar.gz"), SIZE).load("train")
    with tarfile.open(tmp_path / "nested.tar", "w") as archive:
        archive.add(cut, "n01440764.tar")
    with pytest.raises(ValueError, match="cut short"):
        list_sources(tmp_path / "nested.tar", ["train"])
    for suffix in set(TAR_FORMATS) - {".tar"}:
        whole = pack(tmp_path / "small", tmp_path / "whole", suffix)
        for share in (0.3, 0.9, 0.99):
            short = cut_at(whole, int(whole.stat().st_size * share), f"short{suffix}")
            with pytest.raises(ValueError, match=r"whole tar file"):
                FolderData(str(short), SIZE).load("train")


def test_a_missing_path_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"found nothing\. Set --data\.init_args\.path; its layout is train/"):
        FolderData(str(tmp_path / "data/images"), SIZE)


def test_a_zip_file_is_called_one(downloads: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "images"), "zip", downloads)
    with pytest.raises(ValueError, match=r"images\.zip': it is a zip file\. Unpack it and name the folder\.$"):
        FolderData(str(tmp_path / "images.zip"), SIZE).load("train")


# Pixels and paths.


def test_a_data_set_that_turns_black_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """12 bits in files of 16, as in medicine; one photograph in another set is enough to be none of these."""
    root = tmp_path / "scans/a"
    root.mkdir(parents=True)
    for k in range(3):
        values = (random_pixels(3, SIZE, SIZE)[k].astype(np.uint16) * 16).clip(0, 4095)
        Image.fromarray(values).save(root / f"{k}.png")
    for _ in ("decoded", "cached"):
        FolderData(str(tmp_path / "scans"), SIZE).load("train")
        assert "The images are nearly black: no value is above 1" in capsys.readouterr().err
    assert preparing.prepare(tmp_path / "scans", tmp_path / "out") == 0
    assert "nearly black" in capsys.readouterr().out
    hub = HubData(str(tmp_path / "scans"), image_size=SIZE)
    hub.num_images("train")
    assert "nearly black" in capsys.readouterr().err
    save_as(root / "3.png", 0, "PNG")
    FolderData(str(tmp_path / "scans"), SIZE).load("train")
    assert "nearly black" not in capsys.readouterr().err


def test_a_tilde_is_the_home_folder(
    downloads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FolderData("~/downloads", SIZE).path == downloads
    assert preparing.prepare(Path("~/downloads"), Path("~/out")) == 0
    assert (tmp_path / "out/state.json").exists()
    assert HubData("~/out", test_path="~/out", image_size=SIZE).num_images("test") == 10
    assert CIFAR10Data("~/cifar").root == STL10Data("~/cifar").root == str(tmp_path / "cifar")
    with pytest.raises(ValueError, match="Expected a user with a home folder in '~nobody-of-that-name/x'"):
        FolderData("~nobody-of-that-name/x")
    assert not Path("~").exists()
    assert os.listdir(tmp_path)  # noqa: PTH208
    capsys.readouterr()
