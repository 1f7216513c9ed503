"""How long a run will take on a CPU, by the speed of its nets on this one."""

import time
from collections.abc import Callable

import torch

from srgan.training import AdversarialTraining

IMAGES = 2  # of the passes that are timed
TOO_LONG = 5.0
"""Hours on a CPU from which on a run says so, and what to use instead."""


def hours_on_cpu(module: AdversarialTraining, batch_size: int, iterations: int) -> float:
    """Of so many iterations; scores, pictures and constraints not counted.

    A backward pass takes twice a forward pass. Nets and random numbers stay as they are; nothing is compiled for this.

    Args:
        module: on the CPU.
        batch_size: of D's update.
        iterations: that are left.
    """
    generator, discriminator = module.generator, module.discriminator
    z = torch.zeros(IMAGES, module.networks.latent_dim)
    labels = torch.zeros(IMAGES, dtype=torch.int64)
    modes = [(net, net.training) for net in (generator, discriminator)]
    try:
        for net, _ in modes:
            net.eval()
        with torch.no_grad():
            images = generator.forward(z, labels)
            generating = _seconds(lambda: generator.forward(z, labels)) / IMAGES
            judging = _seconds(lambda: discriminator.forward(images, labels)) / IMAGES
    finally:
        for net, training in modes:
            net.train(training)
    discriminator_update = batch_size * (generating + 2 * 3 * judging)
    generator_update = module.generator_batch_ratio * batch_size * 3 * (generating + judging)
    seconds = module.n_dis * discriminator_update + generator_update
    return iterations * seconds / 3600


def _seconds(work: Callable[[], object]) -> float:
    """The faster of two tries."""
    tries = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        tries.append(time.perf_counter() - started)
    return min(tries)
