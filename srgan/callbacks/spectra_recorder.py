"""Records the spectrum of every discriminator layer over training, and warns when the spectra collapse."""

from collections.abc import Mapping

import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback
from srgan.constraints import raw_weight, spectra, spectral_layers
from srgan.constraints.layers import layer_kind
from srgan.metrics.verdicts import SpectrumSummary, spectral_collapse, summarize
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
        self.largest_tail_means: dict[str, float] = {}  # of the judged layers
        self.has_collapsed = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run goes on from its records."""
        history = self.folder.read_spectra() if trainer.is_global_zero else None
        if history is not None and len(history.iterations):
            judged = history.judged()
            self.has_collapsed = spectral_collapse(history.iterations, judged, self.thresholds).collapsed
            self.largest_tail_means = {
                name: float(summarize(spectra).largest_tail_mean[-1]) for name, spectra in judged.items()
            }
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
        ratios = {layer.name: normalized(values[layer.name])[None] for layer in layers if layer.is_judged}
        summaries = {
            name: summarize(spectra, self.thresholds, self.largest_tail_means.get(name, 0.0))
            for name, spectra in ratios.items()
        }
        self.largest_tail_means = {name: float(found.largest_tail_mean[-1]) for name, found in summaries.items()}
        self._warn_of_collapse(module, summaries)

    def _warn_of_collapse(self, module: AdversarialTraining, summaries: Mapping[str, SpectrumSummary]) -> None:
        """At the record that brings the verdict; SR holds what it is meant to hold, whatever the tail does."""
        if module.constraint.holds_spectra or not summaries:
            return
        fallen = [name for name, summary in summaries.items() if summary.collapsed[-1]]
        collapsed = len(fallen) / len(summaries) >= self.thresholds.layers
        if collapsed and not self.has_collapsed:
            self.has_collapsed = True
            self.warn(
                module,
                SPECTRAL_COLLAPSE,
                f"the tail of the spectra of {', '.join(fallen)} has fallen below {self.thresholds.tail_mean:g} of its "
                "largest so far: mode collapse goes along with it. Go on from a checkpoint before it with SR: "
                "srgan fit ... -c sr-d --run NEW --from-checkpoint CKPT",
            )
