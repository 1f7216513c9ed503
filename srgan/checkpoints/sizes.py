"""Settings that fit no memory."""

from collections.abc import Mapping
from typing import Any

from srgan.runs.folder import flatten_settings

MAX_COUNT = 10**9
"""Counts and sizes from here on are typos."""
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
"""Parts of the messages of PyTorch, oneDNN and CUDA, in errors of one class, when there is no memory."""


def check_sizes(settings: Mapping[str, Any], origin: str) -> None:
    """ValueError, with the setting's name, for counts and sizes beyond any machine; `origin` is part of the message."""
    for name, value in flatten_settings(dict(settings)).items():
        if isinstance(value, int) and abs(value) >= MAX_COUNT and not name.endswith(NO_COUNT):
            raise ValueError(
                f"Expected sizes and counts below {MAX_COUNT:,} in {origin}, found {name} {value}. Lower it."
            )


def memory_problem(error: BaseException) -> str | None:
    """The first line of an out-of-memory error; None for any other error."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in ALLOCATORS):
        return next((line.strip() for line in str(error).splitlines() if line.strip()), "no memory left").rstrip(".")
    return None
