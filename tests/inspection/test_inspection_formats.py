"""Files of all kinds and of other people: the same weights from each, and nothing in them is run."""

import argparse
import collections
import json
import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from srgan.checkpoints.reading import read_file
from srgan.inspection.find_weights import find_weights
from srgan.inspection.formats import read_checkpoint
from srgan.inspection.layer_spectra import inspect_file, spectra_of


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 5), nn.Embedding(7, 4))


def sigmas(path: Path) -> dict[str, np.ndarray]:
    return {layer.name: layer.sigma for layer in spectra_of(inspect_file(path).weights)}


def assert_same_spectra(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], tolerance: float = 0) -> None:
    assert found.keys() == expected.keys()
    for name, sigma in expected.items():
        np.testing.assert_allclose(found[name], sigma, rtol=tolerance)


def expected_sigmas(tmp_path: Path) -> dict[str, np.ndarray]:
    torch.save(network().state_dict(), tmp_path / "expected.pth")
    return sigmas(tmp_path / "expected.pth")


def save_shards(folder: Path, state: dict[str, torch.Tensor], suffix: str) -> Path:
    """As Hugging Face's libraries save a large model; returns the index."""
    folder.mkdir()
    names = list(state)
    shards = {f"model-0000{k + 1}-of-00002.{suffix}": names[k::2] for k in range(2)}
    for shard, own in shards.items():
        tensors = {name: state[name] for name in own}
        if suffix == "safetensors":
            pytest.importorskip("safetensors.torch").save_file(tensors, folder / shard)
        else:
            torch.save(tensors, folder / shard)
    index = folder / f"model.{suffix}.index.json"
    weight_map = {name: shard for shard, own in shards.items() for name in own}
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


# The same weights.


def test_every_format_of_a_file_has_the_same_weights(tmp_path: Path) -> None:
    state, expected = network().state_dict(), expected_sigmas(tmp_path)
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    half = {name: value.half() for name, value in state.items() if value.is_floating_point()}
    torch.save(half, tmp_path / "half.pth")
    pytest.importorskip("safetensors.torch").save_file(state, tmp_path / "state.safetensors")
    for name, tolerance in (("legacy.pth", 0), ("state.safetensors", 0), ("half.pth", 1e-2)):
        assert_same_spectra(sigmas(tmp_path / name), expected, tolerance)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_the_shards_of_a_hugging_face_folder_are_one_file(suffix: str, tmp_path: Path) -> None:
    expected = expected_sigmas(tmp_path)
    index = save_shards(tmp_path / "model", network().state_dict(), suffix)
    assert_same_spectra(sigmas(index), expected)
    assert_same_spectra(sigmas(index.parent), expected)


def test_a_folder_with_one_file_stands_for_it(tmp_path: Path) -> None:
    expected = expected_sigmas(tmp_path)
    (tmp_path / "model").mkdir()
    torch.save(network().state_dict(), tmp_path / "model" / "pytorch_model.bin")
    assert_same_spectra(sigmas(tmp_path / "model"), expected)


def test_chainers_links_are_layers(tmp_path: Path) -> None:
    """A link keeps W, b and, under spectral normalization, u; a snapshot keeps its optimizers too, and None."""
    state = network().state_dict()
    links = {"block/c1/W": "0.weight", "l2/W": "3.weight", "embed/W": "4.weight"}
    arrays: dict[str, Any] = {name: state[key].numpy() for name, key in links.items()}
    arrays |= {"block/c1/u": np.ones((1, 8), np.float32), "block/c1/b": np.ones(8), "block/b1/gamma": np.ones(8)}
    np.savez(tmp_path / "net.npz", **arrays)
    weights, others = find_weights(read_checkpoint(tmp_path / "net.npz"))
    found = [(weight.name, weight.behind) for weight in weights]
    assert found == [("block.c1", "spectral norm"), ("l2", ""), ("embed", "")]
    assert not others
    for weight, key in zip(weights, links.values(), strict=True):
        assert torch.equal(weight.tensor, state[key])
    snapshot = {f"updater/model:opt_dis/{name}": value for name, value in arrays.items()}
    snapshot |= {"updater/optimizer:opt_dis/l2/W/m": np.ones((5, 8)), "trainer/extensions": np.array(None)}
    np.savez(tmp_path / "snapshot.npz", **snapshot)
    assert [weight.name for weight in find_weights(read_checkpoint(tmp_path / "snapshot.npz"))[0]] == [
        f"dis.{weight.name}" for weight in weights
    ]


# Float8.


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_float8_has_the_spectrum_of_its_values(dtype: torch.dtype, tmp_path: Path) -> None:
    W = torch.randn(20, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    torch.save({"proj.weight": W}, tmp_path / "eight.pth")
    np.testing.assert_allclose(
        sigmas(tmp_path / "eight.pth")["proj"], np.linalg.svd(W.double().numpy(), compute_uv=False), rtol=1e-9
    )


@pytest.mark.parametrize(("name", "count"), [("scale", ()), ("scale", (300, 1)), ("scale_inv", (3, 2))])
def test_scales_of_float8_weights_are_multiplied_back(name: str, count: tuple[int, ...]) -> None:
    """One for all, one for each row, one for each block of 128 x 128 of a 300 x 200 weight (the last ones are cut)."""
    generator = torch.Generator().manual_seed(0)
    W = torch.randn(300, 200, generator=generator).to(torch.float8_e4m3fn)
    scale = torch.rand(count, generator=generator) + 0.5
    expected = W.float()
    if count == (3, 2):
        for row in range(300):
            for column in range(200):
                expected[row, column] *= scale[row // 128, column // 128]
    else:
        expected = expected * scale
    (weight,), others = find_weights({"proj.weight": W, f"proj.weight_{name}": scale})
    torch.testing.assert_close(weight.values(), expected)
    assert not others


# Pickled types.


def test_settings_and_scores_that_run_nothing_may_come_along(tmp_path: Path) -> None:
    content = {
        "args": argparse.Namespace(lr=0.1, out=pathlib.PosixPath("runs/a")),
        "best": np.float64(0.5),
        "steps": np.int64(3),
        "history": np.arange(6, dtype=np.float32).reshape(2, 3),
        "dtype": np.dtype("int16"),
        "classes": np.array(["cat", "dog"]),
        "log": collections.defaultdict(list, {"loss": [1.0, 2.0]}),
        "counts": collections.Counter("aab"),
        "ordered": collections.OrderedDict(a=1),
        "w.weight": torch.ones(2, 2),
    }
    torch.save(content, tmp_path / "c.pth")
    read = read_file(tmp_path / "c.pth")
    assert (read["args"].lr, read["best"], read["steps"], read["dtype"]) == (0.1, 0.5, 3, np.dtype("int16"))
    assert str(read["args"].out) == "runs/a"
    assert not isinstance(read["args"].out, Path)  # one that could be opened
    np.testing.assert_array_equal(read["history"], content["history"])
    assert read["classes"].tolist() == ["cat", "dog"]
    assert (read["log"], read["counts"], read["ordered"]) == (content["log"], {"a": 2, "b": 1}, {"a": 1})
    assert [weight.name for weight in find_weights(read)[0]] == ["w"]


def test_what_is_allowed_is_allowed_while_reading_alone(tmp_path: Path) -> None:
    torch.save({"a": np.ones(2)}, tmp_path / "a.pth")
    read_file(tmp_path / "a.pth")
    with pytest.raises(pickle.UnpicklingError, match="numpy"):
        torch.load(tmp_path / "a.pth", weights_only=True)


class Touches:
    """Unpickling this leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def refusal(path: Path) -> str:
    """What is said, which never is to run what the file brings along."""
    with pytest.raises(ValueError, match="Expected") as caught:
        inspect_file(path)
    assert "weights_only" not in str(caught.value)
    assert "pickle=True" not in str(caught.value)
    return str(caught.value)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    evil = {"w.weight": torch.ones(2, 2), "evil": Touches(tmp_path / "touched")}
    torch.save(evil, tmp_path / "evil.pth")
    torch.save(evil, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    np.savez(tmp_path / "evil.npz", W=np.ones((2, 2)), evil=np.array([evil["evil"]]))
    assert "pickled Python code" in refusal(tmp_path / "evil.pth")
    assert "pickled Python code" in refusal(tmp_path / "legacy.pth")
    assert list(sigmas(tmp_path / "evil.npz")) == ["W"]
    assert not (tmp_path / "touched").exists()
    torch.save(network(), tmp_path / "whole.pth")
    assert "(torch.nn.modules.container.Sequential)" in refusal(tmp_path / "whole.pth")
    assert "torch.save(model.state_dict(), 'weights.pth')" in refusal(tmp_path / "whole.pth")
    torch.save({"w": np.array([Touches(tmp_path / "touched")])}, tmp_path / "objects.pth")
    assert "pickled Python code" in refusal(tmp_path / "objects.pth")
    assert not (tmp_path / "touched").exists()


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    torch.save(network().state_dict(), tmp_path / "whole.pth")
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "program.pt"))
    np.savez(tmp_path / "whole.npz", W=np.ones((20, 20)))
    cut = (tmp_path / "whole.pth").read_bytes()[:500]
    contents = {"text.pth": b"hello world", "empty.pth": b"", "cut.pth": cut}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert "Expected a file written by torch.save" in refusal(tmp_path / name)
    for name, content in {"text.npz": b"hello", "cut.npz": (tmp_path / "whole.npz").read_bytes()[:300]}.items():
        (tmp_path / name).write_bytes(content)
        assert "Expected an .npz" in refusal(tmp_path / name)
    (tmp_path / "text.safetensors").write_bytes(b"hello")
    assert "Expected a safetensors file" in refusal(tmp_path / "text.safetensors")
    assert "found a TorchScript program" in refusal(tmp_path / "program.pt")
    torch.save({"w": torch.ones(2, 2)}, tmp_path / "five.pth", pickle_protocol=5)
    assert "Expected a pickle of protocol 2" in refusal(tmp_path / "five.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    assert "found none. It holds: ['epoch']" in refusal(tmp_path / "empty.pth")
    for path, found in ((tmp_path / "nowhere.pth", "found nothing"), (tmp_path / "folder", "found a folder")):
        (tmp_path / "folder").mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError, match=found):
            read_checkpoint(path)


def test_folders_of_shards_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    index = save_shards(tmp_path / "model", network().state_dict(), "bin")
    shard = index.parent / "model-00002-of-00002.bin"
    content = shard.read_bytes()
    torch.save({"other": torch.ones(2, 2)}, shard)
    assert "found no 0.bias" in refusal(index)
    shard.unlink()
    with pytest.raises(FileNotFoundError, match=r"found no model-00002-of-00002\.bin"):
        read_checkpoint(index)
    shard.write_bytes(content)
    (tmp_path / "outside.bin").write_bytes(content)
    for broken in ('{"weight_map": {"a": "../outside.bin"}}', '{"metadata": {}}', "[]", "{"):
        index.write_text(broken)
        assert "Expected a weight_map" in refusal(index)
    (index.parent / "other.bin.index.json").write_text("{}")
    assert "Name one" in refusal(index.parent)
