"""What looks at a training run and writes it down. No callback ever alters training."""

from srgan.callbacks.base import RunCallback as RunCallback
from srgan.callbacks.checkpoint_saver import CheckpointSaver as CheckpointSaver
from srgan.callbacks.discriminator_output_recorder import DiscriminatorOutputRecorder as DiscriminatorOutputRecorder
from srgan.callbacks.gradient_recorder import GradientRecorder as GradientRecorder
from srgan.callbacks.logger_feed import LoggerFeed as LoggerFeed
from srgan.callbacks.loss_recorder import LossRecorder as LossRecorder
from srgan.callbacks.run_recorder import RunRecorder as RunRecorder
from srgan.callbacks.sample_recorder import SampleGridRecorder as SampleGridRecorder
from srgan.callbacks.score_recorder import ScoreRecorder as ScoreRecorder
from srgan.callbacks.spectra_recorder import SpectraRecorder as SpectraRecorder
