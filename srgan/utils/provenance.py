"""Provenance of results: versions, commit, hardware, time. torch is imported only by functions that need it."""

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from srgan.utils.optional_packages import installed_version

if TYPE_CHECKING:
    import pytorch_lightning as pl
    import torch


def now() -> str:
    """The time in run files: UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that compute results."""
    packages = ("torch", "torchvision", "pytorch-lightning", "torchmetrics", "numpy")
    ours = {"python": platform.python_version(), "srgan": installed_version()}
    return ours | {package: version(package) for package in packages}


def commit() -> str | None:
    """Commit of this package's repository, "+" appended if files were changed; None outside of a repository."""
    here = Path(__file__).parents[1]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # not another repository, with our .venv in it
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", here.as_posix()) else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware(trainer: "pl.Trainer") -> dict[str, Any]:
    """Devices, precision and threads of a run; on a GPU also `gpu_arithmetic`."""
    import torch

    device = trainer.strategy.root_device
    return {
        "device": device_name(device),
        "devices": trainer.world_size,
        "precision": str(trainer.precision),
        "threads": torch.get_num_threads(),
        "cores": usable_cores(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    } | (gpu_arithmetic(device) if device.type == "cuda" else {})


def device_name(device: "torch.device") -> str:
    """The model of a GPU, else of the processor."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor()


def gpu_arithmetic(device: "torch.device") -> dict[str, Any]:
    """Libraries and switches that a GPU's rounding depends on."""
    import torch

    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": nvidia_driver(),
        "convolutions": convolution_precision(device),
        "benchmark": torch.backends.cudnn.benchmark,
    }


def convolution_precision(device: "torch.device") -> str:
    """What convolutions of float32 tensors compute in on a GPU: "tf32" (10 bits of mantissa) or "ieee" (23)."""
    import torch

    able = torch.cuda.get_device_capability(device) >= (8, 0)
    flags: Any = torch.backends.cudnn  # whose types leave out its newer flags, of torch 2.9
    switched_on = flags.conv.fp32_precision == "tf32" if hasattr(flags, "conv") else flags.allow_tf32
    allowed = switched_on and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"
    return "tf32" if able and allowed else "ieee"


def nvidia_driver(version_file: Path = Path("/proc/driver/nvidia/version")) -> str | None:
    """The version of NVIDIA's kernel driver, as "580.65.06", if the system has the file."""
    try:
        found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", version_file.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[1] if found else None


def peak_memory(trainer: "pl.Trainer") -> dict[str, int]:
    """Peak memory of the first process in bytes: "host" (not on Windows), and "device" on a GPU."""
    peak, device = {}, trainer.strategy.root_device
    with suppress(ModuleNotFoundError):  # Windows
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
        peak["host"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if device.type == "cuda":
        import torch

        peak["device"] = torch.cuda.max_memory_allocated(device)
    return peak


def processor() -> str:
    """The processor's model name, if known."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:(.*)$", info.read_text(encoding="utf-8") if info.exists() else "", re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
