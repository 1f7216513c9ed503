"""`srgan fit --help`, at once; all else is done by `srgan.cli.fit`, whose imports take seconds."""

from itertools import pairwise

HELP = """\
usage: srgan fit -c NAME [-c NAME ...] --run FOLDER [options]

Trains a generator and a discriminator under a constraint, or resumes a run where it was stopped.

examples:
  srgan fit -c digits -c sr-s --run runs/digits-sr-s
      SR-GAN on embedded data, minutes on a laptop; the same command again resumes
  srgan fit -c folder -c sr-s --run runs/mine --data.init_args.path photographs.tar
      on images of your own
  srgan fit -c digits -c sr-s --run runs/rescued --from-checkpoint runs/digits-sn
      another constraint from a checkpoint on

run:
  -c, --config NAME       a configuration by its name (`srgan configs` lists them), or a YAML file of your own, which
                          wins if it exists; later ones change earlier ones, options change them all
  --run FOLDER            of everything that the run writes (required)
  --from-checkpoint RUN   (or a checkpoint of it) to go on from: weights, optimizers, iteration, randomness carry on
  --print_config          prints what all this comes to, and trains nothing

data:
  --data.init_args.path PATH       of -c folder and -c hub
  --data.init_args.batch_size N    of the discriminator
  --data.init_args.image_size N    height and width
  --data.init_args.num_workers N   processes that read images

training:
  --model.constraint NAME          none, sn, sr-s, sr-d, clip, gp ..., in place of its configuration
  --sr.fraction X                  THE hyperparameter of sr-s: i / N, 0.5 unless you say otherwise
  --sr.scale unit|keep|X           of D's raw weights under SR; --sr.NAME is short for any setting of SR
  --model.iterations N             updates of the generator
  --model.n_dis N                  updates of the discriminator for each of them
  --model.seed N                   of everything random
  --model.generator_optimizer.learning_rate X
  --model.discriminator_optimizer.learning_rate X
  --model.networks.init_args.generator_channels N
  --model.networks.init_args.discriminator_channels N
  --model.micro_batch_size N       images at a time, where a batch is too large for the memory

looking at it, every N iterations (0: never):
  --losses.every N   --gradients.every N   --spectra.every N   --outputs.every N   --samples.every N
  --scores.every N   --scores.features inception|classifier   --scores.protocol.num_fake_images N
  --checkpoints.every N            what a stopped run goes on from
  -c wandb, -c tensorboard         numbers and pictures there, too

machine:
  --trainer.accelerator cpu|gpu
  --trainer.devices N   --trainer.num_nodes N   --trainer.strategy ddp
  --trainer.precision bf16-mixed
  --trainer.max_time DD:HH:MM:SS   ends early and saves; without it the same command goes on

all options: srgan fit --help=all; of a class: srgan fit --data.help srgan.data.FolderData
"""


def main(arguments: list[str]) -> int:
    """Returns the exit status: see `srgan.cli.fit.main`."""
    everything = "--help=all" in arguments or ("--help", "all") in pairwise(arguments)
    if not everything and {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    from srgan.cli.fit import main as fit

    return fit(["--help"] if everything else arguments)
