"""Whether nets, data, devices and precision of a training fit one another."""

import pytorch_lightning as pl

from srgan.data.image_data import ImageData
from srgan.networks import Pair
from srgan.utils.distributed import accumulation
from srgan.utils.lightning_internals import starts_processes_anew

PRECISIONS = ("32-true", "bf16-mixed")


def check_fit(trainer: pl.Trainer, data: ImageData, networks: Pair, n_dis: int, micro_batch_size: int | None) -> None:
    """Looks at all that a training comes together with, before it starts.

    Args:
        trainer: whose devices share the batch.
        data: its data module.
        networks: kind and sizes of both nets.
        n_dis: discriminator updates per iteration.
        micro_batch_size: images per device and forward pass, None for a device's whole share.

    Raises:
        ValueError: something does not fit; the message says what would.
    """
    if not isinstance(data, ImageData):
        raise ValueError(
            "Expected images by iteration, from trainer.fit(module, datamodule=...) with a srgan.data.ImageData, found "
            f"{'no data module' if data is None else type(data).__name__}. For a folder of images take FolderData."
        )
    if networks.image_size != data.image_size:
        raise ValueError(
            f"Expected networks of the data's image size {data.image_size}, found {networks.image_size}. "
            "Build them with the data's."
        )
    if data.n_dis != n_dis:
        raise ValueError(
            f"Expected data for {n_dis} discriminator updates per iteration, the n_dis of the training, found "
            f"{data.n_dis}. Give both the same n_dis."
        )
    if trainer.precision not in PRECISIONS:
        raise ValueError(
            f"Expected precision {' or '.join(PRECISIONS)}, found {trainer.precision}: weights stay in full precision, "
            "and penalties do not go with the loss scaling of float16. Set bf16-mixed."
        )
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
