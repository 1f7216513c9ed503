"""The training of a generator and a discriminator: one `training_step` is one iteration.

The iteration (one generator update) is the only clock. Everything random in iteration t is a function of (seed, t), so
stopping, resuming, evaluating or logging does not change a run.
"""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Literal, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from srgan.constraints import Constraint, DiscriminatorStep, SpectralNormalization
from srgan.constraints.nets import Nets
from srgan.constraints.selecting import parameters_of, part_in
from srgan.constraints.together import Together, scores_of_both
from srgan.data.image_data import Batch, ImageData
from srgan.losses import FeatureMatching, Hinge, Loss
from srgan.networks import DEFAULT_PAIR, Pair
from srgan.networks.sampling import latents
from srgan.training.checks import check_checkpoint, check_fit
from srgan.training.optimizers import OptimizerSettings, average_into, decay_at
from srgan.utils.distributed import SINGLE_PROCESS, ProcessGroup
from srgan.utils.lightning_internals import trainer_of
from srgan.utils.precision import without_autocast


class AdversarialTraining(pl.LightningModule):
    """A generator against a discriminator under a constraint (Section IV, Appendix B).

    ValueError if a count is below 1, `generator_update_after` is not in 0 ... n_dis, `ema_decay` is not between 0 and
    1, the constraint or loss does not work with `compile`, or the loss not with the networks.

    Args:
        networks: architecture and sizes of both networks.
        constraint: constraint on the discriminator.
        loss: loss of both players; the paper's is `Hinge` (Eq. 6).
        feature_matching: an additional term of the generator's loss; None for none, as in the paper.
        generator_optimizer: optimizer of the generator.
        discriminator_optimizer: optimizer of the discriminator.
        iterations: length of the run in generator updates.
        linear_decay: decay both learning rates linearly to 0 from iteration 0 (the authors) instead of constant ones.
        n_dis: discriminator updates per iteration.
        generator_update_after: number of them before the generator's update. The authors' order is 1 (D update 1, G
            update, D updates 2 ... n_dis), the textbook's n_dis.
        generator_batch_multiplier: the generator's batch size in units of the discriminator's; 2 in the authors' code.
        micro_batch_size: images per device and forward pass; gradients of `batch_size / (micro_batch_size * devices)`
            micro-batches are averaged, the same micro-batches on any number of devices. None: each device's share is
            one micro-batch. Batch norm sees one micro-batch at a time, and each takes a power step.
        normalize_generator: SN on the generator too, as in the authors' ImageNet code.
        ema_decay: decay of a moving average of the generator, updated once per iteration and scored beside it, e.g.
            0.999; None for none, as in the paper.
        channels_last: PyTorch's channels-last memory format for images, faster on CPUs and tensor cores.
        compile: compile both networks by `torch.compile`.
        compile_mode: mode of `torch.compile`; "reduce-overhead" is CUDA graphs.
        seed: Random seed of the initial weights, the latents z and (linked) the data order.
    """

    def __init__(
        self,
        networks: Pair = DEFAULT_PAIR,
        constraint: Constraint = SpectralNormalization(),  # noqa: B008 (a value without state)
        loss: Loss = Hinge(),  # noqa: B008 (copied)
        feature_matching: FeatureMatching | None = None,
        generator_optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 (a frozen value)
        discriminator_optimizer: OptimizerSettings = OptimizerSettings(),  # noqa: B008 (a frozen value)
        iterations: int = 50_000,
        linear_decay: bool = True,
        n_dis: int = 5,
        generator_update_after: int = 1,
        generator_batch_multiplier: int = 2,
        micro_batch_size: int | None = None,
        normalize_generator: bool = False,
        ema_decay: float | None = None,
        channels_last: bool = True,
        compile: bool = False,
        compile_mode: Literal["default", "reduce-overhead", "max-autotune"] = "default",
        seed: int = 0,
    ) -> None:
        super().__init__()
        counts = (iterations, n_dis, generator_batch_multiplier, 1 if micro_batch_size is None else micro_batch_size)
        if min(counts) < 1 or not 0 <= generator_update_after <= n_dis:
            raise ValueError(
                "Expected iterations, n_dis, generator_batch_multiplier and micro_batch_size of at least 1, and "
                f"generator_update_after in 0 ... n_dis, found {iterations}, {n_dis}, {generator_batch_multiplier}, "
                f"{micro_batch_size} and {generator_update_after}."
            )
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ValueError(
                f"Expected ema_decay between 0 and 1, as 0.999, or null for no moving average, found {ema_decay}."
            )
        if compile and (constraint.needs_double_backward or feature_matching):
            raise ValueError(
                f"Expected compile false under {constraint.label} or feature matching, which torch.compile does not "
                "support, found true. Set --model.compile false."
            )
        if loss.is_autoencoder != networks.is_autoencoder:
            wanted, found = (
                "reconstruction losses, lower for real" if side else "scores, higher for real"
                for side in (loss.is_autoencoder, networks.is_autoencoder)
            )
            raise ValueError(
                f"Expected nets whose D gives {wanted}, for {type(loss).__name__}, found {found} from "
                f"{type(networks).__name__}. Take BEGAN and AutoencoderPair together."
            )
        self.automatic_optimization = False
        self.networks, self.constraint = networks, constraint
        self.loss, self.feature_matching = copy.deepcopy(loss), feature_matching
        self.optimizer_settings = (generator_optimizer, discriminator_optimizer)
        self.iterations, self.linear_decay, self.ema_decay = iterations, linear_decay, ema_decay
        self.n_dis, self.generator_update_after = n_dis, generator_update_after
        self.generator_batch_multiplier, self.micro_batch_size = generator_batch_multiplier, micro_batch_size
        self.seed, self.iteration, self.ranks = seed, 0, SINGLE_PROCESS
        self.losses: dict[str, Tensor] = {}
        nets = Nets(networks, constraint, normalize_generator, ema_decay, channels_last, seed)
        self.generator, self.discriminator, self.generator_ema = nets.generator, nets.discriminator, nets.generator_ema
        self.generator_weights, self.discriminator_weights = Together(self.generator), Together(self.discriminator)
        if compile:
            self.generator.compile(mode=compile_mode)
            self.discriminator.compile(mode=compile_mode)

    def setup(self, stage: str) -> None:
        self.join(self.trainer, self.trainer.datamodule)  # type: ignore[attr-defined]
        if self.trainer.strategy.root_device.type != "cpu":  # there cuDNN would copy weights of another format
            self.to(memory_format=self.generator.memory_format)

    def join(self, trainer: pl.Trainer, data: ImageData) -> None:
        """Sets the ranks that share the batch; ValueError as of `check_fit`."""
        check_fit(trainer, data, self.networks, self.n_dis, self.micro_batch_size)
        self.ranks = ProcessGroup(trainer.global_rank, trainer.world_size)

    def on_train_start(self) -> None:
        """Stops at once if the run is finished; RuntimeError if ranks resume from different iterations."""
        iterations = self.ranks.gather(torch.tensor([self.iteration], device=self.device)).tolist()
        if len(set(iterations)) > 1:
            raise RuntimeError(
                f"Expected all processes to resume from one checkpoint, found them at iterations {iterations}. Put the "
                "run folder on a file system that all of them share."
            )
        self._stop_when_finished()

    # One iteration.

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """n_dis discriminator updates and one generator update, in the authors' order by default."""
        if batch.iteration != self.iteration:
            raise RuntimeError(f"Expected the data of iteration {self.iteration}, found that of {batch.iteration}.")
        self._decay_learning_rates()
        for update, (real, labels) in enumerate(zip(batch.images, batch.labels, strict=True)):
            if update == self.generator_update_after:
                self._update_generator(real, labels)
            self._update_discriminator(real, labels, update)
        if self.generator_update_after == self.n_dis:
            self._update_generator(real, labels)
        if self.generator_ema is not None and self.ema_decay is not None:
            average_into(self.generator_ema, self.generator, decay_at(self.iteration, self.ema_decay))
        self.iteration += 1
        self._stop_when_finished()

    def _stop_when_finished(self) -> None:
        if self.iteration >= self.iterations:
            self.trainer.should_stop = True

    def _update_discriminator(self, real: Tensor, labels: Tensor, update: int) -> None:
        """One optimizer step of D on this rank's real images `[B, 3, H, W]` and as many generated ones, real first."""
        _, optimizer = self._both_optimizers()
        z, classes = self._latents(len(real), "discriminator", update)
        measured: list[dict[str, Tensor]] = []  # in each micro-batch
        first = self.ranks.rank * len(real)  # row of the global batch
        optimizer.zero_grad()
        for x, y, z_fake, y_fake in self._micro_batches(len(real), real, labels, z, classes):
            with torch.no_grad(), self.generator_weights.normalized(passes=1):
                fake = self.generator(z_fake, y_fake)  # in training mode: moves the batch-norm averages, as theirs
            score_real, score_fake = scores_of_both(self.discriminator, self.discriminator_weights, x, y, fake, y_fake)
            loss = self.loss.discriminator(score_real, score_fake)
            measured.append({"loss/discriminator": loss} | self.loss.scores(score_real, score_fake))
            rows = range(first, first := first + len(x))
            step = DiscriminatorStep(
                self.discriminator, x, y, fake, y_fake, self.seed, self.iteration, update, rows, real, self.ranks
            )
            penalty = self.constraint.penalty(step)
            if penalty is not None:
                measured[-1]["loss/penalty"] = penalty
                loss = loss + penalty
            self._backward(loss * (len(x) / len(real)))
        means = torch.stack([torch.stack(list(part.values())).detach() for part in measured]).mean(dim=0)
        self._average_over_ranks(self.discriminator, means)
        optimizer.step()
        trained = part_in(self.discriminator, parameters_of([optimizer.optimizer]))
        self.constraint.after_update(trained, self.iteration, update, self.n_dis, self.ranks)
        self.losses |= zip(measured[0], means.unbind(), strict=True)
        self.loss.after_update(self.losses)

    def _update_generator(self, real: Tensor, labels: Tensor) -> None:
        """One optimizer step of G on `generator_batch_multiplier` times D's batch; real images for feature matching."""
        optimizer, _ = self._both_optimizers()
        z, classes = self._latents(self.generator_batch_multiplier * len(real), "generator")
        mean_loss = torch.zeros(1, device=self.device)
        self.discriminator.requires_grad_(False)
        optimizer.zero_grad()
        for z_fake, y_fake, x, y in self._micro_batches(len(real), z, classes, real, labels):
            part = len(z_fake) / len(z)
            with self.generator_weights.normalized(passes=1):
                fake = self.generator(z_fake, y_fake)
            loss = self._generator_loss((fake, y_fake), (x, y))
            self._backward(loss * part)
            mean_loss += part * loss.detach()
        self._average_over_ranks(self.generator, mean_loss)
        optimizer.step()
        self.discriminator.requires_grad_(True)
        self.losses["loss/generator"] = mean_loss[0]

    def _generator_loss(self, fake: tuple[Tensor, Tensor], real: tuple[Tensor, Tensor]) -> Tensor:
        """The loss of one micro-batch of generated images and labels, beside real ones."""
        if self.feature_matching is None:
            with self.discriminator_weights.normalized(passes=1):
                return self.loss.generator(self.discriminator(*fake))
        with self.discriminator_weights.normalized(passes=2):
            scores, term = self.feature_matching.scores_and_term(self.discriminator, real, fake, self.iteration)
        return self.loss.generator(scores) + term

    def _latents(self, count: int, player: str, *update: int) -> tuple[Tensor, Tensor]:
        """z and classes of this rank's `count` rows of one player's update in this iteration."""
        rows = range(self.ranks.rank * count, (self.ranks.rank + 1) * count)
        purpose = f"latents of the {player}"
        return latents(self.generator, rows, self.device, self.seed, purpose, self.iteration, *update)

    def _micro_batches(self, discriminator_batch: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Each tensor `[B, ...]` in as many equal parts as the discriminator's batch has micro-batches."""
        parts = discriminator_batch // (self.micro_batch_size or discriminator_batch)
        return zip(*(tensor.chunk(parts) for tensor in tensors), strict=True)

    def _backward(self, loss: Tensor) -> None:
        """Adds gradients on this rank; only `_average_over_ranks` exchanges them.

        DDP's own reduction would exchange both networks' gradients at each update, and Lightning's autocast would round
        gradients of what the forward pass keeps in float32.
        """
        model = self.trainer.model
        local = model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()
        with local, without_autocast(self.device):
            self.manual_backward(loss)

    def _average_over_ranks(self, player: nn.Module, losses: Tensor) -> None:
        """Averages gradients, losses and running statistics of batch norm over the ranks, in one all-reduce."""
        if self.ranks.world_size > 1:
            gradients = [parameter.grad for parameter in player.parameters() if parameter.grad is not None]
            statistics = [*self.generator.named_buffers(), *self.discriminator.named_buffers()]
            averages = [buffer for name, buffer in statistics if ".running_" in name]
            self.ranks.average_([*gradients, *averages, losses])

    # Optimizers.

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The optimizers of G and of D."""
        players = (self.generator, self.discriminator)
        return [settings.build(player) for player, settings in zip(players, self.optimizer_settings, strict=True)]

    def _both_optimizers(self) -> list[LightningOptimizer]:
        return cast(list[LightningOptimizer], self.optimizers())

    def _decay_learning_rates(self) -> None:
        """Learning rates are a function of the iteration alone: linear to 0, or constant."""
        remaining = max(0.0, 1 - self.iteration / self.iterations) if self.linear_decay else 1.0
        for optimizer, settings in zip(self._both_optimizers(), self.optimizer_settings, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * remaining
                group |= settings.options  # those of the run, not those that a checkpoint brings along

    # Checkpoints: tensors and plain types only, so that they load with weights_only=True.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["srgan"] = {
            "iteration": self.iteration,
            "constraint": self.constraint.label,
            "carried": self.carried(getattr(self.trainer, "datamodule", None)),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the iteration; ValueError as of `check_checkpoint`, of tensors alone without a Trainer."""
        trainer = trainer_of(self)
        carried = {} if trainer is None else self.carried(getattr(trainer, "datamodule", None))
        check_checkpoint(checkpoint, self.state_dict(), carried, self.constraint.label)
        self.iteration = checkpoint["srgan"]["iteration"]

    def carried(self, data: ImageData | None) -> dict[str, Any]:
        """The settings that decide random draws and the order of updates, and so must not change on resume."""
        return {
            "seed": self.seed,
            "n_dis": self.n_dis,
            "generator_update_after": self.generator_update_after,
            "generator_batch_multiplier": self.generator_batch_multiplier,
            "latent_dim": self.networks.latent_dim,
            "num_classes": self.networks.num_classes,
            "micro_batch_size": self.micro_batch_size or (data.batch_size // self.ranks.world_size if data else None),
            "data": data.key if data else None,
            "batch_size": data.batch_size if data else None,
        }


def optimizer_steps(iterations: int, n_dis: int) -> int:
    """Lightning's `global_step` after so many iterations: it counts the steps of both optimizers."""
    return iterations * (n_dis + 1)
