"""Points z of latent space to draw images from: truncated, between two points, along one dimension."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srgan.networks import Generator
from srgan.randomness import counter_rows
from srgan.sampling import latents

SMALLEST_THRESHOLD, LARGEST_THRESHOLD = 0.02, 10.0
"""Below, thousands of draws are needed for one that is kept; above, nothing is ever drawn."""


def check_threshold(threshold: float) -> None:
    """Refuses a truncation that cannot be drawn.

    Raises:
        ValueError: it is out of range.
    """
    if not SMALLEST_THRESHOLD <= threshold <= LARGEST_THRESHOLD:
        raise ValueError(
            f"Expected --truncation in {SMALLEST_THRESHOLD:g} ... {LARGEST_THRESHOLD:g} (the largest |z_i| that is "
            f"kept; BigGAN shows 0.04 to 2), found {threshold:g}."
        )


def drawn_latents(
    generator: Generator, rows: range, device: torch.device, seed: int, purpose: str, threshold: float | None
) -> tuple[Tensor, Tensor]:
    """`sampling.latents`, truncated if there is a threshold: entries beyond it are drawn again until all are within.

    The truncation trick of BigGAN (Brock, Donahue and Simonyan 2019, section 3.1). Entries within the threshold are
    those of the untruncated z, and row j is still a function of (seed, purpose, j).

    Args:
        generator: tells the length of z and the number of classes.
        rows: of the stream.
        device: streams of different devices differ.
        seed: of the stream.
        purpose: of the stream.
        threshold: the largest |z_i|; None: no truncation.

    Returns:
        z `[B, latent_dim]` and classes `[B]` int64.

    Raises:
        ValueError: the threshold is out of range.
    """
    z, labels = latents(generator, rows, device, seed, purpose)
    if threshold is None:
        return z, labels
    check_threshold(threshold)
    attempt = 0
    while (beyond := z.abs() > threshold).any():
        attempt += 1
        again = counter_rows(torch.randn, rows, z.shape[1:], device, seed, f"truncation of {purpose}", attempt)
        z = torch.where(beyond, again, z)
    return z, labels


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation (White 2016): `sin((1-t) w) / sin w a + sin(t w) / sin w b`, w the angle between a and b.

    A straight line leaves the shell of radius sqrt(d) on which nearly all of N(0, I) lies; the arc stays near it.

    Args:
        a: `[..., d]`, where t is 0.
        b: `[..., d]`, where t is 1.
        t: `[T]` in [0, 1].

    Returns:
        `[..., T, d]`. (Anti)parallel points, between which no arc is singled out, are joined by a straight line.
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).clamp(-1, 1)
    w = cosine.acos()[..., None, None]
    t = t[:, None].to(a)
    straight = w.sin() < 1e-4
    safe = torch.where(straight, torch.ones_like(w), w)
    from_a = torch.where(straight, 1 - t, ((1 - t) * safe).sin() / safe.sin())
    from_b = torch.where(straight, t, (t * safe).sin() / safe.sin())
    return from_a * a[..., None, :] + from_b * b[..., None, :]


def walks(points: Tensor, steps: int, closed: bool) -> Tensor:
    """From each point to the next, by `slerp` in equal steps.

    Args:
        points: `[N, P, d]`, P >= 2.
        steps: from one point to the next.
        closed: whether the walk ends one step before its first point, so that it can be repeated for ever.

    Returns:
        `[N, T, d]`: T = P * steps closed, (P - 1) * steps + 1 else, with all points on the way.
    """
    t = torch.arange(steps, device=points.device) / steps
    following = points.roll(-1, dims=1)
    legs = slerp(points, following, t)  # [N, P, steps, d]
    if closed:
        return legs.flatten(1, 2)
    return torch.cat([legs[:, :-1].flatten(1, 2), points[:, -1:]], dim=1)


def along_dimensions(z: Tensor, dimensions: Sequence[int], values: Tensor) -> Tensor:
    """One point, in which one coordinate at a time takes every value. `[d]`, `[V]` -> `[len(dimensions), V, d]`."""
    changed = z.repeat(len(dimensions), len(values), 1)
    for row, dimension in enumerate(dimensions):
        changed[row, :, dimension] = values.to(z)
    return changed
