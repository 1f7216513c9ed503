"""Which layers train, in the order of other people's loops: frozen before the step, backbones, several optimizers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import srgan
from srgan.constraints import METHODS, Schedule, raw_weight, spectra
from srgan.constraints.parametrization import RECORDED_RATIOS

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
EACH = Schedule(1)


def convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.LeakyReLU(0.2), nn.Conv2d(6, 8, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(128, 1)
    )


def is_held(D: nn.Module, name: str, count: int) -> bool:
    return bool((spectra(D, normalized=False)[name][:count] - 1).abs().max() < 1e-5)


def ada_step(D: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """StyleGAN2-ADA's order: built frozen, trainable for the backward pass, frozen again before the step."""
    optimizer.zero_grad(set_to_none=True)
    D.requires_grad_(True)
    (D(IMAGES).mean() - D(-IMAGES).mean()).backward()
    D.requires_grad_(False)
    optimizer.step()


def test_sr_s_holds_its_half_in_a_loop_that_freezes_before_the_step() -> None:
    D = convolutions().requires_grad_(False)
    optimizer = torch.optim.Adam(D.parameters(), 1e-2, betas=(0.0, 0.99))
    handle = srgan.regularize(D, "sr-s", optimizer=optimizer)
    held = []
    for _ in range(11):
        ada_step(D, optimizer)
        held.append((is_held(D, "0", 3), is_held(D, "2", 4)))
    assert held == [(step % 5 == 0,) * 2 for step in range(11)]
    assert handle.updates == 11


def test_sn_unit_acts_in_a_loop_that_freezes_before_the_step() -> None:
    D = convolutions().requires_grad_(False)
    optimizer = torch.optim.Adam(D.parameters(), 1e-4, betas=(0.0, 0.99))
    srgan.regularize(D, "sn-unit", optimizer=optimizer)
    for _ in range(30):
        ada_step(D, optimizer)
    for name in ("0", "2"):
        assert float(spectra(D, normalized=False)[name][0]) == pytest.approx(1, rel=0.02)


def test_sr_d_records_in_a_loop_that_freezes_before_the_step() -> None:
    D = convolutions().requires_grad_(False)
    optimizer = torch.optim.Adam(D.parameters(), 5e-2)
    srgan.regularize(D, "sr-d", optimizer=optimizer, schedule=EACH)
    largest = torch.zeros(8, dtype=torch.float64)
    for _ in range(4):
        ada_step(D, optimizer)
        sigma = spectra(D)["2"]
        assert (sigma >= largest - 1e-5).all()  # none falls below its largest so far
        largest = torch.maximum(largest, sigma)
    torch.testing.assert_close(D[2].get_buffer(RECORDED_RATIOS).double(), largest, rtol=0, atol=1e-4)


def test_clipping_acts_in_a_loop_that_freezes_before_the_step() -> None:
    D = convolutions().requires_grad_(False)
    optimizer = torch.optim.SGD(D.parameters(), 1e-3)
    srgan.regularize(D, "clip", optimizer=optimizer)
    ada_step(D, optimizer)
    assert max(parameter.abs().max() for parameter in D.parameters()) <= 0.01


def test_only_what_the_step_has_moved_is_projected() -> None:
    """FreezeD: a layer frozen later has no gradient, whatever the flags are at the step."""
    D = convolutions()
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    srgan.regularize(D, "sr-s", optimizer=optimizer, schedule=EACH)
    D[0].requires_grad_(False)
    before = raw_weight(D[0]).clone()
    D(IMAGES).mean().backward()
    D.requires_grad_(False)
    optimizer.step()
    assert torch.equal(raw_weight(D[0]), before)
    assert is_held(D, "2", 4)


# Backbones.


class Projected(nn.Module):
    """A pretrained backbone that stays in evaluation mode, and a head that trains."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3)).eval()
        self.head = nn.Sequential(nn.Conv2d(6, 8, 3), nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 2))

    def train(self, mode: bool = True) -> "Projected":
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.backbone(x)).flatten(1)
        return scores


def frozen_backbone() -> tuple[nn.Module, Any]:
    D = Projected()
    D.backbone.requires_grad_(False)
    return D, D.parameters()


def all_built_frozen() -> tuple[nn.Module, Any]:
    D = Projected().requires_grad_(False)
    return D, D.parameters()


def not_in_the_optimizer() -> tuple[nn.Module, Any]:
    D = Projected().requires_grad_(False)
    D.backbone.train()
    return D, D.head.parameters()


BACKBONES: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "frozen": frozen_backbone,
    "all built frozen": all_built_frozen,
    "not in the optimizer": not_in_the_optimizer,
}


@pytest.mark.parametrize("method", ["sn", "sr-s"])
@pytest.mark.parametrize("way", BACKBONES)
def test_a_backbone_that_does_not_train_keeps_its_features(way: str, method: str) -> None:
    D, parameters = BACKBONES[way]()
    backbone = D.get_submodule("backbone")
    features = backbone(IMAGES)
    with pytest.warns(
        UserWarning,
        match=r"do not train: 'backbone\.0', 'backbone\.2'\. To constrain them as well, name them in layers=",
    ) as said:
        handle = srgan.regularize(D, method, optimizer=torch.optim.SGD(parameters, 0.1))
    assert len(said) == 1
    assert said[0].filename == __file__
    assert list(handle.layers) == ["head.0", "head.2"]
    assert torch.equal(backbone(IMAGES), features)


def test_a_backbone_is_taken_where_layers_names_it() -> None:
    D, _ = frozen_backbone()
    handle = srgan.regularize(D, "sn", layers=nn.Conv2d)
    assert len(handle.layers) == 4


def test_the_watch_counts_a_layer_that_trains() -> None:
    D, _ = frozen_backbone()
    optimizer = torch.optim.SGD(D.get_submodule("head").parameters(), 0.1)
    srgan.regularize(D, "sr-s", optimizer=optimizer, layers=nn.Conv2d)
    for _ in range(99):
        D(IMAGES)
    with pytest.warns(UserWarning, match="100 training forward passes without a step"):
        D(IMAGES)


# Optimizers.


def test_an_optimizer_without_some_of_the_weights_is_refused_by_name() -> None:
    D = nn.Sequential(nn.Conv1d(1, 4, 3), nn.utils.weight_norm(nn.Conv1d(4, 4, 3)), nn.Conv1d(4, 2, 3))
    optimizer = torch.optim.Adam(D.parameters())
    nn.utils.remove_weight_norm(D[1])  # makes a new Parameter
    names = list(D.state_dict())
    with pytest.raises(ValueError, match=r"found none of '1' in it\. Make the optimizer after"):
        srgan.regularize(D, "sr-s", optimizer=optimizer)
    assert list(D.state_dict()) == names
    srgan.regularize(D, "sr-s", optimizer=torch.optim.Adam(D.parameters()))


def test_with_two_optimizers_each_layer_is_projected_after_its_own() -> None:
    D = convolutions()
    first, second = (torch.optim.SGD(list(part.parameters()), 0.5) for part in (D[:2], D[2:]))
    with pytest.raises(ValueError, match=r"found none of '2', '5'.*optimizer=\[a, b\].*exclude=\['2', '5'\]"):
        srgan.regularize(D, "sr-s", optimizer=first)
    handle = srgan.regularize(D, "sr-s", optimizer=[first, second], schedule=Schedule(2))
    for step in range(4):
        D.zero_grad()
        D(IMAGES).square().mean().backward()
        first.step()
        assert is_held(D, "0", 3) == (step % 2 == 0)
        assert is_held(D, "2", 4) == (step % 2 == 1)  # from its own step before
        assert handle.updates == step + 1
        second.step()
        assert is_held(D, "2", 4) == (step % 2 == 0)
    assert [int(D.get_buffer(f"{k}.parametrizations.weight.0.updates")) for k in (0, 2, 5)] == [4, 4, 4]


class Lookahead(torch.optim.Optimizer):
    """Slow weights (Zhang et al. 2019): every k-th step goes half of the way back to where the last k steps began."""

    def __init__(self, optimizer: torch.optim.Optimizer, k: int = 2) -> None:
        super().__init__(optimizer.param_groups, {})
        self.optimizer, self.k, self.steps = optimizer, k, 0
        self.slow = [[p.detach().clone() for p in group["params"]] for group in optimizer.param_groups]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.optimizer.step()
        self.steps += 1
        if self.steps % self.k == 0:
            for group, slow in zip(self.param_groups, self.slow, strict=True):
                for parameter, before in zip(group["params"], slow, strict=True):
                    parameter.copy_(before.lerp_(parameter, 0.5))


def test_sr_acts_after_an_optimizer_that_writes_after_the_one_within_it() -> None:
    D = convolutions()
    optimizer = Lookahead(torch.optim.SGD(D.parameters(), 0.3))
    handle = srgan.regularize(D, "sr-s", optimizer=optimizer, schedule=EACH)
    for _ in range(4):
        optimizer.zero_grad()
        D(IMAGES).square().mean().backward()
        optimizer.step()
        assert is_held(D, "2", 4)
    assert handle.updates == 4


class Silent(torch.optim.Optimizer):
    """As some implementations of Lookahead: torch's constructor is never called."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer


def test_an_optimizer_that_announces_nothing_is_refused() -> None:
    D = convolutions()
    optimizer = Silent(torch.optim.SGD(D.parameters(), 0.3))
    with pytest.raises(ValueError, match=r"announces its steps, found Silent.*Pass the optimizer inside it"):
        srgan.regularize(D, "sr-s", optimizer=optimizer)


@pytest.mark.parametrize("method", ["weight-norm", "batch-norm"])
def test_a_scheduler_that_was_there_before_goes_on(method: str) -> None:
    D = convolutions()
    heads: dict[str, Any] = {"params": D[5].parameters(), "lr": 1e-2}
    optimizer = torch.optim.Adam([{"params": D[:4].parameters()}, heads], 1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 10)
    srgan.regularize(D, method, optimizer=optimizer)
    D(IMAGES).mean().backward()
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.9e-3, 0.9e-2])
    if method == "weight-norm":
        g = D.get_parameter("5.parametrizations.weight.0.g")
        assert any(parameter is g for parameter in optimizer.param_groups[1]["params"])


# Random numbers, copies, compilation.


@pytest.mark.parametrize("method", METHODS)
def test_the_global_random_state_stays(method: str) -> None:
    D = convolutions()
    optimizer = torch.optim.SGD(D.parameters(), 0.1)
    state = torch.random.get_rng_state()
    for _ in range(2):
        srgan.regularize(D, method, optimizer=optimizer)
    assert torch.equal(torch.random.get_rng_state(), state)


def first_power_vectors(seed: int) -> list[Tensor]:
    D = nn.Sequential(*(nn.Conv2d(2048, 2048, 1) for _ in range(2)))
    srgan.regularize(D, "none", seed=seed)
    return [layer.get_buffer("parametrizations.weight.0.u") for layer in D]


def test_first_power_vectors_come_from_the_seed_and_the_name() -> None:
    first, again, other = first_power_vectors(1), first_power_vectors(1), first_power_vectors(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], other[0])
    for u in first:  # N(0, 1), not normalized: the authors'
        assert abs(u.mean()) < 0.1
        assert u.std().item() == pytest.approx(1, abs=0.06)


def test_a_parameter_that_two_layers_share_is_divided_once() -> None:
    first, second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    second.weight = first.weight
    with torch.no_grad():
        first.weight.mul_(5)
    D = nn.Sequential(first, nn.ReLU(), second)
    srgan.regularize(D, "sn")
    for _ in range(3):
        D(torch.randn(2, 4, 8, 8))
    exported = srgan.export(D)
    weights = [exported.get_parameter(name) for name in ("0.weight", "2.weight")]
    assert weights[0] is weights[1]
    x = torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(exported.eval()(x), D.eval()(x), rtol=1e-2, atol=1e-3)
    assert torch.linalg.matrix_norm(weights[0].flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def weight_in_use(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def test_before_any_training_the_norm_in_evaluation_and_export_is_one() -> None:
    torch.manual_seed(0)
    D = nn.Sequential(*(nn.Conv2d(128, 128, 3, padding=1) for _ in range(4)))
    srgan.regularize(D, "sn")
    u = copy.deepcopy(D.state_dict())
    for net in (D.eval(), srgan.export(D)):
        norms = [torch.linalg.matrix_norm(weight_in_use(layer).flatten(1), 2).item() for layer in net.children()]
        assert norms == pytest.approx([1] * 4, abs=0.06)
    assert all(torch.equal(tensor, u[name]) for name, tensor in D.state_dict().items())
    D.train()
    assert torch.linalg.matrix_norm(weight_in_use(D[0]).flatten(1), 2) > 1.1  # the authors' cold start


def test_compiled_inference_in_training_mode_leaves_a_discriminator_that_trains_on() -> None:
    D = convolutions()
    srgan.regularize(D, "sn")
    compiled: nn.Module = torch.compile(D, backend="aot_eager")  # type: ignore[assignment]
    with torch.inference_mode():
        compiled(IMAGES)
    D(IMAGES).mean().backward()
    assert not D.get_buffer("2.parametrizations.weight.0.u").is_inference()
