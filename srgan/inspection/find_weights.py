"""Which tensors of anybody's checkpoint are weight matrices, by their names and shapes: there is no module to ask."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor

WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module"}  # that torch.compile and FSDP put into names
WEIGHT_NAME = r"\w*weight\w*|W"  # Chainer's is W
NAMED_WEIGHT = re.compile(rf"(^|\.)(parametrizations\.|({WEIGHT_NAME})$)")  # or what a parametrization keeps beside one
SCALES = ("_scale_inv", "_scale")  # with which a float8 weight is multiplied, whatever they are called
VECTORS = ("u", "u0", "sn_u")  # of the power iteration, kept beside the raw weight: Chainer, BigGAN, mimicry
BESIDE_WEIGHTS = re.compile(r"(^|[._])(u\d*|v|g|mask|sv\d*|sn_\w+|scale|scale_inv|running_mean|running_var)$")


@dataclass(frozen=True)
class Weight:
    """One weight of a checkpoint."""

    name: str  # the layer's, without wrappers; the tensor's where it is not called "weight" or "W"
    tensor: Tensor  # [out, in, ...], or [in, out, ...] of a transposed convolution, which nothing here can tell
    behind: str = ""  # what makes the layer's weight of this one: "spectral norm", "weight norm", ...
    scale: Tensor | None = None  # of a float8 weight: a number, or one per row or block

    def values(self) -> Tensor:
        """The weight in a dtype that can be decomposed."""
        values = self.tensor.detach()
        if values.dtype.itemsize > 1:
            return values
        scale = 1 if self.scale is None else _spread(self.scale.float(), values.shape)
        return values.float() * scale


def _spread(scale: Tensor, shape: torch.Size) -> Tensor:
    """Scales of blocks as scales of entries; sides of blocks are powers of two, the last may be cut."""
    if scale.numel() == 1:
        return scale.flatten()[0]
    scale = scale.view(*scale.shape, *[1] * (len(shape) - scale.ndim))
    for dim, (count, size) in enumerate(zip(scale.shape, shape, strict=True)):
        if count not in (1, size):
            side = next((2**k for k in range(20) if -(-size // 2**k) == count), None)
            if side is None:
                raise ValueError(f"Expected scales for blocks of {tuple(shape)}, found {tuple(scale.shape)}.")
            scale = scale.repeat_interleave(side, dim).narrow(dim, 0, size)
    return scale


def find_weights(content: Any) -> tuple[list[Weight], list[str]]:
    """All weights of two or more dimensions in a state dict, or in a checkpoint with state dicts at any depth.

    Raw weights behind spectral norm (PyTorch's two, Chainer's, BigGAN's, mimicry's, this package's) are taken as they
    are, weight norm's pairs and pruned weights are multiplied out, `module.` and `_orig_mod.` are left out of names.

    Returns:
        The weights, and the names of other tensors of two or more dimensions, in the file's order. If no name says
        "weight", all such tensors are weights.
    """
    by_name, nameless, others = [], [], []
    for path, tensors in _state_dicts(content, ()):
        matrices = [name for name, tensor in tensors.items() if _is_matrix(tensor)]
        if weights := [weight for name in matrices if (weight := _weight_of(name, tensors))]:
            by_name.append((path, weights))
            others += [name for name in matrices if not NAMED_WEIGHT.search(name) and not BESIDE_WEIGHTS.search(name)]
        elif matrices and not any("optim" in part.lower() for part in path):
            nameless.append((path, [Weight(name, tensors[name]) for name in matrices]))
    return _with_prefixes(by_name or nameless), others


def _state_dicts(content: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """(where it lies, clean name -> tensor) of every mapping that holds tensors."""
    if isinstance(content, list | tuple):
        content = dict(enumerate(content))
    if isinstance(content, Mapping):
        tensors = {name: one for name, one in content.items() if isinstance(name, str) and isinstance(one, Tensor)}
        if tensors:
            yield path, _clean(tensors)
        for name, value in content.items():
            yield from _state_dicts(value, (*path, str(name)))


def _is_matrix(tensor: Tensor) -> bool:
    """Whether it can have a spectrum. Two values of float4 share a byte, so that its shape is not the matrix's."""
    is_real = tensor.is_floating_point() and "float4" not in str(tensor.dtype)
    return tensor.ndim >= 2 and is_real and tensor.numel() > 0 and tensor.layout == torch.strided


def _clean(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrappers put in; as they were, if that would make two of them the same."""

    def clean(name: str) -> str:
        parts = [part for part in name.split(".") if part not in WRAPPERS]
        while len(parts) > 1 and parts[0] == "module":
            parts = parts[1:]
        return ".".join(parts)

    cleaned = {clean(name): tensor for name, tensor in tensors.items()}
    return cleaned if len(cleaned) == len(tensors) else tensors


def _parametrized(name: str, tensors: dict[str, Tensor]) -> Weight | None:
    """What `torch.nn.utils.parametrize` keeps; of weight norm's pair, the directions stand for both."""
    match = re.fullmatch(rf"(?:(.*)\.)?parametrizations\.({WEIGHT_NAME})\.original([01]?)", name)
    if not match:
        return None  # the parametrization's own
    layer = _layer_name(match[1] or "", match[2])
    if match[3]:
        scale = tensors.get(f"{name[:-1]}0")
        return _weight_norm(layer, scale, tensors[name]) if match[3] == "1" and scale is not None else None
    own = re.compile(re.escape(name.removesuffix("original")) + r"\d+\._?u")
    spectral = any(map(own.fullmatch, tensors))
    return Weight(layer, tensors[name], "spectral norm" if spectral else "a parametrization")


def _weight_of(name: str, tensors: dict[str, Tensor]) -> Weight | None:
    """A weight by its own name, or what norms and pruning keep of it beside one another."""
    if ".parametrizations." in f".{name}":
        return _parametrized(name, tensors)
    layer, _, last = name.rpartition(".")
    if not re.fullmatch(WEIGHT_NAME, last) or last.endswith(SCALES) or f"{name}_orig" in tensors:
        return None
    base, _, ending = name.rpartition("_")
    if ending == "orig":
        layer_name = _layer_name(layer, last.removesuffix("_orig"))
        if (mask := tensors.get(f"{base}_mask")) is not None:
            return Weight(layer_name, tensors[name] * mask, "pruning")
        return Weight(layer_name, tensors[name], "spectral norm")
    if ending == "v" and f"{base}_g" in tensors:
        return _weight_norm(_layer_name(layer, last.removesuffix("_v")), tensors[f"{base}_g"], tensors[name])
    if ending in ("u", "v", "g", "mask") and any(f"{base}_{other}" in tensors for other in ("orig", "v")):
        return None
    spectral = any(f"{layer}.{vector}".removeprefix(".") in tensors for vector in VECTORS)
    scale = next((tensors[name + ending] for ending in SCALES if name + ending in tensors), None)
    return Weight(_layer_name(layer, last), tensors[name], "spectral norm" if spectral else "", scale)


def _weight_norm(layer: str, scale: Tensor, directions: Tensor) -> Weight | None:
    """`W = g v / |v|`, the norm over all dimensions in which g has size 1."""
    if scale.ndim == 0:
        return Weight(layer, scale * directions / directions.norm(), "weight norm")
    if scale.ndim != directions.ndim:
        return None
    over = [dim for dim, size in enumerate(scale.shape) if size == 1]
    norms = torch.linalg.vector_norm(directions, dim=over, keepdim=True) if over else directions.abs()
    return Weight(layer, directions * (scale / norms), "weight norm")


def _layer_name(layer: str, tensor: str) -> str:
    return (layer or tensor) if tensor in ("weight", "W") else f"{layer}.{tensor}".removeprefix(".")


def count_shared_parts(names: Iterable[Sequence[str]]) -> int:
    """With how many equal parts all of some names begin, each given as its parts."""
    return len(list(takewhile(lambda same: len(set(same)) == 1, zip(*names, strict=False))))


def _with_prefixes(groups: list[tuple[tuple[str, ...], list[Weight]]]) -> list[Weight]:
    """All weights; where several state dicts have some, their names begin with what tells one from the other."""
    shared = count_shared_parts(path for path, _ in groups)
    return [replace(one, name=".".join((*path[shared:], one.name))) for path, weights in groups for one in weights]
