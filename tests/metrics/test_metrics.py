"""Scoring images and generators: one pass, cached statistics, exact counts, and what scoring must leave alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srgan.data import DigitsData, FolderData
from srgan.metrics.features import ClassifierFeatures, FeatureNetwork, hash_weights
from srgan.metrics.formulas import frechet_distance
from srgan.metrics.protocol import FinalProtocol, ScoreProtocol
from srgan.metrics.scores import ImagesOf, Scorer, chosen_classes
from srgan.networks import ResNetGenerator
from srgan.networks.sampling import GeneratorStatistics, generate
from srgan.utils.distributed import ProcessGroup

DIGITS = DigitsData(8)


class Projection(FeatureNetwork):
    """A feature network small enough for a formula: 6 random sums of pixels; the first row of red pixels as logits."""

    name, suffix, resize, num_features, num_logits = "projection", "", "none", 6, 8

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        weight = torch.randn(3 * 8 * 8, self.num_features, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(weight / 100, requires_grad=False)
        self.weights_hash = hash_weights(self)
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.batches.append(len(images))
        return images.flatten(1).float() @ self.weight, images[:, 0, 0].float()


def protocol(**settings: Any) -> ScoreProtocol:
    return ScoreProtocol(**{"num_real_images": 400, "num_fake_images": 300, "batch_size": 100} | settings)


def real_images(count: int = 400) -> Tensor:
    return torch.cat([images for images, _ in DIGITS.real_images("train", range(count))])


def noise_images(count: int = 300) -> Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def stream(images: Tensor, batch_size: int = 100) -> ImagesOf:
    return lambda rows: images[rows.start : rows.stop].split(batch_size) if rows else ()


def score(images: Tensor, features: FeatureNetwork | None = None, **settings: Any) -> dict[str, Any]:
    wanted = protocol(**{"num_fake_images": len(images)} | settings)
    return Scorer(features or Projection(), DIGITS, wanted).of_images(stream(images))


def distance_of(real: Tensor, fake: Tensor) -> float:
    moments = [moment for x in (real.double(), fake.double()) for moment in (x.mean(dim=0), x.T.cov())]
    return frechet_distance(*moments)


# Images under one protocol.


def test_fid_is_the_distance_of_the_features() -> None:
    features, fake = Projection(), noise_images()
    assert score(fake)["FID"] == pytest.approx(distance_of(features(real_images())[0], features(fake)[0]), rel=1e-9)


def test_real_images_are_perfect_whatever_was_scored_before() -> None:
    scorer = Scorer(Projection(), DIGITS, protocol(num_fake_images=400, kid=True, prdc=True))
    noise, real = stream(noise_images(400)), stream(real_images())
    far, near, again = (scorer.of_images(images) for images in (noise, real, noise))
    assert near["FID"] == pytest.approx(0, abs=1e-9 * far["FID"])
    assert abs(near["KID"]) < 1e-2 * far["KID"]
    assert [near[name] for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert all(far[name] < 0.9 for name in ("precision", "recall", "coverage"))
    assert far == again


def test_a_stream_of_too_few_images_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Expected 300 generated images, found 299"):
        score(noise_images(299), num_fake_images=300)


def test_digits_are_scored_with_mode_coverage() -> None:
    scores = score(real_images(2_000), ClassifierFeatures(DIGITS))
    assert set(scores) == {"FID_cls", "IS_cls", "IS_cls_std", "modes", "modes_kl"}
    assert scores["modes"] == pytest.approx(1000 * (1 - np.exp(-2)), abs=30)  # 2,000 draws of 1,000 modes


def test_only_a_reader_of_digits_counts_modes() -> None:
    """The classes of any other network are no modes, also where stacked digits are scored."""
    assert score(noise_images()).keys() == {"FID", "IS", "IS_std"}


def test_few_real_images_found_are_refused_on_every_rank(folder_root: Path) -> None:
    """A protocol may ask for more than there are; its neighbours need those that there are."""
    folder = FolderData(str(folder_root), 8)
    folder.num_real_images = lambda split, count: 5  # type: ignore[method-assign]
    for rank in range(2):
        with pytest.raises(ValueError, match=r"at least 6 real images .* for prdc, found 5"):
            Scorer(Projection(), folder, protocol(prdc=True), ProcessGroup(rank, 2))


# Further protocols.


def test_a_further_protocol_is_of_the_same_real_images() -> None:
    scorer, images = Scorer(Projection(), DIGITS, protocol()), stream(noise_images(700))
    further = protocol(num_fake_images=700, inception_splits=5, kid=True, prdc=True)
    scores = scorer.under(further).of_images(images)
    assert scores == Scorer(Projection(), DIGITS, further).of_images(images)
    assert {"KID", "KID_std", "precision", "recall", "density", "coverage"} < scores.keys()
    for other in ({"batch_size": 50}, {"split": "test"}, {"num_real_images": 300}):
        with pytest.raises(ValueError, match="Expected a protocol of the real images of"):
            scorer.under(protocol(**other))


def test_the_final_protocol_is_the_fields_on_the_images_of_training() -> None:
    final = FinalProtocol().after(ScoreProtocol(seed=3, split="test"))
    assert (final.num_fake_images, final.inception_splits, final.seed, final.split) == (50_000, 10, 3, "test")


@pytest.mark.parametrize(
    "wrong",
    [{"num_fake_images": 1}, {"inception_splits": 0}, {"inception_splits": 301}, {"generator_statistics": "eval"},
     {"intra_fid_classes": -1}, {"num_fake_images": 5, "prdc": True}],
)  # fmt: skip
def test_impossible_protocols_are_refused(wrong: dict[str, Any]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ValueError, match=f"^Expected {name} .*found {wrong[name]!r}"):
        protocol(**wrong)


def test_the_protocol_names_what_decides_a_score() -> None:
    features, settings = Projection(), protocol(generator_statistics="batch", seed=3)
    measured = {"data": "stacked-digits-8-of-1500", "features": "projection", "resize": "none"}
    scorer = Scorer(features, DIGITS, settings)
    assert scorer.describe() == vars(settings) | measured | {"weights_hash": features.weights_hash}
    beside = scorer.under(protocol(kid=True, prdc=True, intra_fid_classes=3)).describe()
    assert (beside["kid_subsets"], beside["prdc_neighbours"], beside["num_real_features"]) == ([100, 300], [3, 5], 400)
    assert beside["intra_fid_labels"] == [0, 333, 666]


# Generators.


@pytest.mark.parametrize("statistics", ["running", "batch"])
@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_no_trace(statistics: GeneratorStatistics, training: bool) -> None:
    generator = ResNetGenerator(8, 4, latent_dim=5, num_classes=3).train(training)
    generator(torch.randn(4, 5), torch.tensor([0, 1, 2, 0]))  # averages that are not the initial ones
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    random_state = torch.get_rng_state()
    wanted = protocol(inception_splits=2, generator_statistics=statistics, kid=True, prdc=True)
    scorer = Scorer(Projection(), DIGITS, wanted)
    scores = [scorer.of_generator(generator) for _ in range(2)]
    assert scores[0] == scores[1]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert all(module.training == training for module in generator.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in generator.parameters())


def test_fid_within_classes_compares_images_of_one_class(folder_root: Path) -> None:
    folder, features = FolderData(str(folder_root), 8), Projection()
    generator = ResNetGenerator(8, 4, latent_dim=5, num_classes=3)
    wanted = protocol(num_real_images=12, intra_fid_classes=5, intra_fid_images=30, seed=7, batch_size=20)
    scores = Scorer(features, folder, wanted).of_generator(generator)
    images, labels = folder.load("train")
    for label, found in enumerate(scores["FID_intra_classes"]):
        fakes = generate(generator, range(30), 7, f"scores of class {label}", 20, label=label)
        fake = torch.cat([features(images)[0] for images, _ in fakes])
        assert found == pytest.approx(distance_of(features(images[labels == label])[0], fake), rel=1e-6)
    assert len(scores["FID_intra_classes"]) == 3
    assert scores["FID_intra"] == pytest.approx(np.mean(scores["FID_intra_classes"]))


def test_fid_within_classes_needs_classes_with_images(folder_root: Path) -> None:
    wanted = protocol(num_real_images=12, intra_fid_classes=10, intra_fid_images=30)
    assert chosen_classes(protocol(intra_fid_classes=10), 1000) == list(range(0, 1000, 100))
    assert chosen_classes(wanted, 3) == [0, 1, 2]
    scorer = Scorer(Projection(), FolderData(str(folder_root), 8), wanted)
    with pytest.raises(ValueError, match="Expected a generator with classes"):
        scorer.of_generator(ResNetGenerator(8, 4))
    with pytest.raises(ValueError, match=r"at least two real images of every class.*classes \[3\]"):
        scorer.of_generator(ResNetGenerator(8, 4, num_classes=4))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_class_without_images_is_refused_by_every_rank(folder_root: Path, rank: int) -> None:
    """Also by the one whose classes have images, before it would wait for the other."""
    folder, generator = FolderData(str(folder_root), 8), ResNetGenerator(8, 4, num_classes=4)
    wanted = protocol(num_real_images=12, intra_fid_classes=4, intra_fid_images=30)
    scorer = Scorer(Projection(), folder, wanted)
    scorer.ranks = ProcessGroup(rank, 2)
    with pytest.raises(ValueError, match=r"classes \[3\]"):
        scorer.of_generator(generator)


@pytest.mark.parametrize("data", ["folder", "digits"])
def test_labels_of_real_images_are_those_read_with_them(folder_root: Path, data: str) -> None:
    found = FolderData(str(folder_root), 8) if data == "folder" else DIGITS
    labels = torch.cat([part.labels for part in found.real_images("train", range(9), 4)])
    assert len(labels.unique()) > 1
    assert torch.equal(found.real_labels("train", 9), labels)
