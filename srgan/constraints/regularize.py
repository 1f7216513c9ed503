"""The methods by name, and the public one-liner: spectral regularization for any discriminator."""

import gc
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from srgan.constraints.base import Constraint, Unconstrained
from srgan.constraints.handle import Regularization
from srgan.constraints.layers import format_names
from srgan.constraints.normalizations import (
    BatchNormalization,
    RowSumNormalization,
    WeightClipping,
    WeightNormalization,
)
from srgan.constraints.penalties import DRAGAN, SLOGAN, GradientPenalty, OrthonormalRegularization, R1Penalty
from srgan.constraints.selecting import (
    Optimizers,
    Selection,
    join_optimizers,
    select_layers,
    split_by_training,
    unwrap_model,
    unwrap_optimizers,
)
from srgan.constraints.spectral_normalization import SpectralNormalization
from srgan.constraints.spectral_regularization import SpectralRegularization
from srgan.spectral import Dynamic, Static


def static(fraction: float = 0.5, **settings: Any) -> SpectralRegularization:
    """SR-s with i = `fraction` N; further settings are `SpectralRegularization`'s."""
    return SpectralRegularization(Static(fraction), **settings)


METHODS: dict[str, Callable[..., Constraint]] = {
    "none": Unconstrained,
    "sn": SpectralNormalization,
    "sn-unit": partial(SpectralNormalization, scale="unit"),
    "sr-s": static,
    "sr-d": partial(SpectralRegularization, Dynamic()),
    "clip": WeightClipping,
    "weight-norm": WeightNormalization,
    "row-sum": RowSumNormalization,
    "orthonormal": OrthonormalRegularization,
    "batch-norm": BatchNormalization,
    "gp": GradientPenalty,
    "dragan": DRAGAN,
    "slogan": SLOGAN,
    "r1": R1Penalty,
}
"""The constraints by the names that `srgan.regularize` and the files in `configs/` have for them."""


def options_of(method: str) -> list[str]:
    """Names of a method's options: the settings of its constraint, with `fraction` for the spectral map of SR-s."""
    constraint: Any = METHODS[method]()
    names = [setting.name for setting in fields(constraint) if setting.name != "spectral_map"]
    return ["fraction", *names] if method == "sr-s" else names


def regularize(
    discriminator: nn.Module,
    method: str | Constraint = "sr-s",
    *,
    optimizer: Optimizers = None,
    n_dis: int = 1,
    layers: Selection | None = None,
    exclude: Selection | None = None,
    seed: int = 0,
    **options: Any,
) -> Regularization:
    """Puts a discriminator under spectral normalization or regularization, in place.

    SN acts on every convolution, linear and embedding layer that trains, SR on the convolutions (Section 2) among them.
    Projections, and SR-d's recording, run in hooks after the steps of the given optimizer, so a training loop stays as
    it is; only a method with a penalty needs a line for it. A second call, on the discriminator, a part, a parent or a
    wrapper of it, changes the method of the layers it selects and keeps weights and power vectors, for example to
    switch a discriminator from SN to SR. SR-d with the authors' `scale="keep"` lets sigma_1 of the raw weights grow, so
    that D learns ever more slowly.

    Args:
        discriminator: any module with `torch.nn` convolutions. Layers under PyTorch's `spectral_norm` are
            taken over with their power vectors.
        method: a name in `srgan.constraints.METHODS`, such as "sn", "sn-unit", "sr-s" (static), "sr-d" (dynamic),
            "none", or a constraint value.
        optimizer: the discriminator's optimizer, which holds every weight of it that trains, or a list of several.
            Required by SR, except by SR-s with `mode="reparametrization"`. A step moves the layers in the optimizer
            that have a gradient, even if `requires_grad` is off by then. Parameters that the method adds join the group
            of their layer's weight.
        n_dis: discriminator steps per generator step, the unit in which a `Schedule` counts.
        layers: the layers to constrain: glob patterns of names, types, or a function of (name, layer), which may also
            select layers of your own classes whose matrix is named `weight`. By default all that train: frozen layers,
            and those in evaluation mode, are left out with a warning.
        exclude: layers to leave out, in the same way.
        seed: Random seed of penalties and of the first power vectors. PyTorch's random state does not change.
        options: options of the method, e.g. `fraction=0.25`, `scale="unit"`, `schedule=Schedule(1, "last")`.

    Returns:
        a handle with the same `discriminator`, the `constraint`, `penalty(real, fake)` and the number of `updates`.
        State dicts name the raw weights `<layer>.parametrizations.weight.original` and count the updates, so that a
        resumed loop keeps the phase of the schedule. Those of plain layers and of PyTorch's `spectral_norm` load too.

    Raises:
        ValueError: the method is unknown, the optimizer is missing, belongs to another network or lacks a weight that
            trains, DDP could not average new parameters, or layers cannot be constrained. Nothing has changed then.
        TypeError: an argument of another type, or an option that the method does not have. Nothing has changed then.

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
    plain = unwrap_model(discriminator)
    constraint = _constraint(method, options)
    for name, value, least in (("n_dis", n_dis, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or value < least:
            raise ValueError(f"Expected a whole number {name} >= {least}, found {value!r}.")
    optimizers = unwrap_optimizers(optimizer)
    if constraint.has_post_step and not optimizers:
        raise ValueError(
            "Expected the discriminator's optimizer: this constraint acts after each of its steps. "
            "Pass optimizer=..., or use SR-s with mode='reparametrization', which acts in the forward pass alone."
        )
    chosen = select_layers(plain, layers, exclude)
    trains, resting = split_by_training(plain, chosen, optimizers)
    if layers is None and trains and resting:
        chosen = trains
        warnings.warn(
            f"Left as they are, since they do not train: {format_names(resting)}. To constrain them as well, name "
            "them in layers=.",
            stacklevel=2,
        )
    if constraint.adds_parameters:
        _check_not_wrapped(chosen)
    before = set(plain.parameters())
    constraint.attach(plain, chosen, seed)
    handle = Regularization(discriminator, constraint, chosen, n_dis, seed)
    if optimizers:
        join_optimizers(optimizers, chosen, before)
        handle.follow(optimizers)
    return handle


def _check_not_wrapped(layers: Mapping[str, nn.Module]) -> None:
    """Refuses new parameters below a DDP that is there already and would not average their gradients."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    wrappers = [thing for thing in gc.get_objects() if issubclass(type(thing), DistributedDataParallel)]
    if any(module in layers.values() for wrapper in wrappers for module in wrapper.modules()):
        raise ValueError(
            "Expected a discriminator that is not in DistributedDataParallel yet, for a method with parameters of its "
            "own, whose gradients DDP would not average. Call srgan.regularize before DDP, accelerate's prepare or "
            "Lightning's fit wraps it."
        )


def _constraint(method: str | Constraint, options: dict[str, Any]) -> Constraint:
    if isinstance(method, Constraint):
        if options:
            raise ValueError(f"Expected no options beside a constraint value, found {options}: give them to the value.")
        return method
    if not isinstance(method, str):
        raise TypeError(
            f"Expected a method's name or a constraint value as second argument, found {type(method).__name__}. Pass "
            "an optimizer as optimizer=..."
        )
    if method not in METHODS:
        close = get_close_matches(method.lower().replace("_", "-"), METHODS, n=1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"Expected a method among {', '.join(METHODS)}, found {method!r}.{meant}")
    known = options_of(method)
    if unknown := [name for name in options if name not in known]:
        raise TypeError(
            f"Expected options that {method!r} has ({', '.join(known) or 'none'}), found {', '.join(unknown)}."
        )
    return METHODS[method](**options)
