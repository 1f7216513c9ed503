"""`make reproduce-works`: a talk's "Does it work?" and a forum's discriminators whose loss goes to 0, trained again."""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console

from reproduce.campaign import Campaign, perform
from reproduce.options import Options
from reproduce.run import SEED, Run, Scale
from reproduce.table import markdown_table
from srgan.files import write_text
from srgan.report.page import write_page
from srgan.runs import RunFolder

GENERATOR, DISCRIMINATOR = "model.generator_optimizer", "model.discriminator_optimizer"
LOSS = "model.loss.class_path"
ENOUGH_MODES = 500
RULE = (
    "Works: trained to the end, no mode collapse by the package's rule, and at the last evaluation "
    f"{ENOUGH_MODES} of the 1,000 modes or more in 5,000 images (scale mini), or an IS of 5 or more (scale paper). At "
    "scale mini FID and IS are those of a classifier of the digits, not comparable with published ones."
)
NEAR_ZERO = "discriminator loss near zero"


class Row(NamedTuple):
    """One training.

    Attributes:
        model: what the source calls it.
        loss: in the source's words.
        architecture: in the source's words.
        answer: the source's.
        configs: of `configs/`, behind the data.
        settings: further ones.
    """

    model: str
    loss: str
    architecture: str
    answer: str
    configs: tuple[str, ...]
    settings: Mapping[str, Any]


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
THREAD = tuple(
    Row(f"D {words}", "BCE", "TransConv", answer, ("sndcgan", constraint),
        {LOSS: "srgan.losses.NonSaturating", "model.n_dis": 1, **adam(2e-4, 0.5, 0.999)})
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
    name = f"{row.model}, {row.loss}, {row.architecture}"
    part = name.lower().replace(", ", "-").replace(" ", "-")
    return Run(
        name=f"{name} seed {seed}",
        folder=RunFolder(root / source / f"{part}-seed{seed}"),
        configs=(*(("digits", "works") if scale == "mini" else ("cifar10",)), *row.configs),
        overrides={**settings, SEED: seed, **overrides},
    )


def works(run: Run) -> bool:
    """By the rule above."""
    record, last = run.folder.read_record() or {}, run.folder.read_scores()[-1]
    enough = last["modes"] >= ENOUGH_MODES if "modes" in last else last["IS"] >= 5
    return record["status"] == "finished" and enough and not record["verdicts"]["mode_collapse"]["collapsed"]


def experiment(options: Options) -> Campaign:
    """All rows of both sources with each seed.

    Raises:
        ValueError: the scale is small.
    """
    if options.scale == "small":
        raise ValueError("Expected SCALE=mini or SCALE=paper, found small: these rows are of digits or of CIFAR-10.")
    root = options.runs / "works" / options.scale
    rows = [(source, row) for source, group in (("slide", SLIDE), ("thread", THREAD)) for row in group]
    planned = {
        works_run(row, source, options.scale, seed, root, options.overrides): (source, row)
        for source, row in rows
        for seed in options.seeds
    }

    def finish(finished: Sequence[Run], console: Console) -> None:
        tables = []
        for source, words in (("slide", slide_cells), ("thread", thread_cells)):
            found = [(row, run) for run, (of, row) in planned.items() if of == source and run in finished]
            header = words(None, None)
            tables.append(markdown_table(header, [words(row, run) for row, run in found]))
        text = "\n".join((tables[0], RULE, "", tables[1]))
        write_text(root / "works.md", text)
        write_page(root, root / "works.html")
        console.print(text, highlight=False, soft_wrap=True)

    return Campaign(list(planned), root, finish)


def slide_cells(row: Row | None, run: Run | None) -> list[str]:
    """A line of the first table; its header without a run."""
    if row is None or run is None:
        return [
            "model",
            "loss",
            "architecture",
            "Does it work? (slide)",
            "ours",
            "FID",
            "IS",
            "modes",
            "seed",
        ]
    last = run.folder.read_scores()[-1]
    scores = [f"{last.get(name, last.get(f'{name}_cls')):.4g}" for name in ("FID", "IS")]
    answer = "work" if works(run) else "NOT WORK"
    modes = str(last.get("modes", "–"))
    return [row.model, row.loss, row.architecture, row.answer, answer, *scores, modes, str(run.flat[SEED])]


def thread_cells(row: Row | None, run: Run | None) -> list[str]:
    """A line of the second table; its header without a run."""
    if row is None or run is None:
        return ["discriminator", "thread", "median loss of D, last fifth", "of G", "warning", "modes", "seed"]
    losses = run.folder.read_losses()
    last = losses[-max(1, len(losses) // 5) :]
    medians = [median(line[f"loss/{player}"] for line in last) for player in ("discriminator", "generator")]
    warned = [line["iteration"] for line in run.folder.read_warnings() if line["name"] == NEAR_ZERO]
    warning = f"{NEAR_ZERO}, iteration {warned[0]:,}" if warned else "none"
    modes = str(run.folder.read_scores()[-1].get("modes", "–"))
    return [row.model, row.answer, *(f"{value:.3g}" for value in medians), warning, modes, str(run.flat[SEED])]


main = partial(perform, experiment, __doc__, "scale seeds")

if __name__ == "__main__":
    sys.exit(main())
