"""Features, FID, IS and coverage against formulas in numpy, and what scoring must leave alone."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from srgan.data import DigitsData, FolderData
from srgan.metrics.features import ClassifierFeatures, FeatureNetwork, InceptionFeatures, hash_weights
from srgan.metrics.scores import ScoreProtocol, Scorer, coverage
from srgan.networks import ResNetGenerator
from srgan.randomness import counter_seed
from srgan.sampling import GeneratorStatistics, generate

DIGITS = DigitsData(8)
pytestmark = pytest.mark.filterwarnings("ignore:Metric `InceptionScore`", "ignore:std")


class Projection(FeatureNetwork):
    """A feature network small enough for a formula: 6 random sums of pixels; the first row of red pixels as logits."""

    name, suffix, resize, num_features = "projection", "", "none", 6

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        weight = torch.randn(3 * 8 * 8, self.num_features, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(weight / 100, requires_grad=False)
        self.weights_hash = hash_weights(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images.flatten(1).float() @ self.weight, images[:, 0, 0].float()


def protocol(**settings: Any) -> ScoreProtocol:
    return ScoreProtocol(**{"num_real_images": 400, "num_fake_images": 300, "batch_size": 100} | settings)


def real_images(count: int = 400) -> Tensor:
    return torch.cat(list(DIGITS.real_images("train", count)))


def noise_images(count: int = 300) -> Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


@pytest.fixture(scope="module")
def classifier() -> ClassifierFeatures:
    return ClassifierFeatures(DIGITS)


# Fréchet distance.


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """|mu_r - mu_f|^2 + tr(C_r + C_f - 2 (C_r^(1/2) C_f C_r^(1/2))^(1/2)) of features `[N, d]`."""
    values, vectors = np.linalg.eigh(np.cov(real.T))
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ np.cov(fake.T) @ root).clip(0)).sum()
    means = ((real.mean(axis=0) - fake.mean(axis=0)) ** 2).sum()
    return float(means + np.trace(np.cov(real.T)) + np.trace(np.cov(fake.T)) - 2 * cross)


def test_fid_is_the_frechet_distance_of_the_features() -> None:
    features = Projection()
    fake = noise_images()
    found = Scorer(features, DIGITS, protocol())(fake.split(70))["FID"]
    expected = frechet_distance(*(features(images)[0].double().numpy() for images in (real_images(), fake)))
    assert found == pytest.approx(expected, rel=1e-4)


def test_fid_of_negatives_is_the_distance_of_the_means() -> None:
    """255 - x has the covariance of x, so nothing but the means is left."""
    features = Projection()
    negatives = 255 - real_images()
    real, fake = (features(images)[0].double().mean(dim=0) for images in (real_images(), negatives))
    found = Scorer(features, DIGITS, protocol())(negatives.split(100))["FID"]
    assert found == pytest.approx(float((real - fake).square().sum()), rel=1e-4)


def test_fid_of_the_real_images_is_zero_whatever_was_scored_before() -> None:
    scorer = Scorer(Projection(), DIGITS, protocol())
    far, zero, again = (scorer(images.split(100))["FID"] for images in (noise_images(), real_images(), noise_images()))
    assert zero == pytest.approx(0, abs=1e-4 * (far or 0))
    assert far == again


# Cached statistics.


def test_statistics_of_real_images_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path))
    first = Scorer(Projection(), DIGITS, protocol())(noise_images().split(100))
    (path,) = (tmp_path / "statistics").iterdir()
    written = path.stat().st_mtime_ns

    class WithoutRealImages(DigitsData):
        def real_images(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("the statistics are in the cache")

    second = Scorer(Projection(), WithoutRealImages(8), protocol())(noise_images().split(100))
    assert second == first
    assert path.stat().st_mtime_ns == written


def test_statistics_of_other_real_images_or_weights_are_other_files(
    folder_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path))
    folder = FolderData(str(folder_root), 8)
    Scorer(Projection(), DIGITS, protocol())
    Scorer(Projection(), DIGITS, protocol(num_fake_images=2, seed=5))  # says nothing of real images
    assert len(list((tmp_path / "statistics").iterdir())) == 1
    Scorer(Projection(), DIGITS, protocol(num_real_images=401))
    Scorer(Projection(), DIGITS, protocol(split="test"))
    Scorer(Projection(), DIGITS, protocol(batch_size=50))
    Scorer(Projection(seed=1), DIGITS, protocol())
    assert Scorer(Projection(), folder, protocol()).describe()["num_real_images"] == 12  # all there are
    assert len(list((tmp_path / "statistics").iterdir())) == 6


def test_the_protocol_names_what_decides_a_score() -> None:
    features, settings = Projection(), protocol(generator_statistics="batch", seed=3)
    measured = {"data": "stacked-digits-8", "features": "projection", "resize": "none"}
    found = Scorer(features, DIGITS, settings).describe()
    assert found == vars(settings) | measured | {"weights_hash": features.weights_hash}


@pytest.mark.parametrize("wrong", [{"num_fake_images": 1}, {"inception_splits": 0}, {"generator_statistics": "eval"}])
def test_impossible_protocols_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected"):
        protocol(**wrong)


# Inception score and coverage.


def images_of_logits(logits: np.ndarray) -> Tensor:
    """Images whose `Projection` logits are these `[N, 8]` whole numbers."""
    images = torch.zeros(len(logits), 3, 8, 8, dtype=torch.uint8)
    images[:, 0, 0] = torch.from_numpy(logits.astype(np.uint8))
    return images


def inception_score(logits: np.ndarray) -> float:
    """exp E_x KL(p(y|x) || p(y))."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return float(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))


LOGITS = np.random.default_rng(0).integers(0, 7, (90, 8)).astype(float)


def test_inception_score_with_one_split_has_no_spread() -> None:
    scores = Scorer(Projection(), DIGITS, protocol())(images_of_logits(LOGITS).split(40))
    assert scores["IS"] == pytest.approx(inception_score(LOGITS), rel=1e-5)
    assert scores["IS_std"] is None


def test_inception_score_over_splits_is_their_mean_and_spread() -> None:
    found = Scorer(Projection(), DIGITS, protocol(inception_splits=3, seed=4))(images_of_logits(LOGITS).split(40))
    shuffle = torch.Generator().manual_seed(counter_seed(4, "inception score"))
    order = torch.randperm(90, generator=shuffle).numpy()
    parts = [inception_score(part) for part in np.split(LOGITS[order], 3)]
    assert found["IS"] == pytest.approx(np.mean(parts), rel=1e-5)
    assert found["IS_std"] == pytest.approx(np.std(parts, ddof=1), rel=1e-4)


def test_inception_score_of_one_certain_class_is_one() -> None:
    logits = np.zeros((90, 8))
    logits[:, 3] = 120  # exp(-120) is 0 in float32
    assert Scorer(Projection(), DIGITS, protocol())(images_of_logits(logits).split(40))["IS"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("modes", "covered", "divergence"),
    [
        (range(1000), 1000, 0.0),
        ([417] * 50, 1, np.log(1000)),
        ([3, 7] * 20, 2, np.log(500)),
        ([5, 5, 5, 999], 2, 0.75 * np.log(750) + 0.25 * np.log(250)),
    ],
)
def test_coverage_counts_modes_and_measures_their_divergence_from_uniform(
    modes: list[int], covered: int, divergence: float
) -> None:
    found = coverage(nn.functional.one_hot(torch.tensor(list(modes)), 1000).float())
    assert found["modes"] == covered
    assert found["modes_kl"] == pytest.approx(divergence, abs=1e-9)


# What scoring leaves alone.


@pytest.mark.parametrize("statistics", ["running", "batch"])
@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_no_trace(statistics: GeneratorStatistics, training: bool) -> None:
    generator = ResNetGenerator(8, 4, latent_dim=5).train(training)
    generator(torch.randn(4, 5))  # averages that are not the initial ones
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    random_state = torch.get_rng_state()
    scorer = Scorer(Projection(), DIGITS, protocol(inception_splits=2))
    scores = [scorer(generate(generator, 250, 5, 0, "scores", 100, statistics)) for _ in range(2)]
    assert scores[0] == scores[1]
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert all(module.training == training for module in generator.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in generator.parameters())


# Features of a classifier.


def test_the_classifier_reads_digits(classifier: ClassifierFeatures) -> None:
    images, labels = DIGITS.load("train")
    found = classifier.classifier(images)[1].argmax(dim=1)
    assert (found == labels).float().mean() > 0.95


def test_joint_log_probabilities_of_stacked_digits(classifier: ClassifierFeatures) -> None:
    images, _ = DIGITS.draw(0)
    features, joint = classifier(images)
    assert features.shape == (len(images), classifier.num_features) == (80, 192)
    assert joint.logsumexp(dim=1) == pytest.approx(np.zeros(80), abs=1e-5)
    digits = torch.stack([classifier.classifier(images[:, k : k + 1])[1].argmax(dim=1) for k in range(3)])
    assert torch.equal(joint.argmax(dim=1), 100 * digits[0] + 10 * digits[1] + digits[2])


def test_digits_are_scored_with_coverage(classifier: ClassifierFeatures) -> None:
    scores = Scorer(classifier, DIGITS, protocol())(real_images(2_000).split(500))
    assert set(scores) == {"FID_cls", "IS_cls", "IS_cls_std", "modes", "modes_kl"}
    assert scores["modes"] == pytest.approx(1000 * (1 - np.exp(-2)), abs=30)  # 2,000 draws of 1,000 modes


class BrieflyTrained(ClassifierFeatures):
    steps = 3


def test_only_a_reader_of_digits_counts_modes() -> None:
    """The classes of any other network are no modes, also where stacked digits are scored."""
    network = Projection()
    assert not network.counts_modes
    assert not InceptionFeatures.counts_modes
    scorer = Scorer(network, DigitsData(8), protocol())
    assert scorer([noise_images()]).keys() == {"FID", "IS", "IS_std"}


def test_the_classifier_is_reproducible_and_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = []
    for machine in ("a", "b"):
        monkeypatch.setenv("SRGAN_CACHE", str(tmp_path / machine))
        random_state = torch.get_rng_state()
        hashes.append(BrieflyTrained(DIGITS).weights_hash)
        assert torch.equal(torch.get_rng_state(), random_state)
        torch.rand(1)
    assert hashes[0] == hashes[1]
    (path,) = (tmp_path / "b" / "classifiers").iterdir()
    weights = torch.load(path, weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in weights.items()}, path)  # read, not trained again
    assert torch.equal(BrieflyTrained(DIGITS).classifier.output.bias, weights["output.bias"] + 1)


def test_one_class_is_refused(folder_root: Path) -> None:
    with pytest.raises(ValueError, match=r"at least two classes.*found 1"):
        ClassifierFeatures(FolderData(str(folder_root / "class 0"), 8))


# Features of Inception.


def test_inception_is_torch_fidelitys(inception_weights: Path) -> None:
    features = InceptionFeatures(str(inception_weights))
    reference = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(inception_weights))
    images = torch.randint(0, 256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    for found, expected, size in zip(features(images), reference(images), (2048, 1008), strict=True):
        assert found.shape == (3, size)
        assert (found - expected).norm() <= 1e-4 * expected.norm()
        assert (expected[0] - expected[1]).norm() > 1e-2 * expected.norm()  # images do make a difference
    assert features.num_features == 2048
    assert features.weights_hash == hash_weights(reference)


class Malicious:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.mkdir, (self.folder,)


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    torch.save({"conv": Malicious(tmp_path / "made")}, tmp_path / "weights.pth")
    with pytest.raises(pickle.UnpicklingError):
        InceptionFeatures(str(tmp_path / "weights.pth"))
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "weights.pth", weights_only=False)  # as torch-fidelity would have read it
    assert (tmp_path / "made").exists()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth.*found nothing"):
        InceptionFeatures(str(tmp_path / "nowhere.pth"))
