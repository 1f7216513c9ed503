"""TensorBoard as a view of a run folder: Lightning's logger, on the axis of iterations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorboard  # noqa: F401 - missing, it is named here; Lightning's logger would raise without a name
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger

from srgan.loggers.rows import History, Row, RunLogger
from srgan.runs.folder import RunFolder


class TensorBoardRunLogger(RunLogger, TensorBoardLogger):
    """Writes numbers, histograms and pictures of a run to `tensorboard/` in its folder.

    Every start tells the whole history; TensorBoard shows the newest telling alone (of the outcome, all of them).
    """

    def __init__(self) -> None:
        super().__init__(save_dir="", default_hp_metric=False, purge_step=0)
        self.folder: RunFolder | None = None

    @property
    def log_dir(self) -> str:
        assert self.folder is not None
        return str(self.folder.path / "tensorboard")

    def bind(self, folder: RunFolder, record: Mapping[str, Any]) -> None:
        self.folder = folder

    def log_rows(self, rows: Sequence[Row], history: History) -> None:
        """Numbers, histograms and pictures of new rows, at their iterations."""
        for row in rows:
            self.log_metrics(row.numbers, row.iteration)
            for key, (counts, edges) in row.histograms.items():
                middles = (edges[:-1] + edges[1:]) / 2  # whose moments stand for those of the values
                self.experiment.add_histogram_raw(
                    key, min=edges[0], max=edges[-1], num=counts.sum(), sum=counts @ middles,
                    sum_squares=counts @ middles**2, bucket_limits=edges[1:].tolist(), bucket_counts=counts.tolist(),
                    global_step=row.iteration,
                )  # fmt: skip
            for key, path in row.pictures.items():
                with Image.open(path) as picture:
                    self.experiment.add_image(key, np.asarray(picture), row.iteration, dataformats="HWC")

    def summarize(self, record: Mapping[str, Any]) -> None:
        """Verdicts and the reported scores, as text."""
        lines = [f"    {name}: {record.get(name)}" for name in ("status", "verdicts", "reported")]
        self.experiment.add_text("outcome", "\n".join(lines))
