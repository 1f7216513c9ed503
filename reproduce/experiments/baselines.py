"""A talk's "Does it work?", and a forum's discriminators whose loss goes to 0."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pandas import DataFrame
from rich.console import Console

from reproduce.evidence.records import by_iteration
from reproduce.launcher.launcher import Campaign
from reproduce.launcher.options import Options
from reproduce.plan.run import ITERATIONS, SEED, Run
from reproduce.plan.settings import Scale
from reproduce.results.generated import markdown_table
from srgan.report.page import write_page
from srgan.runs.folder import DISCRIMINATOR_NEAR_ZERO, RunFolder
from srgan.utils.files import write_text

GENERATOR, DISCRIMINATOR = "model.generator_optimizer", "model.discriminator_optimizer"
ENOUGH_MODES = 500
RULE = (
    "Works: trained to the end, no mode collapse by the package's rule, and at the last evaluation "
    f"{ENOUGH_MODES} of the 1,000 modes or more in 5,000 images (scale mini), or an IS of 5 or more (scale paper). At "
    "scale mini FID and IS are those of a classifier of the digits, not comparable with published ones."
)


class Row(NamedTuple):
    """One training, in the words of its source."""

    model: str
    loss: str
    architecture: str
    answer: str
    configs: tuple[str, ...]  # of `configs/`, behind the data
    settings: Mapping[str, Any]  # further ones


def trained(loss: str, rate: float, betas: tuple[float, float] = (0.0, 0.9), n_dis: int = 5) -> dict[str, Any]:
    """Settings: Adam for both players."""
    adam = {"learning_rate": rate, "betas": list(betas)}
    settings = {f"{player}.{name}": value for player in (GENERATOR, DISCRIMINATOR) for name, value in adam.items()}
    return {"model.loss.class_path": f"srgan.losses.{loss}", "model.n_dis": n_dis, **settings}


# Rates and betas: DCGAN's, WGAN-GP's and SN-GAN's own, but that scale mini takes larger steps (`MINI_RATE`).
DCGAN = trained("NonSaturating", 2e-4, (0.5, 0.999), n_dis=1)
SLIDE = (
    Row("DCGAN", "KL", "TransConv", "work", ("dcgan", "batch-norm"), DCGAN),
    Row("WGAN", "Wasserstein", "TransConv", "work", ("dcgan", "wgan"), {"model.n_dis": 5}),
    Row("WGAN-GP", "Wasserstein", "TransConv", "work", ("dcgan", "gp"), trained("Wasserstein", 1e-4)),
    Row("WGAN-GP", "Wasserstein", "ResNet", "work", ("gp",), trained("Wasserstein", 2e-4)),
    Row("SN-GAN", "Wasserstein", "TransConv", "work", ("sndcgan", "sn"), trained("Wasserstein", 2e-4)),
    Row("SN-GAN", "Hinge loss", "ResNet", "work", ("sn",), trained("Hinge", 2e-4)),
    Row("SN-GAN", "Wasserstein", "ResNet", "NOT WORK", ("sn",), trained("Wasserstein", 2e-4)),
)
# The thread tells of a too strong discriminator: here it learns ten times as fast as G, five times an iteration.
STRONG_D = {**trained("NonSaturating", 1e-4, (0.5, 0.999)), f"{DISCRIMINATOR}.learning_rate": 1e-3}
THREAD = (
    Row("D without SN", "BCE", "TransConv", "loss of D to 0", ("sndcgan", "none"), STRONG_D),
    Row("D with batch norm", "BCE", "TransConv", "loss of D to 0", ("sndcgan", "batch-norm"), STRONG_D),
    Row("D with SN", "BCE", "TransConv", "losses stay in (0, 2)", ("sndcgan", "sn"), STRONG_D),
)
MINI_RATE = 5  # times the source's: a run has a hundredth of its iterations


def works_run(row: Row, source: str, scale: Scale, seed: int, root: Path, overrides: Mapping[str, Any]) -> Run:
    settings = dict(row.settings)
    if scale == "mini":
        nets = ("generator", "discriminator")
        settings |= {f"model.networks.init_args.{net}_channels": 16 for net in nets}
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
    planned = {
        works_run(row, source, options.scale, seed, root, options.overrides): (row, line_of)
        for source, rows, line_of in (("slide", SLIDE, slide_line), ("thread", THREAD, thread_line))
        for row in rows
        for seed in options.seeds or [1]
    }

    def finish(finished: Sequence[Run], console: Console) -> None:
        lines: dict[Any, list[dict[str, Any]]] = {slide_line: [], thread_line: []}
        for run, (row, line_of) in planned.items():
            if run in finished or (run.folder.read_record() or {}).get("status") == "failed":
                lines[line_of].append(line_of(row, run) | {"seed": run.flat[SEED]})
        slide, thread = (markdown_table(DataFrame(some)) for some in lines.values())
        text = f"{slide}\n{RULE}\n\n{thread}"
        write_text(root / "works.md", text)
        write_page(root, root / "works.html")
        console.print(text, highlight=False, soft_wrap=True)

    return Campaign(list(planned), root, finish).execute(options)


def slide_line(row: Row, run: Run) -> dict[str, Any]:
    line = {"model": row.model, "loss": row.loss, "architecture": row.architecture}
    line |= {"Does it work? (slide)": row.answer, "ours": verdict(run)}
    return line | {name: last_score(run, name) for name in ("FID", "IS", "modes")}


def thread_line(row: Row, run: Run) -> dict[str, Any]:
    losses = by_iteration(run.folder.read_losses())
    last = losses.iloc[-max(1, len(losses) // 5) :].median()
    warned = [line["iteration"] for line in run.folder.read_warnings() if line["name"] == DISCRIMINATOR_NEAR_ZERO]
    return {
        "discriminator": row.model,
        "thread": row.answer,
        "median loss of D, last fifth": f"{last['loss/discriminator']:.3g}",
        "of G": f"{last['loss/generator']:.3g}",
        "warning": f"{DISCRIMINATOR_NEAR_ZERO}, iteration {warned[0]:,}" if warned else "none",
        "modes": last_score(run, "modes"),
    }


def last_score(run: Run, name: str) -> str:
    """Of the last evaluation, by whichever network; a dash where there is none."""
    scores = next(iter(run.folder.read_scores()[-1:]), {})
    found = scores.get(name, scores.get(f"{name}_cls"))
    return "–" if found is None else f"{found:.4g}"
