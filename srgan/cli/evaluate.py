"""`srgan evaluate`: scores the generator of any checkpoint again, under any protocol."""

import argparse
import copy
import pydoc
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from rich.console import Console
from rich.table import Table

from srgan.checkpoints.reading import RunCheckpoint
from srgan.checkpoints.rebuilding import rebuild_nets
from srgan.checkpoints.sources import read_source
from srgan.cli.arguments import add_allow
from srgan.cli.parser_messages import format_parser_error
from srgan.data import ImageData
from srgan.metrics.features import FeatureName, check_features, feature_network, hash_weights
from srgan.metrics.protocol import ScoreProtocol
from srgan.metrics.scores import Scorer, check_classes, check_enough_images, chosen_classes
from srgan.utils.distributed import ProcessGroup
from srgan.utils.files import expanded, write_json
from srgan.utils.provenance import commit, device_name, now, versions

DESCRIPTION = """\
Compute FID, IS, KID, precision, recall, density and coverage of a checkpoint's generator. Options that are not given
are as in the checkpoint's run: its final protocol if it has one, else the one used in training."""
HELP = f"""\
usage: srgan evaluate RUN|CHECKPOINT [options]

{DESCRIPTION}

  srgan evaluate runs/NAME --output scores.json
  srgan evaluate CHECKPOINT --protocol.num_fake_images 50000 --protocol.kid true
  srgan evaluate CHECKPOINT --protocol.intra_fid_classes 1000 --devices 8
  srgan evaluate CHECKPOINT --data.init_args.path /elsewhere/images.tar
  srgan evaluate CHECKPOINT --help        all options, with their defaults from the checkpoint
"""


def options_of(checkpoint: RunCheckpoint) -> ArgumentParser:
    """Options as in `srgan fit`, with the checkpoint's settings as defaults."""
    parser = ArgumentParser(prog="srgan evaluate RUN|CHECKPOINT", description=DESCRIPTION, exit_on_error=False)
    data, scores = copy.deepcopy([checkpoint.config["data"], checkpoint.config["scores"]])
    protocol = scores["protocol"] | (scores["final"] or {})
    parser.add_class_arguments(ScoreProtocol, "protocol", instantiate=False)
    inception = "path of torch-fidelity's Inception weights; downloaded once by default"
    parser.add_argument("--features", type=FeatureName, default=scores["features"])
    parser.add_argument("--inception_weights", type=str | None, default=scores["inception_weights"], help=inception)
    parser.add_subclass_arguments(ImageData, "data", instantiate=False)
    parser.add_argument("--devices", type=int, default=1, help="number of devices that share the work")
    parser.add_argument("--accelerator", type=str, default="auto", help="cpu, cuda, ...")
    add_allow(parser)
    parser.add_argument("--output", type=Path | None, default=None, help="write scores and protocol to this JSON file")
    parser.set_defaults({"data": data} | {f"protocol.{name}": value for name, value in protocol.items()})
    return parser


def main(arguments: list[str]) -> int:
    """Scores, prints and writes."""
    warnings.filterwarnings("ignore", module="lightning_fabric")
    path, *options = arguments or ["--help"]
    if path in ("-h", "--help"):
        print(HELP, end="")
        return 0
    try:
        checkpoint, chosen = read_checkpoint(path, options)
        if chosen.output:
            chosen.output = expanded(chosen.output)
            if chosen.output.is_dir():
                raise ValueError(f"Expected a file for --output, found the folder '{chosen.output}'.")
        record = evaluate(checkpoint, chosen)
    except KeyboardInterrupt:
        print("srgan evaluate: no scores yet; statistics of the real images are kept.", file=sys.stderr)
        raise
    if record:
        record = {"checkpoint": path, "command": ["srgan", "evaluate", *arguments]} | record
        show(record)
        if chosen.output:
            write_json(chosen.output, record)
    return 0


def read_checkpoint(path: str, options: Sequence[str]) -> tuple[RunCheckpoint, Namespace]:
    """Reads a checkpoint of `srgan fit`, and the command's options, whose "protocol" becomes a `ScoreProtocol`.

    FileNotFoundError if there is no such file; ValueError if it is another file, or an option is wrong.
    """
    trust = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_allow(trust)
    checkpoint = read_source(path, trust.parse_known_args(list(options))[0].allow)
    try:
        chosen = options_of(checkpoint).parse_args(list(options))
    except (argparse.ArgumentError, KeyError, TypeError) as error:
        problem = format_parser_error(error)
        raise ValueError(f"Expected settings and options that this version of srgan knows, found: {problem}") from error
    chosen.protocol = ScoreProtocol(**vars(chosen.protocol))  # the parser would bury what it says is wrong
    return checkpoint, chosen


def real_data(settings: Namespace) -> ImageData:
    """The data to compare with, not fetched yet; FileNotFoundError if it is not where it was."""
    data_class: Any = pydoc.locate(settings.class_path)
    with _hint_at_other_places():
        data: ImageData = data_class(**settings.init_args.as_dict())
    return data


@contextmanager
def _hint_at_other_places() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        elsewhere = "Data elsewhere? Set --data.init_args.NAME VALUE of the run's data, as in srgan fit."
        raise FileNotFoundError(f"{error} {elsewhere}") from error


def evaluate(checkpoint: RunCheckpoint, options: Namespace) -> dict[str, Any]:
    """Scores on all devices; the record on rank zero, nothing on the others.

    ValueError if networks, data and protocol do not fit one another; OSError if data or weights are missing.
    """
    nets, data, protocol = rebuild_nets(checkpoint), real_data(options.data), options.protocol
    name, weights, classes = options.features, options.inception_weights, nets.generator.num_classes
    # Refused before there are several processes, which would wait for one another.
    if nets.networks.image_size != data.image_size:
        raise ValueError(f"Expected data of {nets.networks.image_size} pixels, found {data.image_size}.")
    if protocol.intra_fid_classes:
        protocol = replace(protocol, intra_fid_classes=len(chosen_classes(protocol, classes)))
        if classes != data.num_labels:
            raise ValueError(
                f"Expected data of the generator's {classes} classes for FID within classes, found {data.num_labels} "
                f"in {data.name}."
            )
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)  # now rather than after hours
    with _hint_at_other_places():
        data.prepare_data()  # after what is known without it: a download may take hours
    check_features(name, weights, data)
    check_enough_images(data, protocol)
    check_classes(data, protocol, classes)
    fabric = _devices(options)
    ranks = ProcessGroup(fabric.global_rank, fabric.world_size)
    features = feature_network(name, weights, data, fabric.device, ranks)
    scorer = Scorer(features, data, protocol, ranks)
    nets.to(fabric.device)
    scores = scorer.of_generators(nets.generator, nets.generator_ema)
    if ranks.rank:
        return {}
    return {
        "iteration": checkpoint.iteration,
        "constraint": nets.constraint.label,
        "generator_hash": hash_weights(nets.generator),
        "commit": commit(),
        "versions": versions(),
        "hardware": {"device": device_name(fabric.device), "devices": ranks.world_size},
        "ended": now(),
        "protocol": scorer.describe(),
        "scores": scores,
    }


def _devices(options: Namespace) -> Fabric:
    """Launched; ValueError if this machine has no such devices."""
    strategy = "ddp" if options.devices > 1 else "auto"
    try:
        fabric = Fabric(accelerator=options.accelerator, devices=options.devices, strategy=strategy)
    except (RuntimeError, TypeError, MisconfigurationException) as error:
        raise ValueError(
            f"Expected devices that this machine has, found --accelerator {options.accelerator} --devices "
            f"{options.devices}: {error}"
        ) from error
    fabric.launch()
    return fabric


def show(record: dict[str, Any]) -> None:
    table = Table("score", "value")
    for name, value in record["scores"].items():
        if not isinstance(value, list):
            table.add_row(name, "–" if value is None else f"{value:.6g}")
    print(f"{record['checkpoint']}, iteration {record['iteration']}")
    Console().print(table)
    print("protocol: " + ", ".join(f"{name} {value}" for name, value in record["protocol"].items()))
