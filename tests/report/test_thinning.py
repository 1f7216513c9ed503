"""What a page keeps of a history: moments, and sample grids within a budget."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srgan.report.page import LARGEST_SIDE, sample_strip
from srgan.utils.downsampling import kept_times


@given(st.sets(st.integers(0, 5_000), min_size=1, max_size=300), st.integers(2, 60), st.data())
def test_thinning_keeps_first_last_and_required_times(times: set[int], most: int, data: st.DataObject) -> None:
    iterations = np.array(sorted(times))
    required = data.draw(st.lists(st.one_of(st.none(), st.sampled_from(sorted(times))), max_size=10))
    kept = iterations[kept_times(iterations, most, required)]
    assert {iterations[0], iterations[-1], *(t for t in required if t is not None)} <= set(kept)
    assert (np.diff(kept) > 0).all()
    assert len(kept) <= max(most, len({iterations[0], iterations[-1], *required} - {None}))
    if len(iterations) <= most:
        assert len(kept) == len(iterations)


def test_sample_grids_stay_within_their_budget_and_lose_what_enlarged_them(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = {t: tmp_path / f"{t:08d}.png" for t in range(0, 120, 10)}
    for path in pictures.values():
        small = random.integers(0, 256, (265, 265, 3), dtype=np.uint8)
        Image.fromarray(small.repeat(2, 0).repeat(2, 1)).save(path)
    pictures[120] = tmp_path / "half written.png"
    pictures[120].write_bytes(pictures[0].read_bytes()[:5_000])
    everything = sample_strip(pictures, 32, [50], 10_000_000)
    assert list(everything) == list(range(0, 120, 10))
    few = sample_strip(pictures, 32, [50], 5 * len(everything[0]))
    assert 3 <= len(few) <= 5
    assert {0, 50, 110} <= set(few)
    larger = sample_strip({0: pictures[0]}, 64, [], 10_000_000)
    assert len(larger[0]) > len(everything[0])  # not halved: its images were not enlarged
    assert LARGEST_SIDE >= 512
