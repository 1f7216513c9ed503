"""Records the spectrum of every discriminator layer over training."""

import numpy as np
import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback, log
from srgan.constraints import raw_weight, spectra, spectral_layers
from srgan.files import write_json
from srgan.metrics.collapse import tail_mean
from srgan.runs import SpectralLayer, spectra_dtype
from srgan.training import AdversarialTraining


class SpectraRecorder(RunCallback):
    """Appends all normalized spectra of the discriminator to `spectra.bin`, every `every` iterations.

    The local file holds every singular value; the loggers get each layer's sigma_1 and tail mean.

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
        normalized = {name: sigma / max(sigma[0], np.finfo(float).tiny) for name, sigma in values.items()}
        record = np.zeros(1, spectra_dtype(layers))
        record["iteration"] = module.iteration
        record["sigma_1"] = [sigma[0] for sigma in values.values()]
        record["spectrum"] = np.concatenate(list(normalized.values()))
        if not self.folder.spectra_layout.exists():
            write_json(self.folder.spectra_layout, {"layers": [vars(layer) for layer in layers]})
        with self.folder.spectra.open("ab") as file:
            file.write(record.tobytes())
        scalars = {f"spectra/{name}/tail_mean": float(tail_mean(values)) for name, values in normalized.items()}
        scalars |= {f"spectra/{name}/sigma_1": float(sigma[0]) for name, sigma in values.items()}
        log(trainer, scalars, module.iteration)
