"""Settings that no memory holds: refused where they are absurd, explained where they were merely too large."""

from collections.abc import Mapping
from typing import Any

from srgan.runs.folder import flatten_settings

MAX_COUNT = 10**9
"""From here on a count or a size is a slip of the pen."""
NO_COUNT = ("seed",)
ALLOCATORS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "could not create a primitive",
    "Storage size calculation overflowed",
    "numel: integer multiplication overflow",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What PyTorch, oneDNN and CUDA say, in errors of one class, when there is no memory."""


def check_sizes(settings: Mapping[str, Any], origin: str) -> None:
    """Raises ValueError, naming the setting, for counts that never end, or whose tensors no machine holds.

    `origin` is where the settings are from, as the message says it.
    """
    for name, value in flatten_settings(dict(settings)).items():
        if isinstance(value, int) and abs(value) >= MAX_COUNT and not name.endswith(NO_COUNT):
            raise ValueError(
                f"Expected sizes and counts below {MAX_COUNT:,} in {origin}, found {name} {value}. Lower it."
            )


def memory_problem(error: BaseException) -> str | None:
    """What an allocator said, in a line; None for any other error."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in ALLOCATORS):
        return next((line.strip() for line in str(error).splitlines() if line.strip()), "no memory left").rstrip(".")
    return None
