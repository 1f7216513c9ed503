"""Points z of latent space to draw images from: between two points, along one dimension."""

from collections.abc import Sequence

import torch
from torch import Tensor


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical interpolation (White 2016): `sin((1-t) w) / sin w a + sin(t w) / sin w b`, w the angle between a and b.

    A straight line leaves the shell of radius sqrt(d) on which nearly all of N(0, I) lies; the arc stays near it.
    Points a (t = 0) and b (t = 1) `[..., d]`, t `[T]` in [0, 1] -> `[..., T, d]`. (Anti)parallel points, between which
    no arc is singled out, are joined by a straight line.
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
    """From each of the points `[N, P, d]`, P >= 2, to the next, by `slerp` in `steps` equal steps.

    Returns:
        `[N, T, d]`, T = (P - 1) * steps + 1, with all points on the way; of a closed walk, which ends one step before
        its first point so that it can repeat for ever, T = P * steps.
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
