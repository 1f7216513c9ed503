"""The residual pair against the architecture as it is written down: counts, initialization, forward passes."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, relu

from srgan.networks import ResNetDiscriminator, ResNetGenerator, ResNetPair
from srgan.networks.blocks import BatchNorm, ConvolutionAndPooling, EnlargementAndConvolution

SIZES = [8, 16, 32, 64]


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    """By name, after biases and batch norms have left their starting values, which hide mistakes."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return {name: parameter.detach() for name, parameter in network.named_parameters()}


def images(size: int) -> Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("ch", "latent_dim"), [(256, 128), (20, 24)])
def test_parameters_of_the_generator_for_32_x_32_images(ch: int, latent_dim: int) -> None:
    linear = latent_dim * 16 * ch + 16 * ch
    conv3x3 = 9 * ch * ch + ch
    batch_norm = 2 * ch
    shortcut = ch * ch + ch
    up_block = batch_norm + conv3x3 + batch_norm + conv3x3 + shortcut
    image = 9 * ch * 3 + 3
    assert parameter_count(ResNetGenerator(32, ch, latent_dim)) == linear + 3 * up_block + batch_norm + image


@pytest.mark.parametrize("ch", [128, 20])
def test_parameters_of_the_discriminator_for_32_x_32_images(ch: int) -> None:
    conv3x3 = 9 * ch * ch + ch
    first = (9 * 3 * ch + ch) + conv3x3 + (3 * ch + ch)
    second = 2 * conv3x3 + (ch * ch + ch)
    third = fourth = 2 * conv3x3
    linear_without_bias = ch
    assert parameter_count(ResNetDiscriminator(32, ch)) == first + second + third + fourth + linear_without_bias


def test_parameters_of_the_paper() -> None:
    generator, discriminator = ResNetPair().build()
    assert parameter_count(generator) == 4_276_739
    assert parameter_count(discriminator) == 1_053_824


@pytest.mark.parametrize(("size", "expected"), [(8, 10), (16, 10), (32, 10), (64, 13)])
def test_the_discriminator_has_10_convolutions_up_to_32_x_32_and_no_batch_norm(size: int, expected: int) -> None:
    layers = list(ResNetDiscriminator(size, 4).modules())
    assert sum(isinstance(layer, nn.Conv2d) for layer in layers) == expected
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers)


@pytest.mark.parametrize("size", SIZES)
def test_shapes_and_ranges(size: int) -> None:
    generator, discriminator = ResNetPair(size, generator_channels=4, discriminator_channels=5, latent_dim=6).build()
    fake = generator(torch.randn(3, 6))
    assert fake.shape == (3, 3, size, size)
    assert fake.abs().max() <= 1
    assert discriminator(fake).shape == (3,)
    assert discriminator.blocks(fake).shape == (3, 5, min(size // 4, 8), min(size // 4, 8))


def test_batch_norms_have_the_numbers_of_chainer() -> None:
    layers = [layer for layer in ResNetGenerator(32, 4).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [(layer.eps, layer.momentum) for layer in layers] == [(2e-5, 0.1)] * 7


@pytest.mark.parametrize("make", [ResNetGenerator, ResNetDiscriminator])
def test_initialization_is_glorot_uniform_with_the_gains_of_the_authors(make: Callable[[int, int], nn.Module]) -> None:
    torch.manual_seed(0)
    network = make(32, 24)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            gain = math.sqrt(2) if name.endswith((".conv1", ".conv2")) else 1
            outputs, inputs = layer.weight.shape[:2]
            bound = gain * math.sqrt(6 / ((inputs + outputs) * layer.weight[0, 0].numel()))
            assert layer.weight.abs().max() <= bound
            if layer.weight.numel() > 500:
                assert layer.weight.abs().max() > 0.98 * bound
                assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_that_of_pytorch_but_for_its_counter(training: bool) -> None:
    ours, theirs = BatchNorm(3).train(training), nn.BatchNorm2d(3, eps=2e-5).train(training)
    nn.init.uniform_(theirs.weight)
    ours.load_state_dict(theirs.state_dict())
    x = 1 + torch.randn(4, 3, 5, 5)
    assert torch.equal(ours(x), theirs(x))
    for name in ("running_mean", "running_var"):
        assert torch.equal(ours.get_buffer(name), theirs.get_buffer(name))
    assert ours.num_batches_tracked == 0
    theirs.load_state_dict(ours.state_dict())


@pytest.mark.parametrize("make", [ConvolutionAndPooling, EnlargementAndConvolution])
def test_a_convolution_with_a_change_of_resolution_is_one_convolution(make: type[nn.Conv2d]) -> None:
    """Value and gradients of the input, the 3x3 weight and the bias, at the images' borders too."""
    torch.manual_seed(0)
    layer = make(5, 7).double()  # type: ignore[call-arg]
    assert layer.weight.shape == (7, 5, 3, 3)
    assert layer.state_dict().keys() == {"weight", "bias"}
    x = torch.randn(2, 5, 8, 6, dtype=torch.float64, requires_grad=True)
    if make is ConvolutionAndPooling:
        expected = avg_pool2d(conv2d(x, layer.weight, layer.bias, padding=1), 2)
    else:
        expected = conv2d(interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)
    found = layer(x)
    torch.testing.assert_close(found, expected)
    assert layer.bias is not None
    direction, inputs = torch.randn_like(expected), (x, layer.weight, layer.bias)
    gradients = [torch.autograd.grad(value, inputs, direction) for value in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_the_discriminator_computes_what_figure_13_draws() -> None:
    discriminator = ResNetDiscriminator(16, 5)
    p = parameters_of(discriminator)

    def conv(name: str, h: Tensor) -> Tensor:
        weight = p[f"blocks.{name}.weight"]
        return conv2d(h, weight, p[f"blocks.{name}.bias"], padding=weight.shape[-1] // 2)

    x = images(16)
    h = avg_pool2d(conv("0.conv2", relu(conv("0.conv1", x))), 2) + conv("0.shortcut", avg_pool2d(x, 2))
    h = avg_pool2d(conv("1.conv2", relu(conv("1.conv1", relu(h)))), 2) + avg_pool2d(conv("1.shortcut", h), 2)
    for block in (2, 3):
        h = conv(f"{block}.conv2", relu(conv(f"{block}.conv1", relu(h)))) + h
    score = relu(h).sum((2, 3)) @ p["linear.weight"][0]
    torch.testing.assert_close(discriminator(x), score, rtol=1e-5, atol=1e-5)


def test_the_generator_computes_what_figure_13_draws() -> None:
    generator = ResNetGenerator(16, 5, latent_dim=6)
    p = parameters_of(generator)

    def conv(name: str, h: Tensor) -> Tensor:
        weight = p[f"{name}.weight"]
        return conv2d(h, weight, p[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def batch_norm(name: str, h: Tensor) -> Tensor:
        mean, variance = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = p[f"{name}.weight"][:, None, None], p[f"{name}.bias"][:, None, None]
        return (h - mean) / (variance + 2e-5).sqrt() * scale + shift

    def twice_as_large(h: Tensor) -> Tensor:
        return h.repeat_interleave(2, 2).repeat_interleave(2, 3)

    z = torch.randn(4, 6)
    x = first = (z @ p["linear.weight"].T + p["linear.bias"]).view(4, 5, 4, 4)
    for block in ("blocks.0", "blocks.1"):
        h = conv(f"{block}.conv1", twice_as_large(relu(batch_norm(f"{block}.bn1.bn", x))))
        h = conv(f"{block}.conv2", relu(batch_norm(f"{block}.bn2.bn", h)))
        x = h + conv(f"{block}.shortcut", twice_as_large(x))
    expected = conv("conv", relu(batch_norm("bn", x))).tanh()
    torch.testing.assert_close(generator(z), expected, rtol=1e-4, atol=1e-5)
    statistics = generator.get_submodule("blocks.0.bn1.bn")
    torch.testing.assert_close(statistics.running_mean, 0.1 * first.mean((0, 2, 3)))
    torch.testing.assert_close(statistics.running_var, 0.9 + 0.1 * first.var((0, 2, 3), correction=1))


def test_pooling_is_a_sum() -> None:
    """Of a network whose kernels see single pixels, four copies of an image score four times the image."""
    discriminator = ResNetDiscriminator(8, 5)
    for name, parameter in parameters_of(discriminator).items():
        if ".conv" in name and parameter.ndim == 4:
            parameter *= torch.tensor([0.0, 1.0, 0.0]).outer(torch.tensor([0.0, 1.0, 0.0]))
    x = images(8)
    torch.testing.assert_close(discriminator(x.repeat(1, 1, 2, 2)), 4 * discriminator(x))


@pytest.mark.parametrize("size", [-8, 0, 1, 4, 12, 24, 33, 48])
def test_image_sizes_other_than_8_times_a_power_of_2_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"8 x 2\\^k .*, found {size}"):
        ResNetPair(image_size=size)


def test_networks_are_built_from_the_global_random_state() -> None:
    def weights(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        pair = ResNetPair(8, 4, 4, 4).build()
        return [parameter for network in pair for parameter in network.parameters() if parameter.ndim > 1]

    assert all(torch.equal(a, b) for a, b in zip(weights(0), weights(0), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(weights(0), weights(1), strict=True))


@pytest.mark.parametrize("image_size", [0, 4, 12, 24, 33])
def test_networks_built_by_hand_refuse_the_same_sizes(image_size: int) -> None:
    for network in (ResNetGenerator, ResNetDiscriminator):
        with pytest.raises(ValueError, match=r"8 x 2\^k"):
            network(image_size, 4)
