"""Records the spectrum of every discriminator layer over training, and warns when the spectra collapse."""

import pytorch_lightning as pl

from srgan.callbacks.base import RunCallback, recovery_hint
from srgan.collapse import MAX_GROWTH, ScaleGrowth, SpectralCollapse
from srgan.constraints import raw_matrix, raw_weight, spectra, spectral_layers
from srgan.constraints.layers import convolutions, divides_by_sigma_1, layer_kind
from srgan.runs.folder import SpectralLayer, normalized
from srgan.training.module import AdversarialTraining

SPECTRAL_COLLAPSE = "spectral collapse"
SLOW = "slow discriminator"


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
