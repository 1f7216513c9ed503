"""Checkpoints as others keep them: files of torch, safetensors, Hugging Face's folders of shards, Chainer's arrays."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srgan.checkpoints.reading import read_file

INDEX = ".index.json"  # Hugging Face's list of shards


def read_checkpoint(path: Path) -> Any:
    """Content of a file of torch.save, *.safetensors, Chainer's *.npz, or a Hugging Face folder or *.index.json.

    No code in it is run. FileNotFoundError if a file is missing; ValueError if one cannot be read safely.
    """
    if path.is_dir():
        path = _of_folder(path)
    if not path.is_file():
        return read_file(path)  # which says what is there instead
    if path.name.endswith(INDEX):
        return _read_shards(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_chainer(path) if path.suffix == ".npz" else read_file(path)


def _of_folder(folder: Path) -> Path:
    """The file of a Hugging Face folder that holds or lists its weights; the folder itself if there is none."""
    for pattern in (f"*.safetensors{INDEX}", f"*.bin{INDEX}", "*model.safetensors", "*model.bin"):
        files = sorted(folder.glob(pattern))
        if len(files) > 1:
            raise ValueError(
                f"Expected one {pattern} in '{folder}', found {len(files)}. Name one: {', '.join(map(str, files))}."
            )
        if files:
            return files[0]
    return folder


def _read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index lists."""
    try:
        shard_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = list(dict.fromkeys(shard_of.values()))
        if not all(isinstance(shard, str) and Path(shard).name == shard for shard in shards):
            raise ValueError("names of files beside it")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"Expected a weight_map from tensors to files beside it in '{index}', found something else. "
            "Download the folder again."
        ) from None
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise FileNotFoundError(
            f"Expected {len(shards)} shards beside '{index}', found no {', '.join(missing)}. Download them."
        )
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        content = read_checkpoint(index.parent / shard)
        names = [name for name, own in shard_of.items() if own == shard]
        lacking = [name for name in names if not isinstance(content, Mapping) or name not in content]
        if lacking:
            raise ValueError(
                f"Expected {len(names)} tensors of '{index}' in '{shard}', found no {lacking[0]}. Download it again."
            )
        tensors |= {name: content[name] for name in names}
    return tensors


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"Expected a safetensors file, found something else at '{path}': {error}") from None


def _read_chainer(path: Path) -> dict[str, Tensor]:
    """The arrays of an .npz under dotted names, "block1/c1/W" as "block1.c1.W"; of a snapshot those of its models.

    Arrays of Python objects, as which Chainer keeps None, are left out unread.
    """
    try:
        arrays = np.load(path, allow_pickle=False)
        names: list[str] = arrays.files
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile):
        raise ValueError(f"Expected an .npz of arrays, found something else at '{path}'.") from None
    tensors = {}
    for name in names:
        if any(part.startswith("optimizer") for part in name.split("/")):
            continue
        try:
            array = arrays[name]
        except ValueError:  # of objects
            continue
        except (EOFError, zipfile.BadZipFile):
            raise ValueError(f"Expected a whole .npz, found '{name}' of '{path}' cut short or changed.") from None
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.dtype.itemsize <= 8:
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
            tensors[re.sub(r"^.*model:(main/|opt_)?", "", name).replace("/", ".")] = torch.from_numpy(native)
    return tensors
