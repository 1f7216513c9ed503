"""A training that resumes: under another method, in another memory format, and what it refuses."""

from pathlib import Path

import pytest
import torch
from discriminators import CONSTRAINTS
from tiny_training import build, fit


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of SN after two iterations."""
    path = tmp_path_factory.mktemp("checkpoints") / "two.ckpt"
    fit(build(), 2).save_checkpoint(path)
    return path


@pytest.mark.parametrize("method", CONSTRAINTS)
def test_a_checkpoint_of_sn_goes_on_under_any_method_without_parameters_of_its_own(method: str, two: Path) -> None:
    after = build(CONSTRAINTS[method]())
    if method in ("weight-norm", "batch-norm"):
        with pytest.raises(ValueError, match=f"weights of {after.constraint.label}, .* found one of SN"):
            fit(after, 4, checkpoint=two)
        return
    fit(after, 4, checkpoint=two)
    assert after.iteration == 4
    assert all(torch.isfinite(p).all() for p in after.parameters())


def test_weights_on_a_cpu_stay_contiguous_where_images_are_channels_last() -> None:
    module = build(ema_decay=0.9)
    fit(module, 1)
    assert module.generator.memory_format == module.discriminator.memory_format == torch.channels_last
    assert all(parameter.is_contiguous() for parameter in module.parameters())


@pytest.mark.parametrize("before", [torch.contiguous_format, torch.channels_last])
def test_a_run_goes_on_in_another_memory_format(before: torch.memory_format, tmp_path: Path) -> None:
    """As between CPU and GPU: Adam's moments are laid out as the weights of the run that they come into."""
    path = tmp_path / "two.ckpt"
    first, same, other = (build() for _ in range(3))
    for module in (first, same):
        module.to(memory_format=before)
    other.to(memory_format=torch.channels_last if before is torch.contiguous_format else torch.contiguous_format)
    fit(first, 2).save_checkpoint(path)
    for module in (same, other):
        trainer = fit(module, 3, checkpoint=path)
        for optimizer in trainer.optimizers:
            assert all(state["exp_avg_sq"].stride() == W.stride() for W, state in optimizer.state.items())
    for name, weight in other.discriminator.named_parameters():  # in G biases in front of batch norm follow rounding
        theirs = same.discriminator.get_parameter(name)
        torch.testing.assert_close(weight, theirs, rtol=0, atol=1e-6, msg=name)


def test_a_checkpoint_of_other_draws_is_refused(two: Path) -> None:
    with pytest.raises(ValueError, match="seed was 3 and is 4"):
        fit(build(seed=4), 4, checkpoint=two)


@pytest.mark.parametrize(("before", "after"), [(None, 3), (3, None), (2, 3)])
def test_other_micro_batches_are_refused_on_resume(before: int | None, after: int | None, tmp_path: Path) -> None:
    """Batch norm and power steps depend on them; None is the whole share, here of 6."""
    fit(build(micro_batch_size=before), 1).save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(ValueError, match=f"micro_batch_size was {before or 6} and is {after or 6}"):
        fit(build(micro_batch_size=after), 2, checkpoint=tmp_path / "one.ckpt")
    fit(build(micro_batch_size=before or 6), 2, checkpoint=tmp_path / "one.ckpt")
