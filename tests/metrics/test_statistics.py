"""Statistics of real images: cached, resumed, shared over ranks in whole batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_metrics import DIGITS, Projection, noise_images, protocol, real_images, stream

from srgan.data import DigitsData, FolderData, ImageData
from srgan.data.image_data import LabelledImages
from srgan.metrics import statistics
from srgan.metrics.scores import Scorer
from srgan.metrics.statistics import FeatureSums, RealStatistics, share_batches
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SRGAN_CACHE", str(tmp_path))
    return tmp_path


class Interrupted(DigitsData):
    """Digits that cannot be read beyond some row."""

    last = 250

    def real_images(self, *arguments: Any) -> Iterator[LabelledImages]:
        if arguments[1].stop > self.last:
            raise KeyboardInterrupt
        return super().real_images(*arguments)


def real_statistics(data: ImageData = DIGITS, count: int = 400, batch_size: int = 50) -> RealStatistics:
    return RealStatistics(Projection(), data, "train", count, batch_size, SINGLE_PROCESS)


def test_statistics_of_real_images_are_read_again(empty_cache: Path) -> None:
    first = Scorer(Projection(), DIGITS, protocol(kid=True)).of_images(stream(noise_images()))
    files = {path: path.stat().st_mtime_ns for path in empty_cache.rglob("*.np*")}
    assert [path.parent.name for path in sorted(files)] == ["real-features", "real-statistics"]
    unreadable = Interrupted(8)
    unreadable.last = 0
    assert Scorer(Projection(), unreadable, protocol(kid=True)).of_images(stream(noise_images())) == first
    assert {path: path.stat().st_mtime_ns for path in empty_cache.rglob("*.np*")} == files


def test_damaged_statistics_are_computed_again(empty_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Scorer(Projection(), DIGITS, protocol(kid=True)).of_images(stream(noise_images()))
    for path in empty_cache.rglob("*.np*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    assert Scorer(Projection(), DIGITS, protocol(kid=True)).of_images(stream(noise_images())) == first
    assert capsys.readouterr().err.count("is damaged and will be recreated") == 2


def test_a_pass_that_was_cut_goes_on_where_it_saved(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "IMAGES_BETWEEN_SAVES", 90)  # every 2 batches of 50
    with pytest.raises(KeyboardInterrupt):
        real_statistics(Interrupted(8)).sums()
    resumed = real_statistics()
    sums = resumed.sums()
    features = resumed.features
    assert isinstance(features, Projection)
    assert features.batches == [50] * 4  # of 8
    monkeypatch.setenv("SRGAN_CACHE", str(empty_cache / "other"))
    straight = real_statistics().sums()
    assert sums.count == straight.count == 400
    assert torch.equal(sums.total, straight.total)
    assert torch.equal(sums.outer, straight.outer)
    assert sums.covariance.allclose(Projection()(real_images())[0].double().T.cov())


def test_statistics_of_other_real_images_or_weights_are_other_files(folder_root: Path, empty_cache: Path) -> None:
    folder = FolderData(str(folder_root), 8)
    Scorer(Projection(), DIGITS, protocol())
    Scorer(Projection(), DIGITS, protocol(num_fake_images=2, seed=5))  # says nothing of real images
    assert len(list((empty_cache / "real-statistics").iterdir())) == 1
    Scorer(Projection(), DIGITS, protocol(num_real_images=401))
    Scorer(Projection(), DIGITS, protocol(split="test"))
    Scorer(Projection(), DIGITS, protocol(batch_size=50))
    Scorer(Projection(seed=1), DIGITS, protocol())
    assert Scorer(Projection(), folder, protocol()).describe()["num_real_images"] == 12  # all there are
    assert len(list((empty_cache / "real-statistics").iterdir())) == 6


def test_the_set_of_features_is_that_of_the_first_images(
    folder_root: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MAX_FEATURES", 6)
    folder = FolderData(str(folder_root), 8)
    found = real_statistics(folder, 12, batch_size=4).set_of_features()
    ((images, _),) = folder.real_images("train", range(6))
    assert torch.equal(found, Projection()(images)[0])


@pytest.mark.parametrize("rows", [range(700), range(100, 700), range(30), range(0)])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_ranks_share_whole_batches_exactly(rows: range, world_size: int) -> None:
    shares = [share_batches(ProcessGroup(rank, world_size), rows, 100) for rank in range(world_size)]
    assert [row for share in shares for row in share] == list(rows)
    assert all((share.start - rows.start) % 100 == 0 or not share for share in shares)
    batches = [-(-len(share) // 100) for share in shares]
    assert max(batches) - min(batches) <= 1


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    joined = FeatureSums.zero(6)
    for part in features.split([20, 30]):
        sums = FeatureSums.zero(6)
        sums.add(part)
        joined.join(sums)
    assert joined.mean.allclose(features.double().mean(dim=0))
    assert joined.covariance.allclose(features.double().T.cov())


def test_long_passes_report_where_they_stand(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real_statistics().sums()
    assert capsys.readouterr().err == ""  # less than a minute
    monkeypatch.setattr("srgan.utils.progress.SECONDS_BETWEEN_LINES", 0.0)
    real_statistics(count=420).sums()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        f"features of real images of stacked-digits: {count} of 420" for count in (*range(0, 401, 50), 420)
    ]
    assert lines[-1].endswith(", 00:00 to go")
