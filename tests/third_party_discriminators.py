"""Small discriminators in the manner of what people use, each with an input for it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.nn.utils import spectral_norm as spectral_norm_by_hook

Inputs = tuple[Any, ...]


class Called(nn.Module):
    """A module from a list of layers and a function of them."""

    def __init__(self, forward: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        return self._forward(self, *inputs, **named)


def conv(inputs: int, outputs: int, kernel: int = 3, **settings: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **settings)


def act() -> nn.Module:
    return nn.LeakyReLU(0.2)


def head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1))


def dcgan() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 2, 1, bias=False),
        act(),
        nn.Conv2d(8, 12, 4, 2, 1, bias=False),
        nn.BatchNorm2d(12),
        act(),
        nn.Conv2d(12, 1, 2, bias=False),
        nn.Flatten(),
    )


def resnet() -> nn.Module:
    def block(m: Any, x: Tensor) -> Tensor:
        return F.avg_pool2d(m.shortcut(x) + m.second(F.relu(m.first(F.relu(x)))), 2)

    return nn.Sequential(
        conv(3, 6), Called(block, first=conv(6, 8), second=conv(8, 8), shortcut=conv(6, 8, 1)), nn.ReLU(), head(8)
    )


def self_attention() -> nn.Module:
    def attend(m: Any, x: Tensor) -> Tensor:
        query, key, value = (f(x).flatten(2) for f in (m.query, m.key, m.value))
        attention = (query.transpose(1, 2) @ key).softmax(-1)
        out: Tensor = x + (value @ attention.transpose(1, 2)).view_as(x)
        return out

    return nn.Sequential(
        conv(3, 8), act(), Called(attend, query=conv(8, 2, 1), key=conv(8, 2, 1), value=conv(8, 8, 1)), head(8)
    )


def projection(norm: Callable[[nn.Module], nn.Module] = lambda layer: layer) -> nn.Module:
    def score(m: Any, x: Tensor, y: Tensor) -> Tensor:
        features = F.relu(m.second(F.relu(m.first(x)))).sum(dim=(2, 3))
        return m.linear(features).squeeze(1) + (m.embedding(y) * features).sum(1)  # type: ignore[no-any-return]

    return Called(
        score,
        first=norm(conv(3, 6)),
        second=norm(conv(6, 8)),
        linear=norm(nn.Linear(8, 1)),
        embedding=norm(nn.Embedding(5, 8)),
    )


def patch() -> nn.Module:
    return nn.Sequential(
        conv(3, 6, 3, stride=2), act(), conv(6, 8, 3, stride=2), nn.InstanceNorm2d(8, affine=True), act(), conv(8, 1)
    )


def multi_scale() -> nn.Module:
    def scales(m: Any, x: Tensor) -> Tensor:
        return torch.cat([D(F.avg_pool2d(x, 2**k)).flatten(1) for k, D in enumerate(m.scales)], dim=1)

    one = [nn.Sequential(conv(3, 6), act(), conv(6, 1)) for _ in range(2)]
    return Called(scales, scales=nn.ModuleList(one))


class EqualConv(nn.Module):
    """StyleGAN's convolution, whose learning rate is equalized at run time by a gain of 1 / sqrt(fan-in)."""

    def __init__(self, inputs: int, outputs: int, equalized: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.gain = (9 * inputs) ** -0.5 if equalized else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.gain, padding=1)


class EqualLinear(nn.Module):
    """The same for a linear layer."""

    def __init__(self, inputs: int, outputs: int, equalized: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.gain = inputs**-0.5 if equalized else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain)


def style(equalized: bool = False) -> nn.Module:
    first, second = EqualConv(3, 6, equalized), EqualConv(6, 8, equalized)
    last = EqualLinear(8, 1, equalized)
    return nn.Sequential(first, act(), second, act(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def transformer() -> nn.Module:
    def score(m: Any, x: Tensor) -> Tensor:
        tokens = m.patches(x).flatten(2).transpose(1, 2)
        scores: Tensor = m.head(m.encoder(tokens).mean(1))
        return scores

    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return Called(score, patches=nn.Conv2d(3, 8, 4, 4), encoder=encoder, head=nn.Linear(8, 1))


def waveform() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 6, 5, 2), act(), nn.Conv1d(6, 8, 5, 2), act(), nn.Conv1d(8, 1, 3))


def video() -> nn.Module:
    return nn.Sequential(nn.Conv3d(3, 4, 3), act(), nn.Conv3d(4, 6, 2), nn.AdaptiveAvgPool3d(1), nn.Flatten())


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 16), act(), nn.Linear(16, 8), act(), nn.Linear(8, 1))


def u_net() -> nn.Module:
    def score(m: Any, x: Tensor) -> Tensor:
        low = F.relu(m.down(x))
        up = m.up(F.relu(m.middle(low)))
        out: Tensor = m.out(torch.cat([up, x], dim=1))
        return out

    up = nn.ConvTranspose2d(8, 4, 4, 2, 1)
    return Called(score, down=conv(3, 6, 3, stride=2), middle=conv(6, 8), up=up, out=conv(7, 1, 1))


def depthwise() -> nn.Module:
    return nn.Sequential(conv(3, 8), act(), conv(8, 8, groups=8), conv(8, 10, 1), act(), head(10))


def shared() -> nn.Module:
    def score(m: Any, x: Tensor) -> Tensor:
        x = m.first(x)
        out: Tensor = m.head(m.again(F.relu(m.again(x))))
        return out

    return Called(score, first=conv(3, 6), again=conv(6, 6), head=head(6))


def lazy() -> nn.Module:
    D = nn.Sequential(nn.LazyConv2d(6, 3), act(), nn.LazyConv2d(8, 3), nn.Flatten(), nn.LazyLinear(1))
    D(torch.zeros(1, 3, 8, 8))
    return D


def containers() -> nn.Module:
    def score(m: Any, x: Tensor) -> Tensor:
        for layer in m.blocks:
            x = F.relu(layer(x))
        out: Tensor = m.heads["score"](x)
        return out

    return Called(score, blocks=nn.ModuleList([conv(3, 6), conv(6, 6)]), heads=nn.ModuleDict({"score": head(6)}))


def frozen() -> nn.Module:
    D = nn.Sequential(conv(3, 6), act(), conv(6, 8), head(8))
    D[0].requires_grad_(False)
    return D


def with_keywords() -> nn.Module:
    def score(m: Any, x: Tensor, *, labels: Tensor | None = None, scale: float = 1.0) -> Tensor:
        scores: Tensor = m.body(x).squeeze(1) * scale
        return scores if labels is None else scores + m.classes(labels).squeeze(1)

    return Called(score, body=nn.Sequential(conv(3, 6), act(), head(6)), classes=nn.Embedding(5, 1))


def compiled() -> nn.Module:
    D: nn.Module = torch.compile(nn.Sequential(conv(3, 6), act(), conv(6, 8), head(8)), backend="eager")  # type: ignore[assignment]
    return D


def weight_normed() -> nn.Module:
    return nn.Sequential(conv(3, 6), act(), parametrizations.weight_norm(conv(6, 8)), head(8))


def big(norm: Callable[[nn.Module], nn.Module]) -> nn.Module:
    return nn.Sequential(
        norm(conv(3, 6)), nn.ReLU(), norm(conv(6, 8)), nn.ReLU(), nn.Flatten(), norm(nn.Linear(512, 1))
    )


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


RGB = images(4, 3, 8, 8)
LABELS = torch.tensor([0, 1, 2, 3])
THIRD_PARTY: dict[str, tuple[Callable[[], nn.Module], Inputs]] = {
    "DCGAN": (dcgan, (RGB,)),
    "SN-GAN's residual net": (resnet, (RGB,)),
    "self-attention": (self_attention, (RGB,)),
    "BigGAN's with a norm by hook": (lambda: projection(spectral_norm_by_hook), (RGB, LABELS)),
    "under parametrized spectral norm": (lambda: big(parametrizations.spectral_norm), (RGB,)),
    "under spectral norm by hook": (lambda: big(spectral_norm_by_hook), (RGB,)),
    "projection": (projection, (RGB, LABELS)),
    "patches with instance norm": (patch, (RGB,)),
    "multi-scale": (multi_scale, (RGB,)),
    "StyleGAN's layers": (style, (RGB,)),
    "patch transformer": (transformer, (RGB,)),
    "waveform": (waveform, (images(4, 1, 32),)),
    "video": (video, (images(4, 3, 4, 6, 6),)),
    "MLP": (mlp, (images(4, 12),)),
    "U-Net": (u_net, (RGB,)),
    "depthwise": (depthwise, (RGB,)),
    "a weight norm on one layer": (weight_normed, (RGB,)),
    "data parallel": (lambda: nn.DataParallel(resnet()), (RGB,)),
    "compiled": (compiled, (RGB,)),
    "a layer used twice": (shared, (RGB,)),
    "lazy": (lazy, (RGB,)),
    "containers": (containers, (RGB,)),
    "frozen first layer": (frozen, (RGB,)),
    "bfloat16": (lambda: patch().to(torch.bfloat16), (RGB.to(torch.bfloat16),)),
    "nested": (lambda: nn.Sequential(nn.Sequential(nn.Sequential(conv(3, 6), act()), conv(6, 6)), head(6)), (RGB,)),
    "keywords": (with_keywords, (RGB,)),
}
"""By name: how to make it, and what it is called with."""
