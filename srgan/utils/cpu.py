"""Settings of a process that trains on a CPU."""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def settle_on_cpu() -> None:
    """Keeps freed memory, and undoes a setting of Lightning's import, by which each optimizer step would try to load
    NVIDIA's library to look for devices.
    """
    keep_freed_memory()
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def keep_freed_memory() -> bool:
    """Lets this process reuse the memory of freed tensors; returns whether that works.

    By default glibc returns every block above 32 MB to the system at once, and each new one costs a page fault for each
    page, in every operation of a wide network.
    """
    try:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    except TypeError:  # Windows has no library of the process itself
        return False
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
