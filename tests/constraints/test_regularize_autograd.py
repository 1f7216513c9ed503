"""The one-liner under what PyTorch does with forward passes: checkpointing, torch.func, compilation, sharding."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from discriminators import IMAGES, small_discriminator
from torch import Tensor, nn
from torch.distributed import fsdp
from torch.utils.checkpoint import checkpoint

import srgan
from srgan.constraints import (
    METHODS,
    Combination,
    GradientPenalty,
    SpectralNormalization,
    raw_weight,
)
from srgan.constraints.parametrization import _warn_of_unknown_recomputation
from srgan.networks import ResNetDiscriminator


def sgd(D: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(D.parameters(), 0.01)


def under(method: str) -> ResNetDiscriminator:
    D = small_discriminator()
    srgan.regularize(D, METHODS[method](mode="reparametrization") if method == "sr-s" else method)
    return D


def u_of(D: nn.Module) -> Tensor:
    return D.get_buffer("blocks.1.conv2.parametrizations.weight.0.u")


def test_a_replica_of_data_parallel_moves_the_power_vector_of_the_module() -> None:
    D = srgan.regularize(small_discriminator(), "sn").discriminator
    layer = D.get_submodule("blocks.1.conv2.parametrizations.weight.0")
    before = u_of(D).clone()
    replica = layer._replicate_for_data_parallel()
    replica(raw_weight(D.get_submodule("blocks.1.conv2")))
    assert not torch.equal(u_of(D), before)


def gradients(D: nn.Module, forward: Callable[[Tensor], Tensor]) -> tuple[list[Tensor], Tensor]:
    """Of a loss of two forward passes and one backward pass, and the power vector afterwards."""
    forward(IMAGES.flip(0))  # without a backward pass, as for a number to look at
    (forward(IMAGES).square().mean() - forward(IMAGES * 0.5).mean()).backward()
    found = [parameter.grad.clone() for parameter in D.parameters() if parameter.grad is not None]
    D.zero_grad()
    return found, u_of(D).clone()


@pytest.mark.parametrize("method", ["sn", "sr-s", "weight-norm", "row-sum"])
def test_gradient_checkpointing_gives_the_gradients_of_the_plain_pass(method: str) -> None:
    D = under(method)
    twin = copy.deepcopy(D)

    def in_regions(x: Tensor) -> Tensor:
        result = checkpoint(twin.blocks[0], x, use_reentrant=False)

        def rest(h: Tensor) -> Tensor:
            for block in list(twin.blocks)[1:]:
                h = block(h)
            scores: Tensor = twin.linear(h.relu().sum(dim=(2, 3)))
            return scores

        scores: Tensor = checkpoint(rest, result, use_reentrant=False)
        return scores

    def plain(x: Tensor) -> Tensor:
        for block in D.blocks:
            x = block(x)
        scores: Tensor = D.linear(x.relu().sum(dim=(2, 3)))
        return scores

    expected, u = gradients(D, plain)
    found, u_after = gradients(twin, in_regions)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    assert torch.equal(u, u_after)


def test_checkpointing_of_the_reentrant_kind_moves_u_once_and_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_warn_of_unknown_recomputation.__globals__, "_warned", False)
    D = srgan.regularize(small_discriminator(), "sn").discriminator
    twin = copy.deepcopy(D)
    with pytest.warns(UserWarning, match="use_reentrant=False") as caught:
        checkpoint(twin, IMAGES.clone().requires_grad_(), use_reentrant=True).sum().backward()
    assert sum("use_reentrant=False" in str(warning.message) for warning in caught) == 1
    D(IMAGES)
    assert torch.equal(u_of(D), u_of(twin))


def test_two_forward_passes_and_a_penalty_go_through_one_backward_pass() -> None:
    both = Combination([SpectralNormalization(), GradientPenalty()])
    handle = srgan.regularize(small_discriminator(), both)
    D = handle.discriminator
    (D(IMAGES).mean() - D(-IMAGES).mean() + handle.penalty(IMAGES, -IMAGES)).backward()
    assert all(parameter.grad is not None for name, parameter in D.named_parameters() if name.endswith("original"))


def torch_func_shows_values() -> bool:
    """Whether a tensor within torch.func becomes a list, as SR looks at its decompositions; torch 2.6 does not yet."""
    try:
        torch.func.grad(lambda x: x.sum() * len(x.detach().tolist()))(torch.ones(2))
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("method", ["sn", "sr-s", "weight-norm"])
def test_gradients_of_torch_func_are_those_of_autograd(method: str) -> None:
    if method == "sr-s" and not torch_func_shows_values():
        pytest.skip("SR within torch.func needs a newer torch")
    D = under(method)
    twin = copy.deepcopy(D)
    D(IMAGES).square().mean().backward()
    parameters = {name: parameter.detach() for name, parameter in twin.named_parameters()}

    def loss(values: dict[str, Tensor], x: Tensor) -> Tensor:
        scores: Tensor = torch.func.functional_call(twin, values, (x,))
        return scores.square().mean()

    found = torch.func.grad(loss)(parameters, IMAGES)
    for name, parameter in D.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)
    assert torch.equal(u_of(D), u_of(twin))


def test_gradients_of_single_images_by_vmap() -> None:
    D = srgan.regularize(small_discriminator(), "sn").discriminator.eval()
    parameters = {name: parameter.detach() for name, parameter in D.named_parameters()}

    def loss(values: dict[str, Tensor], x: Tensor) -> Tensor:
        score: Tensor = torch.func.functional_call(D, values, (x[None],)).sum()
        return score

    single = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, IMAGES)
    together = torch.func.grad(lambda values: sum(loss(values, x) for x in IMAGES))(parameters)
    for name, gradient in together.items():
        torch.testing.assert_close(single[name].sum(0), gradient, rtol=1e-3, atol=1e-5)


def compile_module(D: nn.Module, backend: str) -> nn.Module:
    compiled: nn.Module = torch.compile(D, backend=backend)  # type: ignore[assignment]
    return compiled


@pytest.mark.skipif(torch.__version__ < "2.6", reason="older torch refuses two compiled passes before a backward pass")
def test_compiled_training_is_that_of_the_plain_discriminator() -> None:
    """Two forward passes before a backward pass, compiled for real: other backends keep other tensors."""
    results = []
    for backend in (None, "inductor"):
        torch.manual_seed(0)
        D: nn.Module = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten(), nn.Linear(128, 1))
        optimizer = sgd(D)
        compiled = D if backend is None else compile_module(D, backend)
        srgan.regularize(compiled, "sr-s", optimizer=optimizer)
        for _ in range(3):
            optimizer.zero_grad()
            (compiled(IMAGES).square().mean() - compiled(-IMAGES).mean()).backward()
            optimizer.step()
        results.append(D.state_dict())
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=1e-4, atol=1e-5)


@pytest.fixture
def one_process(tmp_path: Path) -> Any:
    """A process group of this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not hasattr(fsdp, "fully_shard"), reason="torch 2.6 is the first that has it")
def test_under_fsdp2_the_reparametrized_form_works_and_the_projecting_one_is_refused(one_process: Any) -> None:
    from torch.distributed.tensor import DTensor

    D = small_discriminator()
    srgan.regularize(D, "sr-s", mode="reparametrization")
    twin = copy.deepcopy(D)
    fsdp.fully_shard(D, mesh=one_process)
    optimizers = [sgd(D), sgd(twin)]
    for _ in range(3):
        for net, optimizer in zip((D, twin), optimizers, strict=True):
            optimizer.zero_grad()
            net(IMAGES).square().mean().backward()
            optimizer.step()
    for a, b in zip(D.parameters(), twin.parameters(), strict=True):
        assert isinstance(a, DTensor)
        torch.testing.assert_close(a.full_tensor(), b.detach(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"fully_shard has split.*mode='reparametrization'"):
        srgan.regularize(D, "sr-s", optimizer=optimizers[0])
    with pytest.raises(ValueError, match="fully_shard has split"):
        srgan.unregularize(D)
