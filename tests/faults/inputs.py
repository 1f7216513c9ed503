"""Bad inputs: a sentence and an exit status for each, never a traceback, a hang, or a run that begins all the same."""

import ctypes
import os
import platform
import random
import re
import shutil
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from faults.images import changed_images, odd_images
from faults.refusals import refused, with_damage
from faults.subject import words_of
from faults.trials import Attempt, Outcome, Trial
from reproduce.__main__ import main as reproduce
from srgan.cli.main import main

CAPABILITIES_VERSION, CAPSET = 0x20080522, 126  # of Linux; the number of the call on x86-64

WRONG_TYPES = {
    "model.iterations": int, "model.n_dis": int, "model.seed": int, "model.linear_decay": bool,
    "model.generator_optimizer.learning_rate": float, "model.discriminator_optimizer.learning_rate": float,
    "model.networks.init_args.generator_channels": int, "model.networks.init_args.latent_dim": int,
    "data.init_args.image_size": int, "data.init_args.batch_size": int, "losses.every": int, "spectra.every": int,
    "samples.every": int, "samples.rows": int, "scores.every": int, "scores.protocol.num_fake_images": int,
    "scores.protocol.kid": bool, "scores.final.num_fake_images": int, "checkpoints.every": int,
    "checkpoints.keep_every": int, "outputs.every": int, "gradients.every": int, "trainer.max_epochs": int,
    "trainer.devices": int, "verdicts.fid": float,
}  # fmt: skip
"""Options of `srgan fit` and what they take."""
OUT_OF_RANGE = {
    "model.iterations": ["0", "-1"], "model.n_dis": ["0", "-3"],
    "model.generator_optimizer.learning_rate": ["-1", "nan", "inf"],
    "model.discriminator_optimizer.learning_rate": ["-0.001", "nan"],
    "model.networks.init_args.generator_channels": ["0", "-2"], "model.networks.init_args.latent_dim": ["0", "-4"],
    "data.init_args.image_size": ["0", "-8", "7", "31"], "data.init_args.batch_size": ["0", "-2"],
    "losses.every": ["-1"], "spectra.every": ["-5"], "samples.every": ["-1"], "samples.rows": ["0", "-1"],
    "scores.every": ["-1"], "outputs.every": ["-1"], "outputs.images": ["0", "-3"], "gradients.every": ["-1"],
    "scores.protocol.num_fake_images": ["0", "-1", "1"], "scores.protocol.num_real_images": ["0", "1", "-7"],
    "scores.protocol.batch_size": ["0", "-20"], "scores.protocol.split": ["validation", ""],
    "scores.protocol.generator_statistics": ["mean"], "scores.features": ["vgg", ""],
    "scores.final.num_fake_images": ["0", "-1", "1"],
    "checkpoints.every": ["0", "-1"], "checkpoints.keep_every": ["-1"], "model.micro_batch_size": ["0", "3", "-1"],
    "model.constraint": ["sr-q", "srgan.nothing", "os.system"], "model.networks": ["srgan.networks.None", "tuple"],
    "model.loss": ["hinge2", "srgan.losses.Nothing"], "data": ["srgan.data.Nothing", "builtins.dict"],
    "trainer.devices": ["0", "-5", "3"], "trainer.accelerator": ["abacus"], "trainer.precision": ["16-true", "fp8"],
    "trainer.strategy": ["nothing", "fsdp"], "trainer.logger": ["Nothing"], "trainer.callbacks": ["Nothing", "1"],
    "trainer.gradient_clip_val": ["1.0"], "trainer.accumulate_grad_batches": ["2"], "trainer.max_time": ["later"],
    "verdicts.fid": ["-1", "nan"], "verdicts.layers": ["-0.5"], "verdicts.evaluations": ["0", "-1"],
    "from-checkpoint": ["/nothing/there.ckpt", "/", "/dev/null", "/proc/self/mem"],
}  # fmt: skip
"""Values of the right type that make no sense."""
WRONG = {
    int: ["abc", "1.5", "nan", "[1]", "{}", "1e400", "--", "0x", "one"],
    float: ["abc", "[0.1]", "{a: 1}", "0,1", "1..2"],
    bool: ["2", "maybe", "[]", "-1"],
}
EXPERIMENTS = ["table2", "collapse", "baselines", "sweep", "resume"]
BAD_VARIABLES = {
    "--seeds": ["1 1", "a", "-1", "1.5", "1;2", ""], "--scale": ["huge", "MINI", "1"], "--jobs": ["-1", "two", "1.5"],
    "--gpus": ["-2", "x"], "--nodes": ["-1", "x"], "--hours": ["nan", "-1", "0", "inf", "soon"],
    "--settings": ["Z_1-1", "$(touch HERE)", "A_64", "`ls`"], "--methods": ["gan", "sn sn", ";"],
    "--overrides": ["model.iterations", "=", "model.nothing=1", "a b", "model.iterations=x"],
    "--cluster": ["pbs", "SLURM"], "--cpus": ["-1", "x"], "--sbatch": ["=", "mem=1 =2"],
}  # fmt: skip


ABOUT_SETTINGS = "settings|config|option|class|key|codec|digits|trainer|expected .* for --"


def of_option(name: str) -> str:
    """What a sentence about an option has to hold: its name behind the last dot, in whatever words."""
    return re.sub("[-_]", "[-_ ]", name.rpartition(".")[2].removeprefix("from-"))


def fit_with(attempt: Attempt, *words: str) -> Callable[[], int]:
    """The run, with further words."""
    return lambda: main(["fit", *words_of(attempt.folder), *words])


def wrong_types(attempt: Attempt) -> Outcome:
    """A value of another type for an option."""
    name, kind = attempt.draw.choice(list(WRONG_TYPES.items()))
    words = [f"--{name}", attempt.draw.choice(WRONG[kind])]
    return refused(fit_with(attempt, *words), " ".join(words), says=of_option(name))


def out_of_range(attempt: Attempt) -> Outcome:
    """A value that makes no sense; one after the other."""
    cases = [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]
    name, value = cases[attempt.number % len(cases)]
    says = of_option(name) + (f"|{re.escape(value)}" if len(value) > 3 else "")
    return refused(fit_with(attempt, f"--{name}={value}"), f"--{name}={value}", says)


def wrong_names(attempt: Attempt) -> Outcome:
    """An option with a letter too many, too few, or another."""
    draw, other = attempt.draw, next(iter(WRONG_TYPES))
    while other in WRONG_TYPES:
        name = draw.choice(list(WRONG_TYPES))
        place, letter = draw.randrange(1, len(name)), draw.choice(string.ascii_lowercase)
        other = draw.choice([name[:place] + letter + name[place:], name[:place] + "_" + name[place + 1 :], f"{name}.x"])
    return refused(fit_with(attempt, f"--{other}", "1"), f"--{other} 1", says=re.escape(other.rpartition(".")[2]))


def damaged_yaml(attempt: Attempt) -> Outcome:
    """A file of settings that is damaged; some stay valid."""
    draw, path = attempt.draw, attempt.folder.with_name("settings.yaml")
    path.write_bytes(with_damage(Path("configs/digits.yaml").read_bytes(), draw))
    shown = path.read_bytes()[:80]
    words = words_of(attempt.folder)
    action = lambda: main(["fit", "-c", str(path), *words])  # noqa: E731
    return refused(action, f"settings {shown!r}", says=ABOUT_SETTINGS, must_be=False)


ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]\n" for k in range(12)
)
NO_SETTINGS = [
    b"[" * 5000, b"{" * 3000, b"- 1\n- 2\n", b"42\n", b"just words\n", b"\x00\x01\x02", b"\xff\xfe\xfa", b"a: b: c\n",
    b"model: !!python/object/apply:os.system ['true']\n", b"model: &m {networks: *m}\n", b"x: &x [*x]\n", b"%YAML 9\n",
    b"model:\n\titerations: 3\n", b"model: {iterations: 1" + b"0" * 5000 + b"}\n", ALIASES.encode(),
    b"model: " + ALIASES.encode().replace(b"\n", b"\n  "), b"? [1]\n: 2\n", b"2026-13-45: 1\n", b"model: 2026-13-45\n",
    b"model: []\n", b"model: 7\n", b"data: text\n", b"trainer: null\n", b"nothing: 1\n",
    b"1: 2\n", b"null: 3\n", b"model: {null: 3}\n", b"a: " + b"1_" * 100_000 + b"\n", b"a: 0o9\n", b"'\n",
]  # fmt: skip


def no_settings(attempt: Attempt) -> Outcome:
    """A file that holds no settings."""
    path = attempt.folder.with_name("settings.yaml")
    content = NO_SETTINGS[attempt.number % len(NO_SETTINGS)]
    path.write_bytes(content)
    words = words_of(attempt.folder)
    action = lambda: main(["fit", "-c", str(path), *words])  # noqa: E731
    return refused(action, f"settings {content[:60]!r}", says=ABOUT_SETTINGS)


def odd_places(attempt: Attempt) -> Outcome:
    """A run, a cache, settings or a checkpoint in a place that cannot be."""
    root = attempt.folder.parent
    (root / "file").write_text("text")
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nowhere/at/all")
    (root / "closed").mkdir(mode=0o555)
    (root / "not-utf8\udcff").mkdir()
    places = {
        "file": root / "file", "below a file": root / "file" / "run", "pipe": root / "pipe", "loop": root / "loop",
        "below a loop": root / "loop" / "run", "long": root / ("x" * 300), "deep": root.joinpath(*["y" * 200] * 25),
        "null": Path("/dev/null"), "proc": Path("/proc/run"), "closed": root / "closed" / "run",
        "sys": Path("/sys/run"), "dangling": root / "dangling" / "run", "full": Path("/dev/full"),
    }  # fmt: skip
    roles = ["--run", "-c", "--from-checkpoint", "SRGAN_CACHE", "evaluate", "sample", "spectra", "report", "data"]
    cases = [(role, name) for role in roles for name in places]
    role, name = cases[(7 * attempt.number) % len(cases)]  # 7 and 117 have no factor in common
    place = str(places[name])

    def action() -> int:
        _give_up_privileges()  # root may write anywhere
        words = words_of(attempt.folder)
        if role == "SRGAN_CACHE":
            os.environ["SRGAN_CACHE"] = place
            return main(["fit", *words])
        if role == "data":
            return main(["fit", *words, "--data", "srgan.data.FolderData", "--data.init_args.path", place])
        if role.startswith("-"):
            return main(["fit", *words, role, place])
        return main([role, place])

    named = places[name].parent if name == "dangling" or name.startswith("below") else place  # what stands in the way
    return refused(action, f"{role} at a {name}", says=re.escape(str(named)[:100]))


def _give_up_privileges() -> None:
    """What a root process may do beyond what the permissions of files say."""
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)()
    if platform.machine() == "x86_64":
        ctypes.CDLL(None).syscall(CAPSET, header, none)


def odd_run_folders(attempt: Attempt) -> Outcome:
    """A run folder in which some file is something else: it goes on or is refused; so are its pages."""
    draw, folder = attempt.draw, attempt.folder
    shutil.copytree(attempt.world.reference, folder)
    path = draw.choice([path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"])
    content, way = path.read_bytes(), draw.choice(["folder", "empty", "text", "cut", "pipe", "damaged", "loop"])
    path.unlink()
    if way == "folder":
        path.mkdir()
    elif way == "pipe":
        os.mkfifo(path)
    elif way == "loop":
        path.symlink_to(path.name)
    else:
        damaged = {"empty": b"", "text": b"words", "cut": content[: len(content) // 2]}
        path.write_bytes(damaged[way] if way in damaged else with_damage(content, draw))
    if draw.random() < 0.5 and (folder / "run.json").is_file():
        text = (folder / "run.json").read_bytes()
        (folder / "run.json").write_bytes(text.replace(b'"finished"', b'"running"'))
    command = draw.choice(["fit", "fit", "report"])
    words = words_of(folder) if command == "fit" else [str(folder)]
    says = rf"{re.escape(path.stem)}|checkpoint"
    return refused(lambda: main([command, *words]), f"{command}, {path.name} is {way}", says, must_be=False)


def odd_checkpoints(attempt: Attempt) -> Outcome:
    """A checkpoint whose content was changed by hand, for every command that reads one."""
    draw, path = attempt.draw, attempt.folder.with_name("odd.ckpt")
    content: Any = torch.load(attempt.world.reference / "checkpoints" / "last.ckpt", weights_only=True)
    content = draw.choice([lambda: _changed(content, draw)] * 6 + [
        lambda: torch.ones(3), lambda: [1, 2], lambda: {}, lambda: None, lambda: {"state_dict": {}},
        lambda: content["state_dict"], lambda: {**content, "state_dict": {}},
    ])()  # fmt: skip
    torch.save(content, path)
    command = draw.choice(["evaluate", "sample", "spectra", "fit"])
    words = {
        "fit": [*words_of(attempt.folder), "--from-checkpoint", str(path), "--model.iterations", "12"],
        "sample": [str(path), "--output", str(path.with_name("x.png"))],
    }.get(command, [str(path)])
    says = r"odd\.ckpt|checkpoint"
    return refused(lambda: main([command, *words]), f"{command} of an odd checkpoint", says, must_be=False)


def _changed(content: Any, draw: random.Random) -> Any:
    """A nested value with one of its parts removed or replaced."""
    replaced: Any = draw.choice([None, -1, "text", [], {}, torch.zeros(2), float("nan"), True])
    place = content
    while True:
        key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
        inner = place[key]
        if isinstance(inner, dict | list) and len(inner) and draw.random() < 0.8:
            place = inner
            continue
        if isinstance(place, dict) and draw.random() < 0.5:
            del place[key]
        else:
            place[key] = replaced
        return content


def odd_commands(attempt: Attempt) -> Outcome:
    """Words that are no command, or not of this one."""
    checkpoint = str(attempt.world.reference / "checkpoints" / "last.ckpt")
    there = str(attempt.folder.with_name("out.png"))
    cases = [
        ["fti"], ["--versoin"], ["fit", "--run"], ["fit", "--run", there], ["fit", "-c"], ["fit", "-c", "configs"],
        ["fit", "words"], ["fit", "--model"], ["fit", "--data", "[1]"], ["evaluate", checkpoint, "--devices", "0"],
        ["evaluate", checkpoint, "--devices", "-1"], ["evaluate", checkpoint, "--protocol.num_fake_images", "0"],
        ["evaluate", checkpoint, "--accelerator", "abacus"], ["evaluate", checkpoint, "--features", "none"],
        ["evaluate", checkpoint, "--output", "/"], ["evaluate", checkpoint, "--data", "os.system"],
        ["evaluate", checkpoint, "--protocol.split", "x"], ["evaluate", checkpoint, "--nothing", "1"],
        ["evaluate", checkpoint, "--protocol.intra_fid_classes", "5"], ["sample", checkpoint, "--rows", "0"],
        ["sample", checkpoint, "--truncation", "-1"], ["sample", checkpoint, "--truncation", "nan"],
        ["sample", checkpoint, "--classes", "99"], ["sample", checkpoint, "--dimension", "77"],
        ["sample", checkpoint, "--walk", "0"], ["sample", checkpoint, "--output", "x.txt"],
        ["sample", checkpoint, "--output", there, "--device", "abacus"], ["sample", checkpoint, "--seed", "x"],
        ["sample", checkpoint, "--output", "/dev/null/x.png"], ["sample", checkpoint, "--frames", "-1"],
        ["spectra", checkpoint, "--plot", "/"], ["spectra", checkpoint, "--nothing"], ["spectra"], ["sample"],
        ["report"], ["report", there], ["report", "configs"], ["report", "/dev/null"], ["prepare"],
        ["prepare"], ["prepare", there, there], ["prepare", "cifar", there, there],
        ["prepare", "configs", there, "--image-size", "0"],
        ["prepare", "configs", there, "--workers", "-1"],
    ]  # fmt: skip
    words = cases[attempt.number % len(cases)]
    option = ([word for word in words if word.startswith("--")] or words)[-1]
    says = f"{of_option(option.strip('-'))}|{re.escape(words[-1])}"
    if words == ["fit", "--run", there]:
        says = "configuration with data"
    elif words[:2] == ["prepare", "cifar"]:
        says = "DATA_SET: .*'cifar'"
    elif words[-1].startswith("/dev/null/"):
        says = "/dev/null"
    return refused(lambda: main(words), " ".join(words)[-90:], says)


def odd_variables(attempt: Attempt) -> Outcome:
    """Variables of `make reproduce-...`."""
    cases = [(name, value) for name, values in BAD_VARIABLES.items() for value in values]
    name, value = cases[attempt.number % len(cases)]
    experiment = attempt.draw.choice(EXPERIMENTS)
    words = [experiment, name, value, "--dry-run", "1", "--runs", str(attempt.folder)]
    action = lambda: reproduce(words)  # noqa: E731
    says = of_option(name.strip("-")) + f"|{of_option(value.partition('=')[0])}" * ("." in value and "=" in value)
    return refused(action, f"{experiment} {name} {value!r}", says, must_be=value != "")


TRIALS: dict[str, tuple[Trial, int]] = {
    "values of a wrong type": (wrong_types, 24),
    "values out of range": (out_of_range, 75),
    "misspelled options": (wrong_names, 12),
    "files without settings": (no_settings, 31),
    "damaged settings": (damaged_yaml, 16),
    "odd paths": (odd_places, 40),
    "odd run folders": (odd_run_folders, 30),
    "odd checkpoints": (odd_checkpoints, 24),
    "odd images": (odd_images, 66),
    "images changed before a resume": (changed_images, 6),
    "odd command lines": (odd_commands, 44),
    "odd make variables": (odd_variables, 44),
}
