"""Records the spectrum of every discriminator layer over training, and warns when the spectra collapse."""

import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback, rescue
from srgan.constraints import raw_matrix, raw_weight, spectra, spectral_layers
from srgan.constraints.layers import layer_kind
from srgan.metrics.verdicts import SpectralCollapse
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
        self.collapse = SpectralCollapse(self.thresholds)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A resumed run goes on from its records."""
        self.collapse = SpectralCollapse(self.thresholds)
        history = self.folder.read_spectra() if trainer.is_global_zero else None
        if history is not None:
            judged = history.judged()
            for time in range(len(history.iterations)):
                self.collapse.add({name: spectra[time] for name, spectra in judged.items()})
        super().on_train_start(trainer, pl_module)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        values = {name: sigma.numpy() for name, sigma in spectra(module.discriminator, normalized=False).items()}
        layers = recorded_layers(module)
        self.folder.append_spectra(module.iteration, layers, list(values.values()))
        judged = {layer.name: normalized(values[layer.name])[: layer.judged] for layer in layers if layer.is_judged}
        if fallen := self.collapse.add(judged):
            self.warn(
                module,
                SPECTRAL_COLLAPSE,
                f"the tail of the spectra of {', '.join(fallen)} has fallen below {self.thresholds.tail_mean:g} of its "
                "largest so far: in the paper mode collapse goes along with it. Go on from a checkpoint "
                f"before it with {rescue(module)}",
            )


def recorded_layers(module: AdversarialTraining) -> list[SpectralLayer]:
    """What the records say of D's layers, beside their spectra."""
    return [
        SpectralLayer(
            name,
            layer_kind(layer),
            list(raw_weight(layer).shape),
            min(raw_matrix(layer).shape),
            module.constraint.judged_values(layer),
        )
        for name, layer in spectral_layers(module.discriminator)
    ]
