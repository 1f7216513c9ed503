"""The mistakes that people make at the command line and with their files, each told in its own sentence."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from faults.forks import Child
from faults.refusals import refused
from faults.subject import differences, train, watch_writes, words_of
from faults.trials import Attempt, Outcome, Trial
from srgan.cli.main import main

COMMON = [
    (["-c", "folder", "--data.init_args.path", "nope"], r"a folder or tar of images at '.*nope', found nothing"),
    (["-c", "folder"], r"at '.*images', found nothing\. Set --data\.init_args\.path"),
    (["-c", "hub", "--data.init_args.path", "./nope"], "a data set in the folder '.*nope', found nothing"),
    (["-c", "imagenet128"], "Run: srgan prepare ROOT"),
    (["-c", "cifar10", "--data.init_args.image_size", "64"], "an image size of 32, 16 or 8 for CIFAR-10, found 64"),
    (["-c", "stl10", "--data.init_args.image_size", "64"], "an image size of 32 for STL-10, found 64"),
    (["-c", "digits", "--data.init_args.image_size", "256"], "an image size of 8, 16, 32, 64 or 128 .* found 256"),
    (["-c", "digits", "--data", "FolderData"], "Expected path for the FolderData of --data, found none"),
    (["-c", "digits", "-c", "began", "--model.loss.init_args.gamma", "2"], r"gamma in \(0, 1\] .* found 2"),
    (["-c", "digits", "--scores.protocol.seed", "-1"], "a seed of the protocol in 0 .* found -1"),
    (["-c", "digits", "--trainer.callbacks", "EarlyStopping"], "monitor for the EarlyStopping of --trainer.callbacks"),
    (["-c", "digits", "--trainer.max_steps", "3"], "Set --model.iterations and --model.n_dis, which it follows"),
    (["-c", "digits", "--data.init_args.seed=3"], "Set --model.seed, which it follows"),
    (["-c", "digits", "--from-checkpoint=~nobody-here/x"], "a user with a home folder in '~nobody-here/x'"),
    (["-c", "digits", "--run=~nobody-here/x"], "a user with a home folder in '~nobody-here/x'"),
    (["-c", "digits", "--samples.rows", "1000000"], "samples.rows of at most 1000, found 1000000"),
]  # fmt: skip
TEXTS = [
    (b"model: {seed: 1}\ndata: {}\nmodel: {n_dis: 2}\n", "found model in lines 1 and 3"),
    (b"model:\n  seed: 1\n  seed: 2\n", "found model.seed in lines 2 and 3"),
    (b"trainer: {max_steps: 3}\n", "no trainer.max_steps in '.*', since it follows .* line 1"),
    (b"data: {init_args: {n_dis: 3}}\n", "no data.init_args.n_dis in '.*', since it follows model.n_dis"),
    ("model: {seed: 1}\n".encode("utf-16"), r"UTF-8 in '.*settings\.yaml', found one in UTF-16"),
    (b"# \xfc\nmodel: {seed: 1}\n", r"UTF-8 in '.*settings\.yaml', found byte 0xfc in line 1"),
    (b"model: {constraint: sr-q}\n", "a class for --model.constraint, or one of none, sn.*found sr-q"),
]
COUNTS = [
    "model.networks.init_args.generator_channels", "model.networks.init_args.latent_dim", "model.n_dis",
    "model.iterations", "data.init_args.batch_size", "scores.protocol.num_real_images", "outputs.images",
    "scores.protocol.num_fake_images", "model.micro_batch_size", "losses.every",
]  # fmt: skip
DAMAGES: list[tuple[Callable[[dict[str, object]], str], str]] = [
    *((lambda about, key=key, text=text: _with(about, key, text), "as srgan push writes them") for key, text in (
        ("iteration", "Infinity"), ("iteration", "1" + "0" * 300), ("iteration", "null"), ("settings", "null"),
        ("settings", "[" * 100_000), ("settings", "7"), ("settings", '{"model": {}}'),
    )),
    *((lambda about, old=old, new=new: re.sub(old, new, json.dumps(about), count=1), says) for old, new, says in (
        (r'"latent_dim": \d+', '"latent_dim": 1000000000000', "below 1,000,000,000 in '.*', found .*latent_dim"),
        (r'"latent_dim": \d+', '"latent_dim": 900000000', "nets that fit into memory"),
        (r'"rows": \d+', '"rows": 1000000000000', "below 1,000,000,000 in '.*', found samples.rows"),
        (r'"class_path": "srgan.constraints.\w+"', '"class_path": "srgan.utils.files.os.system"',
         r"classes that this version of srgan has .* found srgan\.utils\.files\.os\.system"),
        (r'"class_path": "srgan.constraints.\w+"', '"class_path": "srgan.__main__"', r"found srgan\.__main__"),
        (r'"class_path": "srgan.constraints.\w+"', '"class_path": "os.system"', "classes of srgan .* found os.system"),
    )),
]  # fmt: skip


def _with(about: dict[str, object], key: str, text: str) -> str:
    return json.dumps(about | {key: "HERE"}).replace('"HERE"', text)


def common_mistakes(attempt: Attempt) -> Outcome:
    """What newcomers type."""
    words, says = COMMON[attempt.number % len(COMMON)]
    return refused(lambda: main(["fit", "--run", str(attempt.folder), *words, "-c", "sn"]), " ".join(words), says)


def ambiguous_files(attempt: Attempt) -> Outcome:
    """Files of settings that the parser alone would take, or refuse without their name."""
    content, says = TEXTS[attempt.number % len(TEXTS)]
    path = attempt.folder.with_name("settings.yaml")
    path.write_bytes(content)
    words = words_of(attempt.folder)
    return refused(lambda: main(["fit", *words, "-c", str(path)]), repr(content[:50]), says)


def absurd_counts(attempt: Attempt) -> Outcome:
    """Sizes beyond any memory and any patience."""
    name, value = COUNTS[attempt.number % len(COUNTS)], attempt.draw.choice(["1000000000", "1" + "0" * 18])
    words = [*words_of(attempt.folder), f"--{name}", value]
    return refused(lambda: main(["fit", *words]), f"--{name} {value}", rf"below 1,000,000,000 .* found {name} {value}")


def damaged_folders(attempt: Attempt) -> Outcome:
    """A folder of `srgan push` whose config.json was damaged, or made by somebody who wishes harm."""
    change, says = DAMAGES[attempt.number % len(DAMAGES)]
    folder = attempt.folder.with_name("pushed")
    Child(lambda: main(["push", str(attempt.world.reference), "--folder", str(folder)])).wait()
    path = folder / "config.json"
    path.write_text(change(json.loads(path.read_text())))
    command = attempt.draw.choice(["sample", "evaluate"])
    return refused(lambda: main([command, str(folder)]), f"{command}: {path.read_text()[:80]}", says)


def record_taken_away(attempt: Attempt) -> Outcome:
    """A run folder is renamed or removed, or a history in it, while the run trains: told; no hole is sealed."""
    world, draw, folder, _ = attempt
    way = draw.choice(["renamed", "removed", "history removed", "history cut"])
    saved = world.writes.index("checkpoint")  # before that nothing is known of a run but its settings
    wanted = draw.choice([place for place, kind in enumerate(world.writes) if place > saved and kind == "history row"])

    def action() -> int:
        left = [wanted]

        def note(kind: str, event: str) -> None:
            left[0] -= 1
            if left[0] == -1:
                _take_away(folder, way)

        watch_writes(folder, note)
        return train(folder)

    ended = Child(action).wait()
    if ended.problem or ended.status != 1 or not re.search("moved or removed|found them changed: ", ended.said):
        return Outcome(1, ended.problem or f"{way}: expected what is lost, found {ended.status}: {ended.said[-400:]}")
    if (aside := folder.with_name("aside")).exists():
        aside.rename(folder)
    again = Child(lambda: train(folder)).wait()
    if again.status == 2 and re.search("is not what it was when", again.said):
        return Outcome(1, None, ("detected, then refused",))
    if again.problem or again.status:
        return Outcome(1, again.problem or f"{way}: exit status {again.status}: {again.said[-400:]}")
    return Outcome(1, differences(folder, world.reference), ("detected, then identical",))


def _take_away(folder: Path, way: str) -> None:
    if way == "renamed":
        folder.rename(folder.with_name("aside"))
    elif way == "removed":
        shutil.rmtree(folder)
    elif way == "history removed":
        (folder / "losses.jsonl").unlink()
    else:
        os.truncate(folder / "losses.jsonl", (folder / "losses.jsonl").stat().st_size // 2)


TRIALS: dict[str, tuple[Trial, int]] = {
    "common mistakes": (common_mistakes, len(COMMON)),
    "contradictory files": (ambiguous_files, len(TEXTS)),
    "absurd counts": (absurd_counts, len(COUNTS)),
    "damaged folders of srgan push": (damaged_folders, len(DAMAGES)),
    "records removed": (record_taken_away, 16),
}
