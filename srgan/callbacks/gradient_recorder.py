"""Records gradient norms of every layer of both networks."""

from math import isfinite

import pytorch_lightning as pl
import torch
from torch import nn

from srgan.callbacks.base import RunCallback
from srgan.training.module import AdversarialTraining


class GradientRecorder(RunCallback):
    """Appends to `gradients.jsonl` the L2 norm of each layer's gradient in the iteration's last update of its net.

    They are the averaged gradients that the optimizers used. Norms that are not finite are null.

    Args:
        every: iterations between two records.
    """

    def __init__(self, every: int = 100) -> None:
        super().__init__(every)

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        players = {"generator": module.generator, "discriminator": module.discriminator}
        norms = {
            player: {layer: norm if isfinite(norm) else None for layer, norm in gradient_norms(net).items()}
            for player, net in players.items()
        }
        self.folder.append_row(self.folder.gradients, {"iteration": module.iteration} | norms)


@torch.no_grad()
def gradient_norms(module: nn.Module) -> dict[str, float]:
    """L2 norm of each layer's gradient, weight and bias together: qualified name -> norm, in definition order.

    Layers without a gradient are left out.
    """
    squares: dict[str, torch.Tensor] = {}
    for name, parameter in module.named_parameters():
        if parameter.grad is not None:
            layer = name.partition(".parametrizations.")[0] if ".parametrizations." in name else name.rpartition(".")[0]
            square = parameter.grad.float().square().sum()
            squares[layer] = squares[layer] + square if layer in squares else square
    if not squares:
        return {}
    norms = torch.stack(list(squares.values())).sqrt().tolist()  # one synchronization with the device
    return dict(zip(squares, norms, strict=True))
