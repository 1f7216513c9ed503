"""What a process that trains on a CPU sets: how freed memory is used again, and where nobody looks for a GPU."""

import ctypes
import os

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def settle_on_cpu() -> None:
    """What `srgan fit` does before it trains on a CPU.

    It keeps freed memory, and it takes back what importing Lightning sets: that PyTorch asks NVIDIA's library for
    devices, which each optimizer step does and, where there is no such library, tries to load it anew.
    """
    keep_freed_memory()
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def keep_freed_memory() -> bool:
    """Lets this process reuse what tensors free, instead of returning it and fetching it anew; whether that works.

    By default glibc returns every block above 32 MB to the system at once, and each new one comes as zeroed pages,
    a fault for each: the activations of a wide network pay for that in every operation.
    """
    try:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    except TypeError:  # Windows has no library of the process itself
        return False
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
