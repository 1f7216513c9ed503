"""Whether networks, data, devices and precision go together, and a training can resume from a checkpoint."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from torch import Tensor

from srgan.data.image_data import ImageData
from srgan.networks import Pair
from srgan.utils.distributed import accumulation
from srgan.utils.lightning_internals import starts_processes_anew

PRECISIONS = ("32-true", "bf16-mixed")


def check_fit(trainer: pl.Trainer, data: ImageData, networks: Pair, n_dis: int, micro_batch_size: int | None) -> None:
    """ValueError, with what to change, if a trainer, data, networks and settings of a training do not go together."""
    if not isinstance(data, ImageData):
        raise ValueError(
            "Expected images by iteration, from trainer.fit(module, datamodule=...) with a srgan.data.ImageData, found "
            f"{'no data module' if data is None else type(data).__name__}. For a folder of images take FolderData."
        )
    if networks.image_size != data.image_size:
        raise ValueError(
            f"Expected networks of the data's image size {data.image_size}, found {networks.image_size}. "
            "Give both the same image_size."
        )
    if data.n_dis != n_dis:
        raise ValueError(
            f"Expected data for {n_dis} discriminator updates per iteration, the n_dis of the training, found "
            f"{data.n_dis}. Give both the same n_dis."
        )
    if trainer.precision not in PRECISIONS:
        raise ValueError(
            f"Expected precision {' or '.join(PRECISIONS)}, found {trainer.precision}: weights stay in full precision, "
            "and penalties do not work with the loss scaling of float16. Set bf16-mixed."
        )
    check_launch(trainer)
    accumulation(data.batch_size, trainer.world_size, micro_batch_size)
    strategy = trainer.strategy
    if trainer.world_size > 1 and not starts_processes_anew(strategy):
        raise ValueError(
            "Expected strategy 'ddp' on several devices, each holding both nets, found "
            f"{getattr(strategy, 'strategy_name', type(strategy).__name__)}. Set --trainer.strategy ddp."
        )
    if networks.num_classes and networks.num_classes != data.num_labels:
        raise ValueError(
            f"Expected num_classes 0 (unconditional) or {data.num_labels} for {data.name}, found "
            f"{networks.num_classes}. Set --model.networks.init_args.num_classes."
        )


def check_launch(trainer: pl.Trainer) -> None:
    """ValueError if torchrun started another number of processes than the Trainer has devices on all nodes."""
    devices = trainer.num_devices * trainer.num_nodes
    launched = TorchElasticEnvironment().world_size() if TorchElasticEnvironment.detect() else devices
    if launched != devices:
        raise ValueError(
            "Expected as many processes from torchrun as --trainer.devices x --trainer.num_nodes, found "
            f"{launched} for {trainer.num_devices} x {trainer.num_nodes}. Set --trainer.devices to its "
            "--nproc-per-node and --trainer.num_nodes to its --nnodes."
        )


def check_checkpoint(
    checkpoint: Mapping[str, Any], weights: Mapping[str, Tensor], carried: Mapping[str, Any], label: str
) -> None:
    """Compares a checkpoint with the training that is to resume from it: state dict and label of its constraint.

    ValueError if the checkpoint is of another program, holds other tensors, or was trained with other settings that
    decide random draws, `AdversarialTraining.carried`, which are empty if only tensors are loaded.
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
            f"{stored['constraint']} that differs in {len(other)} tensors, for example {other[0]}. Take its networks, "
            "loss and ema_decay, and a constraint without parameters of its own."
        )
    check_carried(stored["carried"], carried)


def check_carried(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """ValueError unless the settings that decide random draws, `AdversarialTraining.carried`, are the checkpoint's.

    Images are compared by `ImageData.key`, which does not depend on their place.
    """
    if "data" in now and before["data"] != now["data"]:
        raise ValueError(
            f"Expected the images that the checkpoint was trained on ({before['data']}), found others ({now['data']}): "
            "some were added, removed, changed or relabelled. Restore them, or train anew in another --run folder."
        )
    differing = [name for name, value in now.items() if before.get(name) != value]
    if differing:
        way_out = "Set the checkpoint's values."
        if differing == ["micro_batch_size"]:
            way_out = (
                "Set --model.micro_batch_size as it was; if it was not set, it is a device's share of the batch, and "
                "the run needs its old number of devices."
            )
        raise ValueError(
            "Expected the settings of the checkpoint, so that data, noise and order carry on, found: "
            f"{', '.join(f'{name} was {before.get(name)} and is {now[name]}' for name in differing)}. {way_out}"
        )
