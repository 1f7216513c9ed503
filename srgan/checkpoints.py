"""Checkpoint files, read without running anything that is in them, and the training that one of ours describes."""

import argparse
import copy
import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from srgan.runs import RunFolder

if TYPE_CHECKING:
    from srgan.training import AdversarialTraining


@dataclass(frozen=True)
class RunCheckpoint:
    """What `srgan fit` saved.

    Attributes:
        path: of the file.
        config: every setting of the run, resolved.
        weights: state dict of the training: "generator...." and "discriminator....".
        iteration: when it was saved.
        constraint: label of the run's constraint.
    """

    path: Path
    config: dict[str, Any]
    weights: dict[str, Tensor]
    iteration: int
    constraint: str

    @property
    def run(self) -> RunFolder | None:
        """The run folder around the checkpoint, if it lies in one."""
        folder = self.path.resolve().parent.parent
        return RunFolder(folder) if self.path.resolve().parent.name == "checkpoints" and folder.is_dir() else None


def read_file(path: Path) -> Any:
    """The content of a file written by torch.save, or of a safetensors file; on the CPU, mapped where that is possible.

    Classes that a file may bring along (beside torch's own): `argparse.Namespace` and numpy's scalars, which hold
    settings and scores in many checkpoints and run nothing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another kind of file, is cut short, or holds pickled Python code.
    """
    if not path.is_file():
        last = RunFolder(path).checkpoint
        found = "a folder" if path.is_dir() else "nothing"
        hint = f" Its last checkpoint is '{last}'." if last.is_file() else ""
        raise FileNotFoundError(f"Expected a checkpoint at '{path.resolve()}', found {found}.{hint}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        with torch.serialization.safe_globals(_harmless_classes()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*looks like a TorchScript archive")  # which is refused below
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, IndexError, ValueError) as error:
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if foreign:
            raise ValueError(
                f"Expected tensors and plain values in '{path}', found pickled Python code ({foreign[1]}). Nothing of "
                "it was run. Where it was made, save the weights by themselves: "
                "torch.save(model.state_dict(), 'weights.pth')."
            ) from None
        if "TorchScript" in str(error):
            raise ValueError(
                f"Expected weights in '{path}', found a TorchScript program. Save its weights by themselves: "
                "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')."
            ) from None
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"Expected a file written by torch.save, found something else at '{path}': {reason}") from None


def _harmless_classes() -> list[Any]:
    """Of plain data. numpy 1 and 2 keep the maker of a scalar in different modules."""
    scalar = np.float64(0).__reduce__()[0]
    dtypes = {type(np.dtype(name)) for name in ("bool", "int32", "int64", "float16", "float32", "float64")}
    makers = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [argparse.Namespace, np.dtype, *sorted(dtypes, key=str), *makers]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise ValueError(
            f"Expected the package safetensors, which reads '{path}', found none. "
            'Install it: pip install "srgan[safetensors]"'
        ) from None
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"Expected a safetensors file, found something else at '{path}': {error}") from None
    return tensors


def run_checkpoint(path: Path, content: Any) -> RunCheckpoint | None:
    """A file's content as a checkpoint of `srgan fit`; None if it is somebody else's."""
    try:
        config, weights, about = content["srgan_config"], content["state_dict"], content["srgan"]
        return RunCheckpoint(path, config, weights, about["iteration"], about["constraint"])
    except (KeyError, TypeError, IndexError):
        return None


def read_run_checkpoint(path: Path) -> RunCheckpoint:
    """Reads a checkpoint of `srgan fit`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another file.
    """
    expected = f"Expected a checkpoint written by srgan fit, found another file at '{path}': "
    try:
        content = read_file(path)
    except ValueError as error:
        raise ValueError(f"{expected}{error}") from None
    checkpoint = run_checkpoint(path, content)
    if checkpoint is None:
        raise ValueError(f"{expected}it does not hold the settings of a run.")
    return checkpoint


def rebuild_training(checkpoint: RunCheckpoint) -> "AdversarialTraining":
    """Networks and constraint as they were in the run, with the checkpoint's weights. Not compiled.

    Raises:
        ValueError: settings of another version, or weights of other networks.
    """
    import jsonargparse  # these take seconds, which looking at weights alone does not need

    from srgan.training import AdversarialTraining

    wanted = {"model": copy.deepcopy(checkpoint.config["model"])}
    wanted["model"]["compile"] = False
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(AdversarialTraining, "model")
    try:
        module: AdversarialTraining = parser.instantiate_classes(parser.parse_object(wanted))["model"]
    except argparse.ArgumentError as error:
        raise ValueError(f"Expected settings that this version of srgan knows, found: {error}") from error
    try:
        module.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise ValueError(
            f"Expected weights of the networks that '{checkpoint.path}' describes, found others: {error}"
        ) from error
    return module
