"""How the C library hands out the memory of tensors on a CPU."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


def keep_freed_memory() -> bool:
    """Lets this process reuse what tensors free, instead of returning it and fetching it anew.

    By default glibc gives every block above 32 MB back to the system at once, and each new one comes as zeroed pages,
    a fault for each: the activations of a wide net pay for that in every operation. With this the process keeps the
    most that it ever held, and some blocks more.

    Returns:
        whether the C library is one that listens (glibc).
    """
    try:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    except TypeError:  # Windows has no library of the process itself
        return False
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
