"""What a run costs, counted and not timed: arithmetic and memory of its nets, on tensors without storage.

FLOPs are those of convolutions and matrix products (a multiplication and an addition are two), bytes those of
the activations that the backward pass keeps. Spectral norms, SR and batch norms add some percent of time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from srgan.networks import Pair

BYTES_PER_PARAMETER = 16  # float32 weight, gradient and Adam's two moments
INCEPTION_FLOPS = 11.4e9  # of one image through the feature network


@dataclass(frozen=True)
class Cost:
    """Of one image through one player's update.

    Attributes:
        discriminator_flops: one real and one generated image in D's update.
        generator_flops: one generated image in G's update.
        sample_flops: one image generated for scoring.
        discriminator_bytes: activations kept for that pair of images in D's update.
        generator_bytes: activations kept for that image in G's update.
        parameters: of both nets.
    """

    discriminator_flops: float
    generator_flops: float
    sample_flops: float
    discriminator_bytes: float
    generator_bytes: float
    parameters: int

    def iteration_flops(self, batch_size: int, n_dis: int, generator_batch_ratio: int) -> float:
        """One generator update and its n_dis discriminator updates at a global batch."""
        return batch_size * (n_dis * self.discriminator_flops + generator_batch_ratio * self.generator_flops)

    def peak_bytes(self, micro_batch_size: int, generator_batch_ratio: int) -> float:
        """Of one device: parameters, their gradients and moments, and the larger of the two graphs."""
        graphs = self.discriminator_bytes, generator_batch_ratio * self.generator_bytes
        return BYTES_PER_PARAMETER * self.parameters + micro_batch_size * max(graphs)


@cache
def cost(networks: Pair) -> Cost:
    """Counts the nets of a pair: what four more images cost, so that what a batch of any size needs is left out."""
    with FakeTensorMode():
        generator, discriminator = networks.build()
        small, large = (_counts(networks, generator, discriminator, batch) for batch in (4, 8))
    of_an_image = {name: (large[name] - small[name]) / 4 for name in small}
    players = (generator, discriminator)
    parameters = sum(parameter.numel() for player in players for parameter in player.parameters())
    return Cost(**of_an_image, parameters=parameters)


def _counts(networks: Pair, generator: nn.Module, discriminator: nn.Module, batch: int) -> dict[str, float]:
    """FLOPs and bytes of a `Cost`, for a whole batch."""
    z = torch.empty(batch, networks.latent_dim)
    labels = torch.zeros(batch, dtype=torch.int64)
    images = torch.empty(batch, 3, networks.image_size, networks.image_size)

    def sample() -> Tensor:
        with torch.no_grad():
            fake: Tensor = generator(z, labels)
            return fake

    def discriminate() -> Tensor:
        scores: Tensor = discriminator(images, labels) + discriminator(sample(), labels)
        return scores.sum()

    def generate() -> Tensor:
        scores: Tensor = discriminator(generator(z, labels), labels)
        return scores.sum()

    sample_flops, _ = _count(sample, backward=False)
    discriminator_flops, discriminator_bytes = _count(discriminate)
    discriminator.requires_grad_(False)
    generator_flops, generator_bytes = _count(generate)
    discriminator.requires_grad_(True)
    return {
        "discriminator_flops": discriminator_flops,
        "generator_flops": generator_flops,
        "sample_flops": sample_flops,
        "discriminator_bytes": discriminator_bytes,
        "generator_bytes": generator_bytes,
    }


def _count(forward: Callable[[], Tensor], backward: bool = True) -> tuple[float, float]:
    """FLOPs of a forward (and backward) pass, and the bytes of its saved activations, each storage once."""
    kept: dict[int, Tensor] = {}

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()
        if backward:
            result.backward()
    return float(counter.get_total_flops()), float(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))
