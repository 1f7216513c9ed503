"""All that torch and numpy alone are enough for, on a discriminator and, where one is named, on a run of `srgan fit`.

python tests/one_liner.py [RUN]
"""

import sys
import time
import warnings

import torch
from torch import nn


def on_a_discriminator() -> None:
    from srgan import export, regularize, spectra, unregularize, watch

    D = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 1))
    optimizer = torch.optim.Adam(D.parameters())
    handle = regularize(D, "sr-s", optimizer=optimizer)
    monitor = watch(D, every=1)
    for _ in range(5):
        optimizer.zero_grad()
        D(torch.randn(2, 3, 8, 8)).mean().backward()
        optimizer.step()
        monitor.step()
    assert handle.updates == monitor.steps == 5
    assert spectra(D)["0"][3] > 0.95  # of eight
    assert spectra(export(D)).keys() == spectra(D).keys() == {"0", "3"}
    unregularize(D)


def on_a_run(run: str) -> None:
    from srgan import export, load, spectra

    gan = load(run, device="cpu")
    assert gan.generate(2).shape == (2, 3, gan.image_size, gan.image_size)
    assert spectra(export(gan.discriminator)).keys() == spectra(gan.discriminator).keys()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    on_a_discriminator()
    print(f"first spectra after {time.perf_counter() - started:.1f} s, beside the import of torch {torch.__version__}")
    for run in sys.argv[1:]:
        on_a_run(run)
    print(sys.modules["srgan"].__file__)
