"""A discriminator's optimizers: which of its layers they train, and have just moved."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from srgan.constraints.layers import LayerSubset, raw_weight, spectral_layers, weight_if_any
from srgan.constraints.messages import format_names, format_pattern
from srgan.utils.torch_internals import announces_steps

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
    evaluation mode while D is not, or, if all weights are frozen, if it is in no optimizer.

    Raises:
        ValueError: a weight trains and is in none of the optimizers, if there are any.
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
