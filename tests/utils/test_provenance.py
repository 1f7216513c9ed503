"""What a run says of the machine that it ran on."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from srgan.metrics.features import arithmetic
from srgan.utils.provenance import convolution_precision, gpu_arithmetic, nvidia_driver

GPU = torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("capability", "setting", "override", "expected"),
    [
        ((9, 0), "tf32", None, "tf32"),  # torch's default
        ((8, 0), "ieee", None, "ieee"),
        ((8, 0), "none", None, "ieee"),
        ((8, 0), "tf32", "0", "ieee"),
        ((7, 5), "tf32", None, "ieee"),
    ],
)
def test_tf32_needs_a_gpu_that_has_it_and_both_switches(
    capability: tuple[int, int], setting: str, override: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cudnn, "conv", SimpleNamespace(fp32_precision=setting))
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    if override is not None:
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", override)
    assert convolution_precision(GPU) == expected
    assert arithmetic(GPU) == f"-cuda-{expected}"
    assert gpu_arithmetic(GPU)["convolutions"] == expected


def test_features_of_a_cpu_keep_the_names_of_their_caches() -> None:
    assert arithmetic(torch.device("cpu")) == ""


@pytest.mark.parametrize(
    "text",
    [
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 06:54:38 UTC 2025\nGCC version: 13\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n",
    ],
)
def test_the_driver_is_read_where_the_system_tells_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "version").write_text(text)
    assert nvidia_driver(tmp_path / "version") == "580.65.06"
    assert nvidia_driver(tmp_path / "nothing") is None
