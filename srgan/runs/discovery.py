"""Which runs lie below a folder, and which of them cannot be read."""

from collections.abc import Sequence
from pathlib import Path

from srgan.runs.recorded import RecordedRun, recorded_run

NEEDED = ("status", "config", "command", "iterations", "seed")


def find_runs(root: Path) -> tuple[list[RecordedRun], list[str]]:
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
        key = path.parent.relative_to(root).as_posix()
        key = root.resolve().name if key == "." else key
        try:
            runs.append(_checked(recorded_run(path.parent, key)))
        except (ValueError, OSError, RecursionError) as error:
            notes.append(f"{key}: its run.json cannot be read ({error})")
    if not runs:
        found = "; ".join(notes) or "no run.json in it or below it"
        raise FileNotFoundError(f"expected a run in '{root}', found {found}. Train one: srgan fit --run {root}/NAME")
    return runs, notes


def _checked(run: RecordedRun | None) -> RecordedRun:
    missing = NEEDED if run is None else [key for key in NEEDED if key not in run.record]
    if run is None or missing:
        raise ValueError(f"expected the keys {', '.join(NEEDED)}, found no {', '.join(missing)}")
    if not isinstance(run.record["config"], dict):
        raise ValueError("expected its config to be an object")
    return run


def parent_key(run: RecordedRun, runs: Sequence[RecordedRun]) -> str | None:
    """The run among these whose checkpoint this one started from; None where it is not among them.

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
