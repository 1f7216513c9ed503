"""Scores the generator during training, and once more, by the field's standard, at its end."""

import pytorch_lightning as pl

from srgan.callbacks.base import RunCallback, recovery_hint
from srgan.callbacks.checkpoint_saver import checkpoints_of
from srgan.collapse import collapsed_scores, is_lower_better
from srgan.data.image_data import ImageData
from srgan.metrics.features import FeatureName, check_features, feature_network
from srgan.metrics.protocol import FinalProtocol, ScoreProtocol
from srgan.metrics.scores import Scorer, check_classes, check_enough_images
from srgan.networks import Generator
from srgan.runs.folder import OtherRunError
from srgan.training.module import AdversarialTraining
from srgan.utils.files import write_json

MODE_COLLAPSE = "mode collapse"


class ScoreRecorder(RunCallback):
    """Appends FID, IS (and modes of stacked digits) to `scores.jsonl`, under one stored protocol.

    After the last iteration it also writes `final.json`: scores of more images under the final protocol.

    Args:
        every: iterations between two evaluations; 0: none, nor a final one.
        features: "inception" (FID, IS), or "classifier" or "densenet", trained on the data itself (FID_cls, IS_cls).
        inception_weights: path of torch-fidelity's weights; None downloads them once.
        protocol: how many images, which statistics.
        final: what differs at the end of the run; None: nothing.
    """

    on_all_ranks = True

    def __init__(
        self,
        every: int = 1_000,
        features: FeatureName = "inception",
        inception_weights: str | None = None,
        protocol: ScoreProtocol = ScoreProtocol(),  # noqa: B008 (a frozen value)
        final: FinalProtocol | None = None,
    ) -> None:
        super().__init__(every)
        self.features: FeatureName = features
        self.inception_weights = inception_weights
        self.protocol = protocol
        self.final = final.after(protocol) if final else None
        self.scorer: Scorer | None = None

    def check_possible(self, generator: Generator, data: ImageData) -> None:
        """Fetches Inception's weights; ValueError if protocols, generator and data, which is there, do not fit."""
        if not self.every:
            return
        for protocol in (self.protocol, *([self.final] if self.final else [])):
            check_enough_images(data, protocol)
            check_classes(data, protocol, generator.num_classes)
        check_features(self.features, self.inception_weights, data)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepares the scorer before the first iteration, so that errors show at once."""
        assert isinstance(pl_module, AdversarialTraining)
        if self.every:
            self._make_scorer(trainer, pl_module)

    def _make_scorer(self, trainer: pl.Trainer, pl_module: AdversarialTraining) -> Scorer:
        """What scores; OtherRunError if another feature network scored this run before."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ImageData)
        ranks, device = pl_module.ranks, pl_module.device
        features = feature_network(self.features, self.inception_weights, data, device, ranks)
        stored = (self.folder.read_protocol() or {}) if self.folder.scores.exists() else {}
        if stored.get("weights_hash", features.weights_hash) != features.weights_hash:
            raise OtherRunError(
                f"Expected the {features.name} with weights {stored['weights_hash']} that scored this run before, "
                f"found {features.weights_hash}: their scores cannot be compared. Restore the earlier cache "
                "(SRGAN_CACHE), or continue in a new folder (--run NEW --from-checkpoint CKPT)."
            )
        self.scorer = Scorer(features, data, self.protocol, ranks)
        if trainer.is_global_zero:
            self.folder.check_not_lost()
            write_json(self.folder.protocol, self.scorer.describe())
        return self.scorer

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        assert self.scorer is not None
        scores = self.scorer.of_generators(module.generator, module.generator_ema)
        if trainer.is_global_zero:
            self.folder.append_row(self.folder.scores, {"iteration": module.iteration} | scores)
            self._warn_of_collapse(module)

    def missing(self, module: AdversarialTraining) -> str | None:
        final = self.folder.read_final() or {}
        owed = self.every and self.final and final.get("iteration") != module.iterations
        return "the final scores" if owed else None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """For a run that was stopped during its final scores: it does not train again."""
        self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The final scores, which take far longer than those in training; the last checkpoint is saved by now."""
        assert isinstance(pl_module, AdversarialTraining)
        saver, is_over = checkpoints_of(trainer), pl_module.iteration == pl_module.iterations
        if is_over and self.missing(pl_module) and not saver.agreed_signal(trainer.world_size):
            with saver.stopping_immediately(trainer):
                self._record_final(trainer, pl_module)

    def _record_final(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        assert self.final is not None
        scorer = (self.scorer or self._make_scorer(trainer, module)).under(self.final)
        scores = scorer.of_generators(module.generator, module.generator_ema)
        if trainer.is_global_zero:
            self.folder.check_not_lost()
            final = {"iteration": module.iteration, "protocol": scorer.describe(), "scores": scores}
            write_json(self.folder.final, final)

    def _warn_of_collapse(self, module: AdversarialTraining) -> None:
        """At the evaluation from which on a score is far from its best; it may still recover."""
        rows = self.folder.read_scores()
        onsets = collapsed_scores(rows, self.thresholds)
        if min(onsets.values(), default=None) == module.iteration:
            score = next(iter(onsets))
            best = (min if is_lower_better(score) else max)(rows, key=lambda row: float(row[score]))
            message = (
                f"{score} is {rows[-1][score]:.4g}, its best was {best[score]:.4g} at iteration {best['iteration']}. "
                "Look at the samples and the spectra. If it persists, resume from a checkpoint near that iteration "
                f"with {recovery_hint(module)}"
            )
            self.warn(module, MODE_COLLAPSE, message)
