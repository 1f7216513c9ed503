"""The public one-liner: spectral regularization for anybody's discriminator."""

from typing import Any

import torch
from torch import nn

from srgan.constraints.constraint import Constraint
from srgan.constraints.handle import Regularization
from srgan.constraints.layers import raw_weight
from srgan.constraints.methods import METHODS
from srgan.constraints.selecting import Selection, bare, select_layers


def regularize(
    discriminator: nn.Module,
    method: str | Constraint = "sr-s",
    *,
    optimizer: torch.optim.Optimizer | None = None,
    n_dis: int = 1,
    layers: Selection | None = None,
    exclude: Selection | None = None,
    seed: int = 0,
    **options: Any,
) -> Regularization:
    """Puts a discriminator under spectral normalization or regularization, in place.

    SN goes onto every convolution, linear and embedding layer; SR acts on the convolutions (Section 2) that
    train. The projecting form, and SR-d's recording, act after the discriminator's optimizer steps, which the
    given optimizer announces: there is nothing to add to the training loop but the penalty of a method that has one.
    Called again, on the discriminator, a part, a parent or a wrapper of it, it changes the method of the layers that
    it names and keeps weights and power vectors, as of a discriminator that has been under SN so far. Of the methods
    that start there take "sr-s", or "sr-d" with `scale="unit"`: SR-d as the authors have it lets sigma_1 of the raw
    weights grow, so that D learns ever more slowly.

    Args:
        discriminator: any module with `torch.nn` convolutions. Layers under PyTorch's `spectral_norm` are
            taken over with their power vectors.
        method: a name in `srgan.constraints.METHODS`, such as "sn", "sn-unit", "sr-s" (static), "sr-d" (dynamic),
            "none", or a constraint value.
        optimizer: the discriminator's. Needed by SR, unless by SR-s with `form=Reparametrize()`. Parameters that the
            method adds join it as a new group.
        n_dis: discriminator steps per generator step, the unit in which a `Schedule` counts.
        layers: which layers, if not all: glob patterns of names, types, or a function of (name, layer). Also takes
            layers of classes of your own whose matrix is named `weight`.
        exclude: which layers not, in the same way.
        seed: of the random numbers of penalties.
        options: of the method, e.g. `compensated_fraction=0.25`, `scale="unit"`, `form=Project(Schedule(1, "last"))`.

    Returns:
        a handle: the same `discriminator`, the `constraint`, `penalty(real, fake)` and the number of `updates`. State
        dicts name the raw weights `<layer>.parametrizations.weight.original` and count the updates, so that a resumed
        loop goes on in the phase of the schedule. Those of plain layers and of PyTorch's `spectral_norm` load too.

    Raises:
        ValueError: the method is unknown, the optimizer is missing or another network's, or a layer cannot be
            constrained. Nothing has changed then.
        TypeError: an option that the method does not have. Nothing has changed then.

    Example:
        >>> import torch, srgan
        >>> D = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3))
        >>> optimizer = torch.optim.Adam(D.parameters(), 2e-4, betas=(0.0, 0.9))
        >>> handle = srgan.regularize(D, "sr-s", optimizer=optimizer, n_dis=5)
        >>> D(torch.randn(2, 3, 8, 8)).mean().backward(); optimizer.step()
        >>> sigma = srgan.spectra(D)["2"]  # N = 8: the first four are held at sigma_1
        >>> [round(s, 4) for s in sigma[:4].tolist()], bool(sigma[4] < 1), handle.updates
        ([1.0, 1.0, 1.0, 1.0], True, 1)
    """
    if isinstance(method, str) and method not in METHODS:
        raise ValueError(f"Expected a method among {', '.join(METHODS)}, found {method!r}.")
    if options and not isinstance(method, str):
        raise ValueError(f"Expected no options beside a constraint value, found {options}: give them to the value.")
    if n_dis < 1:
        raise ValueError(f"Expected n_dis >= 1, found {n_dis}.")
    constraint = _built(method, options) if isinstance(method, str) else method
    plain = bare(discriminator)
    chosen = select_layers(plain, layers, exclude)
    inner = None if optimizer is None else _unwrapped(optimizer)
    if constraint.acts_after_updates:
        _check_optimizer(inner, chosen)
    before = set(plain.parameters())
    constraint.attach(plain, chosen)
    handle = Regularization(discriminator, constraint, chosen, n_dis, seed)
    if inner is not None:
        _add_parameters(inner, plain, before)
        handle.follow(inner)
    return handle


def _built(method: str, options: dict[str, Any]) -> Constraint:
    try:
        return METHODS[method](**options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise TypeError(f"Expected options that {method!r} has, found {', '.join(options)}: {error}.") from None


def _unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """The optimizer whose steps count, within the wrappers of Lightning and accelerate, which announce none."""
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise ValueError(
            f"Expected a torch.optim.Optimizer or a wrapper with one as .optimizer, found {type(optimizer).__name__}."
        )
    return optimizer


def _check_optimizer(optimizer: torch.optim.Optimizer | None, layers: dict[str, nn.Module]) -> None:
    if optimizer is None:
        raise ValueError(
            "Expected the discriminator's optimizer: this constraint acts after each of its steps. "
            "Pass optimizer=..., or use SR-s with form=Reparametrize(), which acts in the forward pass alone."
        )
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if layers and not any(id(raw_weight(layer)) in held for layer in layers.values()):
        raise ValueError("Expected the discriminator's optimizer, found one that holds none of its weights.")


def _add_parameters(optimizer: torch.optim.Optimizer, discriminator: nn.Module, before: set[nn.Parameter]) -> None:
    """Those that the constraint added join the optimizer, under the settings of its first group."""
    added = [parameter for parameter in discriminator.parameters() if parameter not in before]
    if added:
        settings = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
        optimizer.add_param_group({**settings, "params": added})
