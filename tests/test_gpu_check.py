"""`make gpu-check` on a CPU: every part runs, a part that fails costs no other, and the page shows both."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pretended_device import DEVICE, pretended_device

from bench import gpu_check, gpu_correct, gpu_speed
from bench.gpu_setup import convolutions_in, tiny
from bench.harness import Tables

CPU = torch.device("cpu")
OWN_PROCESSES = ["whole runs", "speed"]
TRY = ["--device", "cpu", "--tiny", "--out"]


def parts_of(folder: Path, names: list[str]) -> dict[str, Any]:
    """What is found, and shown."""
    assert gpu_check.main([*TRY, str(folder), "--only", ",".join(names)]) == 0
    parts: dict[str, Any] = json.loads((folder / "gpu-check.json").read_text())["parts"]
    page = (folder / "gpu-check.md").read_text()
    assert list(parts) == names
    assert all(f"\n## {name[0].upper()}{name[1:]}\n" in page for name in names)
    assert "Failed" not in page
    return parts


def test_parts_within_the_process_run_on_a_cpu(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, [name for name in gpu_check.PARTS if name not in OWN_PROCESSES])
    for row in parts["scores"]["tables"]["classifier"]:
        assert row["GPU"] == row["CPU"] == row["GPU, IEEE"]
    for row in parts["updates"]["tables"][""]:
        assert row["ieee: losses"] == row["ieee: gradients"] == row["tf32: gradients"] == 0
        assert row["bf16: norm"] == pytest.approx(1, abs=0.2)
        assert row["bf16: G without gradient"] == 0
    assert parts["same bits"]["tables"][""] == [
        {"deterministic": deterministic, "again": True, "after resuming": True} for deterministic in (False, True)
    ]


def test_a_run_is_stopped_and_resumed(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, ["whole runs"])
    assert [row["exit status"] for row in parts["whole runs"]["tables"][""]] == [143, 0]


def test_speed_is_measured_alone_and_side_by_side(tmp_path: Path) -> None:
    parts = parts_of(tmp_path, ["speed"])
    assert all(row["it/s"] > 0 for rows in parts["speed"]["tables"].values() for row in rows)


def test_a_part_that_fails_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(setup: Any) -> Tables:
        """Breaks."""
        raise RuntimeError("out of order")

    monkeypatch.setattr(gpu_check, "PARTS", {"broken": broken, "data": gpu_speed.data})
    assert gpu_check.main([*TRY, str(tmp_path)]) == 1
    parts = json.loads((tmp_path / "gpu-check.json").read_text())["parts"]
    assert parts["broken"]["error"] == "RuntimeError: out of order"
    assert parts["data"]["tables"][""]
    assert "**Failed**: RuntimeError: out of order" in (tmp_path / "gpu-check.md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_how_to_try_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main([]) == 2
    assert "--device cpu --tiny" in capsys.readouterr().err
    assert gpu_check.main(["--only", "sores"]) == 2
    assert "found sores" in capsys.readouterr().err


def test_scores_and_regularization_are_checked_on_another_device() -> None:
    with pretended_device():
        (rows,) = gpu_correct.scores(tiny(DEVICE)).values()
        decompositions = list(gpu_speed._decompositions(tiny(DEVICE)))
        applied = gpu_speed._application(tiny(DEVICE), gpu_speed.DISCRIMINATORS["CIFAR-32"], "initial")
    for row in rows:
        assert row["GPU"] == pytest.approx(row["CPU"], rel=1e-4), row["score"]
    assert decompositions[-1]["SVD, default"] < 1e-6
    assert min(applied.values()) > 0


def test_the_precision_of_convolutions_is_set_by_the_switch_of_torch_before_2_9(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = torch.backends.cudnn
    monkeypatch.delattr(type(flags), "conv", raising=False)
    before = flags.allow_tf32
    for precision, allowed in (("ieee", False), ("tf32", True)):
        with convolutions_in(precision):
            assert flags.allow_tf32 is allowed
        assert flags.allow_tf32 == before


def test_a_difference_is_seen() -> None:
    ours = {"a": torch.ones(4), "b": torch.zeros(2)}
    assert gpu_correct._difference(ours, {"a": torch.ones(4), "b": torch.full((2,), 0.1)}) == pytest.approx(
        0.0707, rel=1e-2
    )
    assert gpu_correct._difference(ours, ours) == 0
