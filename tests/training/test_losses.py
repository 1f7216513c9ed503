"""The pairs of losses against their formulas in numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srgan.losses import BEGAN, Hinge, LeastSquares, Loss, Minimax, NonSaturating, Wasserstein

LOSSES: dict[str, Loss] = {
    "hinge": Hinge(),
    "minimax": Minimax(),
    "non-saturating": NonSaturating(),
    "wasserstein": Wasserstein(),
    "least-squares": LeastSquares(),
}


def d_formula(name: str, real: np.ndarray, fake: np.ndarray) -> float:
    """What the discriminator minimizes; the papers' sigmoid D is written out."""
    value = {
        "hinge": lambda: np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
        "minimax": lambda: -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean(),
        "non-saturating": lambda: -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean(),
        "wasserstein": lambda: -(real.mean() - fake.mean()),
        "least-squares": lambda: 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
    }[name]()
    return float(value)


def g_formula(name: str, fake: np.ndarray) -> float:
    """What the generator minimizes."""
    value = {
        "hinge": lambda: -fake.mean(),
        "minimax": lambda: np.log(1 - sigmoid(fake)).mean(),
        "non-saturating": lambda: -np.log(sigmoid(fake)).mean(),
        "wasserstein": lambda: -fake.mean(),
        "least-squares": lambda: 0.5 * ((fake - 1) ** 2).mean(),
    }[name]()
    return float(value)


def sigmoid(score: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-score)))


def scores(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


score_lists = st.lists(st.floats(-15, 15), min_size=1, max_size=5)


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=25, deadline=None)
@given(real=score_lists, fake=score_lists)
def test_losses_follow_their_formulas_for_batches_of_any_two_sizes(
    name: str, real: list[float], fake: list[float]
) -> None:
    loss = LOSSES[name]
    expected = d_formula(name, np.array(real), np.array(fake))
    assert loss.discriminator(scores(*real), scores(*fake)).item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert loss.generator(scores(*fake)).item() == pytest.approx(g_formula(name, np.array(fake)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("hinge", 2, 0),
        ("minimax", 2 * math.log(2), -math.log(2)),
        ("non-saturating", 2 * math.log(2), math.log(2)),
        ("wasserstein", 0, 0),
        ("least-squares", 0.5, 0.5),
    ],
)
def test_known_values_where_all_scores_are_0(name: str, discriminator: float, generator: float) -> None:
    zero = scores(0, 0)
    assert LOSSES[name].discriminator(zero, zero).item() == pytest.approx(discriminator)
    assert LOSSES[name].generator(zero).item() == pytest.approx(generator)


@pytest.mark.parametrize("name", LOSSES)
def test_the_players_pull_in_opposite_directions(name: str) -> None:
    """D wants real scores up and fake ones down, G wants fake ones up; all below what satisfies anybody."""
    real, fake = scores(-3, -0.5, 0.5), scores(0.1, 0.5, 0.9)
    d_real, d_fake = torch.autograd.grad(LOSSES[name].discriminator(real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(LOSSES[name].generator(fake), fake)
    assert (d_real < 0).all()
    assert (d_fake > 0).all()
    assert (g_fake < 0).all()


def test_the_hinge_lets_scores_beyond_its_margins_go() -> None:
    real, fake = scores(-2, 0.9, 1.1, 5), scores(-5, -1.1, -0.9, 2)
    d_real, d_fake = torch.autograd.grad(LOSSES["hinge"].discriminator(real, fake), (real, fake))
    assert d_real.tolist() == [-0.25, -0.25, 0, 0]
    assert d_fake.tolist() == [0, 0, 0.25, 0.25]


def test_least_squares_pull_scores_to_their_targets_from_both_sides() -> None:
    real, fake = scores(0, 1, 3), scores(-1, 0, 2)
    d_real, d_fake = torch.autograd.grad(LOSSES["least-squares"].discriminator(real, fake), (real, fake))
    (g_fake,) = torch.autograd.grad(LOSSES["least-squares"].generator(fake), fake)
    assert d_real.sign().tolist() == [-1, 0, 1]
    assert d_fake.sign().tolist() == [-1, 0, 1]
    assert g_fake.sign().tolist() == [-1, -1, 1]


def test_logits_of_any_size_give_finite_non_saturating_losses() -> None:
    """The logarithm of the sigmoid itself is infinite here, and its gradient 0."""
    fake = scores(-1e4)
    loss = LOSSES["non-saturating"].generator(fake)
    loss.backward()
    assert fake.grad is not None
    assert loss.item() == pytest.approx(1e4)
    assert fake.grad.item() == pytest.approx(-1)
    assert LOSSES["non-saturating"].discriminator(scores(1e4), fake).item() == 0


def test_began_balances_the_reconstruction_losses() -> None:
    """k_t moves by lambda (gamma L(x) - L(G(z))), stays in [0, 1], and is part of the state dict (Section 3.4)."""
    loss = BEGAN(gamma=0.5, proportional_gain=0.1)
    real, fake = scores(2.0, 4.0), scores(0.5, 0.7)
    assert loss.discriminator(real, fake).item() == pytest.approx(3.0)  # k_0 = 0
    loss.after_update(loss.scores(real, fake))
    assert loss.k.item() == pytest.approx(0.1 * (0.5 * 3.0 - 0.6))
    assert loss.report() == pytest.approx({"loss/k": 0.09, "loss/convergence": 3.0 + 0.9})
    assert loss.discriminator(real, fake).item() == pytest.approx(3.0 - 0.09 * 0.6)
    assert loss.generator(fake).item() == pytest.approx(0.6)
    resumed = BEGAN(gamma=0.5, proportional_gain=0.1)
    resumed.load_state_dict(loss.state_dict())
    assert resumed.k.item() == loss.k.item()
    for _ in range(20):
        loss.after_update(loss.scores(real, fake))
    assert loss.k.item() == 1
    for _ in range(200):
        loss.after_update(loss.scores(fake, real))
    assert loss.k.item() == 0


@pytest.mark.parametrize("settings", [{"gamma": 0.0}, {"gamma": 1.5}, {"proportional_gain": -1.0}])
def test_a_balance_that_cannot_be_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="gamma in"):
        BEGAN(**settings)
