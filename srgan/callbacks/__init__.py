"""What looks at a training run and writes it down. No callback ever alters training."""

from srgan.callbacks.base import RunCallback
from srgan.callbacks.checkpoint_saver import Checkpoints
from srgan.callbacks.gradient_recorder import GradientRecorder
from srgan.callbacks.logger_feed import LoggerFeed
from srgan.callbacks.loss_recorder import LossRecorder
from srgan.callbacks.output_recorder import OutputRecorder
from srgan.callbacks.run_recorder import RunRecorder
from srgan.callbacks.sample_recorder import SampleGridRecorder
from srgan.callbacks.score_recorder import ScoreRecorder
from srgan.callbacks.spectra_recorder import SpectraRecorder

__all__ = [
    "Checkpoints",
    "GradientRecorder",
    "LoggerFeed",
    "LossRecorder",
    "OutputRecorder",
    "RunCallback",
    "RunRecorder",
    "SampleGridRecorder",
    "ScoreRecorder",
    "SpectraRecorder",
]
