"""What looks at a training run and writes it down. No callback ever alters training."""

from srgan.callbacks.checkpoint_saver import Checkpoints
from srgan.callbacks.clock import RunCallback
from srgan.callbacks.gradients import GradientRecorder
from srgan.callbacks.loss_recorder import LossRecorder
from srgan.callbacks.outputs import OutputRecorder
from srgan.callbacks.publisher import Publisher
from srgan.callbacks.record import RunRecorder
from srgan.callbacks.sample_recorder import SampleGrids
from srgan.callbacks.score_recorder import ScoreRecorder
from srgan.callbacks.spectra_recorder import SpectraRecorder

__all__ = [
    "Checkpoints",
    "GradientRecorder",
    "LossRecorder",
    "OutputRecorder",
    "Publisher",
    "RunCallback",
    "RunRecorder",
    "SampleGrids",
    "ScoreRecorder",
    "SpectraRecorder",
]
