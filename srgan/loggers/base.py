"""What a logger is that takes more than numbers. No torch, and no logger's package, in here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from srgan.loggers.rows import History, Row
from srgan.runs.folder import RunFolder


class RunLogger(ABC):
    """A view of a run folder: it knows the folder, takes whole rows, and says in the end what came out."""

    @abstractmethod
    def bind(self, folder: RunFolder, record: Mapping[str, Any]) -> None:
        """Says which run this is, before it starts; ValueError, with what to do, if the logger cannot be opened.

        `record` is what run.json starts with: "config", "parent", "commit", "command", ...
        """

    @abstractmethod
    def log_rows(self, rows: Sequence[Row], history: History) -> None:
        """Takes new rows; `history` holds all spectra up to the last of them."""

    @abstractmethod
    def summarize(self, record: Mapping[str, Any]) -> None:
        """Takes run.json as it stands at the end."""
