"""Protocols: what decides a score besides the generator."""

from dataclasses import asdict, dataclass, replace

from srgan.data.image_data import Split
from srgan.metrics.formulas import DENSITY_NEIGHBOURS
from srgan.networks.sampling import GeneratorStatistics

SEEDS = 2**32


@dataclass(frozen=True)
class ScoreProtocol:
    """What decides a score besides the generator. The defaults are the authors' in training.

    Attributes:
        num_fake_images: generated images per evaluation; 5,000 for the authors in training, 50,000 in the field.
        num_real_images: real images for FID; the whole split if it has fewer.
        split: which real images.
        inception_splits: parts over which IS is averaged; 1 for the authors, 10 in the field.
        batch_size: images per forward pass of both networks; FID depends on it in the last digits.
        generator_statistics: "running" scores the generator in test mode (the authors), "batch" with the
            batch-norm statistics of each batch.
        seed: Random seed of the latents (the same at every evaluation), IS's shuffle and KID's subsets.
        kid: measure the kernel distance too.
        prdc: measure precision, recall, density and coverage too.
        intra_fid_classes: classes of a conditional generator over which FID within a class is averaged, spread
            evenly over all; 0: none.
        intra_fid_images: generated images per class.
    """

    num_fake_images: int = 5_000
    num_real_images: int = 50_000
    split: Split = "train"
    inception_splits: int = 1
    batch_size: int = 250
    generator_statistics: GeneratorStatistics = "running"
    seed: int = 0
    kid: bool = False
    prdc: bool = False
    intra_fid_classes: int = 0
    intra_fid_images: int = 5_000

    def __post_init__(self) -> None:
        images = self.min_images
        least = {
            "num_fake_images": images, "num_real_images": images, "intra_fid_images": 2, "inception_splits": 1,
            "batch_size": 1, "intra_fid_classes": 0,
        }  # fmt: skip
        for name, number in least.items():
            if getattr(self, name) < number:
                why = " with prdc" if self.prdc and number == images else ""
                raise ValueError(f"Expected {name} of at least {number}{why}, found {getattr(self, name)}.")
        if not 0 <= self.seed < SEEDS:  # of numpy
            raise ValueError(f"Expected a seed of the protocol in 0 ... {SEEDS - 1}, found {self.seed}.")
        if self.inception_splits > self.num_fake_images:
            raise ValueError(
                f"Expected inception_splits of no more than the {self.num_fake_images} generated images, found "
                f"{self.inception_splits}."
            )
        if self.generator_statistics not in ("running", "batch"):
            raise ValueError(
                f"Expected generator_statistics 'running' or 'batch', found {self.generator_statistics!r}."
            )

    @property
    def min_images(self) -> int:
        """Real or generated ones that its scores take at least."""
        return DENSITY_NEIGHBOURS + 1 if self.prdc else 2

    @property
    def real(self) -> tuple[object, ...]:
        """What decides the statistics of real images."""
        return self.num_real_images, self.split, self.batch_size


@dataclass(frozen=True)
class FinalProtocol:
    """What differs from the protocol in training where the trained generator is scored. The field's by default.

    Attributes:
        num_fake_images: generated images, the first of which are those of the protocol in training.
        inception_splits: parts over which IS is averaged.
        kid: measure the kernel distance too.
        prdc: measure precision, recall, density and coverage too.
        intra_fid_classes: classes over which FID within a class is averaged; 0: none.
        intra_fid_images: generated images per class.
    """

    num_fake_images: int = 50_000
    inception_splits: int = 10
    kid: bool = True
    prdc: bool = True
    intra_fid_classes: int = 0
    intra_fid_images: int = 5_000

    def after(self, protocol: ScoreProtocol) -> ScoreProtocol:
        """The full protocol, behind that in training."""
        return replace(protocol, **asdict(self))
