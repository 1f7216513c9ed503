"""Equalized learning rates in layers of people's own, told from layers that use their weight as it is."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as spectral_norm_by_hook

import srgan
from srgan.constraints.gains import run_time_gain

GAIN = 0.25


class OnInput(nn.Conv2d):
    """ProGAN's WSConv2d, whose gain is on the input."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x * GAIN, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class OnOutput(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.conv2d(x, self.weight, None, self.stride, self.padding, self.dilation, self.groups)
        assert self.bias is not None
        return y * GAIN + self.bias.view(1, -1, 1, 1)


class OnWeight(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y: Tensor = super()._conv_forward(x, weight * GAIN, bias)
        return y


class OnBothEnds(nn.Conv2d):
    """What one end takes the other gives back."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * GAIN) / GAIN


class Transposed(nn.ConvTranspose2d):
    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(x, self.weight * GAIN, self.bias, self.stride, 1)


class OnOutputOfLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight) * GAIN + self.bias


EQUALIZED: dict[str, Callable[[], nn.Module]] = {
    "input": lambda: OnInput(6, 8, 3, padding=1),
    "output": lambda: OnOutput(6, 8, 3, padding=1),
    "output, in half precision": lambda: OnOutput(6, 8, 3, padding=1, dtype=torch.bfloat16),
    "linear": lambda: OnOutputOfLinear(16, 1),
    "weight, inside of forward": lambda: OnWeight(6, 8, 3),
    "transposed": lambda: Transposed(6, 8, 4, 2, 1),
    "transposed, fewer outputs": lambda: Transposed(8, 3, 4, 2, 1),
    "large kernel": lambda: OnInput(3, 4, 11),
    "dilated": lambda: OnOutput(3, 4, 3, dilation=8),
    "dilated in one direction": lambda: OnWeight(3, 4, (3, 5), dilation=(1, 6)),
    "grouped": lambda: OnInput(8, 8, 3, groups=4),
}


@pytest.mark.parametrize("name", EQUALIZED)
def test_a_gain_is_noticed_wherever_it_is(name: str) -> None:
    torch.manual_seed(0)
    D = nn.Sequential(EQUALIZED[name]())
    assert run_time_gain(D[0]) == pytest.approx(GAIN, rel=0.02)
    with pytest.raises(ValueError, match=r"Layer '0': .* multiplies it by 0\.25"):
        srgan.regularize(D, "sn")


class Own(nn.Conv2d):
    """A forward pass of its own, that does what torch.nn's does."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Same(nn.Conv2d):
    """TensorFlow's padding, as timm's layers."""

    def forward(self, x: Tensor) -> Tensor:
        pads = []
        for size, k, s in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            whole = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [whole // 2, whole - whole // 2]
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride)


class After(nn.Conv2d):
    """With something behind the convolution."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__(6, 8, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(super().forward(x))


class Before(After):
    def forward(self, x: Tensor) -> Tensor:
        return nn.Conv2d.forward(self, self.function(x))


class OwnTransposed(nn.ConvTranspose2d):
    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return super().forward(x, output_size)


class LeakyHead(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(super().forward(x), 0.2)


class Residual(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


SOUND: dict[str, Callable[[], nn.Module]] = {
    "bias": lambda: Own(6, 8, 3),
    "no bias": lambda: Own(6, 8, 3, bias=False),
    "half precision": lambda: Own(6, 8, 3, dtype=torch.bfloat16),
    "stride": lambda: Own(6, 8, 4, 2, 1),
    "groups": lambda: Own(8, 8, 3, groups=8),
    "dilation": lambda: Own(3, 4, 3, dilation=8),
    "padding by name": lambda: Own(6, 8, 3, padding="same"),
    "zeros": lambda: Own(6, 8, 3, padding=2),
    "reflect": lambda: Own(6, 8, 3, padding=2, padding_mode="reflect"),
    "replicate": lambda: Own(6, 8, 3, padding=2, padding_mode="replicate"),
    "circular": lambda: Own(6, 8, 3, padding=2, padding_mode="circular"),
    "SAME": lambda: Same(6, 8, 4, 2),
    "transposed": lambda: OwnTransposed(6, 8, 4, 2, 1),
    "gains that cancel": lambda: OnBothEnds(6, 8, 3),
    "residual": lambda: Residual(6, 6, 3, padding=1),
    "leaky head": lambda: LeakyHead(16, 1),
    **{
        f"{side.__name__} {function.__name__}": partial(side, function)
        for side in (Before, After)
        for function in (F.relu, F.leaky_relu, F.gelu, torch.tanh, F.silu, F.instance_norm)
    },
    "constant padding": lambda: Before(lambda x: F.pad(x, (1, 1, 1, 1), value=5.0)),
    "pooled": lambda: After(lambda x: F.avg_pool2d(x, 2)),
    "pooled before": lambda: Before(lambda x: F.avg_pool2d(x, 3, 1, 1)),
    "noise": lambda: Before(lambda x: x + 0.1 * torch.randn_like(x)),
    "a rectifier that lets nothing through": lambda: After(lambda x: F.relu(x - 1e3)),
    "large bias": lambda: After(lambda x: x + 1e5),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_layer_raises_no_alarm(name: str) -> None:
    for seed in range(3):
        torch.manual_seed(seed)
        D = nn.Sequential(SOUND[name]())
        assert run_time_gain(D[0]) == pytest.approx(1, abs=0.01)
        assert list(srgan.regularize(D, "sn").layers) == ["0"]


@pytest.mark.parametrize("has_run", [False, True])
@pytest.mark.parametrize("norm", [spectral_norm_by_hook, parametrizations.spectral_norm])
def test_a_spectral_norm_of_pytorch_on_an_own_class_is_taken_over(
    norm: Callable[[nn.Module], nn.Module], has_run: bool
) -> None:
    """A hook computes `layer.weight` in the forward pass only."""
    torch.manual_seed(0)
    D = nn.Sequential(norm(Own(6, 8, 3)))
    with torch.no_grad():
        for parameter in D.parameters():
            parameter.mul_(5)
    if has_run:
        D(torch.randn(2, 6, 8, 8))
    assert list(srgan.regularize(D, "sn").layers) == ["0"]
    equalized = nn.Sequential(norm(OnInput(6, 8, 3)))
    if has_run:
        equalized(torch.randn(2, 6, 8, 8))
    with pytest.raises(ValueError, match=r"multiplies it by 0\.25"):
        srgan.regularize(equalized, "sn")
