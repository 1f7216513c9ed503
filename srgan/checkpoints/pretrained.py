"""`srgan.load`: a trained generator and discriminator, and images drawn as in its run's sample grids."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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
    """Loads networks that `srgan fit` trained. No code in a file is run.

    Args:
        source: a checkpoint, the folder of a run (its last checkpoint), a folder that `srgan push` or `srgan pull`
            wrote, or, if there is no such file, the id "OWNER/NAME" of a model on the Hugging Face hub (extra `hub`).
        ema: take the moving average of the generator, of a run with `--model.ema_decay`.
        device: device of both networks; "auto" is CUDA if available.
        allow: paths of your own classes that the settings name and that may be imported.

    Raises:
        FileNotFoundError: there is nothing, here or on the hub.
        ValueError: the file is not a checkpoint or of another version, names other classes, has NaN or infinite
            weights, or there is no moving average or no such device.

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
    """Both networks of a checkpoint, in evaluation mode.

    Attributes:
        checkpoint: the checkpoint.
        generator: the generator, or its moving average.
        discriminator: the discriminator under its constraint; pass it to `srgan.spectra` or `srgan.export`.
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
        """Generator updates so far."""
        return self.checkpoint.iteration

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the run, nested as in its config.yaml."""
        return self.checkpoint.config

    def generate(
        self,
        num_images: int,
        labels: int | Sequence[int] | Tensor | None = None,
        truncation: float | None = None,
        seed: int = GRID_SEED,
    ) -> Tensor:
        """Draws images; by default the first ones of the run's sample grids.

        Image j depends on the weights, the seed, j and the options, but (up to rounding) not on `num_images`. CPU and
        CUDA draw different latents. Batch norm works as in the run's grids. ValueError if `num_images` or the
        truncation is out of range, or there is no such class.

        Args:
            num_images: number of images, at least 1.
            labels: class of all images, or of each `[num_images]`; None draws classes uniformly.
            truncation: threshold in 0.02 ... 10: latents with |z_i| above it are drawn again; None: no truncation.
            seed: Random seed of latents and classes.

        Returns:
            `[num_images, 3, H, W]` float32 in [-1, 1], on the CPU; `srgan.utils.images.quantize` converts to bytes.
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
        """Settings of the run's sample grids: "rows", "generator_statistics"."""
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
        """A copy to draw single images from, with batch norm statistics of the run's own grid if it takes those."""
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
    """A copy in test mode whose batch norms use the statistics of one batch for all images."""
    frozen = independent_copy(generator, "batch")
    norms = [layer for layer in frozen.modules() if isinstance(layer, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(_keep_statistics) for norm in norms]
    frozen(z, labels)
    for hook in hooks:
        hook.remove()
    return frozen.eval()


def _keep_statistics(norm: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
    """Replaces the running averages, in which a batch has only a part, by its mean and variance."""
    norm.get_buffer("running_mean").copy_(inputs[0].mean(dim=(0, 2, 3)))
    norm.get_buffer("running_var").copy_(inputs[0].var(dim=(0, 2, 3), unbiased=False))


def chosen_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA if available. ValueError if this machine has no such device."""
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"Expected a device that this machine has, found '{name}': {reason}") from None
    return device
