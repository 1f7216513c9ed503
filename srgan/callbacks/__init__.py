"""What looks at a training run and writes it down. No callback ever alters training."""

from srgan.callbacks.checkpoints import Checkpoints
from srgan.callbacks.clock import RunCallback
from srgan.callbacks.gradients import GradientRecorder
from srgan.callbacks.losses import LossRecorder
from srgan.callbacks.outputs import OutputRecorder
from srgan.callbacks.publisher import Publisher
from srgan.callbacks.record import RunRecorder
from srgan.callbacks.samples import SampleGrids
from srgan.callbacks.scores import ScoreRecorder
from srgan.callbacks.spectra import SpectraRecorder

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
