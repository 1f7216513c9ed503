"""`srgan fit --help`, at once; all else is done by `srgan.cli.fit`, whose imports take seconds."""

from itertools import pairwise

HELP = """\
usage: srgan fit -c NAME [-c NAME ...] --run FOLDER [options]

Train a generator and a discriminator under a constraint, or resume a run.

examples:
  srgan fit -c digits -c sr-s --run runs/digits-sr-s
      SR-GAN on built-in data, minutes on a laptop; run the same command again to resume
  srgan fit -c folder -c sr-s --run runs/mine --data.init_args.path photographs.tar
      your own images
  srgan fit -c digits -c sr-s --run runs/rescued --from-checkpoint runs/digits-sn
      continue from a checkpoint under another constraint

run:
  -c, --config NAME       configuration by name (see `srgan configs`) or YAML file; later ones override earlier ones,
                          and options override both
  --run FOLDER            output folder of the run (required)
  --from-checkpoint RUN   run or checkpoint to start from: weights, optimizers, iteration and random state are kept
  --print_config          print the resolved configuration and exit

data:
  --data.init_args.path PATH       images, for -c folder and -c hub
  --data.init_args.batch_size N    batch size of the discriminator
  --data.init_args.image_size N    height and width
  --data.init_args.num_workers N   processes that load images

training:
  --model.constraint NAME          none, sn, sr-s, sr-d, clip, gp, ...
  --sr.fraction X                  i / N, the hyperparameter of sr-s (default: 0.5)
  --sr.scale unit|keep|X           scale of D's raw weights under SR; --sr.NAME sets any option of SR
  --model.iterations N             generator updates
  --model.n_dis N                  discriminator updates per generator update
  --model.seed N                   random seed
  --model.generator_optimizer.learning_rate X
  --model.discriminator_optimizer.learning_rate X
  --model.networks.init_args.generator_channels N
  --model.networks.init_args.discriminator_channels N
  --model.micro_batch_size N       images per backward pass, for batches that do not fit into memory

logging intervals, in generator iterations (0 = off):
  --losses.every N   --gradients.every N   --spectra.every N   --outputs.every N   --samples.every N
  --scores.every N   --scores.features inception|classifier   --scores.protocol.num_fake_images N
  --checkpoints.every N            checkpoint interval
  -c wandb, -c tensorboard         also log to Weights & Biases or TensorBoard

hardware:
  --trainer.accelerator cpu|gpu
  --trainer.devices N   --trainer.num_nodes N   --trainer.strategy ddp
  --trainer.precision bf16-mixed
  --trainer.max_time DD:HH:MM:SS   save and stop after this time; run again without it to resume

All options: srgan fit --help=all. Options of a class: srgan fit --data.help srgan.data.FolderData
"""


def main(arguments: list[str]) -> int:
    """Returns the exit status: see `srgan.cli.fit.main`."""
    everything = "--help=all" in arguments or ("--help", "all") in pairwise(arguments)
    if not everything and {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    from srgan.cli.fit import main as fit

    return fit(["--help"] if everything else arguments)
