"""Which layers are constrained, which of them train, and which ones an optimizer has just moved."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from srgan.constraints.layers import (
    LAYERS_WITH_SPECTRUM,
    LayerSubset,
    check_module,
    constrained,
    format_names,
    format_pattern,
    raw_weight,
    spectral_layers,
    weight_if_any,
)
from srgan.utils.torch_internals import announces_steps, compiled_module

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
    """The layers of a network without wrappers to constrain, by name.

    Without `layers` every convolution, linear and embedding layer of torch.nn; a layer of another class, with a
    parameter `weight` of two dimensions or more, is taken if it is selected there. ValueError if one of the two selects
    nothing, or no layer is left; TypeError if one is neither patterns, types nor a function.
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


Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None
"""A discriminator's optimizers, each possibly in a wrapper of Lightning's or accelerate's."""


def unwrap_optimizers(given: Optimizers) -> list[torch.optim.Optimizer]:
    """The optimizers whose steps count; ValueError for anything else, and for one whose steps call no hooks."""
    several = given if isinstance(given, list | tuple) else [] if given is None else [given]
    return [_unwrap_optimizer(one) for one in several]


def _unwrap_optimizer(optimizer: Any) -> torch.optim.Optimizer:
    """Lightning's and accelerate's wrappers call no hooks; a torch optimizer around another (Lookahead) steps last."""
    while hasattr(optimizer, "optimizer") and (
        not isinstance(optimizer, torch.optim.Optimizer) or type(optimizer).__module__.startswith("accelerate.")
    ):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"Expected a torch.optim.Optimizer or a wrapper with one as .optimizer, found {type(optimizer).__name__}."
        )
    if not announces_steps(optimizer):
        raise ValueError(
            f"Expected an optimizer that announces its steps, found {type(optimizer).__name__}, which does not call "
            "torch.optim.Optimizer.__init__. Pass the optimizer inside it; SR then acts before what the wrapper writes."
        )
    return optimizer


def parameters_of(optimizers: Iterable[torch.optim.Optimizer]) -> set[int]:
    """Ids of all parameters in some optimizers."""
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


def was_skipped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a fused optimizer has just skipped its step because gradients overflowed under AMP."""
    skipped = getattr(optimizer, "found_inf", None)
    return isinstance(skipped, torch.Tensor) and bool(skipped)


def stepped(optimizer: torch.optim.Optimizer) -> set[int]:
    """Ids of the parameters that an optimizer has just moved: those with a gradient.

    StyleGAN's loops switch `requires_grad` off before the step, so it counts only if there is no gradient any more.
    """
    held = [p for group in optimizer.param_groups for p in group["params"]]
    moved = [p for p in held if p.grad is not None] or [p for p in held if p.requires_grad] or held
    return {id(p) for p in moved}


def part_in(discriminator: nn.Module, parameters: set[int], layers: Mapping[str, nn.Module] | None = None) -> nn.Module:
    """The part of a discriminator, or of some of its layers, whose parameters (given by id) train."""
    whole = discriminator if layers is None else LayerSubset(layers)
    all_parameters = list(whole.parameters())
    trained = [parameter for parameter in all_parameters if id(parameter) in parameters]
    if len(trained) == len(all_parameters):
        return whole
    kept = {name: layer for name, layer in spectral_layers(whole) if id(raw_weight(layer)) in parameters}
    return LayerSubset(kept, trained)


def split_by_training(
    discriminator: nn.Module, layers: Mapping[str, nn.Module], optimizers: Sequence[torch.optim.Optimizer]
) -> tuple[dict[str, nn.Module], list[str]]:
    """The layers that train, by name, and the names of the others, such as a pretrained backbone's.

    A layer does not train if its weight is frozen while others' are not (a loop may build all of D frozen), if it is in
    evaluation mode while D is not, or, if all weights are frozen, if it is in no optimizer. ValueError if a weight
    trains and is in none of the optimizers, if there are any.
    """
    weights = {name: weight_if_any(layer) for name, layer in layers.items()}
    all_frozen = not any(W is None or W.requires_grad for W in weights.values())
    held = parameters_of(optimizers)
    if optimizers and layers and not any(W is None or id(W) in held for W in weights.values()):
        raise ValueError(
            "Expected the discriminator's optimizer, found one that holds none of its weights, as the generator's does."
        )
    trains: dict[str, nn.Module] = {}
    missing = []
    for name, layer in layers.items():
        W = weights[name]
        if W is None:  # `attach` refuses it, with a reason
            trains[name] = layer
            continue
        awake = layer.training or not discriminator.training
        if optimizers and id(W) not in held:
            missing += [name] if W.requires_grad and awake else []
        elif awake and (W.requires_grad or all_frozen):
            trains[name] = layer
    if missing:
        raise ValueError(
            "Expected every weight that trains in the discriminator's optimizer, found none of "
            f"{format_names(missing)} in it. Make the optimizer after calls that make new parameters "
            "(remove_weight_norm does), pass all that D has as optimizer=[a, b], freeze these layers by "
            f"requires_grad_(False), or leave out what another optimizer trains, such as InfoGAN's Q: "
            f"exclude={format_pattern(missing, layers)}."
        )
    return trains, [name for name in layers if name not in trains]


def join_optimizers(
    optimizers: Sequence[torch.optim.Optimizer], layers: Mapping[str, nn.Module], before: set[nn.Parameter]
) -> None:
    """Adds the parameters that a constraint gave to a layer, those not in `before`, to the group of its weight."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for layer in layers.values():
        added = [parameter for parameter in layer.parameters() if parameter not in before]
        for group in groups:
            if added and any(parameter is raw_weight(layer) for parameter in group["params"]):
                group["params"] += added
                before |= set(added)
                break
