"""Which runs lie below a folder, and which of them cannot be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srgan.runs.folder import RunFolder

NEEDED = ("status", "config", "command", "iterations", "seed")


@dataclass(frozen=True)
class FoundRun:
    """A run and what names it.

    Attributes:
        key: its path relative to the folder that is reported on; the folder's own name where it is the run.
        folder: its files.
        record: the content of its run.json.
    """

    key: str
    folder: RunFolder
    record: Mapping[str, Any]


def find_runs(root: Path) -> tuple[list[FoundRun], list[str]]:
    """All runs below a folder, the folder itself included, in order of their paths.

    Returns:
        the runs, and a note for each that is broken.

    Raises:
        FileNotFoundError: there is no such folder, or no run in it that can be read.
        NotADirectoryError: it is a file.
    """
    if not root.exists():
        raise FileNotFoundError(f"expected a run or a folder of runs, found nothing at '{root}'. Check the path.")
    if not root.is_dir():
        raise NotADirectoryError(f"expected a folder, found the file '{root}'. Name the folder of the run.")
    runs, notes = [], []
    for path in sorted(root.rglob("run.json")):
        folder = RunFolder(path.parent)
        key = path.parent.relative_to(root).as_posix()
        key = root.resolve().name if key == "." else key
        try:
            runs.append(FoundRun(key, folder, _checked(folder.read_record() or {})))
        except (ValueError, OSError, RecursionError) as error:
            notes.append(f"{key}: its run.json cannot be read ({error})")
    if not runs:
        found = "; ".join(notes) or "no run.json in it or below it"
        raise FileNotFoundError(f"expected a run in '{root}', found {found}. Train one: srgan fit --run {root}/NAME")
    return runs, notes


def _checked(record: Mapping[str, Any]) -> Mapping[str, Any]:
    missing = [key for key in NEEDED if key not in record]
    if missing:
        raise ValueError(f"expected the keys {', '.join(NEEDED)}, found no {', '.join(missing)}")
    if not isinstance(record["config"], dict):
        raise ValueError("expected its config to be an object")
    return record


def parent_key(run: FoundRun, runs: Sequence[FoundRun]) -> str | None:
    """The run among these from whose checkpoint this one goes on; None where it is not among them.

    Runs may have moved since, e.g. from a cluster: then the names of the run and of the folder around it decide.
    """
    parent = run.record.get("parent")
    if not parent:
        return None
    source = Path(parent["checkpoint"]).resolve().parent.parent
    paths = {other.key: other.folder.path.resolve() for other in runs if other.key != run.key}
    same = [key for key, path in paths.items() if path == source]
    alike = [key for key, path in paths.items() if path.parts[-2:] == source.parts[-2:]]
    return next(iter(same + alike), None)
