"""The R1 penalty: half gamma times the squared slope, on real images alone."""

import pytest
import torch
from test_constraint_properties import Slope, step_of, value

from srgan.constraints import R1Penalty


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_r1_is_half_gamma_times_the_squared_slope_on_real_images(slope: float) -> None:
    D = Slope(slope)
    step = step_of(D)
    step.fake.fill_(torch.nan)  # they have no part in it
    penalty = value(R1Penalty(4.0), step)
    assert penalty.item() == pytest.approx(2 * slope**2, abs=1e-5)
    penalty.backward()
    assert D.slope.grad is not None
    assert D.slope.grad.item() == pytest.approx(4 * slope, abs=1e-4)
