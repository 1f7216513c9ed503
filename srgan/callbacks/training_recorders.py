"""Record losses, gradient norms and spectra; warn of a discriminator that stops learning, or whose spectra collapse."""

import math
from collections import deque
from collections.abc import Callable, Mapping

import pytorch_lightning as pl
import torch
from torch import nn

from srgan.callbacks.base import RunCallback, recovery_hint, resume_hint
from srgan.collapse import MAX_GROWTH, ScaleGrowth, SpectralCollapse
from srgan.constraints import raw_matrix, raw_weight, spectra, spectral_layers
from srgan.constraints.layers import convolutions, divides_by_sigma_1, layer_kind
from srgan.losses import Loss
from srgan.runs.folder import DISCRIMINATOR_NEAR_ZERO, SpectralLayer, normalized
from srgan.training.module import AdversarialTraining

NEAR_ZERO = 0.01
"""Of the loss of a discriminator that cannot tell the images apart."""
DISCRIMINATOR_DEAD, SPECTRAL_COLLAPSE, SLOW = "dead discriminator", "spectral collapse", "slow discriminator"
"""Names of warnings."""
RECORDS_IN_A_ROW = 3
"""Before a warning."""


class LossRecorder(RunCallback):
    """Appends losses, D's mean outputs and accuracies, and what loss and constraint report, to `losses.jsonl`.

    Args:
        every: iterations between two records.

    Raises:
        FloatingPointError: a loss is NaN or infinite; training cannot recover from it.
    """

    def __init__(self, every: int = 50) -> None:
        super().__init__(every)
        self.recent: deque[dict[str, float]] = deque(maxlen=RECORDS_IN_A_ROW + 1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.recent.extend(self.folder.read_losses()[-RECORDS_IN_A_ROW - 1 :])

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: float(value) for name, value in module.losses.items()}
        values |= {**module.loss.report(), **module.constraint.report(module.discriminator)}
        if not all(math.isfinite(value) for value in values.values()):
            raise FloatingPointError(
                f"Expected finite losses, found {values} in iteration {module.iteration}: training has diverged. "
                f"{resume_hint(self.folder, module)}"
            )
        self.folder.append_row(self.folder.losses, {"iteration": module.iteration} | values)
        self.recent.append(values)
        if self._begins(lambda row: "logits/real" in row and row["logits/real"] == row["logits/fake"]):
            self._warn_once_of_death(module)
        elif module.loss.decision_threshold is not None:  # else the loss has no zero to be near to
            self._warn_near_zero(module)

    def _begins(self, holds: Callable[[Mapping[str, float]], bool]) -> bool:
        """Whether something has held for so many records in a row, and not in the one before them."""
        held = [holds(row) for row in self.recent]
        return all(held[-RECORDS_IN_A_ROW:]) and held.count(True) == RECORDS_IN_A_ROW

    def _warn_once_of_death(self, module: AdversarialTraining) -> None:
        """Once a run, and not again after it is resumed."""
        if any(row["name"] == DISCRIMINATOR_DEAD for row in self.folder.read_warnings()):
            return
        message = (
            f"its mean logits of real and of generated images were equal in {RECORDS_IN_A_ROW} records in a row "
            f"({self.recent[-1]['logits/real']:.3g}), so it gives all images one output and neither net gets a "
            "gradient. It does not recover: resume from a checkpoint before that, or start again, with a smaller "
            "learning rate of the discriminator, or under SN or SR at unit scale (sn-unit, sr-s)."
        )
        self.warn(module, DISCRIMINATOR_DEAD, message)

    def _warn_near_zero(self, module: AdversarialTraining) -> None:
        limit = NEAR_ZERO * undecided_loss(module.loss)
        if self._begins(lambda row: row["loss/discriminator"] < limit):
            message = (
                f"below {limit:.3g} in {RECORDS_IN_A_ROW} records in a row. It tells every real image from every "
                "generated one and learns no more. Likely causes: images of another range or pixel grid than the "
                "generator's [-1, 1], a discriminator that has learned its few training images by heart, a generator "
                "that has collapsed or learns too slowly. Look at the samples; lower n_dis or the discriminator's "
                "learning rate, or take more data."
            )
            self.warn(module, DISCRIMINATOR_NEAR_ZERO, message)


def undecided_loss(loss: Loss) -> float:
    """D's loss where it calls nothing real or generated: 2 for the hinge."""
    undecided = torch.full((1,), loss.decision_threshold or 0.0)
    return float(loss.discriminator(undecided, undecided))


class GradientRecorder(RunCallback):
    """Appends to `gradients.jsonl` the L2 norm of each layer's gradient in the iteration's last update of its net.

    They are the averaged gradients that the optimizers used. Norms that are not finite are null.

    Args:
        every: iterations between two records.
    """

    def __init__(self, every: int = 100) -> None:
        super().__init__(every)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        players = {"generator": module.generator, "discriminator": module.discriminator}
        norms = {player: gradient_norms(net) for player, net in players.items()}
        self.folder.append_row(self.folder.gradients, {"iteration": module.iteration} | norms)


@torch.no_grad()
def gradient_norms(module: nn.Module) -> dict[str, float | None]:
    """L2 norm of each layer's gradient, weight and bias together: qualified name -> norm, in definition order.

    Layers without a gradient are left out; None stands for NaN and infinity.
    """
    squares: dict[str, torch.Tensor] = {}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            layer = name.partition(".parametrizations.")[0] if ".parametrizations." in name else name.rpartition(".")[0]
            squares[layer] = squares.get(layer, 0) + parameter.grad.float().square().sum()
    norms = torch.stack(list(squares.values())).sqrt().tolist() if squares else []  # one synchronization
    return {layer: norm if math.isfinite(norm) else None for layer, norm in zip(squares, norms, strict=True)}


class SpectraRecorder(RunCallback):
    """Appends all normalized spectra of the discriminator to `spectra.bin`, every `every` iterations.

    Args:
        every: iterations between two records.
    """

    at_start = True

    def __init__(self, every: int = 100) -> None:
        super().__init__(every)
        self.collapse, self.growth = SpectralCollapse(self.thresholds), ScaleGrowth()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run continues its records."""
        assert isinstance(pl_module, AdversarialTraining)
        self.collapse, self.growth = SpectralCollapse(self.thresholds), ScaleGrowth()
        history = self.folder.read_spectra() if trainer.is_global_zero else None
        if history is not None:
            judged, scaled = history.judged(), scale_free_layers(pl_module)
            for time in range(len(history.iterations)):
                self.collapse.add({name: spectra[time] for name, spectra in judged.items()})
                self.growth.add({name: float(history.sigma_1[name][time]) for name in scaled})
        super().on_train_start(trainer, pl_module)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: sigma.numpy() for name, sigma in spectra(module.discriminator, normalized=False).items()}
        layers = recorded_layers(module)
        self.folder.append_spectra(module.iteration, layers, list(values.values()))
        judged = {layer.name: normalized(values[layer.name])[: layer.judged] for layer in layers if layer.is_judged}
        if fallen := self.collapse.add(judged):
            message = (
                f"the tail mean of {', '.join(fallen)} has fallen below {self.thresholds.tail_mean:g} of its largest "
                "so far, which in the paper comes with mode collapse. Resume from an earlier checkpoint with "
                f"{recovery_hint(module)}"
            )
            self.warn(module, SPECTRAL_COLLAPSE, message)
        if slow := self.growth.add({name: float(values[name][0]) for name in scale_free_layers(module)}):
            method = "" if hasattr(module.constraint, "scale") else "-c sn-unit "
            message = (
                f"sigma_1 of {', '.join(slow)} has grown to {MAX_GROWTH:g} times its initial value. Spectral "
                "normalization hides that scale from D but not from Adam, whose steps turn these layers a third as far "
                "as at first: a D that learns too slowly loses modes. Resume from an earlier checkpoint at the initial "
                f"scale: srgan fit ... {method}--model.constraint.init_args.scale {self.growth.start:.2g} --run NEW "
                "--from-checkpoint CKPT"
            )
            self.warn(module, SLOW, message)


def scale_free_layers(module: AdversarialTraining) -> list[str]:
    """The convolutions whose raw sigma_1 D does not see."""
    return [name for name, layer in convolutions(module.discriminator).items() if divides_by_sigma_1(layer)]


def recorded_layers(module: AdversarialTraining) -> list[SpectralLayer]:
    """What the records say of D's layers, beside their spectra."""
    layers = []
    for name, layer in spectral_layers(module.discriminator):
        shape, rank = list(raw_weight(layer).shape), min(raw_matrix(layer).shape)
        layers.append(SpectralLayer(name, layer_kind(layer), shape, rank, module.constraint.judged_values(layer)))
    return layers
