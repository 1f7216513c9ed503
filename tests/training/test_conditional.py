"""Conditional nets and the 128 x 128 pair: counts, layers, class tables, projection, training on labels."""

from itertools import pairwise
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from srgan.constraints import SpectralRegularization, spectral_layers
from srgan.data import DigitsData
from srgan.networks import ResNetDiscriminator, ResNetGenerator, ResNetPair
from srgan.networks.blocks import ConditionalBatchNorm
from srgan.networks.sampling import generate
from srgan.training.module import AdversarialTraining, optimizer_steps

CLASSES = 7


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs: int, outputs: int, kernel_size: int) -> int:
    return kernel_size**2 * inputs * outputs + outputs


# Parameters, derived from the architecture of Section 3.


@pytest.mark.parametrize(("ch", "classes"), [(64, 1000), (3, CLASSES)])
def test_parameters_of_the_128_x_128_generator(ch: int, classes: int) -> None:
    widths = [16 * ch, 16 * ch, 8 * ch, 4 * ch, 2 * ch, ch]
    expected = 128 * 16 * widths[0] + 16 * widths[0]  # linear
    for inputs, outputs in pairwise(widths):
        expected += 2 * classes * inputs + 2 * classes * outputs  # scale and shift of each class, twice
        expected += convolution(inputs, outputs, 3) + convolution(outputs, outputs, 3) + convolution(inputs, outputs, 1)
    expected += 2 * ch + convolution(ch, 3, 3)
    assert parameter_count(ResNetPair(128, ch, 1, 128, classes, "pyramid").build()[0]) == expected


@pytest.mark.parametrize(("ch", "classes"), [(64, 1000), (3, CLASSES)])
def test_parameters_of_the_128_x_128_discriminator(ch: int, classes: int) -> None:
    expected = convolution(3, ch, 3) + convolution(ch, ch, 3) + convolution(3, ch, 1)
    for inputs, outputs in ((ch, 2 * ch), (2 * ch, 4 * ch), (4 * ch, 8 * ch), (8 * ch, 16 * ch)):
        expected += convolution(inputs, inputs, 3) + convolution(inputs, outputs, 3) + convolution(inputs, outputs, 1)
    expected += 2 * convolution(16 * ch, 16 * ch, 3)
    expected += 16 * ch + 1 + classes * 16 * ch  # linear with bias, embedding
    assert parameter_count(ResNetPair(128, 1, ch, 128, classes, "pyramid").build()[1]) == expected


def test_parameters_of_the_paper() -> None:
    generator, discriminator = ResNetPair(128, 64, 64, 128, 1000, "pyramid").build()
    assert parameter_count(generator) == 41_996_931
    assert parameter_count(discriminator) == 30_041_857


def test_conditional_32_x_32_nets_add_class_tables_and_an_embedding_to_the_unconditional_ones() -> None:
    plain, conditional = ResNetPair(32, 8, 6).build(), ResNetPair(32, 8, 6, num_classes=10).build()
    batch_norms_in_blocks = 6
    assert parameter_count(conditional[0]) - parameter_count(plain[0]) == batch_norms_in_blocks * 2 * 8 * (10 - 1)
    assert parameter_count(conditional[1]) - parameter_count(plain[1]) == 10 * 6
    assert conditional[1].linear.bias is None


@pytest.mark.parametrize(("size", "expected"), [(128, 17), (64, 14), (32, 11)])
def test_the_128_x_128_discriminator_has_17_convolutions(size: int, expected: int) -> None:
    layers = list(ResNetDiscriminator(size, 1, CLASSES, "pyramid").modules())
    assert sum(isinstance(layer, nn.Conv2d) for layer in layers) == expected
    assert not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in layers)


# What they compute.


def test_class_conditional_batch_norm_scales_and_shifts_by_class() -> None:
    layer = ConditionalBatchNorm(4, CLASSES)
    assert torch.equal(layer.bn.get_buffer("running_var"), torch.zeros(4))
    assert (layer.gamma.unique().item(), layer.beta.unique().item()) == (1, 0)
    with torch.no_grad():
        layer.gamma.normal_()
        layer.beta.normal_()
    x, labels = 3 * torch.randn(5, 4, 6, 6) + 1, torch.tensor([0, 6, 3, 3, 1])
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    expected = (x - mean) / (variance + 2e-5).sqrt()
    expected = expected * layer.gamma[labels][:, :, None, None] + layer.beta[labels][:, :, None, None]
    torch.testing.assert_close(layer(x, labels), expected)
    torch.testing.assert_close(layer.bn.running_mean, 0.1 * x.mean((0, 2, 3)))
    assert ConditionalBatchNorm(4, 0).bn.get_buffer("running_var").eq(1).all()


def test_the_score_is_linear_plus_projection() -> None:
    discriminator = ResNetDiscriminator(16, 3, CLASSES, "pyramid").eval()
    x, labels = torch.randn(4, 3, 16, 16), torch.tensor([0, 6, 3, 3])
    features = relu(discriminator.blocks(x)).sum((2, 3))
    weight, bias = discriminator.linear.weight[0], discriminator.linear.bias
    expected = features @ weight + bias + (discriminator.embedding.weight[labels] * features).sum(1)
    torch.testing.assert_close(discriminator(x, labels), expected)


def test_the_last_batch_norm_of_the_generator_is_a_plain_one() -> None:
    generator = ResNetGenerator(16, 2, 8, CLASSES, "pyramid")
    assert isinstance(generator.bn, nn.BatchNorm2d)
    assert sum(isinstance(layer, ConditionalBatchNorm) for layer in generator.modules()) == 2 * len(generator.blocks)


def test_a_conditional_net_needs_one_label_for_each_example() -> None:
    generator, discriminator = ResNetPair(8, 2, 2, 4, CLASSES).build()
    for labels in (None, torch.tensor([1])):
        with pytest.raises(ValueError, match="a label for each of 2 examples"):
            generator(torch.randn(2, 4), labels)
        with pytest.raises(ValueError, match="a label for each of 2 examples"):
            discriminator(torch.randn(2, 3, 8, 8), labels)


def test_classes_decide_what_is_generated_and_labels_are_uniform() -> None:
    generator = ResNetGenerator(8, 4, 4, CLASSES)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("gamma"):
                parameter.normal_()
    (images, labels), (others, _), (again, chosen) = (
        next(generate(generator, range(40), seed=1, purpose="test", statistics="batch", label=label))
        for label in (None, 3, None)
    )
    assert torch.equal(images, again)
    assert not torch.equal(images, others)
    assert set(labels.tolist()) == set(range(CLASSES))
    assert torch.equal(labels, chosen)
    _, tail = next(generate(generator, range(30, 40), seed=1, purpose="test"))
    assert torch.equal(tail, labels[30:])


# Constraints and training.


def test_spectral_normalization_takes_head_and_embedding_and_sr_only_the_convolutions() -> None:
    discriminator = ResNetDiscriminator(16, 2, CLASSES, "pyramid")
    SpectralRegularization().attach(discriminator)
    layers = dict(spectral_layers(discriminator))
    assert {"linear", "embedding"} < layers.keys()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    SpectralRegularization().after_update(discriminator, 0, 0, 1)
    changed = {n for n, value in discriminator.state_dict().items() if not torch.equal(value, before[n])}
    assert any(name.startswith("blocks") for name in changed)
    assert not any(name.startswith(("linear", "embedding")) for name in changed)


def conditional(**settings: Any) -> AdversarialTraining:
    pair = ResNetPair(8, 2, 2, 4, 1000, "pyramid")
    return AdversarialTraining(pair, SpectralRegularization(), iterations=2, n_dis=1, seed=3, **settings)


def fit(module: AdversarialTraining, **data: Any) -> None:
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=optimizer_steps(2, 1), max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=DigitsData(8, 6, 1, 3, **data))


@pytest.mark.parametrize("side_by_side", [True, False])
def test_training_shows_real_images_with_their_labels_and_generated_ones_with_their_classes(side_by_side: bool) -> None:
    seen: list[tuple[int, Tensor]] = []

    def see(_: Any, inputs: tuple[Tensor, Tensor]) -> None:
        images, labels = inputs[0].unflatten(1, (-1, 3)), inputs[1].view(len(inputs[0]), -1)
        seen.extend((len(x), y) for x, y in zip(images.unbind(1), labels.unbind(1), strict=True))

    module = conditional(channels_last=side_by_side)
    module.discriminator.register_forward_pre_hook(see)
    fit(module)
    assert [count for count, _ in seen] == [6, 6, 12] * 2  # real, generated, the generator's update
    assert torch.equal(seen[0][1], DigitsData(8, 6, 1, 3).batch(0).labels[0])
    assert all(labels.min() >= 0 and labels.max() < 1000 for _, labels in seen)
    assert len(torch.cat([labels for _, labels in seen]).unique()) > 30


def test_the_generator_is_normalized_on_request_but_for_its_class_tables() -> None:
    module = conditional(normalize_generator=True)
    layers = dict(spectral_layers(module.generator))
    assert len(layers) == 1 + 3 * len(list(module.generator.get_submodule("blocks").children())) + 1
    assert all(hasattr(layer, "parametrizations") for layer in layers.values())
    fit(module)
    for layer in layers.values():
        weight = layer.eval().weight
        assert isinstance(weight, Tensor)
        assert torch.linalg.matrix_norm(weight.flatten(1), 2) < 1.5
    assert not any(hasattr(layer, "parametrizations") for _, layer in spectral_layers(conditional().generator))


def test_a_number_of_classes_that_the_data_does_not_have_is_refused() -> None:
    module = AdversarialTraining(ResNetPair(8, 2, 2, 4, num_classes=10), iterations=1, n_dis=1)
    with pytest.raises(ValueError, match=r"num_classes 0 \(unconditional\) or 1000"):
        fit(module)
