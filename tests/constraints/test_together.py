"""SN of all layers at once against SN layer by layer."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from discriminators import IMAGES, small_discriminator
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import srgan
from srgan.constraints import METHODS, SpectralNormalization, raw_weight, spectral_layers
from srgan.constraints.together import LARGEST_ON_CPU, LARGEST_PADDING, Together, passes_are_alike
from srgan.networks import DCGANPair, ResNetDiscriminator, ResNetPair

NETS: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...], tuple[Tensor, ...]]]] = {
    "constant": lambda: (small_discriminator(), (IMAGES,), (IMAGES.flip(0),)),
    "conditional pyramid": lambda: (
        ResNetDiscriminator(16, channels=3, num_classes=5, widths="pyramid"),
        (torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 4])),
        (torch.randn(4, 3, 16, 16), torch.tensor([3, 3, 0, 1])),
    ),
    "transposed convolutions": lambda: (DCGANPair(16, 4, 4).build()[0], (torch.randn(4, 100),), (torch.randn(4, 100),)),
}


def under_sn(net: str) -> tuple[nn.Module, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A net in float64 and in training mode, and the inputs of two passes."""
    torch.manual_seed(0)
    module, *inputs = NETS[net]()
    SpectralNormalization().attach(module)
    first, second = (tuple(x.double() if x.is_floating_point() else x for x in one) for one in inputs)
    return module.double(), first, second


def gradients(outputs: tuple[Tensor, ...], module: nn.Module) -> dict[str, Tensor]:
    sum((k + 1) * output.square().sum() for k, output in enumerate(outputs)).backward()  # type: ignore[union-attr]
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}


def assert_same(ours: nn.Module, theirs: nn.Module, found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    """Outputs, gradients and power vectors."""
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    wanted = gradients(expected, theirs)
    assert wanted
    for name, gradient in gradients(found, ours).items():
        torch.testing.assert_close(gradient, wanted[name], msg=name)
    for (name, u), other in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(u, other, msg=name)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("passes", [1, 2])
def test_passes_use_the_weights_that_each_layer_would_make_by_itself(net: str, passes: int) -> None:
    """A third pass, of which nobody was told, goes on from the same u."""
    module, first, second = under_sn(net)
    twin = copy.deepcopy(module)
    with Together(module).normalized(passes) as side_by_side:
        found = (module(*first), module(*second))
    assert not side_by_side
    assert_same(module, twin, (*found, module(*first)), (twin(*first), twin(*second), twin(*first)))


@pytest.mark.parametrize("net", ["constant", "conditional pyramid"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_two_batches_side_by_side_are_two_passes(net: str, memory_format: torch.memory_format) -> None:
    module, (real, *y_real), (fake, *y_fake) = under_sn(net)
    assert isinstance(module, ResNetDiscriminator)
    module.memory_format = memory_format
    twin = copy.deepcopy(module)
    labels = [torch.stack([a, b], dim=1) for a, b in zip(y_real, y_fake, strict=True)]
    with Together(module).normalized(2, side_by_side=True) as side_by_side:
        assert side_by_side
        scores = module(torch.cat([real, fake], dim=1), *labels)
    assert_same(module, twin, scores.unbind(1), (twin(real, *y_real), twin(fake, *y_fake)))


def test_only_narrow_nets_on_a_cpu_and_channels_last_take_batches_side_by_side() -> None:
    narrow, wide = (ResNetPair(8, 4, channels).build()[1] for channels in (64, 65))
    assert not narrow.takes_side_by_side(IMAGES)
    for net in (narrow, wide):
        net.memory_format = torch.channels_last
    assert narrow.takes_side_by_side(IMAGES)
    assert not wide.takes_side_by_side(IMAGES)
    assert not narrow.takes_side_by_side(IMAGES.to("meta"))
    assert not DCGANPair(16, 4, 4).build()[1].takes_side_by_side(IMAGES)


@pytest.mark.parametrize("method", ["none", "weight-norm", "sr-s", "batch-norm", "gp"])
def test_whose_passes_are_alike(method: str) -> None:
    assert passes_are_alike(small_discriminator(METHODS[method]())) == (method in ("none", "weight-norm", "gp"))


def test_gradient_checkpointing_repeats_the_weights_of_its_pass() -> None:
    module, (real,), (fake,) = under_sn("constant")
    twin = copy.deepcopy(module)
    with Together(module).normalized(2):
        found = tuple(checkpoint(module, x, use_reentrant=False) for x in (real, fake))
    assert_same(module, twin, found, (twin(real), twin(fake)))


def test_under_autocast_weights_stay_in_float32() -> None:
    module = small_discriminator(SpectralNormalization())
    twin = copy.deepcopy(module)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with Together(module).normalized(1):
            found = module(IMAGES)
        expected = twin(IMAGES)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    for u, other in zip(module.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(u, other)  # bf16 is not as close


def test_in_evaluation_mode_nothing_moves_u() -> None:
    module, (x,), _ = under_sn("constant")
    together, before = Together(module), copy.deepcopy(module.state_dict())
    module.eval()
    with together.normalized(2, side_by_side=True) as side_by_side:
        assert not side_by_side
        scores = module(x)
    torch.testing.assert_close(scores, module(x))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_torch_func_finds_its_own_weights() -> None:
    module, (x,), _ = under_sn("constant")
    twin, together = copy.deepcopy(module), Together(module)
    parameters = {name: 2 * parameter.detach() for name, parameter in module.named_parameters()}

    def loss(net: nn.Module, values: dict[str, Tensor]) -> Tensor:
        scores: Tensor = torch.func.functional_call(net, values, (x,))
        return scores.square().mean()

    found = torch.func.grad(lambda values: loss(module, values))(parameters)
    expected = torch.func.grad(lambda values: loss(twin, values))(parameters)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)
    with together.normalized(1):
        first = module(x)
    torch.testing.assert_close(first, twin(x))


def test_layers_may_change_their_constraint_move_or_be_copied() -> None:
    module, (x,), _ = under_sn("constant")
    pair = nn.ModuleDict({"D": module})
    pair.together = Together(module)  # type: ignore[assignment]

    def assert_follows(pair: Any, x: Tensor) -> None:
        twin = copy.deepcopy(pair["D"])
        with pair.together.normalized(1):
            found = pair["D"](x)
        assert_same(pair["D"], twin, (found,), (twin(x),))
        pair.zero_grad()

    assert_follows(pair, x)
    srgan.regularize(module, "none", layers="blocks.1.*")
    assert_follows(pair, x)
    srgan.regularize(module, SpectralNormalization(power_iterations=3), layers="blocks.[12].*")
    assert_follows(pair, x)
    assert_follows(copy.deepcopy(pair), x)
    assert_follows(pair.float(), x.float())
    srgan.unregularize(module)
    assert_follows(pair, x.float())


def test_a_layer_that_a_pass_leaves_out_is_left_to_itself() -> None:
    module = nn.ModuleDict({"used": nn.Linear(3, 4), "unused": nn.Linear(3, 4)})
    SpectralNormalization().attach(module)
    together = Together(module)
    u = [module[name].get_buffer("parametrizations.weight.0.u") for name in ("used", "unused")]
    for moved in ([True, True], [True, False]):
        before = [one.clone() for one in u]
        with together.normalized(1):
            module["used"](torch.ones(2, 3))
        assert [not torch.equal(one, other) for one, other in zip(u, before, strict=True)] == moved
    with together.normalized(2, side_by_side=True) as side_by_side:  # which needs all layers
        assert not side_by_side


@pytest.mark.parametrize(("image_size", "widths", "stacks"), [(32, "constant", 1), (128, "pyramid", 8)])
def test_stacks_are_few_and_not_much_larger_than_their_matrices(image_size: int, widths: Any, stacks: int) -> None:
    D = ResNetDiscriminator(image_size, channels=16, num_classes=10, widths=widths)
    SpectralNormalization().attach(D)
    together = Together(D)
    together._update()
    assert len(together._stacks) <= stacks
    padded = sum(len(stack.members) * stack.M * stack.N for stack in together._stacks)
    assert padded <= LARGEST_PADDING * sum(raw_weight(layer).numel() for _, layer in spectral_layers(D))


def test_on_a_cpu_large_matrices_are_left_to_themselves() -> None:
    """Copied into stacks, ImageNet's nets took a fifth longer."""
    net = nn.Sequential(nn.Linear(512, LARGEST_ON_CPU // 512), nn.Linear(512, LARGEST_ON_CPU // 512 + 1))
    SpectralNormalization().attach(net)
    together = Together(net)
    together._update()
    assert [member.layer for member in together._members] == [net[0]]
    net.to("meta")
    together._update()
    assert {member.layer for member in together._members} == {*net}


class Operations(TorchDispatchMode):
    """Counts those that compute, in place of views and allocations."""

    VIEWS = ("view", "as_strided", "detach", "slice", "select", "unsqueeze", "squeeze", "split", "transpose", "empty")

    def __init__(self) -> None:
        super().__init__()
        self.count: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not any(word in func.__name__ for word in self.VIEWS)
        return func(*args, **(kwargs or {}))


def test_two_passes_take_a_fraction_of_the_operations_of_layer_by_layer() -> None:
    """Forward and backward, of the eleven layers' SN alone."""
    module, _, _ = under_sn("constant")
    together = Together(module)
    layers = [layer for _, layer in spectral_layers(module)]

    def operations(context: AbstractContextManager[Any]) -> int:
        counted = Operations()
        with counted:
            with context:
                weights = [layer.weight for _ in range(2) for layer in layers]
            torch.autograd.backward(weights, gradients)  # type: ignore[arg-type]
        return counted.count

    gradients = [torch.ones_like(raw_weight(layer)) for _ in range(2) for layer in layers]
    assert operations(together.normalized(2)) <= operations(nullcontext()) / 4
