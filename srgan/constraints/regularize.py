"""The public one-liner: spectral regularization for anybody's discriminator."""

from typing import Any

import torch
from torch import nn

from srgan.constraints.values import METHODS, Constraint, SpectralRegularization


def regularize(
    discriminator: nn.Module,
    method: str | Constraint = "sr-s",
    *,
    optimizer: torch.optim.Optimizer | None = None,
    n_dis: int = 1,
    **options: Any,
) -> nn.Module:
    """Puts a discriminator under spectral normalization or regularization, in place.

    SN goes onto every convolution, linear and embedding layer; SR acts on the convolutions (Section 2).
    The projecting form acts after the discriminator's optimizer steps, which the given optimizer announces:
    there is nothing to add to the training loop.

    Args:
        discriminator: any module with `torch.nn` convolutions. Layers under PyTorch's `spectral_norm` are
            taken over.
        method: "sn", "sr-s" (static), "sr-d" (dynamic), "none", or a constraint value.
        optimizer: the discriminator's. Needed by SR unless `form="reparametrize"`.
        n_dis: discriminator steps per generator step, the unit in which a `Schedule` counts.
        options: of the method, e.g. `compensated_fraction=0.25`, `schedule=Schedule(1, "last")`.

    Returns:
        The same module. Its state dict names the raw weights `<layer>.parametrizations.weight.original`.

    Raises:
        ValueError: the method is unknown, the optimizer is missing, or there is nothing to constrain.

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
    projects = isinstance(constraint, SpectralRegularization) and constraint.form == "project"
    if projects and optimizer is None:
        raise ValueError(
            "Expected the discriminator's optimizer: the projecting form acts after each of its steps. "
            "Pass optimizer=..., or form='reparametrize' to regularize in the forward pass instead."
        )
    constraint.attach(discriminator)
    if optimizer is not None:
        _act_after_steps(optimizer, constraint, discriminator, n_dis)
    return discriminator


def _act_after_steps(
    optimizer: torch.optim.Optimizer, constraint: Constraint, discriminator: nn.Module, n_dis: int
) -> None:
    """Calls `constraint.after_update` after each step, counting iterations of n_dis steps from 0."""
    steps = 0

    def after_step(*_: Any) -> None:
        nonlocal steps
        constraint.after_update(discriminator, steps // n_dis, steps % n_dis, n_dis)
        steps += 1

    optimizer.register_step_post_hook(after_step)
