"""What this package takes of other libraries beyond their public interfaces. A test that fails here names the library
that has changed, the file that has to follow, and what breaks.
"""

import argparse
import ast
import copy
import inspect
import io
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonargparse
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.demos.boring_classes import BoringModel
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm
from torch.utils.checkpoint import checkpoint

import srgan
from srgan.cli.parser_messages import format_parser_error
from srgan.constraints import Constraint
from srgan.prepare.image_sources import _Header
from srgan.utils import torch_internals
from srgan.utils.lightning_internals import keep_signal_handlers, starts_processes_anew, trainer_of

DOORS = {
    "utils/torch_internals.py": "torch",
    "utils/lightning_internals.py": "Lightning",
    "loggers/wandb.py": "Lightning's logger of Weights & Biases",
    "cli/dashboard.py": "wandb_workspaces",
    "metrics/features.py": "torchmetrics' InceptionV3",
    "cli/fit.py": "argparse's list of options",
}
"""Files of srgan/ that use private names -> whose."""
PUBLIC = {"_replace", "_fields", "_asdict"}
"""Of named tuples."""


def defined_names(tree: ast.Module) -> Iterator[str]:
    """Functions, classes and attributes of `self`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


def private_names(tree: ast.Module, ours: set[str]) -> Iterator[str]:
    """Attributes and imports with an underscore that this package has not defined; `_foreach_*` aside."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        for name in names:
            if name.startswith("_") and not name.startswith(("__", "_foreach_")) and name not in ours | PUBLIC:
                yield name


def test_private_names_of_others_are_used_behind_few_doors() -> None:
    package = Path(srgan.__file__).parent
    trees = {path.relative_to(package).as_posix(): ast.parse(path.read_text()) for path in package.rglob("*.py")}
    ours = {name for tree in trees.values() for name in defined_names(tree)}
    found = {place: sorted(set(private_names(tree, ours))) for place, tree in trees.items()}
    assert {place for place, names in found.items() if names} == set(DOORS), found


def test_torch_keeps_a_parameter_under_a_parametrization_and_off_it() -> None:
    """utils/torch_internals.py: else DDP and optimizers lose the weight, or deep copies their class."""
    layer = nn.Linear(3, 2)
    raw = layer.get_parameter("weight")
    torch_internals.parametrize_weight(layer, nn.Identity(), raw)
    twin = copy.deepcopy(layer)
    assert layer.get_parameter("parametrizations.weight.original") is raw
    torch_internals.unparametrize_weight(layer, raw)
    assert type(layer) is nn.Linear
    assert layer.weight is raw
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert torch.equal(twin.weight, raw)


@pytest.mark.parametrize("norm", [spectral_norm, parametrizations.spectral_norm])
def test_torchs_spectral_norms_give_up_their_power_vector(norm: Any) -> None:
    """utils/torch_internals.py: else a discriminator under SN starts SR with another u, or loads its weights twice."""
    layer = norm(nn.Linear(3, 2))
    raw = next(parameter for name, parameter in layer.named_parameters() if name.endswith(("weight_orig", "original")))
    expected = next(buffer for name, buffer in layer.named_buffers() if name.endswith("_u"))
    u = torch_internals.remove_torch_spectral_norm(layer, raw)
    assert u is not None
    assert torch.equal(u, expected)
    assert layer.weight is raw
    layer.load_state_dict(nn.Linear(3, 2).state_dict())


def test_torch_calls_and_forgets_a_load_hook() -> None:
    """utils/torch_internals.py: else a regularized layer loads no plain weights, or keeps a hook in an export."""
    layer, called = nn.Linear(3, 2), []

    def hook(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
        called.append((module, prefix))

    torch_internals.add_load_hook(layer, hook)
    layer.load_state_dict(layer.state_dict())
    torch_internals.remove_load_hooks(layer, lambda one: one is hook)
    layer.load_state_dict(layer.state_dict())
    assert called == [(layer, "")]


def test_torch_counts_what_is_written_into_a_tensor() -> None:
    """utils/torch_internals.py: else the count of updates is read from the device at each step, or is out of date."""
    x = torch.zeros(2)
    before = torch_internals.version_of(x)
    x.add_(1)
    assert torch_internals.version_of(x) == before + 1


def test_torch_compile_has_the_module_in_its_wrapper() -> None:
    """utils/torch_internals.py: else layers of a compiled discriminator are named and found with a prefix."""
    layer = nn.Linear(1, 1)
    compiled: Any = torch.compile(layer)
    assert torch_internals.compiled_module(compiled) is layer
    assert torch_internals.compiled_module(layer) is None


def test_torch_tells_which_optimizers_call_hooks() -> None:
    """utils/torch_internals.py: else SR never acts after the steps of a wrapper that calls no hooks."""

    class Silent(torch.optim.Optimizer):
        def __init__(self) -> None:
            self.param_groups = []

    assert torch_internals.announces_steps(torch.optim.SGD(nn.Linear(1, 1).parameters()))
    assert not torch_internals.announces_steps(Silent())


def test_torch_shows_the_region_that_checkpointing_repeats() -> None:
    """utils/torch_internals.py: else gradients under checkpointing are those of another power vector."""
    seen = []

    def region(x: Tensor) -> Tensor:
        seen.append((*torch_internals.checkpointed_region(), torch_internals.is_recomputing()))
        return x.sin().sin()

    y = checkpoint(region, torch.ones(2, requires_grad=True), use_reentrant=False)
    y.sum().backward()
    (frame, no_backward, first), (same, backward, repeated) = seen
    assert frame is same
    assert frame is not None
    assert no_backward is None
    assert backward is not None
    assert [first, repeated] == [False, True]
    assert torch_internals.checkpointed_region() == (None, None)


def test_torch_func_is_seen_and_left() -> None:
    """utils/torch_internals.py: else SN under torch.func.grad writes wrapped tensors into u."""

    def loss(W: Tensor) -> Tensor:
        assert torch_internals.is_transformed(W)
        with torch_internals.outside_transforms(W) as plain:
            assert not torch_internals.is_transformed(plain)
        return W.square().sum()

    assert torch.equal(torch.func.grad(loss)(torch.ones(2)), torch.full((2,), 2.0))
    with pytest.raises(ValueError, match="one weight per layer"):
        torch.func.vmap(loss)(torch.ones(2, 2))


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


def test_lightning_says_how_it_starts_processes() -> None:
    """utils/lightning_internals.py: else several devices are refused, or forked, which our locks do not go with."""
    assert starts_processes_anew(DDPStrategy())
    assert not starts_processes_anew(DDPStrategy(start_method="fork"))
    assert not starts_processes_anew(SingleDeviceStrategy())


def test_lightning_says_whether_a_module_has_a_trainer() -> None:
    """utils/lightning_internals.py: else a checkpoint cannot be loaded without a Trainer."""
    module = BoringModel()
    assert trainer_of(module) is None
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    module.trainer = trainer
    assert trainer_of(module) is trainer


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--n", "x"], "Expected int for --n, found x."),
        (["--kind", "sgd"], "Expected one of 'adam', 'rmsprop' for --kind, found sgd."),
        (["--constraint", "nobody.Knows"], "Expected other settings for --constraint: No module named 'nobody'."),
        (["--constraint", "R1Penalty", "--constraint.gamma", "x"], "Expected float for --constraint.gamma, found x."),
    ],
)
def test_jsonargparse_says_which_setting_is_wrong(arguments: list[str], sentence: str) -> None:
    """cli/parser_messages.py: else users read a nested message about each type that a setting may have."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--n", type=int)
    parser.add_argument("--kind", type=Literal["adam", "rmsprop"])
    parser.add_argument("--constraint", type=Constraint)
    with pytest.raises(argparse.ArgumentError) as refused:
        parser.parse_args(arguments)
    assert format_parser_error(refused.value) == sentence


def test_lightnings_logger_keeps_what_wandb_gets() -> None:
    """loggers/wandb.py fills in id, group, name and mode before the run of Weights & Biases is opened."""
    logger = WandbLogger(project="srgan", name="sn", job_type="train", mode="offline")
    assert {"project", "name", "id", "dir"} <= set(logger._wandb_init)
    assert (logger._wandb_init["job_type"], logger._wandb_init["mode"]) == ("train", "offline")
    assert logger._experiment is None


def test_wandb_workspaces_builds_what_it_would_send() -> None:
    """cli/dashboard.py validates a dashboard without a login."""
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
