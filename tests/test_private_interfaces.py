"""What this package takes of other libraries beyond their public interfaces. A test that fails here names the library
that has changed, and the file that has to follow; those of torch are in tests/constraints.
"""

import argparse
import inspect
import io
import signal
import tarfile
from typing import Any

import jsonargparse
import pytest
import pytorch_lightning as pl
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

from srgan.prepare.image_sources import _Header
from srgan.training.parser_messages import essence
from srgan.utils.lightning_internals import keep_signal_handlers, starts_processes_anew


class Watcher(pl.Callback):
    """What handles SIGTERM in training."""

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.seen: Any = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.keep:
            keep_signal_handlers(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seen = signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize("keep", [True, False])
def test_lightning_leaves_the_signals_to_us(keep: bool) -> None:
    """utils/lightning_internals.py: else Ctrl-C and SIGTERM end a run unsaved. False: Lightning still handles them."""
    before, watcher = signal.getsignal(signal.SIGTERM), Watcher(keep)
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=1, limit_train_batches=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[watcher], limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(BoringModel())
    assert (watcher.seen == before) == keep


def test_jsonargparse_words_its_messages_as_ours_are_cut_out_of_them() -> None:
    """training/parser_messages.py finds the setting, what was expected and what was found in them."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--sizes.width", type=int | None)
    with pytest.raises(argparse.ArgumentError) as refused:
        parser.parse_args(["--sizes.width=wide"])
    said = str(refused.value)
    assert 'Parser key "sizes.width"' in said
    assert "Expected a <class 'int'>" in said
    assert "Given value: wide" in said
    assert essence(said) == "Expected int for --sizes.width, found wide."


def test_lightning_says_how_it_starts_processes() -> None:
    """utils/lightning_internals.py: else several devices are refused, or forked, which our locks do not go with."""
    assert starts_processes_anew(DDPStrategy())
    assert not starts_processes_anew(DDPStrategy(start_method="fork"))
    assert not starts_processes_anew(SingleDeviceStrategy())


def test_lightnings_logger_keeps_what_wandb_gets() -> None:
    """loggers/wandb.py fills in id, group, name and mode before the run of Weights & Biases is opened."""
    logger = WandbLogger(project="srgan", name="sn", job_type="train", mode="offline")
    assert {"project", "name", "id", "dir"} <= set(logger._wandb_init)
    assert (logger._wandb_init["job_type"], logger._wandb_init["mode"]) == ("train", "offline")
    assert logger._experiment is None


def test_wandb_workspaces_builds_what_it_would_send() -> None:
    """loggers/wandb_workspace.py validates a dashboard without a login."""
    workspaces = pytest.importorskip("wandb_workspaces.workspaces")
    model = workspaces.Workspace(entity="nobody", project="srgan", name="empty")._to_model()
    assert "section" in model.spec.model_dump_json(by_alias=True, exclude_none=True)


def test_torchmetrics_gives_features_and_logits_in_one_pass() -> None:
    """metrics/features.py: the public forward gives the features alone. The values: tests/metrics/test_features.py."""
    from torchmetrics.image.fid import NoTrainInceptionV3

    assert list(inspect.signature(NoTrainInceptionV3._torch_fidelity_forward).parameters) == ["self", "x"]


def test_datasets_names_what_it_holds() -> None:
    """data/hub.py finds decoded images by the library's fingerprint, which is of the content."""
    datasets = pytest.importorskip("datasets")
    one, other = (datasets.Dataset.from_dict({"x": [value]}) for value in (1, 2))
    assert isinstance(one._fingerprint, str)
    assert one._fingerprint != other._fingerprint
    assert "new_fingerprint" in inspect.signature(datasets.Dataset.map).parameters


def test_tarfile_tells_an_end_from_a_cut() -> None:
    """prepare/image_sources.py tells by the names of two exceptions that have no public ones."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    content = whole.getvalue()
    for length, ends in ((len(content), True), (512, False)):
        with tarfile.open(fileobj=io.BytesIO(content[:length]), mode="r:", tarinfo=_Header) as archive:
            assert archive.next() is not None
            if ends:
                assert archive.next() is None
            else:
                with pytest.raises(tarfile.ReadError, match="it was cut short"):
                    archive.next()
