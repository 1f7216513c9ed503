"""Feature networks: a classifier trained on the data, and torch-fidelity's Inception."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from srgan.data import DigitsData, FolderData
from srgan.metrics.features import (
    CLASSIFIERS,
    ClassifierFeatures,
    DenseNetFeatures,
    InceptionFeatures,
    feature_network,
    hash_weights,
)
from srgan.utils.files import read_cached, write_cached

DIGITS = DigitsData(8)


@pytest.fixture(scope="module", params=list(CLASSIFIERS.values()), ids=list(CLASSIFIERS))
def classifier(request: pytest.FixtureRequest) -> ClassifierFeatures:
    built: ClassifierFeatures = request.param(DIGITS)
    return built


# Features of a classifier.


def test_the_classifier_reads_digits(classifier: ClassifierFeatures) -> None:
    images, labels = DIGITS.load("train")
    found = classifier.classifier(images)[1].argmax(dim=1)
    assert (found == labels).float().mean() > 0.95


def test_joint_log_probabilities_of_stacked_digits(classifier: ClassifierFeatures) -> None:
    images, _ = DIGITS.draw(0, torch.arange(80))
    features, joint = classifier(images)
    assert features.shape == (len(images), classifier.num_features)
    assert joint.shape == (len(images), classifier.num_logits)
    assert (len(images), classifier.num_logits) == (80, 1000)
    assert classifier.num_features == 3 * {"classifier": 64, "densenet": 90}[classifier.name]
    assert joint.logsumexp(dim=1) == pytest.approx(np.zeros(80), abs=1e-5)
    digits = torch.stack([classifier.classifier(images[:, k : k + 1])[1].argmax(dim=1) for k in range(3)])
    assert torch.equal(joint.argmax(dim=1), 100 * digits[0] + 10 * digits[1] + digits[2])


class BrieflyTrained(ClassifierFeatures):
    steps = 3


class BrieflyTrainedDenseNet(DenseNetFeatures):
    steps = 3


def test_a_densenet_is_cached_with_its_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path))
    images, _ = DIGITS.draw(0, torch.arange(10))
    trained, cached, other = BrieflyTrainedDenseNet(DIGITS), BrieflyTrainedDenseNet(DIGITS), BrieflyTrained(DIGITS)
    assert trained.weights_hash == cached.weights_hash != other.weights_hash
    assert torch.equal(trained(images)[0], cached(images)[0])  # running statistics of batch norm among the weights
    # The other images of a batch do not matter.
    assert trained(images)[0][:1].numpy() == pytest.approx(trained(images[:1])[0].numpy(), abs=1e-5)
    assert len(list((tmp_path / "classifiers").iterdir())) == 2


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
    stored = read_cached(path, *np.load(path).files)
    assert stored is not None
    write_cached(path, **{name: weight + 1 for name, weight in stored.items()})  # read, not trained again
    assert torch.equal(BrieflyTrained(DIGITS).classifier.output.bias, torch.from_numpy(stored["output.bias"] + 1))


def test_a_damaged_classifier_is_trained_again_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path))
    before = BrieflyTrained(DIGITS).weights_hash
    (path,) = (tmp_path / "classifiers").iterdir()
    for damaged in (path.read_bytes()[:1000], bytes(5000), b""):
        path.write_bytes(damaged)
        assert BrieflyTrained(DIGITS).weights_hash == before
        assert f"'{path}' is damaged and will be recreated." in capsys.readouterr().err
    assert BrieflyTrained(DIGITS).weights_hash == before
    assert capsys.readouterr().err == ""


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
    assert (features.num_features, features.num_logits) == (2048, 1008)
    assert features.weights_hash == hash_weights(reference)


class Malicious:
    """Unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.mkdir, (self.folder,)


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    torch.save({"conv": Malicious(tmp_path / "made")}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"Expected Inception weights at '.*weights\.pth', found another file"):
        InceptionFeatures(str(tmp_path / "weights.pth"))
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "weights.pth", weights_only=False)  # as torch-fidelity would have read it
    assert (tmp_path / "made").exists()
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth.*found nothing"):
        InceptionFeatures(str(tmp_path / "nowhere.pth"))


def test_a_feature_network_by_its_name(inception_weights: Path) -> None:
    device = torch.device("cpu")
    assert feature_network("classifier", None, DIGITS, device).name == "classifier"
    assert feature_network("inception", str(inception_weights), DIGITS, device).name == "inception-v3-compat"
    with pytest.raises(FileNotFoundError, match="found nothing"):
        feature_network("inception", "nowhere.pth", DIGITS, device)
