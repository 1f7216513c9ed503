"""Reading of checkpoint files: no code in them is run, and classes that settings name are checked before any import."""

import argparse
import codecs
import inspect
import pickle
import pydoc
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srgan.runs.folder import RunFolder
from srgan.utils.optional_packages import advice

PACKAGE = "srgan."
BUILT = ("model", "data", "scores")
"""Settings of a run of which objects are built again."""
OBJECTS = ("networks", "constraint", "loss")
"""Settings of "model" that are always objects."""


def check_class_paths(settings: Mapping[str, Any], origin: Path, allowed: Collection[str] = ()) -> None:
    """ValueError for resolved settings, of a run in the file `origin`, that would import code from elsewhere.

    `allowed` are class paths that the user trusts beside this package's.
    """
    model = settings.get("model")
    objects = {name: model.get(name) for name in OBJECTS} if isinstance(model, Mapping) else {"model": model}
    for name, value in ({"data": settings.get("data")} | objects).items():
        if not isinstance(value, Mapping):  # a text would name a class, or a file with the settings of one
            raise ValueError(
                f"Expected an object's settings for {name} in '{origin}', found {value!r}. Nothing of it was imported. "
                "Take a checkpoint that srgan fit wrote."
            )
    named = set(_class_paths([settings.get(name) for name in BUILT])) - set(allowed)
    third_party = sorted(path for path in named if not path.startswith(PACKAGE))
    if third_party:
        raise ValueError(
            f"Expected classes of srgan in the settings of '{origin}', found {', '.join(third_party)}. Nothing of it "
            f"was imported. If you trust that code, add --allow {third_party[0]}"
        )
    if unknown := sorted(path for path in named if not _is_ours(path)):
        raise ValueError(
            f"Expected classes that this version of srgan has in the settings of '{origin}', found "
            f"{', '.join(unknown)}. Take the version that wrote it."
        )


def _is_ours(path: str) -> bool:
    """Whether a path below this package leads to a class that is defined in it, not to one that a module imported.

    True, too, for one whose module needs an extra that is not installed: nothing can be built of it.
    """
    try:
        found = pydoc.locate(path)
    except pydoc.ErrorDuringImport as error:
        missing = error.value
        return isinstance(missing, ModuleNotFoundError) and advice(missing.name) is not None
    return inspect.isclass(found) and found.__module__.startswith(PACKAGE)


def _class_paths(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        if "class_path" in settings:
            yield str(settings["class_path"])
        settings = settings.values()
    elif not isinstance(settings, list | tuple):
        return
    for value in settings:
        yield from _class_paths(value)


@dataclass(frozen=True)
class RunCheckpoint:
    """A checkpoint of `srgan fit`."""

    path: Path  # of the file or folder, or id on the hub
    config: dict[str, Any]  # all settings of the run, resolved
    weights: dict[str, Tensor]  # state dict of the training: "generator...." and "discriminator...."
    iteration: int  # after which it was saved
    constraint: str  # label of the run's constraint

    @property
    def title(self) -> str:
        name = self.run.path.name if self.run else self.path.resolve().name
        return f"{name}: {self.constraint}, iteration {self.iteration:,}"

    @property
    def run(self) -> RunFolder | None:
        """The run folder around the checkpoint, if it lies in one."""
        folder = self.path.resolve().parent.parent
        return RunFolder(folder) if self.path.resolve().parent.name == "checkpoints" and folder.is_dir() else None


def checkpoint_at(path: Path) -> Path:
    """The last checkpoint of a run, given by its folder; any other path as it is."""
    last = RunFolder(path).checkpoint
    return last if last.is_file() else path


def read_file(path: Path) -> Any:
    """The content of a file written by torch.save, on the CPU, memory-mapped where possible. No code in it is run.

    FileNotFoundError if there is no such file; ValueError if it is another kind of file, damaged, or holds anything but
    tensors, torch's own types and `harmless_globals`.
    """
    if not path.is_file():
        found = "a folder that is no run with one" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"Expected a checkpoint at '{path.absolute()}', found {found}.")
    if damage := damage_of(path):
        raise ValueError(f"Expected a file written by torch.save at '{path}', found {damage}. Take another copy of it.")
    try:
        with allowed_globals(harmless_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they are about is refused below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
            if isinstance(content, torch.jit.ScriptModule):  # which an older torch reads
                raise TypeError("TorchScript")
            return content
    except OSError:
        raise
    except Exception as error:  # bytes that are no pickle end in errors of any class
        raise ValueError(_why_unreadable(path, error)) from None


def damage_of(path: Path) -> str | None:
    """The damage of a zip archive by its CRC-32s, which torch.load does not check; None for sound and other files."""
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return None
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except Exception as error:  # damage ends in errors of any class
        return f"an archive that is cut or damaged ({error})"
    return f"other bytes than were written in its part {part}" if part else None


def _why_unreadable(path: Path, error: Exception) -> str:
    """A sentence in place of torch's own, which advises to run the code in the file."""
    text = str(error)
    if isinstance(error, pickle.UnpicklingError) and "Unsupported operand" in text:
        return (
            f"Expected a pickle of protocol 2, which torch.save writes, found another in '{path}'. Where it was made, "
            "save it again: torch.save(content, 'weights.pth')."
        )
    if isinstance(error, pickle.UnpicklingError) and "Weights only load failed" in text:
        third_party = re.search(r"GLOBAL ([\w.]+)|unrecognized function (.+)|but got (.+)", text)
        which = f" ({next(filter(None, third_party.groups())).rstrip('.')})" if third_party else ""
        return (
            f"Expected tensors and plain values in '{path}', found pickled Python code{which}. Nothing of it was run. "
            "Where it was made, save the weights alone: torch.save(model.state_dict(), 'weights.pth')."
        )
    if "TorchScript" in text:
        return (
            f"Expected weights in '{path}', found a TorchScript program. Save its weights alone: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')."
        )
    return f"Expected a file written by torch.save, found something else at '{path}' ({type(error).__name__})."


def harmless_globals() -> list[Any]:
    """Names that a pickle may use beside torch's own: plain data, whose constructors run no code.

    Settings (`argparse.Namespace`), paths (read as pure ones), `collections.defaultdict` (read as a dict, the only
    mapping that torch fills), numpy's arrays and scalars of numbers and text, but not arrays of Python objects. numpy 1
    and 2, and Python before and after 3.13, name the same things differently.
    """
    builtins = [bool, dict, float, int, list, set, str, tuple]
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDGSU"}
    makers: dict[str, Any] = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.empty(0).__reduce__()[0]}
    paths = {"PosixPath": PurePosixPath, "WindowsPath": PureWindowsPath}
    return [
        argparse.Namespace,
        _under_name("_codecs", "encode", codecs.encode),  # of the bytes in arrays
        _under_name("collections", "defaultdict", _plain_dict),
        *builtins,
        np.ndarray,
        np.dtype,
        *sorted(dtypes, key=str),
        *(_under_name(f"numpy.{core}.multiarray", name, maker)
          for name, maker in makers.items() for core in ("core", "_core")),
        *(_under_name(module, prefix + name, pure) for name, pure in paths.items()
          for module in ("pathlib", "pathlib._local") for prefix in ("", "Pure")),
    ]  # fmt: skip


def _plain_dict(_factory: object = None) -> dict[Any, Any]:
    return {}


def _under_name(module: str, name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """A function that torch.load takes for `module.name`."""

    def make(*arguments: Any) -> Any:
        return made(*arguments)

    make.__module__, make.__name__, make.__qualname__ = module, name, name
    return make


@contextmanager
def allowed_globals(more: list[Any]) -> Iterator[None]:
    """Adds to what torch.load allows, within the context (torch 2.5 has `safe_globals`)."""
    before = list(torch.serialization.get_safe_globals())
    torch.serialization.add_safe_globals(more)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def run_checkpoint(path: Path, content: Any) -> RunCheckpoint | None:
    """The content of a file as a checkpoint of `srgan fit`; None if something else wrote it."""
    try:
        config, weights, about = content["srgan_config"], content["state_dict"], content["srgan"]
        return RunCheckpoint(path, config, weights, about["iteration"], about["constraint"])
    except (KeyError, TypeError, IndexError):
        return None


def read_run_checkpoint(path: Path, allowed: Collection[str] = ()) -> RunCheckpoint:
    """Reads a checkpoint of `srgan fit`, or the last one of a run. No class is imported before it was checked.

    FileNotFoundError if there is no such file; ValueError if it is another file, or its settings name a class that is
    neither srgan's nor in `allowed`.
    """
    path = checkpoint_at(path)
    expected = f"Expected a checkpoint written by srgan fit, found another file at '{path}': "
    try:
        content = read_file(path)
    except ValueError as error:
        raise ValueError(f"{expected}{error}") from None
    checkpoint = run_checkpoint(path, content)
    if checkpoint is None:
        raise ValueError(f"{expected}it does not hold the settings of a run.")
    check_class_paths(checkpoint.config, path, allowed)
    return checkpoint


def nonfinite_tensor(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or infinity."""
    floating = ((name, tensor) for name, tensor in tensors.items() if tensor.is_floating_point())
    return next((name for name, tensor in floating if not torch.isfinite(tensor).all()), None)
