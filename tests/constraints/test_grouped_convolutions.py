"""A grouped convolution is as many matrices as it has groups."""

import pytest
import torch
from discriminators import IMAGES
from torch import Tensor, nn

import srgan
from srgan.constraints import METHODS, Schedule, SpectralRegularization, raw_weight


def grouped_discriminator() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.ReLU(),
        nn.Conv2d(12, 12, 3, groups=12), nn.Flatten(), nn.Linear(12 * 36, 1),
    )  # fmt: skip


def block_spectra(weight: Tensor, groups: int) -> Tensor:
    """Singular values of each group's matrix, `[groups, N]`."""
    return torch.stack([torch.linalg.svdvals(block.detach().double().flatten(1)) for block in weight.chunk(groups)])


@pytest.mark.parametrize("mode", ["projection", "reparametrization"])
@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_each_group_of_a_grouped_convolution_is_regularized_by_itself(method: str, mode: str) -> None:
    """After each of three steps: sigma_1 = 1 in use, and no sigma_k below what the map holds."""
    D = grouped_discriminator()
    optimizer = torch.optim.Adam(D.parameters(), 1e-2)
    constraint = METHODS[method](mode=mode, schedule=Schedule(1), grouped="per-group", power_iterations=50)
    srgan.regularize(D, constraint, optimizer=optimizer)
    largest: dict[str, Tensor] = {}
    for step in range(3):
        optimizer.zero_grad()
        D(IMAGES + step).sum().backward()
        optimizer.step()
        for place, groups in (("2", 4), ("4", 12)):
            layer = D.get_submodule(place)
            weight, raw = layer.weight, block_spectra(raw_weight(layer), groups)
            assert isinstance(weight, Tensor)
            in_use, ratios = block_spectra(weight, groups), raw / raw[:, :1]
            held = torch.zeros_like(in_use)
            if method == "sr-s":
                held[:, : max(1, in_use.shape[1] // 2)] = 1
            else:
                held = largest[place] = torch.maximum(largest.get(place, ratios), ratios)
            torch.testing.assert_close(in_use[:, 0], torch.ones_like(in_use[:, 0]), rtol=0, atol=1e-4)
            assert (in_use >= held - 1e-4).all()


def test_a_group_that_is_all_zero_is_refused_before_anything_is_written() -> None:
    discriminator, constraint = grouped_discriminator(), METHODS["sr-s"](grouped="per-group")
    constraint.attach(discriminator)
    raw_weight(discriminator[2]).data[3:6] = 0  # the second of four groups
    before = [raw_weight(discriminator[place]).clone() for place in (0, 2, 4)]
    with pytest.raises(ValueError, match=r"Layer '2' in iteration 5: .* all-zero"):
        constraint.after_update(discriminator, 5, 0, 1)
    assert all(torch.equal(raw_weight(discriminator[k]), W) for k, W in zip((0, 2, 4), before, strict=True))


def test_grouped_convolutions_are_refused_where_nobody_asked_for_their_groups() -> None:
    with pytest.raises(ValueError, match=r"Layers '2', '4': .* 4 groups.*grouped='per-group'.*exclude=\['2', '4'\]"):
        srgan.regularize(grouped_discriminator(), METHODS["sr-s"](mode="reparametrization"))
    with pytest.raises(ValueError, match="not for transposed"):
        srgan.regularize(
            nn.ConvTranspose2d(4, 4, 3, groups=2), METHODS["sr-s"](mode="reparametrization", grouped="per-group")
        )
    with pytest.raises(ValueError, match="'refuse' or 'per-group', found 'each'"):
        SpectralRegularization(grouped="each")  # type: ignore[arg-type]
