"""A trained pair of nets out of a checkpoint, drawn from as its run did: `srgan.load`, `srgan sample`."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from srgan.checkpoints.reading import RunCheckpoint
from srgan.checkpoints.rebuilding import rebuild_nets
from srgan.checkpoints.sources import read_source
from srgan.networks import Discriminator, Generator
from srgan.networks.sampling import GRID_PURPOSE, GRID_SEED, GeneratorStatistics, independent_copy, truncated_latents

BATCH_SIZE = 64


def load(source: str | Path, ema: bool = False, device: str = "auto", allow: Collection[str] = ()) -> "TrainedGAN":
    """Loads what `srgan fit` trained. No code in a file is run.

    Args:
        source: a checkpoint, the folder of a run (its last checkpoint), a folder that `srgan push` or `srgan pull`
            wrote, or, where no such file is, the id "OWNER/NAME" of a model on the Hugging Face hub (extra `hub`).
        ema: whether the generator is its moving average, of a run with `--model.ema_decay`.
        device: name of the device for both networks; "auto" is CUDA where there is some.
        allow: class paths of yours that the settings name, to import.

    Raises:
        FileNotFoundError: there is nothing, here or on the hub.
        ValueError: it is another file or of another version, names other classes, its weights are not finite, there is
            no moving average or no such device.

    Example:
        >>> gan = srgan.load("runs/digits-sr-s")  # doctest: +SKIP
        >>> gan.generate(16).shape  # doctest: +SKIP
        torch.Size([16, 3, 16, 16])
    """
    place = chosen_device(device)
    checkpoint = read_source(source, allow)
    nets = rebuild_nets(checkpoint).eval().to(place)
    generator = nets.generator_ema if ema else nets.generator
    if generator is None:
        raise ValueError(
            f"Expected a moving average of the generator in '{checkpoint.path}', found a run without one "
            "(model.ema_decay null). Leave ema out to draw from its last weights."
        )
    return TrainedGAN(checkpoint, generator, nets.discriminator)


@dataclass(frozen=True)
class TrainedGAN:
    """What a checkpoint of `srgan fit` holds, rebuilt, in evaluation mode.

    Attributes:
        checkpoint: where it is from.
        generator: of the last weights, or their moving average.
        discriminator: under its constraint; `srgan.spectra` and `srgan.export` take it.
    """

    checkpoint: RunCheckpoint
    generator: Generator
    discriminator: Discriminator

    @property
    def method(self) -> str:
        """Label of the constraint, e.g. "SR-s"."""
        return self.checkpoint.constraint

    @property
    def iteration(self) -> int:
        """How many updates of the generator there had been."""
        return self.checkpoint.iteration

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting of the run, resolved, nested as in its config.yaml."""
        return self.checkpoint.config

    def generate(
        self,
        num_images: int,
        labels: int | Sequence[int] | Tensor | None = None,
        truncation: float | None = None,
        seed: int = GRID_SEED,
    ) -> Tensor:
        """Draws images; by default the first of the run's own sample grids.

        Image j depends on the weights, the seed, j and the options, up to rounding not on `num_images`; streams of CPU
        and CUDA differ. Batch norm works as in the run's grids.

        Args:
            num_images: how many.
            labels: class of all images, or of each `[num_images]`; None draws classes uniformly.
            truncation: the largest |z_i|, 0.02 ... 10: what is beyond is drawn again; None: no truncation.
            seed: Random seed of latents and classes.

        Returns:
            `[num_images, 3, H, W]` float32 in [-1, 1], on the CPU; `srgan.utils.images.quantize` makes bytes of it.

        Raises:
            ValueError: there is no image, no such class, or the truncation is out of range.
        """
        if num_images < 1:
            raise ValueError(f"Expected at least one image, found {num_images}.")
        z, drawn = self.grid_latents(num_images, seed, truncation)
        classes = drawn if labels is None else self._classes(labels, num_images)
        return torch.cat(list(rendered(self.network(), z, classes)))

    def _classes(self, labels: int | Sequence[int] | Tensor, num_images: int) -> Tensor:
        """`[num_images]` int64."""
        count, given = self.generator.num_classes, torch.as_tensor(labels)
        if given.shape not in ((), (num_images,)) or not ((given >= 0) & (given < count)).all():
            expected = f"one class in 0 ... {count - 1}, or one for each of {num_images} images" if count else "none"
            raise ValueError(f"Expected as labels {expected} for this generator, found {labels}.")
        return given.to(self.device, torch.int64).expand(num_images)

    @property
    def device(self) -> torch.device:
        return next(self.generator.parameters()).device

    @property
    def image_size(self) -> int:
        """H = W of its images."""
        size: int = self.checkpoint.config["model"]["networks"]["init_args"]["image_size"]
        return size

    @property
    def grid_settings(self) -> dict[str, Any]:
        """Of the run's sample grids: "rows", "generator_statistics"."""
        settings: Any = self.checkpoint.config.get("samples")
        whole = isinstance(settings, dict) and settings.get("generator_statistics") in get_args(GeneratorStatistics)
        if not whole or not isinstance(settings.get("rows"), int) or settings["rows"] < 1:
            raise ValueError(
                f"Expected samples.rows and samples.generator_statistics in '{self.checkpoint.path}' as srgan fit "
                f"writes them, found {settings}. Take another copy."
            )
        found: dict[str, Any] = settings
        return found

    def network(self) -> Generator:
        """A copy to draw single images from.

        Where the run's grids take batch statistics, it keeps those of the run's own grid: a walk is no training batch.
        """
        if self.grid_settings["generator_statistics"] == "batch":
            return frozen_on(self.generator, *self.grid_latents(self.grid_settings["rows"] ** 2))
        return self.batch_network(None)

    def batch_network(self, statistics: GeneratorStatistics | None) -> Generator:
        """A copy to draw whole batches from; None: with the batch norm statistics of the run's grids."""
        return independent_copy(self.generator, statistics or self.grid_settings["generator_statistics"])

    def grid_latents(self, count: int, seed: int = GRID_SEED, threshold: float | None = None) -> tuple[Tensor, Tensor]:
        """z `[count, d]` and classes `[count]` of the first images of the run's grids, or of another seed."""
        return truncated_latents(self.generator, range(count), self.device, seed, GRID_PURPOSE, threshold)


@torch.no_grad()
def rendered(network: Generator, z: Tensor, labels: Tensor, batch_size: int = BATCH_SIZE) -> Iterator[Tensor]:
    """Images `[B, 3, H, W]` float32 in [-1, 1] of z `[B, d]` and labels `[B]`, on the CPU, batch by batch."""
    for some_z, some_labels in zip(z.split(batch_size), labels.split(batch_size), strict=True):
        yield network(some_z, some_labels).float().cpu()


@torch.no_grad()
def frozen_on(generator: Generator, z: Tensor, labels: Tensor) -> Generator:
    """A copy in test mode whose batch norms keep the statistics of one batch: other images look as they do there."""
    watched, frozen = independent_copy(generator, "batch"), independent_copy(generator, "running")
    for layer, kept in zip(watched.modules(), frozen.modules(), strict=True):
        if isinstance(kept, nn.BatchNorm2d):
            layer.register_forward_hook(partial(_keep_statistics, kept))
    watched(z, labels)
    return frozen


def _keep_statistics(kept: nn.BatchNorm2d, _: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
    """Those that the batch was normalized by, which the running averages would be a mixture of."""
    assert kept.running_mean is not None
    assert kept.running_var is not None
    kept.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
    kept.running_var.copy_(inputs[0].var(dim=(0, 2, 3), unbiased=False))


def chosen_device(name: str) -> torch.device:
    """By name; "auto" is CUDA where there is some. ValueError where this machine has no such device."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"Expected a device that this machine has, found '{name}': {reason}") from None
    return device
