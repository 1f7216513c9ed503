"""A talk's "Does it work?", and a forum's discriminators whose loss goes to 0."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from pandas import DataFrame
from rich.console import Console

from reproduce.launcher.launcher import Campaign
from reproduce.launcher.options import Options
from reproduce.plan.run import ITERATIONS, SEED, Run, Scale
from reproduce.results.generated import markdown_table
from srgan.report.page import write_page
from srgan.runs.folder import DISCRIMINATOR_NEAR_ZERO, RunFolder
from srgan.utils.files import write_text

GENERATOR, DISCRIMINATOR = "model.generator_optimizer", "model.discriminator_optimizer"
LOSS = "model.loss.class_path"
ENOUGH_MODES = 500
RULE = (
    "Works: trained to the end, no mode collapse by the package's rule, and at the last evaluation "
    f"{ENOUGH_MODES} of the 1,000 modes or more in 5,000 images (scale mini), or an IS of 5 or more (scale paper). At "
    "scale mini FID and IS are those of a classifier of the digits, not comparable with published ones."
)


class Row(NamedTuple):
    """One training."""

    model: str  # what the source calls it
    loss: str  # in the source's words
    architecture: str  # in the source's words
    answer: str  # the source's
    configs: tuple[str, ...]  # of `configs/`, behind the data
    settings: Mapping[str, Any]  # further ones


def adam(rate: float, beta_1: float = 0.0, beta_2: float = 0.9) -> dict[str, Any]:
    """Adam for both players."""
    return {
        f"{player}.{name}": value
        for player in (GENERATOR, DISCRIMINATOR)
        for name, value in (("learning_rate", rate), ("betas", [beta_1, beta_2]))
    }


# Rates and betas: DCGAN's, WGAN-GP's and SN-GAN's own, but that scale mini takes larger steps (`MINI`).
SLIDE = (
    Row("DCGAN", "KL", "TransConv", "work", ("dcgan", "batch-norm"),
        {LOSS: "srgan.losses.NonSaturating", "model.n_dis": 1, **adam(2e-4, 0.5, 0.999)}),
    Row("WGAN", "Wasserstein", "TransConv", "work", ("dcgan", "wgan"), {"model.n_dis": 5}),
    Row("WGAN-GP", "Wasserstein", "TransConv", "work", ("dcgan", "gp"),
        {LOSS: "srgan.losses.Wasserstein", "model.n_dis": 5, **adam(1e-4)}),
    Row("WGAN-GP", "Wasserstein", "ResNet", "work", ("gp",),
        {LOSS: "srgan.losses.Wasserstein", "model.n_dis": 5, **adam(2e-4)}),
    Row("SN-GAN", "Wasserstein", "TransConv", "work", ("sndcgan", "sn"),
        {LOSS: "srgan.losses.Wasserstein", "model.n_dis": 5, **adam(2e-4)}),
    Row("SN-GAN", "Hinge loss", "ResNet", "work", ("sn",),
        {LOSS: "srgan.losses.Hinge", "model.n_dis": 5, **adam(2e-4)}),
    Row("SN-GAN", "Wasserstein", "ResNet", "NOT WORK", ("sn",),
        {LOSS: "srgan.losses.Wasserstein", "model.n_dis": 5, **adam(2e-4)}),
)  # fmt: skip
# The thread tells of a discriminator that is too strong, not of its settings: here it learns ten times as fast as the
# generator, five times an iteration.
STRONG_D = {"model.n_dis": 5, **adam(1e-4, 0.5, 0.999), f"{DISCRIMINATOR}.learning_rate": 1e-3}
THREAD = tuple(
    Row(f"D {words}", "BCE", "TransConv", answer, ("sndcgan", constraint),
        {LOSS: "srgan.losses.NonSaturating", **STRONG_D})
    for words, constraint, answer in (
        ("without SN", "none", "loss of D to 0"),
        ("with batch norm", "batch-norm", "loss of D to 0"),
        ("with SN", "sn", "losses stay in (0, 2)"),
    )
)  # fmt: skip
MINI_CHANNELS = 16
MINI_RATE = 5  # times the source's: a run has a hundredth of its iterations


def works_run(row: Row, source: str, scale: Scale, seed: int, root: Path, overrides: Mapping[str, Any]) -> Run:
    """One row with one seed."""
    settings = dict(row.settings)
    if scale == "mini":
        settings |= {
            f"model.networks.init_args.{net}_channels": MINI_CHANNELS for net in ("generator", "discriminator")
        }
        rates = {f"{player}.learning_rate": 5e-5 for player in (GENERATOR, DISCRIMINATOR)}  # WGAN's, of its file
        settings |= {name: MINI_RATE * settings.get(name, rate) for name, rate in rates.items()}
        settings |= {ITERATIONS: 500} if source == "thread" else {}
    name = f"{row.model}, {row.loss}, {row.architecture}"
    part = name.lower().replace(", ", "-").replace(" ", "-")
    return Run(
        name=f"{name} seed {seed}",
        folder=RunFolder(root / source / f"{part}-seed{seed}"),
        configs=(*(("digits", "works") if scale == "mini" else ("cifar10",)), *row.configs),
        overrides={**settings, SEED: seed, **overrides},
    )


def verdict(run: Run) -> str:
    """By the rule above, of a run that has ended."""
    record, scores = run.folder.read_record() or {}, run.folder.read_scores()
    if record.get("status") == "failed":
        return f"NOT WORK (failed at iteration {run.iterations_done:,})"
    enough = scores[-1]["modes"] >= ENOUGH_MODES if "modes" in scores[-1] else scores[-1]["IS"] >= 5
    return "work" if enough and not record["verdicts"]["mode_collapse"]["collapsed"] else "NOT WORK"


def baselines(options: Options) -> int:
    """`make reproduce-baselines`: a talk's "Does it work?", and a forum's discriminators whose loss goes to 0."""
    if options.scale == "small":
        raise ValueError("Expected SCALE=mini or SCALE=paper, found small: these rows are of digits or of CIFAR-10.")
    root = options.runs / "works" / options.scale
    planned = [
        (source, row, works_run(row, source, options.scale, seed, root, options.overrides))
        for source, rows in (("slide", SLIDE), ("thread", THREAD))
        for row in rows
        for seed in options.seeds or [1]
    ]

    def finish(finished: Sequence[Run], console: Console) -> None:
        failed = [run for _, _, run in planned if (run.folder.read_record() or {}).get("status") == "failed"]
        ended = [(source, row, run) for source, row, run in planned if run in finished or run in failed]
        slide = [slide_line(row, run) for source, row, run in ended if source == "slide"]
        thread = [thread_line(row, run) for source, row, run in ended if source == "thread"]
        text = "\n".join((markdown_table(DataFrame(slide)), RULE, "", markdown_table(DataFrame(thread))))
        write_text(root / "works.md", text)
        write_page(root, root / "works.html")
        console.print(text, highlight=False, soft_wrap=True)

    return Campaign([run for _, _, run in planned], root, finish).execute(options)


def slide_line(row: Row, run: Run) -> dict[str, str]:
    """A line of the first table."""
    last = next(iter(run.folder.read_scores()[-1:]), {})
    line = {"model": row.model, "loss": row.loss, "architecture": row.architecture}
    line |= {"Does it work? (slide)": row.answer, "ours": verdict(run)}
    return line | {name: score(last, name) for name in ("FID", "IS", "modes")} | {"seed": str(run.flat[SEED])}


def thread_line(row: Row, run: Run) -> dict[str, str]:
    """A line of the second table."""
    losses = run.folder.read_losses()
    last = losses[-max(1, len(losses) // 5) :]
    d, g = (f"{median(line[f'loss/{player}'] for line in last):.3g}" for player in ("discriminator", "generator"))
    warned = [line["iteration"] for line in run.folder.read_warnings() if line["name"] == DISCRIMINATOR_NEAR_ZERO]
    return {
        "discriminator": row.model,
        "thread": row.answer,
        "median loss of D, last fifth": d,
        "of G": g,
        "warning": f"{DISCRIMINATOR_NEAR_ZERO}, iteration {warned[0]:,}" if warned else "none",
        "modes": score(next(iter(run.folder.read_scores()[-1:]), {}), "modes"),
        "seed": str(run.flat[SEED]),
    }


def score(scores: Mapping[str, Any], name: str) -> str:
    """One score of an evaluation, by whichever network; a dash where there is none."""
    found = scores.get(name, scores.get(f"{name}_cls"))
    return "–" if found is None else f"{found:.4g}"
