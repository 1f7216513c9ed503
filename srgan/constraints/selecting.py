"""Selection of the layers to constrain."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from srgan.constraints.layers import LAYERS_WITH_SPECTRUM, check_module, constrained, spectral_layers
from srgan.utils.torch_internals import compiled_module

Predicate = Callable[[str, nn.Module], bool]
Selection = str | type[nn.Module] | Predicate | Sequence[str | type[nn.Module]]
"""Layers by glob patterns of their names, by types, or by a function of name and layer."""


def unwrap_model(module: nn.Module) -> nn.Module:
    """The network within wrappers of torch.compile, DataParallel and DistributedDataParallel; TypeError for others."""
    check_module(module)
    while True:
        inner = compiled_module(module)
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if inner is None:
            return module
        module = inner


def select_layers(
    discriminator: nn.Module, layers: Selection | None = None, exclude: Selection | None = None
) -> dict[str, nn.Module]:
    """The layers to constrain, by name.

    Args:
        discriminator: a network without wrappers.
        layers: None for every convolution, linear and embedding layer of torch.nn. A layer of another class, with a
            parameter `weight` of two dimensions or more, is taken if it is selected here.
        exclude: layers to leave out.

    Raises:
        ValueError: one of the two selects nothing, or no layer is left.
        TypeError: one is neither patterns, types nor a function.
    """
    known = dict(spectral_layers(discriminator))
    candidates = {**known, **dict(_own_layers(discriminator))}
    chosen = known if layers is None else _matching(candidates, layers, "layers")
    left_out = {} if exclude is None else _matching(candidates, exclude, "exclude")
    kept = {name: layer for name, layer in chosen.items() if name not in left_out}
    if known and not kept:
        raise ValueError("Expected layers to constrain, found that layers= and exclude= leave none. Widen them.")
    _warn_of_unnamed_weights(discriminator, {*known, *chosen, *left_out})
    return kept


def _own_layers(discriminator: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers with a matrix as weight whose class is derived from nothing of torch.nn but Module."""
    for name, module in discriminator.named_modules():
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        bases = [base for base in type(module).__mro__[:-1] if base is not nn.Module]
        known = any(base.__module__.startswith("torch.nn.modules") for base in bases)
        if not known and weight is not None and weight.dim() >= 2:
            yield name, module


def _matching(candidates: Mapping[str, nn.Module], selection: Selection, option: str) -> dict[str, nn.Module]:
    parts = list(selection) if isinstance(selection, list | tuple) else [selection]
    matches = [_predicate(part, option) for part in parts]
    found = {name: layer for name, layer in candidates.items() if any(match(name, layer) for match in matches)}
    if not found:
        raise ValueError(
            f"Expected {option}= to name layers with a weight of two dimensions or more, found none that it names "
            f"among {', '.join(repr(name) for name in candidates) or 'no such layers'}."
        )
    return found


def _predicate(part: Any, option: str) -> Predicate:
    if isinstance(part, str):
        return lambda name, layer: fnmatchcase(name, part)
    if isinstance(part, type):
        return lambda name, layer: isinstance(layer, part)
    if not callable(part):
        raise TypeError(
            f"Expected {option}= as glob patterns of names, types, or a function of name and layer, found {part!r}."
        )
    return part  # type: ignore[no-any-return]


def _warn_of_unnamed_weights(discriminator: nn.Module, named: set[str]) -> None:
    """Warns of matrices that no constraint can act on, such as those of attention and of recurrent layers."""
    seen = [
        f"{name}.{local}".lstrip(".")
        for name, module in discriminator.named_modules()
        if name not in named and constrained(module) is None and not isinstance(module, LAYERS_WITH_SPECTRUM)
        for local, parameter in module.named_parameters(recurse=False)
        if "weight" in local and parameter.dim() >= 2 and not _is_norm(module)
    ]
    if seen:
        warnings.warn(
            f"These weights stay as they are: {', '.join(seen)}. Only layers that hold one matrix named 'weight' can "
            "be constrained; those of classes of your own where layers= names them.",
            stacklevel=4,
        )


def _is_norm(module: nn.Module) -> bool:
    """Of torch.nn, or derived from one: a name alone may be that of a convolution with a norm behind it."""
    return any("Norm" in base.__name__ and base.__module__.startswith("torch.nn.") for base in type(module).__mro__)
