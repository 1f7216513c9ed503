"""Ways through latent space."""

import pytest
import torch

from srgan.inspection.sheets import along_dimensions, slerp, walks


def test_slerp_goes_along_the_arc() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(2, 4, 50, dtype=torch.float64)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    arc = slerp(a, b, t)
    assert arc.shape == (4, 9, 50)
    torch.testing.assert_close(arc[:, 0], a)
    torch.testing.assert_close(arc[:, -1], b)
    torch.testing.assert_close(arc.norm(dim=2), torch.ones(4, 9, dtype=torch.float64))
    angles = (arc[:, :-1] * arc[:, 1:]).sum(dim=2).acos()
    torch.testing.assert_close(angles, (a * b).sum(dim=1).acos()[:, None].expand(4, 8) / 8)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_parallel_points_are_joined_by_a_line(factor: float) -> None:
    a = torch.tensor([[3.0, 4.0]])
    t = torch.linspace(0, 1, 5)
    torch.testing.assert_close(slerp(a, factor * a, t), ((1 - t) + factor * t)[None, :, None] * a[:, None])


def test_walks_pass_their_points() -> None:
    torch.manual_seed(0)
    points = torch.randn(3, 4, 6)
    path = walks(points, 5, closed=False)
    assert path.shape == (3, 16, 6)
    torch.testing.assert_close(path[:, ::5], points)
    closed = walks(points, 5, closed=True)
    assert closed.shape == (3, 20, 6)
    torch.testing.assert_close(closed[:, :16], path)
    torch.testing.assert_close(closed[:, 15:], slerp(points[:, 3], points[:, 0], torch.arange(5) / 5))


def test_one_dimension_at_a_time() -> None:
    z = torch.arange(5.0)
    values = torch.tensor([-2.0, 0.0, 2.0])
    changed = along_dimensions(z, [1, 3], values)
    assert changed.shape == (2, 3, 5)
    for row, dimension in enumerate([1, 3]):
        assert torch.equal(changed[row, :, dimension], values)
        others = [d for d in range(5) if d != dimension]
        assert (changed[row][:, others] == z[others]).all()
