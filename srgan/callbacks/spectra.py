"""Records the spectrum of every discriminator layer over training, and warns when the spectra collapse."""

import numpy as np
import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback
from srgan.constraints import raw_weight, spectra, spectral_layers
from srgan.constraints.layers import layer_kind
from srgan.metrics.collapse import fallen_tails, tail_mean
from srgan.runs import SpectralLayer, normalized
from srgan.training import AdversarialTraining

SPECTRAL_COLLAPSE = "spectral collapse"


class SpectraRecorder(RunCallback):
    """Appends all normalized spectra of the discriminator to `spectra.bin`, every `every` iterations.

    Args:
        every: iterations between two records.
    """

    at_start = True

    def __init__(self, every: int = 100) -> None:
        super().__init__(every)
        self.tails: dict[str, list[float]] = {}  # tail means of the judged layers so far

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run goes on from its records."""
        history = self.folder.read_spectra() if trainer.is_global_zero else None
        if history is not None:
            self.tails = {name: tail_mean(spectra).tolist() for name, spectra in history.judged().items()}
        super().on_train_start(trainer, pl_module)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: sigma.numpy() for name, sigma in spectra(module.discriminator, normalized=False).items()}
        layers = [
            SpectralLayer(
                name,
                layer_kind(layer),
                list(raw_weight(layer).shape),
                len(values[name]),
            )
            for name, layer in spectral_layers(module.discriminator)
        ]
        self.folder.append_spectra(module.iteration, layers, list(values.values()))
        for layer in layers:
            if layer.is_judged:
                self.tails.setdefault(layer.name, []).append(float(tail_mean(normalized(values[layer.name]))))
        self._warn_of_collapse(module)

    def _warn_of_collapse(self, module: AdversarialTraining) -> None:
        """At the record that brings the verdict; SR holds what it is meant to hold, whatever the tail does."""
        if module.constraint.holds_spectra or not self.tails:
            return
        fallen_at = fallen_tails({name: np.array(tail) for name, tail in self.tails.items()}, self.thresholds)
        collapsed = np.mean(list(fallen_at.values()), axis=0) >= self.thresholds.layers
        if collapsed[-1] and not collapsed[:-1].any():
            fallen = [name for name, at in fallen_at.items() if at[-1]]
            self.warn(
                module,
                SPECTRAL_COLLAPSE,
                f"the tail of the spectra of {', '.join(fallen)} has fallen below {self.thresholds.tail_mean:g} of its "
                "largest so far: mode collapse goes along with it. Go on from a checkpoint before it with SR: "
                "srgan fit ... -c configs/sr-d.yaml --run NEW --from-checkpoint CKPT",
            )
