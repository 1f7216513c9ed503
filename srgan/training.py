"""The training of a generator and a discriminator: one `training_step` is one iteration.

The iteration (one generator update) is the only clock. Everything random in iteration t is drawn from
(seed, t), so a run that is stopped and resumed, evaluated or logged, is the same run.
"""

from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from srgan.constraints import Constraint, SpectralNormalization
from srgan.data.base import Batch, ImageData
from srgan.losses import LOSSES, LossName
from srgan.networks import ResNetPair
from srgan.randomness import counter_generator, counter_seed, seeded


@dataclass(frozen=True)
class AdamSettings:
    """Adam as the paper sets it (Appendix B).

    Attributes:
        learning_rate: at iteration 0.
        betas: decay of the first and second moment; (0, 0.9) in the paper.
    """

    learning_rate: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)


class AdversarialTraining(pl.LightningModule):
    """A generator against a discriminator under a constraint (Section IV, Appendix B).

    Args:
        networks: sizes of both nets.
        constraint: what keeps the discriminator Lipschitz: SN, SR-s, SR-d, none.
        loss: of both players; the paper's is "hinge" (Eq. 6).
        generator_optimizer: Adam of the generator.
        discriminator_optimizer: Adam of the discriminator.
        iterations: length of the run in generator updates.
        linear_decay: learning rates fall linearly to 0 from iteration 0 (the authors), else stay constant.
        n_dis: discriminator updates per iteration.
        generator_turn: how many of them come before the generator's update. The authors' order is 1
            (D update 1, G update, D updates 2 ... n_dis); n_dis is the textbook's.
        generator_batch_ratio: the generator's batch in units of the discriminator's; the authors take 2.
        accumulation: micro-batches per update; gradients are averaged over them.
        seed: of the initial weights, of the noise z, and (linked) of the data order.

    Raises:
        ValueError: a count is below 1, or `generator_turn` is not in 0 ... n_dis.
    """

    def __init__(
        self,
        networks: ResNetPair = ResNetPair(),  # noqa: B008 (a frozen value)
        constraint: Constraint = SpectralNormalization(),  # noqa: B008 (a value without state)
        loss: LossName = "hinge",
        generator_optimizer: AdamSettings = AdamSettings(),
        discriminator_optimizer: AdamSettings = AdamSettings(),
        iterations: int = 50_000,
        linear_decay: bool = True,
        n_dis: int = 5,
        generator_turn: int = 1,
        generator_batch_ratio: int = 2,
        accumulation: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(iterations, n_dis, generator_batch_ratio, accumulation) < 1 or not 0 <= generator_turn <= n_dis:
            raise ValueError(
                "Expected iterations, n_dis, generator_batch_ratio and accumulation of at least 1 and "
                f"generator_turn in 0 ... n_dis, found {iterations}, {n_dis}, {generator_batch_ratio}, "
                f"{accumulation} and {generator_turn}."
            )
        self.automatic_optimization = False
        self.constraint = constraint
        self.loss = LOSSES[loss]
        self.optimizer_settings = (generator_optimizer, discriminator_optimizer)
        self.iterations = iterations
        self.linear_decay = linear_decay
        self.n_dis = n_dis
        self.generator_turn = generator_turn
        self.generator_batch_ratio = generator_batch_ratio
        self.accumulation = accumulation
        self.seed = seed
        self.networks = networks
        self.latent_dim = networks.latent_dim
        self.iteration = 0
        self.losses: dict[str, Tensor] = {}
        with seeded(counter_seed(seed, "initial weights")):
            self.generator, self.discriminator = networks.build()
            constraint.attach(self.discriminator)

    # One iteration.

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """n_dis discriminator updates and one generator update, in the authors' order by default."""
        if batch.iteration != self.iteration:
            raise RuntimeError(f"Expected the data of iteration {self.iteration}, found that of {batch.iteration}.")
        self._decay_learning_rates()
        for update, real in enumerate(batch.images):
            if update == self.generator_turn:
                self._update_generator(len(real))
            self._update_discriminator(real, update)
        if self.generator_turn == self.n_dis:
            self._update_generator(len(real))
        self.iteration += 1

    def _update_discriminator(self, real: Tensor, update: int) -> None:
        """One optimizer step of D on real images `[B, 3, H, W]` and as many generated ones, real first.

        `losses` keeps the last micro-batch's loss and mean scores.
        """
        _, optimizer = self._both_optimizers()
        latents = self._latents(len(real), "discriminator", update)
        optimizer.zero_grad()
        for x, z in zip(real.chunk(self.accumulation), latents.chunk(self.accumulation), strict=True):
            score_real = self.discriminator(x)
            with torch.no_grad():
                fake = self.generator(z)  # in training mode: moves the batch-norm averages, as the authors'
            score_fake = self.discriminator(fake)
            loss = self.loss.discriminator(score_real, score_fake)
            penalty = self.constraint.penalty(self.discriminator, x, fake)
            self.manual_backward((loss if penalty is None else loss + penalty) * (len(x) / len(real)))
        optimizer.step()
        self.constraint.after_update(self.discriminator, self.iteration, update, self.n_dis)
        self.losses |= {
            "loss/discriminator": loss.detach(),
            "score/real": score_real.detach().mean(),
            "score/fake": score_fake.detach().mean(),
        }

    def _update_generator(self, discriminator_batch: int) -> None:
        """One optimizer step of G on `generator_batch_ratio` times the discriminator's batch."""
        optimizer, _ = self._both_optimizers()
        latents = self._latents(self.generator_batch_ratio * discriminator_batch, "generator")
        self.discriminator.requires_grad_(False)
        optimizer.zero_grad()
        for z in latents.chunk(self.accumulation):
            loss = self.loss.generator(self.discriminator(self.generator(z)))
            self.manual_backward(loss * (len(z) / len(latents)))
        optimizer.step()
        self.discriminator.requires_grad_(True)
        self.losses |= {"loss/generator": loss.detach()}

    def _latents(self, count: int, player: str, *update: int) -> Tensor:
        """z `[count, latent_dim]` ~ N(0, I) for one player's update in this iteration on this rank."""
        counters = (self.iteration, *update, self.global_rank)
        generator = counter_generator(self.device, self.seed, f"latents of the {player}", *counters)
        return torch.randn(count, self.latent_dim, generator=generator, device=self.device)

    # Optimizers.

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Adam for G, Adam for D.

        Departs from the authors' Chainer: its Adam adds eps before the bias correction of the second
        moment, PyTorch's after it; visible in the first step only.
        """
        players = (self.generator, self.discriminator)
        return [
            torch.optim.Adam(player.parameters(), settings.learning_rate, settings.betas)
            for player, settings in zip(players, self.optimizer_settings, strict=True)
        ]

    def _both_optimizers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        generator_optimizer, discriminator_optimizer = cast(list[LightningOptimizer], self.optimizers())
        return generator_optimizer, discriminator_optimizer

    def _decay_learning_rates(self) -> None:
        """Learning rates are a function of the iteration alone: linear to 0, or constant."""
        remaining = 1 - self.iteration / self.iterations if self.linear_decay else 1.0
        for optimizer, settings in zip(self._both_optimizers(), self.optimizer_settings, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * remaining
                group["betas"] = settings.betas  # those of the run, not those that a checkpoint brings along

    # Checkpoints: tensors and plain types only, so that they load with weights_only=True.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["srgan"] = {
            "iteration": self.iteration,
            "constraint": type(self.constraint).__name__,
            "carried": self.carried(getattr(self.trainer, "datamodule", None)),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes over the clock.

        Raises:
            ValueError: see `refuse_other_draws`.
        """
        self.refuse_other_draws(checkpoint, getattr(self.trainer, "datamodule", None))
        self.iteration = checkpoint["srgan"]["iteration"]

    def refuse_other_draws(self, checkpoint: dict[str, Any], data: ImageData | None) -> None:
        """Checks that data, noise and order would carry on from a checkpoint.

        Raises:
            ValueError: the checkpoint was not written by this training, or its draws would differ from ours.
        """
        stored = checkpoint.get("srgan")
        if stored is None:
            raise ValueError("Expected a checkpoint of srgan's training, found one without its iteration.")
        ours, theirs = self.carried(data), stored["carried"]
        differing = [
            f"{name} was {theirs.get(name)} and is {ours[name]}" for name in ours if theirs.get(name) != ours[name]
        ]
        if differing:
            raise ValueError(
                "Expected the settings of the checkpoint, so that data, noise and order carry on, found: "
                f"{', '.join(differing)}. Give the run the checkpoint's values."
            )

    def carried(self, data: ImageData | None) -> dict[str, Any]:
        """What decides the draws and the order of updates, and so must not change on resume."""
        return {
            "seed": self.seed,
            "n_dis": self.n_dis,
            "generator_turn": self.generator_turn,
            "generator_batch_ratio": self.generator_batch_ratio,
            "latent_dim": self.latent_dim,
            "data": data.name if data else None,
            "batch_size": data.batch_size if data else None,
        }


def optimizer_steps(iterations: int, n_dis: int) -> int:
    """Lightning's `global_step` after so many iterations: it counts the steps of both optimizers."""
    return iterations * (n_dis + 1)
