"""The generator's additional term: its formula, its weight over time, whose gradient it is, and what is refused."""

import copy

import pytest
import torch
from discriminators import small_discriminator
from torch import Tensor, nn

from srgan.constraints import METHODS
from srgan.losses import BEGAN, FeatureMatching, Hinge
from srgan.networks import AutoencoderPair, ResNetPair
from srgan.training.module import AdversarialTraining

LABELS = torch.zeros(6, dtype=torch.int64)


def images(seed: int) -> Tensor:
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def features(D: nn.Module, layer: str, x: Tensor) -> Tensor:
    """Outputs of a layer, taken by a hook of the test's own."""
    seen: list[Tensor] = []
    hook = D.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output.clone()))
    D(x, LABELS)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("layer", [None, "blocks.0.conv2"])
def test_the_term_is_the_squared_distance_of_mean_features(layer: str | None) -> None:
    D, matching = small_discriminator(METHODS["none"]()), FeatureMatching(3.0, layer=layer)
    names = [name for name, module in D.named_modules() if module is matching.find_layer(D)]
    real, fake = images(1), images(2).requires_grad_()
    scores, term = matching.scores_and_term(D, (real, LABELS), (fake, LABELS), iteration=7)
    expected = 3 * (features(D, names[0], real).mean(0) - features(D, names[0], fake).mean(0)).square().sum()
    torch.testing.assert_close(term, expected)
    torch.testing.assert_close(scores, D(fake, LABELS))
    assert names == [layer or "blocks.2.conv1"]  # of conv1, conv2 of four blocks the fifth: no 1 x 1 shortcut
    (gradient,) = torch.autograd.grad(term, fake)
    assert gradient.any()


def test_the_weight_stays_or_falls_linearly_to_0() -> None:
    assert [FeatureMatching(2.0).weight_at(t) for t in (0, 10_000)] == [2.0, 2.0]
    assert [FeatureMatching(2.0, decay_iterations=10).weight_at(t) for t in (0, 5, 10, 11)] == [2.0, 1.0, 0.0, 0.0]


def test_a_step_along_the_term_alone_brings_the_means_together() -> None:
    D, matching = small_discriminator(METHODS["none"]()), FeatureMatching()
    fake = images(2).requires_grad_()
    terms = []
    for _ in range(3):
        _, term = matching.scores_and_term(D, (images(1), LABELS), (fake, LABELS), 0)
        terms.append(term.item())
        (gradient,) = torch.autograd.grad(term, fake)
        fake = (fake - 1e-2 * gradient / gradient.norm()).detach().requires_grad_()
    assert terms[0] > terms[1] > terms[2]


def test_the_generator_gets_the_term_beside_its_loss() -> None:
    """On one micro-batch: the loss with the term is the loss without it, plus the term."""
    pair = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=8)
    plain, matched = (
        AdversarialTraining(pair, METHODS["none"](), feature_matching=m) for m in (None, FeatureMatching())
    )
    real, fake = (images(1), LABELS), (images(2), LABELS)
    _, term = FeatureMatching().scores_and_term(copy.deepcopy(matched.discriminator), real, fake, 0)
    torch.testing.assert_close(matched._generator_loss(fake, real), plain._generator_loss(fake, real) + term)


def test_refusals() -> None:
    D = small_discriminator()
    with pytest.raises(ValueError, match=r"found 'nowhere'. Its convolutions: blocks\.0\.conv1"):
        FeatureMatching(layer="nowhere").find_layer(D)
    with pytest.raises(ValueError, match="positive weight"):
        FeatureMatching(0.0)
    with pytest.raises(ValueError, match="decay_iterations of at least 1"):
        FeatureMatching(decay_iterations=0)
    with pytest.raises(ValueError, match="compile false"):
        AdversarialTraining(ResNetPair(8, 2, 2, 4), compile=True, feature_matching=FeatureMatching())
    with pytest.raises(ValueError, match="compile false"):
        AdversarialTraining(ResNetPair(8, 2, 2, 4), METHODS["gp"](), compile=True)
    for loss, nets in ((BEGAN(), ResNetPair(8, 2, 2, 4)), (Hinge(), AutoencoderPair())):
        with pytest.raises(ValueError, match="BEGAN and AutoencoderPair together"):
            AdversarialTraining(nets, loss=loss)


def test_the_balance_of_began_is_in_the_checkpoint_of_a_training() -> None:
    nets = AutoencoderPair(image_size=16, generator_channels=2, discriminator_channels=2)
    module = AdversarialTraining(nets, METHODS["none"](), loss=(loss := BEGAN()))
    assert "loss.k" in module.state_dict()
    assert module.loss is not loss  # two trainings do not share a balance
