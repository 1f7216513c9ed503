"""Which layers of a network have a spectrum, where their raw weight is, and how error messages name them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.nn.utils import parametrize

from srgan.constraints.parametrization import RawWeight
from srgan.spectral import matricize, normalized_spectrum, spectrum
from srgan.utils.torch_internals import SpectralNormHook, SpectralNormParametrization, forward_hooks

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS_WITH_SPECTRUM = (*CONVOLUTIONS, nn.Linear, nn.Embedding)


def check_module(module: nn.Module) -> nn.Module:
    """The module itself; TypeError for anything else."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"Expected a network, a torch.nn.Module, found {type(module).__name__}.")
    return module


class LayerSubset(nn.Module):
    """Some layers of a network under their names, for code that asks a network for its layers and parameters.

    The parameters are `trained`, or else all of the layers'.
    """

    def __init__(self, layers: Mapping[str, nn.Module], trained: Sequence[nn.Parameter] | None = None) -> None:
        super().__init__()
        self.layers = dict(layers)  # a plain dict: the layers stay where they are
        self._trained = None if trained is None else list(trained)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return super().parameters(recurse) if self._trained is None else iter(self._trained)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        memo = set() if memo is None else memo
        for name, layer in self.layers.items():
            yield from layer.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)


def spectral_layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(qualified name, layer) of every convolution, linear and embedding layer, in definition order.

    Layers of other classes are among them once a constraint was put on them.
    """
    if isinstance(module, LayerSubset):
        yield from module.layers.items()
        return
    for name, layer in module.named_modules():
        if isinstance(layer, LAYERS_WITH_SPECTRUM) or constrained(layer) is not None:
            yield name, layer


def weight_parametrizations(layer: nn.Module) -> list[nn.Module]:
    """The modules that compute `layer.weight` from the raw one, from the innermost; none for a plain layer."""
    found = getattr(layer, "parametrizations", None)
    return list(found.weight) if found is not None and "weight" in found else []


def constrained(layer: nn.Module) -> RawWeight | None:
    """This package's parametrization of a layer's weight, if it has one."""
    found = weight_parametrizations(layer)
    return found[0] if found and isinstance(found[0], RawWeight) else None


def is_convolution(layer: nn.Module) -> bool:
    """Whether a layer is a convolution; outside torch.nn one whose weight has more than two dimensions."""
    if isinstance(layer, LAYERS_WITH_SPECTRUM):
        return isinstance(layer, CONVOLUTIONS)
    return raw_weight(layer).dim() > 2


def convolutions(module: nn.Module) -> dict[str, nn.Module]:
    """The layers that SR acts on, by name (Section 2: not the linear head, nor the class embedding)."""
    return {name: layer for name, layer in spectral_layers(module) if is_convolution(layer)}


def is_judged(layer: nn.Module) -> bool:
    """Whether a layer decides on a spectral collapse: convolutions larger than 1 x 1, which are no shortcuts."""
    return is_convolution(layer) and raw_weight(layer)[0, 0].numel() > 1


def divides_by_sigma_1(layer: nn.Module) -> bool:
    """Whether a layer is under a spectral norm, this package's or one of PyTorch's, which undoes the weight's scale."""
    own = constrained(layer)
    if own is not None:
        return own.divides_by_sigma_1
    norms = [*weight_parametrizations(layer), *forward_hooks(layer, before=True).values()]
    return any(isinstance(norm, SpectralNormParametrization | SpectralNormHook) for norm in norms)


def layer_kind(layer: nn.Module) -> str:
    """The class of torch.nn that a layer is or is derived from: "Conv2d"."""
    own = parametrize.type_before_parametrizations(layer).__name__
    return next((kind.__name__ for kind in LAYERS_WITH_SPECTRUM if isinstance(layer, kind)), own)


def output_dim(layer: nn.Module) -> int:
    """The dimension of the layer's weight that counts output channels."""
    return 1 if isinstance(layer, _TRANSPOSED) else 0


def raw_weight(layer: nn.Module) -> nn.Parameter:
    """The trained parameter W behind `layer.weight`, before any normalization.

    Knows this package's parametrizations and both of PyTorch's `spectral_norm`. ValueError if there is none: the layer
    is lazy and has seen no input, or it is under a weight norm or another library's spectral norm.
    """
    weight = weight_if_any(layer)
    if weight is None:
        raise ValueError(
            f"expected a weight to take the spectrum of, found none in a {layer_kind(layer)}: {_missing_weight(layer)}"
        )
    return weight


def weight_if_any(layer: nn.Module) -> nn.Parameter | None:
    """`raw_weight`, or None."""
    parametrized: Any = getattr(layer, "parametrizations", None)
    if parametrized is not None and "weight" in parametrized:
        return getattr(parametrized.weight, "original", None)
    weight = getattr(layer, "weight_orig", None) if hasattr(layer, "weight_orig") else getattr(layer, "weight", None)
    return weight if isinstance(weight, nn.Parameter) and not isinstance(weight, UninitializedParameter) else None


def _missing_weight(layer: nn.Module) -> str:
    """Why a layer has no raw weight, and what to do."""
    parameters = dict(layer.named_parameters(recurse=False))
    if weight_parametrizations(layer):
        return unparametrize_advice(layer)
    if isinstance(parameters.get("weight"), UninitializedParameter):
        return "run a lazy layer once so that it has a weight."
    if "weight_g" in parameters:
        return (
            "it is under a weight norm. Remove its weight norm by torch.nn.utils.remove_weight_norm(layer), before the "
            "optimizer is made."
        )
    others = [name for name, parameter in parameters.items() if parameter.dim() > 1]
    if others:
        return (
            f"a spectral norm of another library keeps it as '{others[0]}'. Build the discriminator without that "
            "wrapper, of plain torch.nn layers."
        )
    return "it has none of that name."


def unparametrize_advice(layer: nn.Module) -> str:
    """What a layer's weight is parametrized by, and how to make it plain."""
    classes = [type(parametrization).__name__ for parametrization in weight_parametrizations(layer)]
    return (
        f"it is already parametrized by {', '.join(classes)}. Remove that by torch.nn.utils.parametrize."
        "remove_parametrizations(layer, 'weight', leave_parametrized=True), before the optimizer is made."
    )


def raw_matrix(layer: nn.Module) -> Tensor:
    """The raw weight as the matrix `W [out, in * k * k]`."""
    return matricize(raw_weight(layer).detach(), output_dim(layer))


def matrix_shape(layer: nn.Module) -> tuple[int, int]:
    """`[m, n]` of `raw_matrix`, which is a copy of a weight in channels-last format."""
    W = raw_weight(layer)
    m = W.shape[output_dim(layer)]
    return m, W.numel() // m


def num_groups(layer: nn.Module) -> int:
    """How many parts of its channels a convolution keeps apart; 1 for every other layer."""
    groups = getattr(layer, "groups", 1)
    return groups if isinstance(groups, int) else 1


def raw_parts(layer: nn.Module) -> tuple[nn.Parameter, int, int]:
    """What a parametrization of a layer is made for: raw weight, dimension of its outputs, groups."""
    return raw_weight(layer), output_dim(layer), num_groups(layer)


def check_divisible(layer: nn.Module) -> None:
    """ValueError for a weight that no norm can divide: all zero, or an embedding's with sparse gradients."""
    if not raw_weight(layer).any():
        raise ValueError(
            "expected a weight with a largest singular value, found an all-zero one. If it is meant to start at zero, "
            "as the last layer of a residual branch, leave it out, and call srgan.regularize again with it once steps "
            "of the optimizer have moved it."
        )
    if getattr(layer, "sparse", False):
        raise ValueError("expected dense gradients, found an embedding with sparse=True.")


def check_has_values(layer: nn.Module) -> None:
    """ValueError for a weight without real values: on the meta device, or complex."""
    W = raw_weight(layer)
    if W.is_meta:
        raise ValueError(
            "expected a weight with values, found one on the meta device. Give it values first: to_empty(device=...), "
            "then initialize or load."
        )
    if not W.is_floating_point():
        raise ValueError(f"expected a weight of real numbers, found {W.dtype}. Only those have singular vectors here.")


def is_sharded(layer: nn.Module) -> bool:
    """Whether fully_shard has split the layer's weight, so that no process has its spectrum."""
    return type(raw_weight(layer)).__name__ == "DTensor"


def check_not_sharded(layers: Mapping[str, nn.Module], way_out: str) -> None:
    """ValueError, which ends in `way_out`, if one of the layers is sharded."""
    for name, layer in layers.items():
        if is_sharded(layer):
            raise ValueError(
                f"{format_layer(name)}: expected a whole weight, found one that fully_shard has split. {way_out}"
            )


@torch.no_grad()
def spectra(module: nn.Module, normalized: bool = True) -> dict[str, Tensor]:
    """Singular values of every convolution, linear and embedding layer of any network.

    Reads the raw weights; the module does not change, nor do its power iterations. ValueError if a weight holds NaN or
    infinity, or has no values (the message names the layer); TypeError if `module` is not a torch.nn.Module.

    Args:
        module: any network, or a single layer.
        normalized: sigma_k / sigma_1 (what spectral normalization leaves; the paper's figures) instead of sigma_k.

    Returns:
        qualified layer name -> `[N]` float64 on the CPU, from the largest. An all-zero weight yields zeros.

    Example:
        >>> import torch, srgan
        >>> {name: s.shape for name, s in srgan.spectra(torch.nn.Conv2d(3, 8, 3)).items()}
        {'': torch.Size([8])}
    """
    measure = normalized_spectrum if normalized else spectrum
    values: dict[str, Tensor] = {}
    for name, layer in spectral_layers(check_module(module)):
        try:
            check_has_values(layer)
            values[name] = measure(raw_matrix(layer)).cpu()
        except ValueError as error:
            raise ValueError(f"{format_layer(name)}: {error}") from error
    return values


def format_names(names: Sequence[str], most: int = 5) -> str:
    """Some names for a sentence: "'a', 'b' and 7 more"."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def format_layer(name: str) -> str:
    """The subject of a sentence about one layer; a network that is itself the layer has no name for it."""
    return f"Layer '{name}'" if name else "The layer"


def format_refusals(reasons: Mapping[str, str], chosen: Mapping[str, object] | None) -> str:
    """One message about all layers that are refused; those whose reasons differ in numbers alone share a sentence.

    `chosen` are all layers by name, among which `exclude=` can leave these out; None where it cannot.
    """
    kinds: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        kinds.setdefault(re.sub(r"\d+", "#", reason), []).append(name)
    sentences = [
        f"{f'Layers {format_names(names)}' if names[1:] else format_layer(names[0])}: {reasons[names[0]]}"
        for names in kinds.values()
    ]
    if chosen is not None:
        pronoun = "them" if len(reasons) > 1 else "the layer"
        sentences.append(f"Or leave {pronoun} out: exclude={format_pattern(reasons, chosen)}.")
    return " ".join(sentences)


def format_pattern(names: Sequence[str] | Mapping[str, object], among: Mapping[str, object]) -> str:
    """A glob pattern that matches these names alone; the list of them if there is none."""
    first, wanted = next(iter(names)), set(names)
    parts = first.split(".")
    tails = [f"*{'.' if len(parts) > 1 else ''}{'.'.join(parts[at:])}" for at in range(len(parts))]
    heads = [".".join([*parts[:at], "*"]) for at in range(len(parts) - 1, 0, -1)]
    for pattern in [first, *reversed(tails), *heads]:
        if {name for name in among if fnmatchcase(name, pattern)} == wanted:
            return repr(pattern)
    return repr(list(names))
