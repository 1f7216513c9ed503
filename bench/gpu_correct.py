"""`make gpu-check`: does a GPU compute what the CPU computes, does the host never wait, are the bits the same twice?"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from bench.gpu_setup import Setup, convolutions_in, drawn_on_the_cpu, random_images, train
from bench.harness import Row, Tables
from srgan.constraints import METHODS, Constraint, Schedule
from srgan.data import FolderData
from srgan.metrics.features import ClassifierFeatures, FeatureNetwork, hash_weights
from srgan.metrics.protocol import ScoreProtocol
from srgan.metrics.scores import Scorer
from srgan.networks import ResNetGenerator
from srgan.utils.provenance import gpu_arithmetic, processor, usable_cores, versions

CONSTRAINTS: dict[str, Callable[[], Constraint]] = METHODS | {
    "sr-s reparametrize": partial(METHODS["sr-s"], mode="reparametrization"),
    "sr-d reparametrize": partial(METHODS["sr-d"], mode="reparametrization"),
}


def machine(setup: Setup) -> Tables:
    """What is checked: GPU, driver, libraries and the switches that decide its arithmetic."""
    found: dict[str, Any] = {"processor": processor(), "cores": usable_cores()}
    if setup.on_gpu:
        properties = torch.cuda.get_device_properties(setup.device)
        found |= {
            "GPU": properties.name, "GPUs": torch.cuda.device_count(), "GB": round(properties.total_memory / 1e9, 1),
            "multiprocessors": properties.multi_processor_count, "capability": f"{properties.major}.{properties.minor}",
        } | gpu_arithmetic(setup.device)  # fmt: skip
    return {"": [{"": name, "found": value} for name, value in (found | versions()).items()]}


class RandomInception(FeatureNetwork):
    """torchvision's Inception v3 with random weights: the size of the real one, without its file."""

    name, suffix, resize, num_features, num_logits = "random-inception", "", "bilinear to 299", 2048, 1008

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        torch.manual_seed(0)
        self.trunk = inception_v3(weights=None, init_weights=False, aux_logits=False, transform_input=False)
        self.trunk.fc = nn.Identity()
        self.head = nn.Linear(self.num_features, self.num_logits)
        self.eval().requires_grad_(False)
        self.weights_hash = hash_weights(self)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = nn.functional.interpolate(images.float() / 127.5 - 1, (299, 299), mode="bilinear")
        features: Tensor = self.trunk(x)
        return features, self.head(features)


def scores(setup: Setup) -> Tables:
    """Every score of one generator on the GPU (TF32, then IEEE) beside the CPU's: FID should agree within 0.05."""
    with tempfile.TemporaryDirectory() as folder:
        data = FolderData(str(random_images(Path(folder), setup.scored, setup.image_size)), setup.image_size)
        classifier = ClassifierFeatures(data)
        return {
            f"{network.name}": _scores_of(setup, data, network)
            for network in (classifier, *([RandomInception()] if setup.on_gpu else []))
        }


def _scores_of(setup: Setup, data: FolderData, network: FeatureNetwork) -> list[Row]:
    torch.manual_seed(0)
    generator = ResNetGenerator(setup.image_size, setup.narrow[1], num_classes=3)
    protocol = ScoreProtocol(
        setup.scored, setup.scored, batch_size=20, inception_splits=2, kid=True, prdc=True, intra_fid_classes=3,
        intra_fid_images=setup.scored // 3,
    )  # fmt: skip
    found: dict[str, Mapping[str, Any]] = {}
    places = [("CPU", torch.device("cpu"), "tf32"), ("GPU", setup.device, "tf32"), ("GPU, IEEE", setup.device, "ieee")]
    for name, device, precision in places:
        with convolutions_in(precision), drawn_on_the_cpu():
            scorer = Scorer(network.to(device), data, protocol)
            found[name] = scorer.of_generators(generator.to(device), generator.to(device))
    return [
        {"score": score}
        | {name: values[score] for name, values in found.items()}
        | {f"{name} - CPU": found[name][score] - found["CPU"][score] for name in ("GPU", "GPU, IEEE")}
        for score in found["CPU"]
        if isinstance(found["CPU"][score], float)
    ]


class Kept(pl.Callback):
    """Losses, gradients and weights after an iteration, on the CPU."""

    def __init__(self) -> None:
        self.losses: Tensor = torch.empty(0)
        self.gradients: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        self.losses = torch.stack([pl_module.losses["loss/discriminator"], pl_module.losses["loss/generator"]]).cpu()
        named = dict(pl_module.named_parameters())
        self.gradients = {name: p.grad.detach().cpu() for name, p in named.items() if p.grad is not None}
        self.weights = {name: p.detach().cpu().clone() for name, p in named.items()}


def updates(setup: Setup) -> Tables:
    """An update of D and of G under each constraint beside the CPU's, from the same noise.

    Largest difference; of gradients relative to the largest norm. IEEE should be within 1e-4, TF32 within 1e-2.
    bf16: the ratio of its gradients' norm to the CPU's, and how many of G's parameters have no gradient (0).
    """
    return {"": [_updates_under(setup, name, make) for name, make in CONSTRAINTS.items()]}


def _updates_under(setup: Setup, name: str, make: Callable[[], Constraint]) -> Row:
    def one(where: Setup, convolutions: str, precision: str = "32-true") -> Kept:
        kept = Kept()
        with convolutions_in(convolutions), drawn_on_the_cpu():
            train(where, setup.pair(setup.narrow), 1, 1, 8, [kept], constraint=make(), trainer={"precision": precision})
        return kept

    cpu = one(replace(setup, device=torch.device("cpu")), "tf32")
    row: dict[str, Any] = {"constraint": name}
    for column in ("ieee", "tf32"):
        gpu = one(setup, column)
        row |= {
            f"{column}: losses": float((gpu.losses - cpu.losses).abs().max()),
            f"{column}: gradients": _difference(gpu.gradients, cpu.gradients),
        }
    half = one(setup, "tf32", "bf16-mixed")
    return row | {
        "bf16: norm": _norm(half.gradients) / _norm(cpu.gradients),
        "bf16: G without gradient": sum(
            not half.gradients[key].any() for key in half.gradients if key.startswith("generator.")
        ),
    }


def _norm(tensors: Mapping[str, Tensor]) -> float:
    return float(torch.stack([value.norm() for value in tensors.values()]).norm())


def _difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """The largest, relative to the largest norm of all."""
    largest = max(float(value.norm()) for value in theirs.values())
    return max(float((ours[name] - value).norm()) for name, value in theirs.items()) / largest


class Watching(pl.Callback):
    """CUDA's own warnings of a host that waits, during iterations after the first."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx:
            torch.cuda.set_sync_debug_mode("warn")

    def on_train_batch_end(self, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("default")


def waits(setup: Setup) -> Tables:
    """Places where the host waits for the GPU in an iteration: none but under SR, whose every iteration is due here."""
    if not setup.on_gpu:
        return {"": []}
    always = Schedule(every_iterations=1)
    rows: list[Row] = []
    for name, make in CONSTRAINTS.items():
        constraint = METHODS[name](schedule=always) if name in ("sr-s", "sr-d") else make()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            train(setup, setup.pair(setup.narrow), 2, 2, 8, [Watching()], constraint=constraint)
        found = [str(one.filename) + f":{one.lineno}" for one in caught if "synchroniz" in str(one.message)]
        places = ", ".join(dict.fromkeys(place.rpartition("/")[2] for place in found))
        rows.append({"constraint": name, "waits": len(found), "places": places or "none"})
    return {"": rows}


def same_bits(setup: Setup) -> Tables:
    """Training twice, and once more through a checkpoint half way: are the weights the same bit for bit?"""
    rows: list[Row] = []
    for deterministic in (False, True):
        trainer = {"deterministic": deterministic}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "half.ckpt"
            runs = [_trained(setup, trainer, [SaveAt(setup.timed // 2, path)]), _trained(setup, trainer)]
            runs.append(_trained(setup, trainer, checkpoint=path))
        first, again, resumed = (dict(module.state_dict()) for module in runs)
        rows.append(
            {"deterministic": deterministic, "again": _equal(first, again), "after resuming": _equal(first, resumed)}
        )
    torch.use_deterministic_algorithms(False)
    return {"": rows}


class SaveAt(pl.Callback):
    """A checkpoint on the way."""

    def __init__(self, iteration: int, path: Path) -> None:
        self.iteration, self.path = iteration, path

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        if pl_module.iteration == self.iteration:
            trainer.save_checkpoint(self.path)


def _trained(setup: Setup, trainer: dict[str, Any], callbacks: Any = (), checkpoint: Path | None = None) -> nn.Module:
    constraint = METHODS["sr-s"](schedule=Schedule(every_iterations=5))
    networks, iterations = setup.pair(setup.narrow), setup.timed
    return train(
        setup, networks, iterations, callbacks=callbacks, checkpoint=checkpoint, trainer=trainer, constraint=constraint
    )


def _equal(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(ours[name], value) for name, value in theirs.items())
