"""Scores the generator during training."""

from typing import Literal

import pytorch_lightning as pl

from srgan.callbacks.clock import RunCallback, log
from srgan.data.base import ImageData
from srgan.files import append_json_line, write_json
from srgan.metrics.features import ClassifierFeatures, FeatureNetwork, InceptionFeatures
from srgan.metrics.scores import ScoreProtocol, Scorer
from srgan.sampling import generate
from srgan.training import AdversarialTraining


class ScoreRecorder(RunCallback):
    """Appends FID, IS (and modes of stacked digits) to `scores.jsonl`, under one stored protocol.

    Args:
        every: iterations between two evaluations.
        features: "inception" (FID, IS) or "classifier", trained on the data itself (FID_cls, IS_cls).
        inception_weights: path of torch-fidelity's weights; None downloads them once.
        protocol: how many images, which statistics.
    """

    def __init__(
        self,
        every: int = 1_000,
        features: Literal["inception", "classifier"] = "inception",
        inception_weights: str | None = None,
        protocol: ScoreProtocol = ScoreProtocol(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__(every)
        self.features = features
        self.inception_weights = inception_weights
        self.protocol = protocol
        self.scorer: Scorer | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prepares the scorer before the first iteration, so that what is missing is said at once."""
        if self.every and trainer.is_global_zero:
            data = trainer.datamodule  # type: ignore[attr-defined]
            assert isinstance(data, ImageData)
            features: FeatureNetwork
            if self.features == "inception":
                features = InceptionFeatures(self.inception_weights)
            else:
                features = ClassifierFeatures(data)
            self.scorer = Scorer(features.to(pl_module.device), data, self.protocol)
            write_json(self.folder.protocol, self.scorer.describe())

    def act(self, trainer: pl.Trainer, module: AdversarialTraining) -> None:
        assert self.scorer is not None
        protocol = self.protocol
        scores = self.scorer(
            images
            for images, _ in generate(
                module.generator,
                range(protocol.num_fake_images),
                protocol.seed,
                "scores",
                protocol.batch_size,
                protocol.generator_statistics,
            )
        )
        append_json_line(self.folder.scores, {"iteration": module.iteration} | scores)
        log(trainer, {f"scores/{name}": value for name, value in scores.items()}, module.iteration)
