"""What turns the raw weight W of a layer into the weight of its forward pass.

Every constraint attaches one of these to every layer, with the same two buffers under the same names, so
that a checkpoint written under one constraint loads under any other:

- `parametrizations.weight.original`: W, raw, in the layer's own shape;
- `parametrizations.weight.0.u [out]`: the power iteration's left vector;
- `parametrizations.weight.0.recorded_ratios [N]`: SR-d's r_k, zero where nothing was recorded.
"""

from functools import partial

import torch
from torch import Tensor, nn

from srgan.spectral import (
    compensated_rank,
    dynamic_map,
    matricize,
    power_iteration,
    spectral_normalize,
    spectrally_regularize,
    static_map,
)


class RawWeight(nn.Module):
    """No constraint: the forward pass uses W itself.

    Args:
        weight: the layer's weight, for shapes, device and dtype.
        output_dim: the dimension that counts output channels.
    """

    u: Tensor
    recorded_ratios: Tensor

    def __init__(self, weight: Tensor, output_dim: int) -> None:
        super().__init__()
        self.output_dim = output_dim
        m, n = matricize(weight, output_dim).shape
        # The authors' u starts as N(0, 1), not normalized and not warmed up.
        self.register_buffer("u", torch.randn(m).to(weight))
        self.register_buffer("recorded_ratios", torch.zeros(min(m, n)).to(weight))

    def forward(self, weight: Tensor) -> Tensor:
        """`[out, in, ...]` raw -> `[out, in, ...]` as the layer uses it."""
        with torch.autocast(weight.device.type, enabled=False):
            W = matricize(weight, self.output_dim)
            shape = weight.transpose(0, self.output_dim).shape
            return self.constrain(W).view(shape).transpose(0, self.output_dim)

    def constrain(self, W: Tensor) -> Tensor:
        """`W [out, in * k * k]` -> the constrained matrix of the same shape."""
        return W


class SpectralNorm(RawWeight):
    """Eq. 4: W / sigma_1, with `power_iterations` steps at each use.

    In training mode each use of the weight stores the new u, as the authors' code does on each forward
    pass. In evaluation mode the steps are taken and forgotten, so that looking never changes training.
    Departs from the authors' code: theirs stores u for linear and embedding layers in evaluation too.
    """

    def __init__(self, weight: Tensor, output_dim: int, power_iterations: int) -> None:
        super().__init__(weight, output_dim)
        self.power_iterations = power_iterations

    def constrain(self, W: Tensor) -> Tensor:
        with torch.no_grad():
            u, v = power_iteration(W, self.u, self.power_iterations)
            if self.training:
                self.u = u  # a new tensor: the backward pass still needs the values of this forward pass
        return spectral_normalize(W, u, v)


class StaticSpectralRegularization(RawWeight):
    """Eq. 10, static compensation, in the forward pass with the gradient of Eq. 11."""

    def __init__(self, weight: Tensor, output_dim: int, compensated_fraction: float) -> None:
        super().__init__(weight, output_dim)
        self.compensated_fraction = compensated_fraction

    def constrain(self, W: Tensor) -> Tensor:
        i = compensated_rank(min(W.shape), self.compensated_fraction)
        return spectrally_regularize(W, partial(static_map, i=i))


class DynamicSpectralRegularization(RawWeight):
    """Eq. 10, dynamic compensation, in the forward pass with the gradient of Eq. 11.

    Reads the recorded ratios and never writes them: recording belongs to the constraint, after an update.
    """

    def constrain(self, W: Tensor) -> Tensor:
        return spectrally_regularize(W, partial(dynamic_map, r=self.recorded_ratios))
