"""Gains at run time: the factor by which a layer of a third-party class multiplies its weight, input or output."""

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn

from srgan.constraints.layers import check_divisible, num_groups, output_dim, raw_weight
from srgan.utils.torch_internals import TorchDispatchMode

_WEIGHT_OF = {"convolution": 1, "linear": 1, "mm": 1, "bmm": 1, "addmm": 2, "baddbmm": 2}
"""Products of PyTorch -> which argument is the weight. The input is the one before it."""


Product = tuple[Tensor, Tensor, Tensor]
"""Input, weight and output of one."""


def check_normalizable(layer: nn.Module) -> None:
    """Refuses a weight that a norm cannot divide, or that is multiplied by a gain, as by an equalized learning rate.

    The norm would hold the parameter at 1, but the layer at the gain: with 1 / sqrt(fan-in) in each layer nothing of
    the input reaches the score. ValueError as of `check_divisible`, or if one probe of the layer shows a gain.
    """
    check_divisible(layer)
    gain = run_time_gain(layer)
    tolerance = max(0.01, 8 * torch.finfo(raw_weight(layer).dtype).eps)
    if gain is not None and abs(gain - 1) > tolerance:
        raise ValueError(
            f"expected a layer that uses its weight as it is, found one that multiplies it by {gain:.3g} in its "
            "forward pass (an equalized learning rate? on weight, input or output), which would then be the norm in "
            "use, not 1. Set that gain to 1 before this call."
        )


def run_time_gain(layer: nn.Module) -> float | None:
    """The factor between `layer.weight` and the weight in effect, from one probe; None if the probe shows nothing.

    It is 1 for a forward pass of torch.nn or of this package. Of another layer a copy is called, and the matrix product
    found that takes a multiple of the layer's weight. Operations on its input and output count if they multiply by one
    number, and as 1 otherwise.
    """
    methods = [getattr(type(layer), name, None) for name in ("forward", "_conv_forward")]
    if all(method is None or method.__module__.startswith(("torch.nn.", "srgan.")) for method in methods):
        return 1.0
    W = raw_weight(layer)
    for channels in dict.fromkeys([W.shape[0]] if output_dim(layer) else [W.shape[1] * num_groups(layer), W.shape[0]]):
        with torch.no_grad(), torch.random.fork_rng([W.device] if W.device.type == "cuda" else []):
            try:
                # Tensors that a hook has computed lose their graphs, which deepcopy does not take.
                computed = {id(own): own.detach().clone() for own in vars(layer).values() if isinstance(own, Tensor)}
                x, probe = _images(layer, channels), copy.deepcopy(layer, computed).eval()
                with _SeenProducts(W.numel()) as seen:
                    y = probe(x)
                expected = _sizes(cast(Tensor, probe.weight))  # after the call: a hook may only then have computed it
            except Exception:  # third-party code, whose inputs we only guess
                continue
            gain = _gain_of(seen.products, expected, y)
        if gain is not None:
            return gain
    return None


def _images(layer: nn.Module, channels: int) -> Tensor:
    """Ones `[4, channels, ...]`, at least of the kernel's size, times 1, -1, 2 and -2.

    f(2 x) - f(x) cancels biases, and a function that is not odd is no multiplication.
    """
    W, dilation = raw_weight(layer), getattr(layer, "dilation", 1)
    dilations = dilation if isinstance(dilation, tuple) else (dilation,) * (W.dim() - 2)
    sizes = [max(9, d * (k - 1) + 1) for d, k in zip(dilations, W.shape[2:], strict=True)]
    factors = torch.tensor([1, -1, 2, -2], device=W.device, dtype=W.dtype)
    return factors.view(4, *[1] * (1 + len(sizes))).expand(4, channels, *sizes).clone()


def _gain_of(products: list[Product], expected: Tensor, y: object) -> float | None:
    """The gain of the first product whose weight is a multiple of the expected one, by sorted absolute values."""
    for x, weight, output in products:
        sizes = _sizes(weight)
        gain = float(sizes.norm() / expected.norm())
        if torch.allclose(sizes, gain * expected, rtol=0.02, atol=1e-6 * float(sizes.amax())):
            return gain * _gain_before(x) * _gain_after(output, y)
    return None


def _gain_before(x: Tensor) -> float:
    """The factor on the ones of `_images` in the input of a product, which may be padded with zeros."""
    if x.numel() % 4:
        return 1.0
    first, negative, double, _ = x.detach().double().reshape(4, -1)
    size = float(first.abs().amax())
    ones = first.abs()[first != 0]
    linear = all(torch.allclose(a, b, rtol=0.02) for a, b in ((negative, -first), (double, 2 * first)))
    return size if linear and size > 0 and bool((ones > 0.98 * size).all()) else 1.0


def _gain_after(product: Tensor, y: object) -> float:
    """The factor on the output of a product; biases aside."""
    if not isinstance(y, Tensor) or y.numel() != product.numel() or y.numel() % 4:
        return 1.0
    before, after = (values.detach().double().reshape(4, -1) for values in (product, y))
    linear, result = (values[2:] - values[:2] for values in (before, after))
    rounding = [torch.finfo(product.dtype).eps * float(values.abs().amax()) for values in (before, after)]
    if any(float(values.abs().amax()) <= 16 * r for values, r in zip((linear, result), rounding, strict=True)):
        return 1.0
    gain = float(result.norm() / linear.norm())
    signed = gain if float((linear * result).sum()) > 0 else -gain
    tolerance = 4 * (gain * rounding[0] + rounding[1])
    return gain if torch.allclose(result, signed * linear, rtol=0.02, atol=tolerance) else 1.0


def _sizes(weight: Tensor) -> Tensor:
    return weight.detach().double().abs().flatten().sort().values


class _SeenProducts(TorchDispatchMode):
    """Records the products within its context whose weight has `size` entries."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.products: list[Product] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        position = _WEIGHT_OF.get(func.overloadpacket.__name__)
        if position is not None and args[position].numel() == self.size:
            self.products.append((args[position - 1].clone(), args[position].clone(), output.clone()))
        return output
