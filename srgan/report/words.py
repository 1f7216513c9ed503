"""The texts of a run's badges, marks, facts and tables."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from srgan.runs.recorded import RecordedRun

COLLAPSES = {
    "mode_collapse": ("mode collapse", "#E8590C", "solid", "left"),
    "spectral_collapse": ("spectral collapse", "#C026D3", "dash", "right"),
}
"""Verdict -> name, and the look of its mark: colour, dash, the side on which its words stand."""
SWITCH = ("#0CA678", "dot", "left")

FACTS = {
    "data.class_path": "data",
    "data.init_args.batch_size": "batch",
    "data.init_args.image_size": "image size",
    "model.networks.init_args.discriminator_channels": "D channels",
    "model.networks.init_args.generator_channels": "G channels",
    "model.loss": "loss",
    "model.n_dis": "D updates per iteration",
    "model.seed": "seed",
}
START_OF_SR = "model.constraint.init_args.schedule.start_iteration"


class Mark(NamedTuple):
    """An event, shown as a vertical line in every plot over time."""

    iteration: int
    text: str
    color: str
    dash: str
    side: str


def marks(run: RecordedRun) -> list[Mark]:
    """The collapses of a run, and where its method changed."""
    found = []
    for kind, look in COLLAPSES.items():
        verdict = run.verdicts[kind]
        if verdict and verdict["collapsed"]:
            found.append(Mark(verdict["iteration"], *look))
    label, parent = run.record["constraint"]["label"], run.record.get("parent")
    start = run.settings.get(START_OF_SR) or 0
    if parent and parent["constraint"] != label:
        found.append(Mark(parent["iteration"], f"{parent['constraint'] or 'other run'} → {label}", *SWITCH))
    if start > (parent or {}).get("iteration", 0):
        found.append(Mark(start, f"SN → {label}", *SWITCH))
    return found


def badges(run: RecordedRun) -> list[tuple[str, str]]:
    """Status and verdicts: a class of the page's style, and words."""
    status, found, so_far = run.record["status"], [("plain", "finished")], ""
    if status != "finished":
        progress, so_far = run.folder.read_progress(), " so far"
        reached = f" at {progress['iteration']:,} of {run.record['iterations']:,}" if progress else ""
        found = [("status", f"{status}{reached}")]
    for kind, (name, *_) in COLLAPSES.items():
        verdict = run.verdicts[kind]
        if not verdict:
            found.append(("plain", f"{name}: not judged"))
        elif verdict["collapsed"]:
            found.append((f"bad {kind}", f"{name} at {verdict['iteration']:,}{so_far}"))
        else:
            found.append(("plain", f"no {name}{so_far}"))
    if run.warnings:
        found.append(("status", f"{len(run.warnings)} warning{'s' * (len(run.warnings) != 1)}"))
    return found


def facts(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of the settings, given by dotted name, that tell one run from the next."""
    found = {name: str(settings[key]) for key, name in FACTS.items() if settings.get(key) is not None}
    if "data" in found:
        found["data"] = found["data"].rpartition(".")[2].removesuffix("Data")
    return list(found.items())


def final_scores(run: RecordedRun) -> str:
    """By the final protocol; "" if there are none."""
    return ", ".join(f"{name} {value:,.4g}" for name, value in run.final_scores.items())


def command(run: RecordedRun) -> str:
    """What was typed, quoted for a shell."""
    return shlex.join(run.record["command"])


def provenance(run: RecordedRun) -> list[tuple[str, str]]:
    """Where, when and with what it ran."""
    record = run.record
    seconds = record.get("seconds")
    found: dict[str, object] = {"folder": run.folder.path}
    found |= {f"hardware: {key}": value for key, value in (record.get("hardware") or {}).items()}
    found |= {key: record.get(key) for key in ("commit", "started", "ended")}
    if seconds:
        found["training time"] = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
    found["resumed at iteration"] = ", ".join(map(str, record.get("resumed_at") or [])) or None
    memory = record.get("peak_memory") or {}
    found |= {f"largest memory, {key}": f"{size / 2**30:.1f} GiB" for key, size in memory.items()}
    found |= {f"version of {name}": value for name, value in (record.get("versions") or {}).items()}
    return [(key, str(value)) for key, value in found.items() if value is not None]
