"""What looks at a training run and writes it down. No callback ever alters training."""

from srgan.callbacks.base import RunCallback as RunCallback
from srgan.callbacks.checkpoint_saver import CheckpointSaver as CheckpointSaver
from srgan.callbacks.image_recorders import DiscriminatorOutputRecorder as DiscriminatorOutputRecorder
from srgan.callbacks.image_recorders import SampleGridRecorder as SampleGridRecorder
from srgan.callbacks.run_recorder import LoggerFeed as LoggerFeed
from srgan.callbacks.run_recorder import RunRecorder as RunRecorder
from srgan.callbacks.score_recorder import ScoreRecorder as ScoreRecorder
from srgan.callbacks.training_recorders import GradientRecorder as GradientRecorder
from srgan.callbacks.training_recorders import LossRecorder as LossRecorder
from srgan.callbacks.training_recorders import SpectraRecorder as SpectraRecorder
