"""Weights & Biases as a view of a run folder: Lightning's logger, on the axis of iterations, resumed and grouped."""

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from srgan.loggers.panels import AXIS
from srgan.loggers.rows import History, Row, RunLogger
from srgan.loggers.wandb_runs import group_of, newest_id, remember, run_name, run_of_checkpoint, wandb_mode
from srgan.plotting import heat_map, pixels, style
from srgan.runs.folder import RunFolder


class WandbRunLogger(RunLogger, WandbLogger):
    """Logs numbers, histograms, curves, pictures and verdicts of a run to Weights & Biases.

    Online, the same `srgan fit` command resumes the same run of Weights & Biases. Offline (WANDB_MODE=offline, no
    account needed) runs cannot be resumed: every start writes a new one of the same group, with the whole history;
    upload the newest. Runs that descend from one another by `--from-checkpoint` are in one group.

    Args:
        project: where the runs go.
        entity: user or team; None: the account's own.
        name: run name; None: its folder below `runs/`.
        group: None: the name of the run from which it descends, else its own.
        tags: besides the method and the data set.
        job_type: kind of run.
        mode: "online", "offline" or "disabled"; None: what WANDB_MODE says, else online.
    """

    def __init__(
        self,
        project: str = "srgan",
        entity: str | None = None,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        job_type: str = "train",
        mode: str | None = None,
    ) -> None:
        super().__init__(
            project=project, entity=entity, name=name, group=group, tags=list(tags), job_type=job_type, mode=mode
        )
        self.folder: RunFolder | None = None

    @rank_zero_only
    def bind(self, folder: RunFolder, record: Mapping[str, Any]) -> None:
        """Sets id, group, name and configuration; Weights & Biases writes its files into the run folder."""
        self.folder = folder
        init, parent = self._wandb_init, record["parent"]
        init["mode"] = wandb_mode(init["mode"])
        resumed = newest_id(folder.path, online=True) if init["mode"] == "online" else None
        init["id"] = resumed or secrets.token_hex(4)
        self._id = init["id"]
        init["name"] = init["name"] or run_name(folder.path)
        init["group"] = init["group"] or group_of(folder.path, parent)
        method = record["constraint"]["label"].lower()
        data = record["config"]["data"]["class_path"].rpartition(".")[2]
        init["tags"] = list(dict.fromkeys([*init["tags"], method, data]))
        init["dir"] = str(folder.path)
        init["config"] = {
            "method": method,
            "folder": str(folder.path),
            "parent": parent and dict(parent) | {"run": newest_id(run_of_checkpoint(Path(parent["checkpoint"])))},
            "commit": record["commit"],
            "command": " ".join(record["command"]),
        }
        if init["mode"] == "online" and not sys.stdin.isatty() and not wandb.login(prompt=False):
            raise ValueError(
                "Expected an account of Weights & Biases, found none. Log in with `wandb login`, or set "
                "WANDB_MODE=offline and upload later with `wandb sync`."
            )

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of Weights & Biases, opened at first use."""
        if self._experiment is None:
            run = wandb.init(**{name: value for name, value in self._wandb_init.items() if value is not None},
                             reinit="create_new")  # fmt: skip
            run.define_metric(AXIS)
            run.define_metric("*", step_metric=AXIS)
            if self.folder is not None and self._wandb_init["mode"] != "disabled":
                remember(self.folder.path, {"id": run.id, "mode": "offline" if run.offline else "online"})
            self._experiment = run
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Numbers (or media) at an iteration."""
        self.experiment.log({**metrics, **({} if step is None else {AXIS: step})})

    def log_rows(self, rows: Sequence[Row], history: History) -> None:
        """Numbers and media of new rows, one of Weights & Biases' rows each."""
        published_until = int(self.experiment.summary.get(AXIS, -1)) if self.experiment.resumed else -1
        for row in rows:
            if row.iteration <= published_until:
                continue
            logged: dict[str, Any] = dict(row.numbers)
            logged |= {key: wandb.Histogram(np_histogram=found) for key, found in row.histograms.items()}
            for key, path in row.pictures.items():
                logged[key] = wandb.Image(str(path), caption=f"iteration {row.iteration:,}")
            iterations, spectra = history.until(row.iteration)
            if iterations and spectra and any(key.startswith("scores/") for key in row.numbers):
                logged["spectra/curves"] = wandb.plot.line_series(
                    xs=[history.positions[name].tolist() for name in spectra],
                    ys=[curves[-1].tolist() for curves in spectra.values()],
                    keys=list(spectra), title="sigma_k / sigma_1", xname="k / N",
                )  # fmt: skip
                with style():
                    logged["spectra/heat_map"] = wandb.Image(pixels(heat_map(spectra, iterations)))
            self.log_metrics(logged, row.iteration)
            for name, message in row.warnings:
                self.experiment.alert(title=f"{name} at iteration {row.iteration:,}", text=message)

    def summarize(self, record: Mapping[str, Any]) -> None:
        """Puts status, verdicts and the reported scores of run.json into the summary."""
        unfinished = record["status"] == "running"  # it ended before it could write how
        summary = {"status": "interrupted" if unfinished else record["status"]}
        for name in ("mode_collapse", "spectral_collapse"):
            if verdict := record.get("verdicts", {}).get(name):
                summary |= {name: verdict["collapsed"], f"{name}_iteration": verdict["iteration"]}
        summary |= {f"reported/{name}": value for name, value in (record.get("reported") or {}).items()}
        self.experiment.summary.update({name: value for name, value in summary.items() if value is not None})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends the run of Weights & Biases, so that this process can start another."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
