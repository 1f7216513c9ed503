"""One iteration against a plain loop, the clock, accumulation, and what must not influence training."""

import copy
import inspect
import re
from functools import partialmethod
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tiny_training import build, fit, same_weights
from torch import Tensor, nn

from srgan.constraints import (
    METHODS,
    Combination,
    DiscriminatorStep,
    Schedule,
    Unconstrained,
    spectra,
)
from srgan.constraints.together import scores_of_both
from srgan.data import DigitsData
from srgan.losses import Hinge, LeastSquares, Loss, NonSaturating, Wasserstein
from srgan.networks.sampling import generate
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.training.optimizers import OptimizerSettings
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.randomness import counter_rows


def plain_iterations(module: AdversarialTraining, batch_size: int, iterations: int) -> tuple[nn.Module, nn.Module]:
    """The authors' algorithm as a loop over two networks, two optimizers and hinge losses written out."""
    G, D = copy.deepcopy(module.generator).train(), copy.deepcopy(module.discriminator).train()
    optimizer_G = torch.optim.Adam(G.parameters(), 2e-4, (0.0, 0.9))
    optimizer_D = torch.optim.Adam(D.parameters(), 2e-4, (0.0, 0.9))
    data = DigitsData(8, batch_size, module.n_dis, module.seed)

    def latents(count: int, player: str, *counters: int) -> Tensor:
        purpose = f"latents of the {player}"
        return counter_rows(torch.randn, range(count), (16,), "cpu", module.seed, purpose, *counters)

    for t in range(iterations):
        for optimizer in (optimizer_G, optimizer_D):
            optimizer.param_groups[0]["lr"] = 2e-4 * (1 - t / module.iterations)
        real = data.on_after_batch_transfer(data.batch(t), 0).images
        order = ["D"] * module.n_dis
        order.insert(module.generator_update_after, "G")
        update = 0
        for player in order:
            if player == "D":
                fake = G(latents(batch_size, "discriminator", t, update)).detach()
                score_real, score_fake = D(real[update]), D(fake)
                loss = (1 - score_real).clamp_min(0).mean() + (1 + score_fake).clamp_min(0).mean()
                optimizer_D.zero_grad()
                loss.backward()
                optimizer_D.step()
                module.constraint.after_update(D, t, update, module.n_dis)
                update += 1
            else:
                loss = -D(G(latents(2 * batch_size, "generator", t))).mean()
                optimizer_G.zero_grad()
                loss.backward()
                optimizer_G.step()
    return G, D


def in_double_precision(module: AdversarialTraining) -> AdversarialTraining:
    """Weights, images and latents in float64, where rounding stays far below what is to be told apart."""
    for net in (module.generator, module.discriminator):
        net.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(), *inputs[1:]))
    return module.double()


ROUNDING = re.compile(r"blocks\.\d+\.(conv\d|shortcut)\.bias|.*\.running_mean")
"""G's biases that batch norm takes out again, and what they shift: Adam makes whole steps of rounding."""


@pytest.mark.parametrize("generator_update_after", [0, 1, 2])
@pytest.mark.parametrize("method", ["sn", "sr-s", "sr-d"])
def test_an_iteration_is_the_authors_algorithm(method: str, generator_update_after: int) -> None:
    module = in_double_precision(build(METHODS[method](), generator_update_after=generator_update_after))
    G, D = plain_iterations(module, batch_size=6, iterations=3)
    fit(module, iterations=3)
    assert module.iteration == 3
    for ours, theirs in ((module.generator, G), (module.discriminator, D)):
        for name, value in theirs.state_dict().items():
            if theirs is D or not ROUNDING.fullmatch(name):
                torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.parametrize("settings", [{"channels_last": False}, {"normalize_generator": True}])
def test_it_is_the_authors_algorithm_in_two_passes_and_with_sn_on_the_generator_too(settings: dict[str, Any]) -> None:
    """Channels last, the default, this narrow D sees real and generated images side by side."""
    module = in_double_precision(build(METHODS["sn"](), **settings))
    G, D = plain_iterations(module, batch_size=6, iterations=2)
    fit(module, iterations=2)
    for ours, theirs in ((module.generator, G), (module.discriminator, D)):
        for name, value in theirs.state_dict().items():
            if theirs is D or not ROUNDING.fullmatch(name):
                torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-6, atol=1e-7, msg=name)


@pytest.mark.parametrize(
    ("method", "passes"), [("none", 1), ("gp", 1), ("batch-norm", 2), ("sn", 1), ("sr-s", 1), ("sn + batch-norm", 2)]
)
def test_real_and_generated_images_go_through_d_together_where_that_changes_nothing(method: str, passes: int) -> None:
    parts = [METHODS[name]() for name in method.split(" + ")]
    module = build(parts[0] if len(parts) == 1 else Combination(parts))
    real, fake = torch.randn(2, 6, 3, 8, 8)
    labels = torch.zeros(6, dtype=torch.int64)
    twin = copy.deepcopy(module.discriminator)
    seen: list[torch.Size] = []
    module.discriminator.get_submodule("blocks").register_forward_hook(lambda *_: seen.append(_[2].shape))
    found = scores_of_both(module.discriminator, module.discriminator_weights, real, labels, fake, labels)
    assert len(seen) == passes
    for ours, theirs in zip(found, (twin(real, labels), twin(fake, labels)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_order_of_updates_matters() -> None:
    modules = [build(generator_update_after=turn) for turn in (0, 1, 2)]
    for module in modules:
        fit(module, 1)
    assert not same_weights(modules[0].discriminator, modules[1].discriminator)
    assert not same_weights(modules[1].discriminator, modules[2].discriminator)


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_starts_from_the_same_weights_and_sees_the_same_latents(method: str) -> None:
    module, reference = build(METHODS[method]()), build()
    assert same_weights(module.generator, reference.generator)
    weights = module.discriminator.state_dict()
    for name, theirs in reference.discriminator.state_dict().items():
        assert torch.equal(weights[name], theirs), name
    assert torch.equal(module._latents(5, "generator")[0], reference._latents(5, "generator")[0])
    assert not torch.equal(module._latents(5, "discriminator", 0)[0], module._latents(5, "discriminator", 1)[0])


def test_no_global_random_state_is_read_or_moved() -> None:
    torch.manual_seed(1)
    first = build()
    fit(first, 2)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = build()
    assert torch.equal(before, torch.get_rng_state())
    fit(second, 2)
    assert same_weights(first, second)


@pytest.mark.parametrize("loss", [Hinge(), Wasserstein(), NonSaturating(), LeastSquares()])
def test_micro_batches_give_the_gradients_of_the_whole_batch(loss: Loss) -> None:
    """Exact for networks without batch norm, so the generator's is in test mode here; no power vectors either."""

    class FrozenStatistics(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert isinstance(pl_module, AdversarialTraining)
            pl_module.generator.eval()

    sizes = (None, 2)
    whole, split = (in_double_precision(build(Unconstrained(), loss=loss, micro_batch_size=size)) for size in sizes)
    for module in (whole, split):
        fit(module, 2, batch_size=8, callbacks=[FrozenStatistics()])
    for ours, theirs in zip(split.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize(("linear_decay", "expected"), [(True, 0.25e-3), (False, 1e-3)])
def test_the_learning_rate_is_a_function_of_the_iteration(linear_decay: bool, expected: float) -> None:
    module = build(linear_decay=linear_decay, generator_optimizer=OptimizerSettings(1e-3))
    trainer = fit(module, 4)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(expected)  # used in iteration 3 of 4
    assert trainer.global_step == optimizer_steps(4, 2) == 4 * 3


def test_the_constraint_acts_once_after_each_discriminator_update_and_adds_its_penalty() -> None:
    calls: list[tuple[int, int, int]] = []

    class Probe(Unconstrained):
        def penalty(self, step: DiscriminatorStep) -> Tensor:
            assert step.real.shape == step.fake.shape == (6, 3, 8, 8)
            return 1e6 * sum((p.square().sum() for p in step.discriminator.parameters()), torch.zeros(()))

        def after_update(
            self,
            discriminator: nn.Module,
            iteration: int,
            update: int,
            n_dis: int,
            ranks: ProcessGroup = SINGLE_PROCESS,
        ) -> None:
            calls.append((iteration, update, n_dis))

    module, free = build(Probe()), build(Unconstrained())
    fit(module, 2)
    fit(free, 2)
    assert calls == [(0, 0, 2), (0, 1, 2), (1, 0, 2), (1, 1, 2)]
    assert not same_weights(module.discriminator, free.discriminator)


def test_the_training_step_names_no_method() -> None:
    for step in ("training_step", "_update_discriminator", "_update_generator"):
        source = inspect.getsource(getattr(AdversarialTraining, step)).lower()
        assert not any(name in source for name in ("spectral", "regulariz", "sr-", "static", "isinstance"))


def test_bf16_mixed_keeps_what_is_float32_in_the_backward_pass_too() -> None:
    """Gradients of a 3x3 weight behind its 4x4 kernel, and of D's head, are not rounded to bf16 on their way."""
    module = build(METHODS["none"]())  # nothing behind them that would hide a rounding
    fit(module, 1, precision="bf16-mixed")
    for name in ("blocks.0.conv2.parametrizations.weight.original", "linear.parametrizations.weight.original"):
        gradient = module.discriminator.get_parameter(name).grad
        assert gradient is not None
        assert gradient.dtype == torch.float32
        assert (gradient != gradient.bfloat16()).float().mean() > 0.5, name


def test_bf16_mixed_trains_with_float32_weights_and_spectra() -> None:
    module = build(METHODS["sr-s"](schedule=Schedule(every_iterations=1)))
    fit(module, 2, precision="bf16-mixed")
    for parameter in module.parameters():
        assert parameter.dtype == torch.float32
        assert torch.isfinite(parameter).all()
    for name, sigma in spectra(module.discriminator).items():
        if "conv" in name:
            held = sigma[: len(sigma) // 2]  # SR-s in float64 on the float32 weights: far finer than bf16's 4e-3
            torch.testing.assert_close(held, torch.ones_like(held), rtol=0, atol=1e-5)


COMPILES = pytest.mark.skipif(torch.__version__ < "2.6", reason="older torch does not compile training under SN")


@pytest.mark.parametrize(
    ("settings", "trainer_settings", "tolerance"),
    [
        ({}, {"precision": "bf16-mixed"}, 2e-2),
        ({"channels_last": False}, {}, 1e-4),
        pytest.param({"compile": True}, {}, 1e-4, marks=COMPILES),
        pytest.param({"compile": True, "compile_mode": "reduce-overhead"}, {}, 1e-4, marks=COMPILES),
    ],
    ids=["bf16", "channels-first", "compiled", "compiled for CUDA graphs"],
)
def test_faster_arithmetic_trains_to_the_same_losses(
    settings: dict[str, Any], trainer_settings: dict[str, Any], tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled: traced, and differentiated as a whole; writing kernels for all of both nets takes minutes."""
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    plain, fast = build(METHODS["sr-s"]()), build(METHODS["sr-s"](), **settings)
    fit(plain, 4)
    fit(fast, 4, **trainer_settings)
    assert plain.losses.keys() == fast.losses.keys()
    for name, loss in plain.losses.items():
        assert float(fast.losses[name]) == pytest.approx(float(loss), abs=tolerance), name
    power = {name: u for name, u in plain.discriminator.named_buffers() if name.endswith(".u")}
    for name, u in fast.discriminator.named_buffers():
        if name in power:
            assert torch.cosine_similarity(u, power[name], dim=0) > 0.99, name
    assert fast.state_dict().keys() == plain.state_dict().keys()
    ((images, _),) = generate(fast.generator, range(5), 0, "grid")
    assert images.shape == (5, 3, 8, 8)
