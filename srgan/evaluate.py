"""`srgan evaluate`: scores the generator of any checkpoint again, under any protocol."""

import argparse
import copy
import pydoc
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jsonargparse
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console
from rich.table import Table

from srgan.callbacks import ScoreRecorder
from srgan.checkpoints import read_run_checkpoint, rebuild_training
from srgan.data import ImageData
from srgan.data.base import Split
from srgan.files import write_json
from srgan.metrics.features import FeatureName, feature_network, hash_weights, refuse_missing_features
from srgan.metrics.intra import chosen_classes, refuse_lacking_classes
from srgan.metrics.protocol import ScoreProtocol
from srgan.metrics.scores import Scorer, refuse_few_images
from srgan.parallel import Ranks
from srgan.provenance import commit, now, processor, versions
from srgan.sampling import GeneratorStatistics
from srgan.training import AdversarialTraining

ALL_CLASSES = sys.maxsize
DATA_ELSEWHERE = "Data elsewhere? --data.init_args.NAME VALUE overrides a setting of the run's data, as in srgan fit."


class Stored(NamedTuple):
    """A checkpoint with what it was trained with.

    Attributes:
        module: with the checkpoint's weights.
        data: that it was trained on, unless told otherwise.
        recorder: how the run scores.
        iteration: of the checkpoint.
    """

    module: AdversarialTraining
    data: ImageData
    recorder: ScoreRecorder
    iteration: int


def arguments_parser() -> argparse.ArgumentParser:
    """What the command understands."""
    parser = argparse.ArgumentParser(
        prog="srgan evaluate",
        description="Scores the generator of a checkpoint again. What is not said is as in the checkpoint's run: its "
        "final protocol if it has one, else that in training.",
        epilog=DATA_ELSEWHERE,
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="e.g. runs/NAME/checkpoints/last.ckpt")
    protocol = parser.add_argument_group("protocol")
    protocol.add_argument("--num-fake-images", type=int, metavar="N", help="generated images")
    protocol.add_argument(
        "--num-real-images", type=int, metavar="N", help="real images; the whole split if it has fewer"
    )
    protocol.add_argument("--split", choices=get_args(Split), help="which real images")
    protocol.add_argument("--inception-splits", type=int, metavar="N", help="parts over which IS is averaged")
    protocol.add_argument("--batch-size", type=int, metavar="N", help="of the feature network and the generator")
    protocol.add_argument("--generator-statistics", choices=get_args(GeneratorStatistics), help="of batch norm")
    protocol.add_argument("--seed", type=int, metavar="N", help="of the latents")
    switch = argparse.BooleanOptionalAction
    protocol.add_argument("--kid", action=switch, help="kernel distance")
    protocol.add_argument("--prdc", action=switch, help="precision, recall, density, coverage")
    protocol.add_argument(
        "--intra-fid", type=_class_count, dest="intra_fid_classes", metavar="N|all",
        help="FID within so many classes, spread evenly over all; of a conditional generator",
    )  # fmt: skip
    protocol.add_argument("--intra-fid-images", type=int, metavar="N", help="generated images per class")
    network = parser.add_argument_group("feature network")
    network.add_argument("--features", choices=get_args(FeatureName))
    network.add_argument("--inception-weights", metavar="PATH", help="torch-fidelity's file")
    parser.add_argument("--devices", type=int, metavar="N", default=1, help="that share the work (default: 1)")
    parser.add_argument("--accelerator", metavar="NAME", default="auto", help="cpu, cuda, ... (default: auto)")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="where to write scores and protocol")
    return parser


def main(arguments: list[str]) -> int:
    """Scores; returns the exit status: 0 done, 2 on wrong input, 130 when stopped by Ctrl-C."""
    warnings.filterwarnings("ignore", module="lightning_fabric")
    data_settings, others = split_data_settings(arguments)
    options = arguments_parser().parse_args(others)
    try:
        if options.output and options.output.is_dir():
            raise ValueError(f"Expected a file for --output, found the folder '{options.output}'.")
        if options.output:
            options.output.parent.mkdir(parents=True, exist_ok=True)  # now rather than after hours
        stored = read_checkpoint(Path(options.checkpoint), data_settings)
        protocol = chosen_protocol(stored, options)
        record = evaluate(stored, protocol, options)
    except (ValueError, OSError) as error:
        print(f"srgan evaluate: {as_options(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("srgan evaluate: stopped, no scores. What is known of the real images is kept.", file=sys.stderr)
        return 130
    if record:
        record = {"checkpoint": options.checkpoint, "command": ["srgan", "evaluate", *arguments]} | record
        show(record)
        if options.output:
            write_json(options.output, record)
    return 0


def as_options(message: str) -> str:
    """Fields of a protocol as this command's options are called; dotted settings and paths stay as they are."""
    names = [*(field.name for field in fields(ScoreProtocol)), "inception_weights"]
    for name in names:
        option = "--intra-fid" if name == "intra_fid_classes" else "--" + name.replace("_", "-")
        if "_" in name:  # the others are words
            message = re.sub(rf"(?<![\w./'-]){name}(?![\w./'-]*[\w/'-])", option, message)
    return message


def split_data_settings(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """`--data.NAME VALUE` and `--data.NAME=VALUE` as {"NAME": "VALUE"}, and all other arguments."""
    settings: dict[str, str] = {}
    others: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument.startswith("--data."):
            name, equals, value = argument.removeprefix("--data.").partition("=")
            settings[name] = value if equals else next(remaining, "")
        else:
            others.append(argument)
    return settings, others


def read_checkpoint(path: Path, data_settings: dict[str, str]) -> Stored:
    """Builds what a checkpoint of `srgan fit` was trained with, and loads its weights.

    Args:
        path: of the checkpoint.
        data_settings: dotted names below `data` -> values that replace the stored ones.

    Raises:
        FileNotFoundError: there is no such file, or its data set is not where it was.
        ValueError: it is no checkpoint of srgan's, or of another version, or a setting of the data is wrong.
    """
    checkpoint = read_run_checkpoint(path)
    data, recorder = _rebuild_measurement(checkpoint.config, data_settings)
    return Stored(rebuild_training(checkpoint), data, recorder, checkpoint.iteration)


def _rebuild_measurement(config: dict[str, Any], data_settings: dict[str, str]) -> tuple[ImageData, ScoreRecorder]:
    """The data and the scores that resolved settings describe."""
    wanted = copy.deepcopy({key: config[key] for key in ("data", "scores")})
    for name, value in data_settings.items():
        *groups, last = name.split(".")
        place = wanted["data"]
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageData, "data")
    parser.add_class_arguments(ScoreRecorder, "scores")
    try:
        parsed = parser.parse_object(wanted)
    except argparse.ArgumentError as error:
        raise ValueError(f"Expected settings that this version of srgan knows, found: {error}") from error
    data = parsed.pop("data")  # built by itself, since the parser would bury what its constructor says is wrong
    data_class = pydoc.locate(data["class_path"])
    assert isinstance(data_class, type)
    try:
        built_data = data_class(**data["init_args"].as_dict())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} {DATA_ELSEWHERE}") from error
    recorder: ScoreRecorder = parser.instantiate_classes(parsed)["scores"]
    return built_data, recorder


def chosen_protocol(stored: Stored, options: argparse.Namespace) -> ScoreProtocol:
    """The run's protocol with what the command line says otherwise.

    Raises:
        ValueError: impossible numbers, or FID within classes that the generator does not have.
    """
    names = {field.name for field in fields(ScoreProtocol)}
    said = {name: value for name, value in vars(options).items() if name in names and value is not None}
    protocol = replace(stored.recorder.final or stored.recorder.protocol, **said)
    classes = chosen_classes(protocol, stored.module.generator.num_classes) if protocol.intra_fid_classes else []
    return replace(protocol, intra_fid_classes=len(classes))


def evaluate(stored: Stored, protocol: ScoreProtocol, options: argparse.Namespace) -> dict[str, Any]:
    """Scores on all devices; the record on rank zero, nothing on the others.

    Raises:
        ValueError: networks, data and protocol do not fit one another.
        FileNotFoundError: data or the feature network's weights are missing.
    """
    module, data, recorder, iteration = stored
    if module.networks.image_size != data.image_size:
        raise ValueError(f"Expected data of {module.networks.image_size} pixels, found {data.image_size}.")
    if protocol.intra_fid_classes and module.generator.num_classes != data.num_labels:
        raise ValueError(
            f"Expected data of the generator's {module.generator.num_classes} classes for FID within classes, found "
            f"{data.num_labels} in {data.name}."
        )
    name = options.features or recorder.features
    weights = options.inception_weights or recorder.inception_weights
    # All that can be refused is refused before there are several processes, of which one would wait for another.
    _fetch(data, name, weights)
    refuse_few_images(data, protocol)
    refuse_lacking_classes(data, protocol, module.generator.num_classes)
    fabric = _devices(options)
    ranks = Ranks(fabric.global_rank, fabric.world_size)
    features = feature_network(name, weights, data, fabric.device, ranks)
    scorer = Scorer(features, data, protocol, ranks)
    (scores,) = scorer.of_generator(module.generator.to(fabric.device), protocol)
    if ranks.rank:
        return {}
    cuda = fabric.device.type == "cuda"
    return {
        "iteration": iteration,
        "constraint": module.constraint.label,
        "generator_hash": hash_weights(module.generator),
        "commit": commit(),
        "versions": versions(),
        "hardware": {
            "device": torch.cuda.get_device_name(fabric.device) if cuda else processor(),
            "devices": ranks.world_size,
        },
        "ended": now(),
        "protocol": scorer.describe(protocol),
        "scores": scores,
    }


def _devices(options: argparse.Namespace) -> Fabric:
    """Launched.

    Raises:
        ValueError: this machine has no such devices.
    """
    strategy = "ddp" if options.devices > 1 else "auto"
    try:
        fabric = Fabric(accelerator=options.accelerator, devices=options.devices, strategy=strategy)
    except (RuntimeError, MisconfigurationException) as error:
        raise ValueError(
            f"Expected devices that this machine has, found --accelerator {options.accelerator} --devices "
            f"{options.devices}: {error}"
        ) from error
    fabric.launch()
    return fabric


def _fetch(data: ImageData, features: FeatureName, inception_weights: str | None) -> None:
    """Data and weights, where they are not there yet.

    Raises:
        ValueError: data and feature network do not fit one another.
        FileNotFoundError: something is missing, or cannot be downloaded.
    """
    try:
        data.prepare_data()
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(f"{error} {DATA_ELSEWHERE}") from error
    try:
        refuse_missing_features(features, inception_weights, data)
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from error


def show(record: dict[str, Any]) -> None:
    """The record as a table."""
    table = Table("score", "value")
    for name, value in record["scores"].items():
        if not isinstance(value, list):
            table.add_row(name, "–" if value is None else f"{value:.6g}")
    print(f"{record['checkpoint']}, iteration {record['iteration']}")
    Console().print(table)
    print("protocol: " + ", ".join(f"{name} {value}" for name, value in record["protocol"].items()))


def _class_count(text: str) -> int:
    return ALL_CLASSES if text == "all" else int(text)
