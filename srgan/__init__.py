"""SR-GAN: spectral regularization for combating mode collapse in GANs.

`srgan.regularize(discriminator, "sr-s", optimizer=optimizer)` constrains a discriminator of your own,
`srgan.spectra(discriminator)` shows the singular values of its layers, `srgan.watch(discriminator,
optimizer=optimizer)` warns when they collapse, `srgan.export(discriminator)` gives a copy with plain weights and
`srgan.unregularize(discriminator)` takes the constraint off. `srgan.load(path)` gives the nets that `srgan fit`
trained.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from srgan.checkpoints.pretrained import load
    from srgan.constraints import export, regularize, spectra, unregularize
    from srgan.constraints.watch import watch

__all__ = ["__version__", "export", "load", "regularize", "spectra", "unregularize", "watch"]
__version__ = "0.2.0"
ELSEWHERE = {"load": "srgan.checkpoints.pretrained", "watch": "srgan.constraints.watch"}


def __getattr__(name: str) -> Any:
    """Imports torch only when it is needed, so that the command line answers at once."""
    if name in __all__:
        return getattr(import_module(ELSEWHERE.get(name, "srgan.constraints")), name)
    raise AttributeError(f"module 'srgan' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is public, whether it was imported yet or not."""
    return sorted(__all__)
