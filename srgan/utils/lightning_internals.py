"""What we need of Lightning beyond its public interface; tests/test_private_interfaces.py says what for."""

import pytorch_lightning as pl
from pytorch_lightning.strategies import DDPStrategy, Strategy


def keep_signal_handlers(trainer: pl.Trainer) -> None:
    """Keeps Lightning from handling signals: it would end a run unsaved, or requeue it by itself."""
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]


def trainer_of(module: pl.LightningModule) -> pl.Trainer | None:
    """The Trainer that a module is attached to, or None, as in `load_from_checkpoint`."""
    return module._trainer


def starts_processes_anew(strategy: Strategy) -> bool:
    """Whether each process of a run executes the command (DDP), instead of being forked or spawned."""
    return isinstance(strategy, DDPStrategy) and strategy._start_method == "popen"
