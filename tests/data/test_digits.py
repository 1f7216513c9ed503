"""Stacked digits: scikit-learn's pixels, their modes, sizes and splits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from srgan.data import DigitsData


def test_channels_are_scikit_learns_digits_and_labels_their_modes() -> None:
    digits = load_digits()
    known = {
        pixels.tobytes(): int(target)
        for pixels, target in zip(np.rint(digits.images * 255 / 16).astype(np.uint8), digits.target, strict=True)
    }
    images, modes = DigitsData(8, batch_size=20, n_dis=3).draw(0, torch.arange(60))
    for image, mode in zip(images.numpy(), modes.tolist(), strict=True):
        red, green, blue = (known[channel.tobytes()] for channel in image)
        assert mode == 100 * red + 10 * green + blue


@pytest.mark.parametrize("image_size", [16, 32, 128])
def test_larger_digits_are_bilinear(image_size: int) -> None:
    factor = image_size // 8
    position = ((np.arange(image_size) + 0.5) / factor - 0.5).clip(0, 7)
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(8)))  # [image_size, 8]
    expected = weights @ (load_digits().images * 255 / 16) @ weights.T
    data = DigitsData(image_size)
    train, test = data.load("train"), data.load("test")
    assert (len(train.images), len(test.images)) == (1500, 297)
    found = torch.cat([train.images, test.images])
    assert found.shape == (1797, 1, image_size, image_size)
    assert np.abs(found[:, 0].numpy() - expected).max() <= 0.501  # rounding to bytes
    assert torch.cat([train.labels, test.labels]).tolist() == load_digits().target.tolist()


def test_no_test_digit_gets_into_training_or_the_other_way_round() -> None:
    pixels = {split: DigitsData(8).load(split).images for split in ("train", "test")}
    only_test = {digit.numpy().tobytes() for digit in pixels["test"]} - {d.numpy().tobytes() for d in pixels["train"]}
    data = DigitsData(8, batch_size=100, n_dis=5)
    drawn = data.draw(3, torch.arange(500)).images.flatten(0, 1)
    assert not only_test & {channel.numpy().tobytes() for channel in drawn}
    ((stacks, _),) = data.real_images("test", range(100))
    assert {channel.numpy().tobytes() for channel in stacks.flatten(0, 1)} <= {
        d.numpy().tobytes() for d in pixels["test"]
    }


@pytest.mark.parametrize("image_size", [0, 4, 12, 28, 256])
def test_other_sizes_of_digits_are_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"found.*{image_size}"):
        DigitsData(image_size)


def test_real_images_of_digits_are_the_same_for_every_run() -> None:
    batches = [images for images, _ in DigitsData(8, seed=0).real_images("train", range(130), batch_size=50)]
    assert [len(batch) for batch in batches] == [50, 50, 30]
    other_run = DigitsData(8, batch_size=4, n_dis=1, seed=9)
    ((images, _),) = other_run.real_images("train", range(40, 130))
    assert torch.equal(torch.cat(batches)[40:], images)
    assert other_run.num_real_images("train", 130) == 130
