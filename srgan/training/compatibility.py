"""Whether a training can resume from a checkpoint: the same tensors, and data, noise and order that carry on."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def check_checkpoint(
    checkpoint: Mapping[str, Any], weights: Mapping[str, Tensor], carried: Mapping[str, Any], label: str
) -> None:
    """Compares a checkpoint with the training that is to resume from it.

    Args:
        checkpoint: its content.
        weights: the training's state dict.
        carried: what decides its draws, `AdversarialTraining.carried`; empty where only tensors are loaded.
        label: of its constraint.

    Raises:
        ValueError: the checkpoint was not written by this training, holds other tensors, or its draws would differ.
    """
    stored = checkpoint.get("srgan")
    if stored is None:
        raise ValueError("Expected a checkpoint of srgan's training, found one without its iteration.")
    own, others = (
        {name: getattr(tensor, "shape", None) for name, tensor in tensors.items()}
        for tensors in (weights, checkpoint["state_dict"])
    )
    other = sorted(name for name in own.keys() | others.keys() if own.get(name) != others.get(name))
    if other:
        raise ValueError(
            f"Expected a checkpoint with the weights of {label}, this loss and these networks, found one of "
            f"{stored['constraint']} that differs in {len(other)} tensors, {other[0]} for one. Take its networks, loss "
            "and ema_decay, and a constraint without parameters of its own."
        )
    before = stored["carried"]
    if "data" in carried:
        check_same_images(before["data"], carried["data"])
    differing = [
        f"{name} was {before.get(name)} and is {value}" for name, value in carried.items() if before.get(name) != value
    ]
    if differing:
        raise ValueError(
            "Expected the settings of the checkpoint, so that data, noise and order carry on, found: "
            f"{', '.join(differing)}. Give the run the checkpoint's values."
        )


def check_same_images(before: str | None, now: str | None) -> None:
    """A run goes on with the images that it began with, wherever they lie now.

    Args:
        before: `ImageData.key` when the checkpoint was saved.
        now: of the data that is there.

    Raises:
        ValueError: they are others.
    """
    if before != now:
        raise ValueError(
            f"Expected the images that the checkpoint was trained on ({before}), found others ({now}): some were "
            "added, removed, changed or labelled otherwise since. Bring those back, or train anew in another --run "
            "folder."
        )
