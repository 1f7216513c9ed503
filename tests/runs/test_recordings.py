"""What runs record of gradients, D's outputs and accuracies, and when they warn."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from srgan.callbacks import (
    DiscriminatorOutputRecorder,
    GradientRecorder,
    LossRecorder,
    RunCallback,
    ScoreRecorder,
    SpectraRecorder,
)
from srgan.callbacks.base import recovery_hint
from srgan.callbacks.training_recorders import gradient_norms, recorded_layers, undecided_loss
from srgan.collapse import CollapseThresholds
from srgan.constraints import METHODS, Constraint, SpectralRegularization, Static, raw_weight
from srgan.constraints.layers import convolutions
from srgan.data import DigitsData
from srgan.losses import Hinge, LeastSquares, Loss, NonSaturating, Wasserstein
from srgan.networks import ResNetPair
from srgan.networks.sampling import generate
from srgan.runs.folder import RunFolder
from srgan.training.module import AdversarialTraining, optimizer_steps
from srgan.utils.files import append_json_line
from srgan.utils.images import dequantize

NETWORKS = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=8)


def module_of(constraint: Constraint | None = None, loss: Loss | None = None, **settings: Any) -> AdversarialTraining:
    return AdversarialTraining(
        NETWORKS, constraint or METHODS["sn"](), loss or Hinge(), iterations=4, n_dis=2, **settings
    )


def train(
    folder: RunFolder, callbacks: list[RunCallback], module: AdversarialTraining, data: DigitsData | None = None
) -> AdversarialTraining:
    for callback in callbacks:
        callback.folder = folder
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=optimizer_steps(4, 2), max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(module, datamodule=data or DigitsData(8, batch_size=6, n_dis=2))
    return module


# Gradients.


@pytest.mark.parametrize("method", METHODS)
def test_gradient_norms_are_those_that_the_optimizers_stepped_along(tmp_path: Path, method: str) -> None:
    folder = RunFolder(tmp_path / "run")
    module = train(folder, [GradientRecorder(every=2)], module_of(METHODS[method]()))
    rows = folder.read_gradients()
    assert [row["iteration"] for row in rows] == [2, 4]
    for player in ("generator", "discriminator"):
        net = module.get_submodule(player)
        whole = sum(float(p.grad.square().sum()) for p in net.parameters() if p.grad is not None)
        assert sum(norm**2 for norm in rows[-1][player].values()) == pytest.approx(whole, rel=1e-5)
        assert whole > 0
        layers = {name for name, layer in net.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
        assert layers <= set(rows[-1][player])
        assert not any("parametrizations" in name for name in rows[-1][player])


def test_a_layers_norm_is_over_weight_and_bias_and_untouched_layers_are_left_out() -> None:
    module = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1)})
    assert gradient_norms(module) == {}
    module["used"](torch.tensor([[3.0, 4.0]])).backward()  # d/dW = [3, 4], d/db = 1
    assert gradient_norms(module) == {"used": pytest.approx(26**0.5)}


# D's outputs.


def test_outputs_are_those_of_the_discriminator_as_it_is(tmp_path: Path) -> None:
    folder, data = RunFolder(tmp_path / "run"), DigitsData(8, batch_size=6, n_dis=2)
    module = train(folder, [DiscriminatorOutputRecorder(every=2, images=20)], module_of(seed=3), data)
    history = folder.read_outputs()
    assert history is not None
    assert history.iterations.tolist() == [2, 4]
    assert {kind: rows.shape for kind, rows in history.outputs.items()} == dict.fromkeys(
        ("train", "test", "generated"), (2, 20)
    )
    discriminator = copy.deepcopy(module.discriminator).eval()
    ((images, labels),) = generate(module.generator, range(20), 0, "outputs", quantized=False)
    with torch.no_grad():
        assert history.outputs["generated"][-1] == pytest.approx(discriminator(images, labels).numpy(), rel=1e-5)
        for split in ("train", "test"):
            ((pixels, labels),) = data.real_images(split, range(20))
            bounds = [discriminator(dequantize(pixels, torch.full(pixels.shape, n)), labels) for n in (0.0, 1.0)]
            near = (bounds[0] - bounds[1]).abs().max() + 0.05  # the noise moves a pixel by 1/128 at most
            assert np.abs(history.outputs[split][-1] - bounds[0].numpy()).max() < near
    assert not np.allclose(history.outputs["train"][-1], history.outputs["test"][-1])


def test_looking_at_outputs_and_gradients_leaves_training_alone(tmp_path: Path) -> None:
    watched = train(
        RunFolder(tmp_path / "a"), [DiscriminatorOutputRecorder(1, images=5), GradientRecorder(1)], module_of(seed=1)
    )
    alone = train(RunFolder(tmp_path / "b"), [], module_of(seed=1))
    for (name, ours), theirs in zip(watched.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_without_a_test_split_there_are_two_kinds(tmp_path: Path) -> None:
    class Unsplit(DigitsData):
        has_test_split = False

    folder = RunFolder(tmp_path / "run")
    train(folder, [DiscriminatorOutputRecorder(every=4, images=7)], module_of(), Unsplit(8, batch_size=6, n_dis=2))
    history = folder.read_outputs()
    assert history is not None
    assert list(history.outputs) == ["train", "generated"]


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="images of at least 1, found 0"):
        DiscriminatorOutputRecorder(images=0)


# Accuracies.


@pytest.mark.parametrize(("loss", "boundary"), [(Hinge(), 0.0), (NonSaturating(), 0.0), (LeastSquares(), 0.5)])
def test_accuracy_counts_outputs_on_the_right_side(loss: Loss, boundary: float) -> None:
    real, fake = boundary + torch.tensor([1.0, 0.1, -0.1, 2.0]), boundary + torch.tensor([-1.0, 0.1])
    found = {name: float(value) for name, value in loss.scores(real, fake).items()}
    assert found["accuracy/real"] == 0.75
    assert found["accuracy/fake"] == 0.5
    assert found["logits/real"] == pytest.approx(boundary + 0.75)


def test_a_critic_without_a_zero_has_no_accuracy(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(folder, [LossRecorder(every=1)], module_of(loss=Wasserstein()))
    assert folder.read_losses()[-1].keys() == {
        "iteration", "loss/discriminator", "loss/generator", "logits/real", "logits/fake"
    }  # fmt: skip


def test_what_is_measured_is_the_mean_over_all_micro_batches(tmp_path: Path) -> None:
    class Counting(Hinge):
        calls = 0

        def scores(self, real: torch.Tensor, fake: torch.Tensor) -> dict[str, torch.Tensor]:
            Counting.calls += 1
            return {"accuracy/real": torch.tensor(float(Counting.calls))}

    folder, module = RunFolder(tmp_path / "run"), module_of(micro_batch_size=2)
    module.loss = Counting()
    train(folder, [LossRecorder(every=1)], module)
    # Two updates of three micro-batches each; the last update's are the calls 4, 5, 6 of the first iteration.
    assert [row["accuracy/real"] for row in folder.read_losses()] == [5.0, 11.0, 17.0, 23.0]


def test_gradients_that_are_not_finite_are_null(tmp_path: Path) -> None:
    recorder, module = GradientRecorder(every=1), module_of()
    recorder.folder = folder = RunFolder(tmp_path / "run")
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, torch.inf)
    recorder.act(pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), module)
    (row,) = folder.read_gradients()
    assert set(row["discriminator"].values()) == {None}


def test_a_test_split_of_unknown_classes_is_refused_before_training() -> None:
    class Odd(DigitsData):
        def labels(self, split: str) -> torch.Tensor:
            return torch.tensor([0, 1, 2 if split == "test" else 1])

    generator, _ = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, num_classes=2).build()
    with pytest.raises(ValueError, match="the 2 training classes, found class 2"):
        DiscriminatorOutputRecorder().check_possible(generator, Odd(8))
    DiscriminatorOutputRecorder(every=0).check_possible(generator, Odd(8))


# Warnings.


@pytest.mark.parametrize(
    ("loss", "undecided"), [(Hinge(), 2.0), (NonSaturating(), 2 * np.log(2)), (LeastSquares(), 0.25)]
)
def test_an_undecided_discriminator_has_this_loss(loss: Loss, undecided: float) -> None:
    assert undecided_loss(loss) == pytest.approx(undecided)


def test_a_discriminator_that_wins_is_warned_of_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorder, module = LossRecorder(every=1), module_of()
    recorder.folder = folder = RunFolder(tmp_path / "run")
    losses = [0.0, 0.0, 1.0, 0.019, 0.0, 0.0, 0.0, 1.0, 0.0]
    for t, loss in enumerate(losses, start=1):
        module.iteration = t
        module.losses = {"loss/discriminator": torch.tensor(loss)}
        recorder.act(pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), module)
    (warning,) = folder.read_warnings()
    assert (warning["iteration"], warning["name"]) == (6, "discriminator loss near zero")
    assert "below 0.02 in 3 records" in warning["message"]
    assert "discriminator loss near zero at iteration 6" in capsys.readouterr().err


def test_a_dead_discriminator_is_warned_of_once_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By biases that too large a step has thrown far below zero: the last ReLU lets nothing through."""
    folder = RunFolder(tmp_path / "run")
    for _ in range(2):  # the second time it finds its warning
        module = module_of(METHODS["none"]())
        for layer in convolutions(list(module.discriminator.get_submodule("blocks").children())[-1]).values():
            nn.init.constant_(layer.get_parameter("bias"), -1e3)
        train(folder, [LossRecorder(every=1)], module)
    (warning,) = folder.read_warnings()
    assert (warning["iteration"], warning["name"]) == (3, "dead discriminator")
    assert "equal in 3 records in a row" in warning["message"]
    assert "smaller learning rate" in warning["message"]
    assert capsys.readouterr().err.count("dead discriminator at iteration 3") == 1


def test_a_live_discriminator_is_not_called_dead(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(folder, [LossRecorder(every=1)], module_of(METHODS["none"]()))
    assert len(folder.read_losses()) == 4
    assert not folder.read_warnings()


@pytest.mark.parametrize(("method", "warned"), [("sn", True), ("sr-s", False)])
def test_collapsing_spectra_are_warned_of_where_nothing_holds_them(tmp_path: Path, method: str, warned: bool) -> None:
    """SR-s goes by its first half, which it has just raised."""
    folder = RunFolder(tmp_path / "run")
    recorder, module = SpectraRecorder(every=1), module_of(METHODS[method]())
    recorder.folder, recorder.thresholds = folder, CollapseThresholds(tail_mean=0.9)
    # A start with flatter spectra than this net's; the recorder then records the net itself.
    layers = recorded_layers(module)
    folder.append_spectra(0, layers, [np.ones(layer.rank) for layer in layers])
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    for iteration in range(module.iterations):  # SR acts at some of them
        module.constraint.after_update(module.discriminator, iteration, 1, module.n_dis)
    module.iteration = 1
    recorder.on_train_start(trainer, module)  # as a resumed run, which reads what was recorded
    for module.iteration in (1, 2):
        recorder.act(trainer, module)
    found = folder.read_warnings()
    assert [(row["iteration"], row["name"]) for row in found] == [(1, "spectral collapse")] * warned
    assert all("--from-checkpoint" in row["message"] for row in found)


@pytest.mark.parametrize(
    ("method", "option"), [("sn", "init_args.scale "), ("sr-d", "init_args.scale "), ("none", None)]
)
def test_weights_that_outgrow_their_rate_are_warned_of_once(tmp_path: Path, method: str, option: str | None) -> None:
    """Where D is divided by sigma_1: elsewhere its scale is its slope."""
    folder = RunFolder(tmp_path / "run")
    recorder, module = SpectraRecorder(every=1), module_of(METHODS[method]())
    recorder.folder = folder
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    recorder.on_train_start(trainer, module)
    layers = list(convolutions(module.discriminator).values())
    half = (len(layers) + 1) // 2
    for module.iteration, grown, factor in ((1, layers, 2.9), (2, layers[: half - 1], 1.1), (3, layers[:half], 1.1)):
        for layer in grown:
            raw_weight(layer).data.mul_(factor)
        recorder.act(trainer, module)
        recorder = SpectraRecorder(every=1)  # of a resumed run
        recorder.folder = folder
        recorder.on_train_start(trainer, module)
    recorder.act(trainer, module)
    found = [(row["iteration"], row["name"]) for row in folder.read_warnings()]
    assert found == ([(3, "slow discriminator")] if option else [])
    assert all(option in row["message"] for row in folder.read_warnings() if option)


def test_sr_s_is_not_advised_where_it_is_on() -> None:
    assert "-c sr-s --run NEW --from-checkpoint CKPT" in recovery_hint(module_of(METHODS["sn"]()))
    for method in (METHODS["sr-s"](), SpectralRegularization(Static(0.3))):
        assert recovery_hint(module_of(method)).startswith("lower learning rates: srgan fit ... --run NEW ")


def test_a_mode_collapse_is_warned_of_at_its_onset(tmp_path: Path) -> None:
    recorder, module = ScoreRecorder(), module_of()
    recorder.folder = folder = RunFolder(tmp_path / "run")
    for t, fid in enumerate((50.0, 40.0, 70.0, 80.0, 41.0, 42.0, 41.0), start=1):
        module.iteration = t
        modes = 700 if t >= 6 else 1000
        append_json_line(folder.scores, {"iteration": t, "FID": fid, "modes": modes})
        recorder._warn_of_collapse(module)
    found = folder.read_warnings()
    assert [(row["iteration"], row["name"]) for row in found] == [
        (4, "mode collapse"),
        (7, "mode collapse"),
    ]  # by medians of three
    assert "modes is 700, its best was 1000 at iteration 1" in found[1]["message"]
    assert "FID is 80, its best was 40 at iteration 2" in found[0]["message"]
