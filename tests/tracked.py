"""What tests of logging share: a tiny run's command, and offline runs read back with W&B's own `wandb leet inspect`."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from srgan.loggers.panels import key_regex
from srgan.runs.folder import RunFolder

REPOSITORY = Path(__file__).resolve().parents[1]
KEYS_PAGE = REPOSITORY / "docs" / "reference" / "keys.md"

TINY = [
    "-c", "configs/digits.yaml", "--data.init_args.image_size", "8", "--data.init_args.batch_size", "4",
    "--model.networks.init_args.generator_channels", "4",
    "--model.networks.init_args.discriminator_channels", "4", "--model.networks.init_args.latent_dim", "8",
    "--model.n_dis", "2",
    "--scores.protocol.num_fake_images", "300", "--scores.protocol.num_real_images", "300",
    "--scores.protocol.batch_size", "100", "--scores.every", "10", "--samples.every", "10",
    "--spectra.every", "5", "--losses.every", "5",
    "--gradients.every", "10", "--outputs.every", "10", "--outputs.images", "50",
    "--checkpoints.every", "5", "--checkpoints.keep_every", "10",
    "--verdicts.tail_mean", "0.9999",  # nearly every layer collapses, so that there is a warning and a verdict
]  # fmt: skip
WANDB = ["-c", "configs/wandb.yaml"]
FINAL = [
    "--scores.final.num_fake_images", "400", "--scores.final.kid", "true", "--scores.final.prdc", "true",
    "--scores.final.inception_splits", "2",
]  # fmt: skip


def command(method: str, run: Path, iterations: int, *options: str) -> list[str]:
    """`srgan fit` of a tiny run."""
    configs = ["-c", f"configs/{method}.yaml"]
    return ["fit", *TINY, *configs, "--model.iterations", str(iterations), "--run", str(run), *options]


def offline(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Keeps Weights & Biases off the network and out of the user's home."""
    patch.setenv("WANDB_MODE", "offline")
    patch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
        patch.setenv(name, str(folder / name))


class OfflineRun:
    """One run of Weights & Biases, as its own tool reads it.

    Attributes:
        path: its folder, `offline-run-<time>-<id>`.
        rows: of the history: key -> number, or the fields of a histogram, picture or table.
        alerts: title -> text.
        run: id, group, tags, job type.
        summary: its values at the end.
        config: its settings.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        records = [json.loads(line) for line in _inspect(path, "--json").splitlines()]
        self.rows = [_with_media(record["history"]["item"]) for record in records if record["type"] == "history"]
        self.alerts = {
            record["alert"]["title"]: record["alert"]["text"] for record in records if record["type"] == "alert"
        }
        self.run = next(record["run"] for record in records if record["type"] == "run")
        final = json.loads(_inspect(path, "--summary", "--json"))
        self.summary: dict[str, Any] = final["summary"]
        self.config: dict[str, Any] = final["config"]

    def media_file(self, media: dict[str, Any]) -> Path:
        """Where the file of a picture or table lies."""
        return self.path / "files" / str(media["path"])


class DocumentedKey(NamedTuple):
    """A row of the tables of docs/reference/keys.md."""

    pattern: str
    kind: str
    panel: str

    def matches(self, key: str) -> bool:
        return re.fullmatch(key_regex(self.pattern), key) is not None


DOCUMENTED = [
    DocumentedKey(pattern, kind, panel)
    for pattern, kind, panel in re.findall(
        r"^\| `([^`]+)` .* \| (\w+) \| ([^|]*) \|$",
        KEYS_PAGE.read_text(),
        re.MULTILINE,
    )
]


def documented(name: str) -> DocumentedKey | None:
    """The row that a logged key belongs to; None if it is not in the documentation."""
    return next((key for key in DOCUMENTED if key.matches(name)), None)


def offline_runs(folder: Path) -> list[OfflineRun]:
    """All runs of Weights & Biases in a run folder, oldest first."""
    return [OfflineRun(path) for path in sorted((folder / "wandb").glob("offline-run-*"), key=_made)]


def _made(path: Path) -> int:
    return next(path.glob("run-*.wandb")).stat().st_mtime_ns


def _inspect(path: Path, *options: str) -> str:
    words = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", *options, str(path)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def _with_media(item: dict[str, Any]) -> dict[str, Any]:
    """W&B's tool flattens media with dots, which layer names hold too; its own fields begin with an underscore."""
    media = [key.removesuffix("._type") for key in item if key.endswith("._type")]
    row: dict[str, Any] = {key: {} for key in media}
    for key, value in item.items():
        owner = next((name for name in media if key.startswith(f"{name}.")), None)
        if owner is not None:
            row[owner][key.removeprefix(f"{owner}.")] = value
        elif not key.startswith("_"):
            row[key] = value
    return row


def keys_of(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Every key of every row, but for the axis; a chart's table counts as the chart."""
    for row in rows:
        for key in row:
            if key != "iteration":
                yield key.removesuffix("_table")


def expected_counts(folder: RunFolder) -> Counter[str]:
    """Key -> how often the run's files say that it has to occur."""
    counts: Counter[str] = Counter()

    def count(rows: list[dict[str, Any]], prefix: str = "") -> None:
        counts.update(f"{prefix}{name}" for row in rows for name, value in row.items() if is_number(value))

    def is_number(value: object) -> bool:
        return isinstance(value, (int, float))

    count([_without_iteration(row) for row in folder.read_losses()])
    count([_without_iteration(row) for row in folder.read_scores()], "scores/")
    for row in folder.read_gradients():
        for player in ("generator", "discriminator"):
            count([row[player]], f"gradient/{player}/")
    final = folder.read_final()
    if final:
        count([final["scores"]], "final/")
    counts.update(f"warnings/{row['name'].replace(' ', '_')}" for row in folder.read_warnings())
    counts["samples"] = len(folder.read_samples())
    spectra, outputs = folder.read_spectra(), folder.read_outputs()
    assert spectra is not None
    assert outputs is not None
    records = len(spectra.iterations)
    for layer in spectra.layers:
        names = ["sigma_1", "relative_rate"]
        names += ["tail_mean", "effective_rank", "p10", "p50", "histogram"] if layer.rank > 1 else []
        names += ["collapsed"] if layer.name in spectra.judged() else []
        counts.update({f"spectra/{layer.name}/{name}": records for name in names})
    counts.update(dict.fromkeys(("spectra/tail_mean", "spectra/collapsed_share"), records))
    evaluations = len(folder.read_scores())
    counts.update({"spectra/curves": evaluations, "spectra/heat_map": evaluations})
    for kind in outputs.outputs:
        counts.update({f"outputs/{kind}/{name}": len(outputs.iterations) for name in ("mean", "histogram")})
    return counts


def _without_iteration(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "iteration"}
