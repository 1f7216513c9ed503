"""Settings of a training that do not fit one another, and the split of a batch into micro-batches."""

from typing import Any

import pytest
from tiny_training import build, fit

from srgan.data import DigitsData
from srgan.utils.distributed import accumulation


@pytest.mark.parametrize(
    ("batch_size", "devices", "micro_batch_size", "expected"),
    [(2048, 4, 32, 16), (64, 1, None, 1), (64, 8, None, 1), (64, 8, 8, 1), (12, 2, 3, 2)],
)
def test_a_global_batch_is_micro_batch_x_accumulation_x_devices(
    batch_size: int, devices: int, micro_batch_size: int | None, expected: int
) -> None:
    assert accumulation(batch_size, devices, micro_batch_size) == expected


def test_an_impossible_split_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(ValueError, match=r"Possible numbers of devices: 1, 2, 4, 8, 16\.$"):
        accumulation(16, 3, None)
    with pytest.raises(ValueError, match=r"Possible values of micro_batch_size: 1, 2, 4, 8\.$"):
        accumulation(16, 2, 3)
    with pytest.raises(ValueError, match=r"Possible values of micro_batch_size: 1, 2, 3, 6\.$"):
        fit(build(micro_batch_size=4), 1, batch_size=6)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_dis": 0},
        {"generator_update_after": 3},
        {"iterations": 0},
        {"micro_batch_size": 0},
        {"generator_batch_multiplier": 0},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Expected iterations, n_dis"):
        build(**settings)


def test_data_of_another_iteration_is_refused() -> None:
    module = build()
    data = DigitsData(8, 4, 2, 3)
    with pytest.raises(RuntimeError, match="Expected the data of iteration 0, found that of 1"):
        module.training_step(data.on_after_batch_transfer(data.batch(1), 0), 0)
