"""The paper's own experiments: Table II, group C at scale small, Section IV-A, the sweep over i."""

from collections.abc import Sequence

from rich.console import Console
from rich.markdown import Markdown

from reproduce.evidence.claims import DEFAULT, SEEDS
from reproduce.evidence.page import write_pages
from reproduce.evidence.records import evidence_of, write_evidence
from reproduce.launcher.launcher import Campaign
from reproduce.launcher.options import Options
from reproduce.plan import table_runs as plan
from reproduce.plan.run import Run
from reproduce.results.picture import save_table_picture
from reproduce.results.table import LEGEND_OF_ALL, LEGEND_OF_COMPARISON, ResultsTable, described_table
from srgan.report.page import write_page
from srgan.utils.files import write_text


def table2(options: Options) -> int:
    """`make reproduce-table2`: Table II beside our numbers."""
    root = options.runs / "table2" / options.scale
    names = options.settings or plan.default_settings(options.scale)
    seeds = options.seeds or plan.default_seeds(options.scale)
    runs = plan.table_runs(options.scale, names, options.methods, seeds, root, options.with_images())

    def finish(finished: Sequence[Run], console: Console) -> None:
        table = ResultsTable(runs, options.scale)
        text, paths = described_table(table), [root / f"table2.{suffix}" for suffix in ("md", "csv", "html", "png")]
        write_text(paths[0], text)
        write_text(paths[1], table.csv_text())
        tables = [("SR against SN", table.comparison, LEGEND_OF_COMPARISON), ("Table II", table.shown, LEGEND_OF_ALL)]
        write_page(root, paths[2], f"Table II, scale {table.scale}: SN-GAN against SR-GAN", tables)
        if options.scale != "mini" or not save_table_picture(table, paths[3]):
            del paths[3]
        console.print(Markdown(text) if console.is_terminal else text, highlight=False, soft_wrap=True)
        console.print("\n".join(map(str, paths)), highlight=False, soft_wrap=True)

    return Campaign(runs, root, finish).execute(options)


def collapse(options: Options) -> int:
    """`make reproduce-collapse`: group C at scale small: SN, SR-s, SR-d and SR-s after SN, controls."""
    options.scale = "small"
    root = options.runs / "collapse"
    runs = plan.collapse_runs(options.settings or DEFAULT, options.seeds or SEEDS, options.runs, options.with_images())

    def finish(finished: Sequence[Run], console: Console) -> None:
        done = [run for run in runs if run in finished]
        found = [evidence_of(run.folder, run.setting.name, run.label, run.seed, root / "samples") for run in done]
        write_pages(write_evidence(root / "evidence.json", found), root, console)

    return Campaign(runs, root, finish).execute(options)


def resume(options: Options) -> int:
    """`make reproduce-resume`, Section IV-A: E_2048-64 under SN up to its collapse, then SN and SR-d from there."""
    root = options.runs / "resume" / options.scale

    def finish(finished: Sequence[Run], console: Console) -> None:
        write_page(root, root / "resume.html")
        console.print(f"{root / 'resume.html'}. Fig. 6: make reproduce-figures SCALE={options.scale} FIGURES=6")

    return Campaign(plan.resume_runs(options.scale, root, options.overrides), root, finish).execute(options)


def sweep(options: Options) -> int:
    """`make reproduce-sweep`, Fig. 8, 11 and 12: SR-s at i = 0.25 N ... N, and SR-d, beside the runs of Table II."""
    names, seeds = options.settings or plan.SWEEP_DEFAULT[options.scale], options.seeds or [1]
    runs = plan.sweep_runs(options.scale, names, seeds, options.runs, options.with_images())

    def finish(finished: Sequence[Run], console: Console) -> None:
        console.print(f'Now: make reproduce-figures SCALE={options.scale} FIGURES="8 11 12"', highlight=False)

    return Campaign(runs, options.runs / "sweep" / options.scale, finish).execute(options)
