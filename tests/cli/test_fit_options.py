"""The command line of `srgan fit`: options that do not apply, short names, messages of a sentence."""

import argparse
import re
from inspect import signature
from pathlib import Path

import jsonargparse
import pytest
import pytorch_lightning as pl
import yaml
from tiny_runs import assert_identical, fit, state

from srgan.cli.configs import with_paths
from srgan.cli.fit import compose
from srgan.cli.fit_help import HELP
from srgan.cli.fit_options import RENAMED, spelled_out
from srgan.cli.main import main
from srgan.cli.parser_messages import INSTEAD, format_parser_message
from srgan.constraints import Constraint
from srgan.constraints.regularize import METHODS
from srgan.runs.folder import RunFolder, flatten_settings


def said(run: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a refused command says on the terminal."""
    assert fit(RunFolder(run), *options) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert not (run / "run.json").exists()
    return output.err


@pytest.mark.parametrize(
    ("options", "instead"),
    [
        (["--trainer.accumulate_grad_batches", "2"], "--model.micro_batch_size"),
        (["--trainer.gradient_clip_val", "1.0"], "learning rates"),
        (["--trainer.overfit_batches", "3"], "smaller data set"),
        (["--trainer.barebones", "true"], "--scores.every 0"),
        (["--trainer.enable_checkpointing", "false"], "--checkpoints.every"),
        (["--trainer.default_root_dir", "there"], "--run"),
        (["--trainer.use_distributed_sampler", "true"], "split batches among"),
        (["--trainer.precision", "16-mixed"], "bf16-mixed"),
        (["--trainer.precision", "16-true"], "bf16-mixed"),
        (["--trainer.precision", "bf16-true"], "bf16-mixed"),
        (["--trainer.callbacks", "ModelCheckpoint"], "--checkpoints.keep_every"),
        (["--trainer.callbacks", "StochasticWeightAveraging", "--trainer.callbacks.swa_lrs", "0.1"], "weights"),
        (["--trainer.callbacks", "GradientAccumulationScheduler", "--trainer.callbacks.scheduling", "{0: 2}"],
         "--model.micro_batch_size"),
        (["--seed_everything", "3"], "--model.seed"),
        (["--optimizer", "Adam"], "--model.generator_optimizer"),
        (["--lr_scheduler.gamma=0.1"], "--model.linear_decay"),
    ],
    ids=lambda value: value[1] if isinstance(value, list) and len(value) > 1 else None,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*Unable to serialize instance")
def test_options_that_would_do_nothing_or_harm_are_refused(
    options: list[str], instead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = said(tmp_path, options, capsys)
    assert message.startswith("srgan fit: Expected")
    assert instead in message
    assert message.count("\n") == 1


def test_every_refused_option_is_one_of_lightning_s() -> None:
    assert INSTEAD.keys() <= signature(pl.Trainer).parameters.keys()


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.profiler", "simple"],
        ["--trainer.deterministic", "true"],
        ["--trainer.detect_anomaly", "true"],
        ["--trainer.precision", "bf16-mixed"],
        ["-c", "tensorboard"],
        ["--trainer.callbacks", "LearningRateMonitor", "--trainer.logger", "CSVLogger", "--trainer.logger.save_dir"],
    ],
    ids=lambda options: options[0],
)
def test_harmless_options_work(options: list[str], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    last = [str(tmp_path / "logs")] if options[-1].endswith("save_dir") else []
    assert fit(folder, *options, *last, "--model.iterations", "2") == 0


def test_all_options_are_shown_but_those_that_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help=all"])
    help_text = capsys.readouterr().out
    words = re.split(r"[=,\s\[\]]+", help_text)  # Python 3.13 puts a comma between the names of an option
    assert not {name for name in RENAMED if name.count(".") == 0} & set(words)
    assert not {f"--trainer.{name}" for name in INSTEAD} & set(words)
    assert help_text.startswith("usage: srgan fit -c NAME")
    order = ["--run", "--model.seed", "--data", "--scores.every", "--trainer.devices"]
    assert sorted(order, key=words.index) == order


def test_the_short_help_names_options_that_there_are(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert fit(folder, "--model.iterations", "1") == 0
    settings = flatten_settings(yaml.safe_load(folder.config.read_text()))
    known = {".".join(name.split(".")[:depth]) for name in settings for depth in range(1, 7)}
    others = {"config", "run", "from-checkpoint", "print_config", "help", "data.help"}
    others |= {"data.init_args.path", "data.init_args.num_workers"}  # of images in files
    others |= {"sr.fraction", "sr.scale", "sr.NAME"}  # short for others
    named = {name.rstrip(".") for name in re.findall(r"--([a-z][\w.-]*)", HELP)}
    assert len(named) > 20
    assert named - others <= known
    assert not {name.removeprefix("trainer.") for name in named} & INSTEAD.keys()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model.iterations", "many"], "Expected int for --model.iterations, found many."),
        (["--data.init_args.batch_size", "x"], "Expected int for --data.batch_size, found x."),
        (
            ["--scores.features", "x"],
            "Expected one of 'inception', 'classifier', 'densenet' for --scores.features, found x.",
        ),
        (["--scores.final.num_fake_images", "x"], "Expected int for --scores.final.num_fake_images, found x."),
        (["--model.constraint", "sr-x"], "or one of none, sn, sn-unit, sr-s, sr-d,"),
        (["--data", "NoData"], "Expected the path of a class for --data; found NoData."),
        (["--model.constraint.init_args.foo", "3"], "--model.constraint: Option 'foo' is not accepted."),
        (["--trainer.callbacks", "absent_module.Callback"], "No module named 'absent_module'"),
        (["--trainer.devices", "x"], "devices"),
        (["--trainer.max_time", "3x"], "is not a valid duration"),
        (["--iterations", "3"], "unrecognized arguments: --iterations"),
        (["-c", "absent.yaml"], "Expected a file, or one of batch-norm, "),
        (["--checkpoints.every", "0"], "a run without checkpoints cannot be resumed"),
        (["--checkpoints.keep_every", "-1"], "keep_every of at least 0"),
        (["--losses.every", "-1"], "Expected `every` of at least 0"),
        (["--samples.rows", "0"], "Expected samples.rows of at least 1, found 0."),
        (["--model.generator_optimizer.learning_rate", "-1"], "Expected a learning rate of at least 0"),
        (["--verdicts.fid", "-1"], "Expected thresholds of at least 0"),
        (["--data", "{a: &a [*a]}"], "Expected settings without YAML aliases"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_usage_errors_are_a_sentence(
    options: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = said(tmp_path, options, capsys)
    assert sentence in message
    assert message.count("\n") <= 3


def test_a_logger_that_is_not_installed_is_a_sentence() -> None:
    message = "Parser key \"trainer.logger\":\n  Problem with given class_path:\n    No module named 'wandb'"
    assert format_parser_message(message).endswith('pip install "spectral-regularization-gan[wandb]"')
    assert format_parser_message("No module named 'mine'") == "No module named 'mine'"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("model: &m {networks: *m}", "Expected settings without YAML aliases (*name)"),
        ("trainer: null", "Expected settings of the Trainer"),
        (
            "trainer: {min_steps: 3}",
            "Expected no trainer.min_steps, which does not apply here. Set --model.iterations.",
        ),
    ],
)
def test_files_that_are_no_settings_are_refused(
    settings: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An alias may hold itself, or stand for more than fits any memory."""
    (tmp_path / "settings.yaml").write_text(settings)
    assert sentence in said(tmp_path, ["-c", str(tmp_path / "settings.yaml")], capsys)


def test_messages_of_others_keep_three_lines() -> None:
    assert "-c digits" in format_parser_message("the following arguments are required: data")
    assert format_parser_message("one\n\ntwo\nthree\nfour") == "one\ntwo\nthree"


@pytest.mark.parametrize("method", ["sr-d", "gp"])
def test_the_short_name_of_a_method_trains_as_its_configuration_file(method: str, tmp_path: Path) -> None:
    named, filed = RunFolder(tmp_path / "named"), RunFolder(tmp_path / "filed")
    assert fit(named, "--model.iterations", "1", "--model.constraint", method) == 0
    assert fit(filed, "-c", f"configs/{method}.yaml", "--model.iterations", "1") == 0
    ours, theirs = named.read_record(), filed.read_record()
    assert ours is not None
    assert theirs is not None
    assert ours["constraint"] == theirs["constraint"]
    assert_identical(state(named.checkpoint), state(filed.checkpoint))


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_short_name_is_a_setting_that_jsonargparse_knows(method: str) -> None:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--model.constraint", type=Constraint)
    built = parser.instantiate_classes(parser.parse_args(spelled_out([f"--model.constraint={method}"])))
    assert built["model.constraint"].words == METHODS[method]().words


def test_settings_of_sr_have_short_names(tmp_path: Path) -> None:
    """The last one wins, as of every option; a misspelled one is refused."""
    short = ["--sr.fraction", "0.25", "--sr.scale=keep", "--sr.schedule.every_iterations", "2"]
    settings = compose(["-c", "digits", "-c", "sr-s", "--run", str(tmp_path), *short]).config["model"]["constraint"]
    assert settings.init_args.spectral_map.init_args.fraction == 0.25
    assert (settings.init_args.scale, settings.init_args.schedule.every_iterations) == ("keep", 2)
    long = "--model.constraint.init_args.spectral_map.init_args.fraction"
    assert spelled_out(with_paths(short))[0] == f"{long}=0.25"
    for method, option in (("sr-s", "--sr.fractoin"), ("sr-d", "--sr.fraction"), ("sn", "--sr.fraction")):
        with pytest.raises((ValueError, argparse.ArgumentError)):
            compose(["-c", "digits", "-c", method, "--run", str(tmp_path), option, "0.25"])


@pytest.mark.parametrize("method", ["sr-s", "sr-d"])
def test_the_configuration_of_sr_is_short_and_has_the_defaults(method: str) -> None:
    path = Path("configs") / f"{method}.yaml"
    assert len(path.read_text().splitlines()) <= 9
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--model.constraint", type=Constraint)
    assert parser.instantiate_classes(parser.parse_path(str(path)))["model.constraint"] == METHODS[method]()


def test_only_the_constraint_has_short_names() -> None:
    arguments = ["--run=sn", "--model.constraint=mine.Constraint", "--data=sn"]
    assert spelled_out(arguments) == arguments
