"""One iteration against a plain loop, the clock, accumulation, and what must not influence training."""

import copy
import inspect
import re
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from discriminators import CONSTRAINTS
from torch import Tensor, nn

from srgan.constraints import (
    METHODS,
    Combination,
    Constraint,
    DiscriminatorStep,
    Schedule,
    Unconstrained,
    spectra,
)
from srgan.data import DigitsData
from srgan.losses import Hinge, LeastSquares, Loss, NonSaturating, Wasserstein
from srgan.networks import ResNetPair
from srgan.networks.sampling import generate
from srgan.training.both import scores_of_both
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.training.optimizers import OptimizerSettings
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup, accumulation
from srgan.utils.randomness import counter_rows

SIZES = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=16)


def build(constraint: Constraint | None = None, **settings: Any) -> AdversarialTraining:
    defaults: dict[str, Any] = {"iterations": 4, "n_dis": 2, "seed": 3}
    return AdversarialTraining(SIZES, constraint or METHODS["sn"](), **(defaults | settings))


def fit(
    module: AdversarialTraining,
    iterations: int,
    batch_size: int = 6,
    callbacks: list[pl.Callback] | None = None,
    checkpoint: Path | None = None,
    **trainer_settings: Any,
) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=optimizer_steps(iterations, module.n_dis),
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **trainer_settings,
    )
    data = DigitsData(8, batch_size, module.n_dis, module.seed)
    trainer.fit(module, datamodule=data, ckpt_path=str(checkpoint) if checkpoint else None, weights_only=True)
    return trainer


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


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


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of SN after two iterations."""
    path = tmp_path_factory.mktemp("checkpoints") / "two.ckpt"
    fit(build(), 2).save_checkpoint(path)
    return path


@pytest.mark.parametrize("method", CONSTRAINTS)
def test_a_checkpoint_of_sn_goes_on_under_any_method_without_parameters_of_its_own(method: str, two: Path) -> None:
    after = build(CONSTRAINTS[method]())
    if method in ("weight-norm", "batch-norm"):
        with pytest.raises(ValueError, match=f"weights of {after.constraint.label}, .* found one of SN"):
            fit(after, 4, checkpoint=two)
        return
    fit(after, 4, checkpoint=two)
    assert after.iteration == 4
    assert all(torch.isfinite(p).all() for p in after.parameters())


def test_weights_on_a_cpu_stay_contiguous_where_images_are_channels_last() -> None:
    module = build(ema_decay=0.9)
    fit(module, 1)
    assert module.generator.memory_format == module.discriminator.memory_format == torch.channels_last
    assert all(parameter.is_contiguous() for parameter in module.parameters())


@pytest.mark.parametrize("before", [torch.contiguous_format, torch.channels_last])
def test_a_run_goes_on_in_another_memory_format(before: torch.memory_format, tmp_path: Path) -> None:
    """As between CPU and GPU: Adam's moments are laid out as the weights of the run that they come into."""
    path = tmp_path / "two.ckpt"
    first, same, other = (build() for _ in range(3))
    for module in (first, same):
        module.to(memory_format=before)
    other.to(memory_format=torch.channels_last if before is torch.contiguous_format else torch.contiguous_format)
    fit(first, 2).save_checkpoint(path)
    for module in (same, other):
        trainer = fit(module, 3, checkpoint=path)
        for optimizer in trainer.optimizers:
            assert all(state["exp_avg_sq"].stride() == W.stride() for W, state in optimizer.state.items())
    for name, weight in other.discriminator.named_parameters():  # in G biases in front of batch norm follow rounding
        theirs = same.discriminator.get_parameter(name)
        torch.testing.assert_close(weight, theirs, rtol=0, atol=1e-6, msg=name)


def test_a_checkpoint_of_other_draws_is_refused(two: Path) -> None:
    with pytest.raises(ValueError, match="seed was 3 and is 4"):
        fit(build(seed=4), 4, checkpoint=two)


@pytest.mark.parametrize(("before", "after"), [(None, 3), (3, None), (2, 3)])
def test_other_micro_batches_are_refused_on_resume(before: int | None, after: int | None, tmp_path: Path) -> None:
    """Batch norm and power steps depend on them; None is the whole share, here of 6."""
    fit(build(micro_batch_size=before), 1).save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(ValueError, match=f"micro_batch_size was {before or 6} and is {after or 6}"):
        fit(build(micro_batch_size=after), 2, checkpoint=tmp_path / "one.ckpt")
    fit(build(micro_batch_size=before or 6), 2, checkpoint=tmp_path / "one.ckpt")


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


@pytest.mark.parametrize(
    ("batch_size", "devices", "micro_batch_size", "expected"),
    [(2048, 4, 32, 16), (64, 1, None, 1), (64, 8, None, 1), (64, 8, 8, 1), (12, 2, 3, 2)],
)
def test_a_global_batch_is_micro_batch_x_accumulation_x_devices(
    batch_size: int, devices: int, micro_batch_size: int | None, expected: int
) -> None:
    assert accumulation(batch_size, devices, micro_batch_size) == expected


def test_an_impossible_split_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(ValueError, match=r"Possible numbers of devices: 1, 2, 4, 8, 16\.$"):
        accumulation(16, 3, None)
    with pytest.raises(ValueError, match=r"Possible values of micro_batch_size: 1, 2, 4, 8\.$"):
        accumulation(16, 2, 3)
    with pytest.raises(ValueError, match=r"Possible values of micro_batch_size: 1, 2, 3, 6\.$"):
        fit(build(micro_batch_size=4), 1, batch_size=6)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_dis": 0},
        {"generator_update_after": 3},
        {"iterations": 0},
        {"micro_batch_size": 0},
        {"generator_batch_multiplier": 0},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected iterations, n_dis"):
        build(**settings)


def test_data_of_another_iteration_is_refused() -> None:
    module = build()
    data = DigitsData(8, 4, 2, 3)
    with pytest.raises(RuntimeError, match="Expected the data of iteration 0, found that of 1"):
        module.training_step(data.on_after_batch_transfer(data.batch(1), 0), 0)
