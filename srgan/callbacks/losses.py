"""Records losses and discriminator outputs."""

import math

import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback, log
from srgan.files import append_json_line
from srgan.training import AdversarialTraining


class LossRecorder(RunCallback):
    """Appends the losses of both players and D's mean outputs to `losses.jsonl`.

    Args:
        every: iterations between two records.

    Raises:
        FloatingPointError: a loss is NaN or infinite; training cannot recover from it.
    """

    def __init__(self, every: int = 50) -> None:
        super().__init__(every)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: float(value) for name, value in module.losses.items()}
        if not all(math.isfinite(value) for value in values.values()):
            raise FloatingPointError(
                f"Expected finite losses, found {values} in iteration {module.iteration}: training has diverged. "
                "Lower the learning rates or resume an earlier checkpoint."
            )
        append_json_line(self.folder.losses, {"iteration": module.iteration} | values)
        log(trainer, values, module.iteration)
