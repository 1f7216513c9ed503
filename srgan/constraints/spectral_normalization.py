"""SN (Eq. 4), and the scale of the raw weights that it divides by sigma_1.

Of such a weight D sees W / sigma_1 alone, and under Adam `W -> 2 W` with twice the rate is the same path of W / sigma_1
(Karras et al. 2018, Section 4.1; van Laarhoven 2017). So the scale is a learning rate of the layer's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real

import torch
from torch import Tensor, nn

from srgan.constraints.base import Constraint
from srgan.constraints.gains import check_normalizable
from srgan.constraints.layers import constrained, convolutions, raw_parts, raw_weight
from srgan.constraints.parametrization import RawWeight, once_per_forward
from srgan.spectral import Scale, matricize, power_iteration, spectral_normalize
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.precision import without_autocast
from srgan.utils.torch_internals import is_recomputing, is_transformed, outside_transforms


def check_scale(scale: Scale) -> None:
    """ValueError for a word that is not in `Scale`, or a number that is not positive and finite."""
    if scale not in ("unit", "keep") and not (isinstance(scale, Real) and 0 < scale < math.inf):
        raise ValueError(f"Expected scale 'unit', 'keep' or a number above 0, found {scale!r}.")


def format_scale(scale: Scale) -> str:
    """For labels: "unit scale"."""
    return f"scale {scale:g}" if not isinstance(scale, str) else "unit scale" if scale == "unit" else "scale kept"


def describe_scale(scale: Scale) -> str:
    """For sentences: "σ₁ of the raw weights set to 1"."""
    return "σ₁ of the raw weights " + ("kept" if scale == "keep" else f"set to {1 if scale == 'unit' else scale:g}")


SMALLEST_NORM = 1e-30  # of W^T u: what an all-zero weight is divided by, without overflow


@torch.no_grad()
def scale_weights(weights: Sequence[Tensor], matrices: Sequence[Tensor], us: Sequence[Tensor], scale: Scale) -> None:
    """Divides raw weights by an estimate of sigma_1, `|W^T u| / |u|`, in place, so that it is the scale.

    Half a power step, which costs little beside those of a forward pass: no SVD, and no wait for a GPU. All-zero
    weights stay as they are; "keep" changes nothing. Takes weights `[out, in, ...]`, the same as matrices `[m, n]`, and
    estimates `[m]` of their leading left singular vectors, of any norm.
    """
    if scale == "keep" or not weights:
        return
    with without_autocast(weights[0].device):
        vs = [torch.mv(W.T, u) for W, u in zip(matrices, us, strict=True)]
    norms = torch._foreach_norm([*us, *vs])
    factors = norms[: len(us)]
    torch._foreach_div_(factors, torch._foreach_clamp_min(norms[len(us) :], SMALLEST_NORM))
    if not isinstance(scale, str):
        torch._foreach_mul_(factors, scale)
    torch._foreach_mul_(list(weights), factors)


PowerSteps = tuple[Tensor, Tensor, Tensor]
"""u, v and sigma_1 behind the power steps of one use of a weight."""

STEPS_IN_EVALUATION = 16  # PyTorch's own spectral norm takes 15 when it is attached


@dataclass(frozen=True)
class SpectralNormalization(Constraint):
    """SN: `W_SN = W / sigma_1` (Eq. 4) on every convolution, linear and embedding layer.

    Args:
        power_iterations: steps per use of a weight in training, at least 1; the authors take 1.
        scale: of the convolutions' raw weights after each discriminator update: sigma_1 = 1 ("unit"), this number, or
            what the optimizer makes of it ("keep", SN as it is known). D's outputs are the same; with sigma_1 = c a
            step of Adam turns a layer 1 / c as far as at unit scale.
    """

    power_iterations: int = 1
    scale: Scale = "keep"

    def __post_init__(self) -> None:
        check_power_iterations(self.power_iterations)
        check_scale(self.scale)

    @property
    def label(self) -> str:
        return "SN" + (f", {format_scale(self.scale)}" if self.has_post_step else "")

    @property
    def sentence(self) -> str:
        scale = f"; in convolutions {describe_scale(self.scale)}" if self.has_post_step else ""
        return f"spectral normalization: each discriminator weight divided by its σ₁{scale}"

    @property
    def has_post_step(self) -> bool:
        return self.scale != "keep"

    def parametrization(self, layer: nn.Module) -> RawWeight:
        check_normalizable(layer)
        return SpectralNorm(*raw_parts(layer), self.power_iterations)

    def after_update(
        self, discriminator: nn.Module, iteration: int, update: int, n_dis: int, ranks: ProcessGroup = SINGLE_PROCESS
    ) -> None:
        """Brings the convolutions to their scale; every rank computes the same."""
        if not self.has_post_step:
            return
        weights, matrices, us = [], [], []
        for layer in convolutions(discriminator).values():
            W, own = raw_weight(layer), constrained(layer)
            if own is not None:
                weights.append(W.detach())
                matrices.append(matricize(W.detach(), own.output_dim))
                us.append(own.u)
        scale_weights(weights, matrices, us, self.scale)


def check_power_iterations(power_iterations: int) -> None:
    if power_iterations < 1:
        raise ValueError(f"Expected power_iterations >= 1, found {power_iterations}.")


class SpectralNorm(RawWeight):
    """Eq. 4 with `power_iterations` steps at each use.

    In training mode each use of the weight stores the new u, as the authors' code does on each forward
    pass. In evaluation mode at least `STEPS_IN_EVALUATION` are taken and forgotten: sigma_1 is then right from a cold
    start, too, and looking never changes training.
    Departs from the authors' code: theirs takes one step in evaluation, and stores u for linear and embedding layers.
    """

    divides_by_sigma_1 = True

    def __init__(self, weight: Tensor, output_dim: int, groups: int, power_iterations: int) -> None:
        super().__init__(weight, output_dim, groups)
        self.power_iterations = power_iterations
        self.normalized: list[Tensor] = []  # of the uses to come, see `Together`

    def forward(self, weight: Tensor) -> Tensor:
        ready = once_per_forward(self, lambda: self.normalized.pop(0) if self.normalized else None)
        return super().forward(weight) if ready is None else ready

    def constrain(self, W: Tensor) -> Tensor:
        u, v, sigma_1 = once_per_forward(self, lambda: self.power_steps(W))
        if is_transformed(W):  # torch.func differentiates no autograd.Function that is as fast as ours
            return W / torch.dot(u, torch.mv(W, v))
        return spectral_normalize(W, u, v, sigma_1)

    def power_iteration(self, W: Tensor) -> PowerSteps:
        """The next u and v, and sigma_1 of them."""
        return power_iteration(W, self.u, self.steps)

    @property
    def steps(self) -> int:
        """Of the power iteration, at the next use."""
        return self.power_iterations if self.training else max(self.power_iterations, STEPS_IN_EVALUATION)

    @torch.no_grad()
    def power_steps(self, W: Tensor) -> PowerSteps:
        """u `[m]` and v `[n]`, new tensors: the backward pass still needs them when another use has moved u."""
        if is_transformed(W):
            with outside_transforms(W) as plain:
                return self._moved(self.power_iteration(plain))
        return self._moved(self.power_iteration(W.detach()))

    def _moved(self, steps: PowerSteps) -> PowerSteps:
        u, _, _ = steps
        if self.training and torch.compiler.is_compiling() and not torch.is_inference_mode_enabled():
            self.u = u  # compiled, the backward pass would read a buffer that the next use overwrites
        elif self.training and not is_recomputing():
            self.u.copy_(u)  # in place: a replica of DataParallel has the same storage, and is thrown away
        return steps


class GroupedSpectralNorm(SpectralNorm):
    """Eq. 4 for each block of a grouped convolution by itself: every block has sigma_1 = 1."""

    def constrain(self, W: Tensor) -> Tensor:
        u, v, _ = once_per_forward(self, lambda: self.power_steps(W))
        blocks = W.unflatten(0, (self.groups, -1))
        sigma_1 = torch.einsum("gm,gmn,gn->g", u.view(self.groups, -1), blocks, v)
        W_SN: Tensor = (blocks / sigma_1[:, None, None]).flatten(0, 1)
        return W_SN

    def power_iteration(self, W: Tensor) -> PowerSteps:
        """u `[m]` of the blocks behind one another, v `[groups, n]` and sigma_1 `[groups]`."""
        step = partial(power_iteration, steps=self.steps)
        u, v, sigma_1 = torch.vmap(step)(W.unflatten(0, (self.groups, -1)), self.u.view(self.groups, -1))
        return u.flatten(), v, sigma_1
