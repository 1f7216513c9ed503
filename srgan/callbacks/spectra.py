"""Records the spectrum of every discriminator layer over training, and warns when the spectra collapse."""

import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback
from srgan.constraints import SpectralRegularization, raw_weight, spectra, spectral_layers
from srgan.metrics.collapse import collapsed_layers, spectral_collapse
from srgan.runs import SpectraHistory, SpectralLayer
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

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: sigma.numpy() for name, sigma in spectra(module.discriminator, normalized=False).items()}
        layers = [
            SpectralLayer(
                name,
                type(layer).__name__.removeprefix("Parametrized"),
                list(raw_weight(layer).shape),
                len(values[name]),
            )
            for name, layer in spectral_layers(module.discriminator)
        ]
        self.folder.append_spectra(module.iteration, layers, list(values.values()))
        history = self.folder.read_spectra()
        assert history is not None
        self._warn_of_collapse(module, history)

    def _warn_of_collapse(self, module: AdversarialTraining, history: SpectraHistory) -> None:
        """At the record that brings the verdict; SR holds what it is meant to hold, whatever the tail does."""
        if isinstance(module.constraint, SpectralRegularization):
            return
        if spectral_collapse(history.iterations, history.judged(), self.thresholds).iteration == module.iteration:
            fallen = [name for name, rows in collapsed_layers(history.judged(), self.thresholds).items() if rows[-1]]
            self.warn(
                module,
                SPECTRAL_COLLAPSE,
                f"the tail of the spectra of {', '.join(fallen)} has fallen below {self.thresholds.tail_mean:g} of its "
                "largest so far: mode collapse goes along with it. Go on from a checkpoint before it with SR: "
                "srgan fit ... -c configs/sr-d.yaml --run NEW --from-checkpoint CKPT",
            )
