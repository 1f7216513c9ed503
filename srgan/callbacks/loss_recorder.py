"""Records losses, discriminator outputs and accuracies, and warns of a discriminator that has nothing left to learn."""

import math
from collections import deque

import pytorch_lightning as pl
import torch

from srgan.callbacks.base import RunCallback, resume_hint
from srgan.losses import Loss
from srgan.runs.folder import DISCRIMINATOR_NEAR_ZERO
from srgan.training.module import AdversarialTraining

NEAR_ZERO = 0.01
"""Of the loss of a discriminator that cannot tell the images apart."""
RECORDS_NEAR_ZERO = 3


class LossRecorder(RunCallback):
    """Appends losses, D's mean outputs and accuracies, and what loss and constraint report, to `losses.jsonl`.

    Args:
        every: iterations between two records.

    Raises:
        FloatingPointError: a loss is NaN or infinite; training cannot recover from it.
    """

    def __init__(self, every: int = 50) -> None:
        super().__init__(every)
        self.recent: deque[float] = deque(maxlen=RECORDS_NEAR_ZERO + 1)  # losses of D

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            self.recent.extend(row["loss/discriminator"] for row in self.folder.read_losses()[-RECORDS_NEAR_ZERO - 1 :])

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: float(value) for name, value in module.losses.items()}
        values |= {**module.loss.report(), **module.constraint.report(module.discriminator)}
        if not all(math.isfinite(value) for value in values.values()):
            raise FloatingPointError(
                f"Expected finite losses, found {values} in iteration {module.iteration}: training has diverged. "
                f"{resume_hint(self.folder, module)}"
            )
        self.folder.append_row(self.folder.losses, {"iteration": module.iteration} | values)
        self.recent.append(values["loss/discriminator"])
        self._warn_near_zero(module)

    def _warn_near_zero(self, module: AdversarialTraining) -> None:
        """Warns at the first of the records at which D's loss has stayed near zero for so many of them."""
        if module.loss.decision_threshold is None:  # without a decision threshold the loss has no zero to be near to
            return
        limit = NEAR_ZERO * undecided_loss(module.loss)
        near = [loss < limit for loss in self.recent]
        if all(near[-RECORDS_NEAR_ZERO:]) and near.count(True) == RECORDS_NEAR_ZERO:
            self.warn(
                module,
                DISCRIMINATOR_NEAR_ZERO,
                f"below {limit:.3g} in {RECORDS_NEAR_ZERO} records on end. It tells every real image from every "
                "generated one and learns no more. Likely causes: images of another range or pixel grid than the "
                "generator's [-1, 1], a discriminator that has learned its few training images by heart, a generator "
                "that has collapsed or learns too slowly. Look at the samples; lower n_dis or the discriminator's "
                "learning rate, or take more data.",
            )


def undecided_loss(loss: Loss) -> float:
    """D's loss where it calls nothing real or generated: 2 for the hinge."""
    undecided = torch.full((1,), loss.decision_threshold or 0.0)
    return float(loss.discriminator(undecided, undecided))
