"""Which of a discriminator's layers its optimizers train, and what joins them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from srgan.constraints.layers import LayerSubset, raw_weight, spectral_layers, weight_if_any
from srgan.constraints.refusing import listed, pattern_of

Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer] | None
"""Of a discriminator, each possibly in a wrapper of Lightning's or accelerate's."""


def unwrapped(given: Optimizers) -> list[torch.optim.Optimizer]:
    """The optimizers whose steps count: those within wrappers that announce none.

    Raises:
        ValueError: one is no optimizer, or announces no steps.
    """
    several = given if isinstance(given, list | tuple) else [] if given is None else [given]
    return [_unwrapped(one) for one in several]


def _unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """Lightning's and accelerate's wrappers hide an optimizer; a torch one around another, as Lookahead, steps last."""
    while hasattr(optimizer, "optimizer") and _is_hidden_by(optimizer):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"Expected a torch.optim.Optimizer or a wrapper with one as .optimizer, found {type(optimizer).__name__}."
        )
    if "_optimizer_step_post_hooks" not in vars(optimizer):
        raise ValueError(
            f"Expected an optimizer that announces its steps, found {type(optimizer).__name__}, which does not call "
            "torch.optim.Optimizer.__init__. Pass the optimizer within it; what it writes itself comes after SR then."
        )
    return optimizer


def _is_hidden_by(wrapper: Any) -> bool:
    return not isinstance(wrapper, torch.optim.Optimizer) or type(wrapper).__module__.startswith("accelerate.")


def parameters_of(optimizers: Iterable[torch.optim.Optimizer]) -> set[int]:
    """Ids of the parameters that some optimizers hold."""
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


def stepped(optimizer: torch.optim.Optimizer) -> set[int]:
    """Ids of the parameters that an optimizer has just moved: those that it holds, with a gradient.

    Not by `requires_grad`, which StyleGAN's loops switch off before the step. Where nothing has a gradient any more,
    it is all that the optimizer holds but for what is frozen beside parameters that are not.
    """
    held = [p for group in optimizer.param_groups for p in group["params"]]
    moved = [p for p in held if p.grad is not None] or [p for p in held if p.requires_grad] or held
    return {id(p) for p in moved}


def part_in(discriminator: nn.Module, parameters: set[int], layers: Mapping[str, nn.Module] | None = None) -> nn.Module:
    """What a constraint acts on after a step: a discriminator with those of its parameters that train.

    Args:
        discriminator: without wrappers.
        parameters: ids of those that train.
        layers: some layers of it, if the constraint is not on all.
    """
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
    """Tells the layers that train from those that rest, such as a pretrained backbone's.

    A layer rests if its weight is frozen while others' are not (a loop may build all of D frozen), if it stays in
    evaluation mode while D trains, or, where all is frozen, if no optimizer holds it.

    Args:
        discriminator: without wrappers.
        layers: by name.
        optimizers: of it, if known.

    Returns:
        the layers that train, and the names of the others.

    Raises:
        ValueError: a weight trains and is in no optimizer.
    """
    weights = {name: weight_if_any(layer) for name, layer in layers.items()}
    all_frozen = not any(W is None or W.requires_grad for W in weights.values())
    held = parameters_of(optimizers)
    if optimizers and layers and not any(W is None or id(W) in held for W in weights.values()):
        raise ValueError("Expected the discriminator's optimizer, found one that holds none of its weights.")
    trains: dict[str, nn.Module] = {}
    missing = []
    for name, layer in layers.items():
        W = weights[name]
        if W is None:  # to be refused with a reason
            trains[name] = layer
            continue
        awake = layer.training or not discriminator.training
        if optimizers and id(W) not in held:
            missing += [name] if W.requires_grad and awake else []
        elif awake and (W.requires_grad or all_frozen):
            trains[name] = layer
    if missing:
        raise ValueError(
            f"Expected every weight that trains in the discriminator's optimizer, found none of {listed(missing)} in "
            "it. Make the optimizer after calls that make new parameters (remove_weight_norm does), pass all that D "
            "has as optimizer=[a, b], freeze these layers by requires_grad_(False), or leave out what another "
            f"optimizer trains, such as InfoGAN's Q: exclude={pattern_of(missing, layers)}."
        )
    return trains, [name for name in layers if name not in trains]


def join_optimizers(
    optimizers: Sequence[torch.optim.Optimizer], layers: Mapping[str, nn.Module], before: set[nn.Parameter]
) -> None:
    """Parameters that a constraint added to a layer join the group of its weight, which schedulers know.

    Args:
        optimizers: of the discriminator.
        layers: by name, each with what was added to it.
        before: all parameters that were there.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for layer in layers.values():
        added = [parameter for parameter in layer.parameters() if parameter not in before]
        for group in groups:
            if added and any(parameter is raw_weight(layer) for parameter in group["params"]):
                group["params"] += added
                before |= set(added)
                break
