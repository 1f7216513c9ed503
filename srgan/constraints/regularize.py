"""The public one-liner: spectral regularization for anybody's discriminator."""

from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from srgan.constraints.base import Constraint
from srgan.constraints.layers import raw_weight, spectral_layers
from srgan.constraints.methods import METHODS

_hooks: WeakKeyDictionary[nn.Module, RemovableHandle] = WeakKeyDictionary()


def regularize(
    discriminator: nn.Module,
    method: str | Constraint = "sr-s",
    *,
    optimizer: torch.optim.Optimizer | None = None,
    n_dis: int = 1,
    first_iteration: int = 0,
    **options: Any,
) -> nn.Module:
    """Puts a discriminator under spectral normalization or regularization, in place.

    SN goes onto every convolution, linear and embedding layer; SR acts on the convolutions (Section 2) that
    train. The projecting form, and SR-d's recording, act after the discriminator's optimizer steps, which the
    given optimizer announces: there is nothing to add to the training loop. Called again, it changes the
    method and keeps weights and power vectors (SN first, SR-d later, as the authors advise).

    Args:
        discriminator: any module with `torch.nn` convolutions. Layers under PyTorch's `spectral_norm` are
            taken over.
        method: "sn", "sr-s" (static), "sr-d" (dynamic), "none", or a constraint value.
        optimizer: the discriminator's. Needed by SR, unless by SR-s with `form=Reparametrize()`.
        n_dis: discriminator steps per generator step, the unit in which a `Schedule` counts.
        first_iteration: generator steps before the next one, where training is resumed.
        options: of the method, e.g. `compensated_fraction=0.25`, `schedule=Schedule(1, "last")`.

    Returns:
        The same module. Its state dict names the raw weights `<layer>.parametrizations.weight.original`.

    Raises:
        ValueError: the method is unknown, the optimizer is missing or another network's, or there is nothing
            to constrain.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3))
        >>> optimizer = torch.optim.Adam(D.parameters(), 2e-4, betas=(0.0, 0.9))
        >>> D = srgan.regularize(D, "sr-s", optimizer=optimizer, n_dis=5)
        >>> D(torch.randn(2, 3, 8, 8)).mean().backward(); optimizer.step()
        >>> sigma = srgan.spectra(D)["2"]  # N = 8: the first four are held at sigma_1
        >>> [round(s, 4) for s in sigma[:4].tolist()], bool(sigma[4] < 1)
        ([1.0, 1.0, 1.0, 1.0], True)
    """
    if isinstance(method, str) and method not in METHODS:
        raise ValueError(f"Expected a method among {', '.join(METHODS)}, found {method!r}.")
    if options and not isinstance(method, str):
        raise ValueError(f"Expected no options beside a constraint value, found {options}: give them to the value.")
    if n_dis < 1:
        raise ValueError(f"Expected n_dis >= 1, found {n_dis}.")
    constraint = METHODS[method](**options) if isinstance(method, str) else method
    if constraint.acts_after_updates:
        _check_optimizer(optimizer, discriminator)
    constraint.attach(discriminator)
    previous = _hooks.pop(discriminator, None)
    if previous is not None:
        previous.remove()
    if optimizer is not None:
        _hooks[discriminator] = _act_after_steps(optimizer, constraint, discriminator, n_dis, first_iteration)
    return discriminator


def _check_optimizer(optimizer: torch.optim.Optimizer | None, discriminator: nn.Module) -> None:
    if optimizer is None:
        raise ValueError(
            "Expected the discriminator's optimizer: this constraint acts after each of its steps. "
            "Pass optimizer=..., or use SR-s with form='reparametrize', which acts in the forward pass alone."
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(id(raw_weight(layer)) in held for _, layer in spectral_layers(discriminator)):
        raise ValueError("Expected the discriminator's optimizer, found one that holds none of its weights.")


def _act_after_steps(
    optimizer: torch.optim.Optimizer,
    constraint: Constraint,
    discriminator: nn.Module,
    n_dis: int,
    first_iteration: int,
) -> RemovableHandle:
    """Calls `constraint.after_update` after each step, counting iterations of n_dis steps."""
    steps = first_iteration * n_dis

    def after_step(*_: Any) -> None:
        nonlocal steps
        constraint.after_update(discriminator, steps // n_dis, steps % n_dis, n_dis)
        steps += 1

    return optimizer.register_step_post_hook(after_step)
