"""`AdversarialTraining` by `pl.Trainer` alone, as Lightning's users would, without the command line."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from srgan.constraints import METHODS, raw_weight
from srgan.data import DigitsData
from srgan.networks import ResNetPair
from srgan.training.module import AdversarialTraining

SIZES = ResNetPair(image_size=8, generator_channels=4, discriminator_channels=4, latent_dim=16)


def module(**settings: Any) -> AdversarialTraining:
    return AdversarialTraining(SIZES, METHODS["sr-s"](), **({"iterations": 4, "n_dis": 2} | settings))


def data(**settings: Any) -> DigitsData:
    return DigitsData(**({"image_size": 8, "batch_size": 6, "n_dis": 2, "seed": 0} | settings))


class Rates(pl.Callback):
    """Of both optimizers, in units of the first, after each iteration."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        first, second = (optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers)
        assert first == second
        self.seen.append(first / 2e-4)


def trainer(folder: Path, **settings: Any) -> pl.Trainer:
    plain = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return pl.Trainer(accelerator="cpu", default_root_dir=folder, **(plain | settings))


@pytest.mark.parametrize("limit", [{"max_epochs": 1}, {"max_steps": 1_000}, {}], ids=["epoch", "steps", "none"])
def test_a_fit_ends_after_its_iterations_and_no_rate_is_negative(limit: dict[str, Any], tmp_path: Path) -> None:
    training, rates = module(), Rates()
    fitting = trainer(tmp_path, enable_checkpointing=False, callbacks=[rates], **limit)
    fitting.fit(training, datamodule=data())
    assert training.iteration == 4
    assert rates.seen == pytest.approx([1, 0.75, 0.5, 0.25])
    training._decay_learning_rates()  # as a loop that goes on would
    training.iteration = 9
    training._decay_learning_rates()
    assert [optimizer.param_groups[0]["lr"] for optimizer in fitting.optimizers] == [0, 0]


def test_what_was_read_ahead_is_read_again_in_the_next_epoch(tmp_path: Path) -> None:
    """Processes that read ahead have gone past the end of an epoch; its successor begins where training stands."""
    ahead = data()
    ahead.num_workers = 1
    weights = []
    for images, limit in ((ahead, {"limit_train_batches": 2, "max_epochs": 2}), (data(), {"max_epochs": 1})):
        training = module()
        trainer(tmp_path, enable_checkpointing=False, **limit).fit(training, datamodule=images)
        assert training.iteration == 4
        weights.append(training.discriminator.state_dict())
    assert all(torch.equal(ours, weights[1][name]) for name, ours in weights[0].items())


def test_a_checkpoint_loads_and_a_finished_training_stays_as_it_is(tmp_path: Path) -> None:
    training = module()
    fitting = trainer(tmp_path, max_epochs=1)
    fitting.fit(training, datamodule=data())
    path = tmp_path / "last.ckpt"
    fitting.save_checkpoint(path)
    settings: dict[str, Any] = {"networks": SIZES, "constraint": METHODS["sr-s"](), "weights_only": True}
    loaded = AdversarialTraining.load_from_checkpoint(path, iterations=4, n_dis=2, **settings)
    assert loaded.iteration == 4
    for name, tensor in training.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    with pytest.raises(ValueError, match=r"Take its networks, loss and ema_decay"):
        AdversarialTraining.load_from_checkpoint(path, weights_only=True)
    again = module()
    trainer(tmp_path, max_epochs=2).fit(again, datamodule=data(), ckpt_path=path, weights_only=True)
    assert again.iteration == 4
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in training.state_dict().items())


def test_what_does_not_fit_together_is_refused_in_a_sentence(tmp_path: Path) -> None:
    loader = DataLoader(TensorDataset(torch.zeros(4, 3, 8, 8)), batch_size=2)
    with pytest.raises(ValueError, match=r"datamodule=.*found no data module\. .*FolderData"):
        trainer(tmp_path, max_epochs=1).fit(module(), loader)
    with pytest.raises(ValueError, match=r"n_dis of the training, found 5\. Give both the same"):
        trainer(tmp_path, max_epochs=1).fit(module(), datamodule=data(n_dis=5))
    with pytest.raises(ValueError, match=r"image size 16, found 8"):
        trainer(tmp_path, max_epochs=1).fit(module(), datamodule=data(image_size=16))
    for precision in ("bf16-true", "64-true"):
        with pytest.raises(ValueError, match=rf"precision 32-true or bf16-mixed, found {precision}"):
            trainer(tmp_path, max_epochs=1, precision=precision).fit(module(), datamodule=data())


class HalfOfD(AdversarialTraining):
    """An optimizer that holds some of D's layers, as for fine-tuning."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        generator, _ = super().configure_optimizers()
        last = self.discriminator.get_submodule("blocks.2")
        return [generator, self.optimizer_settings[1].build(last)]


def test_sr_acts_on_the_layers_of_d_that_are_in_its_optimizer(tmp_path: Path) -> None:
    training = HalfOfD(SIZES, METHODS["sr-s"](), iterations=1, n_dis=2)
    D = training.discriminator
    before = raw_weight(D.get_submodule("blocks.1.conv1")).detach().clone()
    trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(training, datamodule=data())
    assert torch.equal(raw_weight(D.get_submodule("blocks.1.conv1")), before)
    sigma = torch.linalg.svdvals(raw_weight(D.get_submodule("blocks.2.conv1")).detach().flatten(1).double())
    torch.testing.assert_close(sigma[:2], torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)
