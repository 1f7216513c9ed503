"""`srgan dashboard`: a Weights & Biases workspace and report for a project of srgan's runs, and Table II as a table.

Needs the package wandb-workspaces. Building and validating works without a login and without a network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from pandas import DataFrame, read_csv

from srgan.cli.arguments import parser_of, user_path
from srgan.collapse import EMA
from srgan.loggers.panels import AXIS, COLLAPSE, LAYERS, SCORES, SECTIONS, SPECTRA, Panel, panels_of
from srgan.loggers.wandb_runs import run_name, wandb_mode

DESCRIPTION = """\
Create a Weights & Biases workspace and report for a project of srgan runs. Without a login, both are built, validated
and summarized only. Each call creates new ones and leaves existing ones alone."""
NAME = "Spectra and mode collapse"
TABLE = "table2"
TABLE_SECTION = "Table II"
OPEN = (SPECTRA, COLLAPSE, SCORES, "Samples")
COLUMNS = (
    "run:displayName", "config:method.value", "run:group", "summary:status", "summary:mode_collapse",
    "summary:mode_collapse_iteration", "summary:spectral_collapse", "summary:spectral_collapse_iteration",
    "summary:reported/FID", "summary:reported/FID_cls",
)  # fmt: skip
"""Of the list of runs, left to right."""
HEAT_MAP_HINT = (
    "A heat map of each layer's singular values over iterations is on the page of each run, in the section of the "
    "layer: W&B draws histograms of one run at a time. The pictures here show all layers of each run at once."
)


def main(arguments: Sequence[str]) -> int:
    """Creates both, or shows them without a login."""
    parser = parser_of("dashboard", DESCRIPTION)
    parser.add_argument("--entity", help="user or team that owns the project (default: your account)")
    parser.add_argument("--project", default="srgan", help="project (default: %(default)s)")
    parser.add_argument("--table", type=user_path, metavar="CSV", help="also publish this table2.csv as a table")
    parser.add_argument("--dry-run", action="store_true", help="build, validate and show, but create nothing")
    options = parser.parse_args(arguments)
    table = read_table(options.table) if options.table else None
    mode = wandb_mode()
    connected = not options.dry_run and mode == "online" and wandb.login(prompt=False)  # which sends nothing
    entity = options.entity or (str(wandb.Api().default_entity) if connected else "ENTITY")
    dashboard, pages = workspace(entity, options.project), report(entity, options.project)
    print(described(dashboard, pages))
    if table is not None:
        print(f"table '{options.table}': {len(table)} rows of {len(table.columns)} columns")
        if connected or (mode == "offline" and not options.dry_run):
            print(publish_table(table, options.table, options.entity, options.project))
    if connected:
        print(f"created: {dashboard.save().url}\ncreated: {pages.save().url}")
    else:
        not_logged_in = "Not logged in (`wandb login`)" if mode == "online" else f"WANDB_MODE is {mode}"
        why = "Dry run" if options.dry_run else not_logged_in
        print(f"{why}: everything is valid, no workspace and no report were created.")
    return 0


def read_table(path: Path) -> DataFrame:
    """The rows of a CSV file, each column of one type, None for what is empty; ValueError if it is no table."""
    try:
        table = read_csv(path)
    except ValueError as error:
        raise ValueError(f"Expected a table2.csv, cannot read '{path}': {error}") from error
    if table.empty:
        raise ValueError(f"Expected a header and rows in '{path}', found no rows. Give it a table2.csv.")
    return table.astype(object).where(table.notna(), None)


def publish_table(table: DataFrame, path: Path, entity: str | None, project: str) -> str:
    """Logs a table in a run of its own, beside the file if offline; returns where it is."""
    run = wandb.init(
        entity=entity, project=project, job_type="table2", group="table2", name=run_name(path.parent),
        dir=str(path.parent), config={"table": str(path)}, reinit="create_new", mode=cast(Any, wandb_mode()),
    )  # fmt: skip
    run.log({"table2": wandb.Table(dataframe=table)})
    place = str(Path(run.dir).parent) if run.offline else run.url
    run.finish()
    return f"published: {place}"


def workspace(entity: str, project: str) -> ws.Workspace:
    """The workspace of a project of srgan runs: spectra first."""
    sections = [
        ws.Section(
            name=name,
            panels=[_chart(panel) for panel in panels_of(name)],
            is_open=name in OPEN,
            pinned=name == SPECTRA,
            layout_settings=ws.SectionLayoutSettings(columns=2 if name in (SPECTRA, LAYERS) else 3),
            panel_settings=ws.SectionPanelSettings(x_axis=AXIS),
        )
        for name in SECTIONS
    ]
    sections[0].panels = [*sections[0].panels, wr.MarkdownPanel(markdown=HEAT_MAP_HINT)]
    table = ws.Section(name=TABLE_SECTION, panels=[wr.WeavePanelSummaryTable(table_name=TABLE)])
    return ws.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[*sections, table],
        settings=ws.WorkspaceSettings(x_axis=AXIS, smoothing_type="none", max_runs=20, group_by_prefix="first"),
        runset_settings=ws.RunsetSettings(pinned_columns=list(COLUMNS), order=[ws.Ordering(ws.Metric("Name"), True)]),
    )


def report(entity: str, project: str) -> wr.Report:
    """A report of the same panels with a word on each section."""
    blocks: list[Any] = [
        wr.P("Singular values of the discriminator, scores and samples of the runs of this project, by srgan."),
        wr.TableOfContents(),
    ]
    for name, meaning in SECTIONS.items():
        shown = [_chart(panel) for panel in panels_of(name)]
        for place, panel in enumerate(shown):  # two in a row, which is 24 units wide
            panel.layout = wr.Layout(x=12 * (place % 2), y=10 * (place // 2), w=12, h=10)
        runs = wr.Runset(name="Runs")
        blocks += [wr.H2(name), wr.P(meaning), wr.PanelGrid(runsets=[runs], panels=shown)]
    tables = wr.Runset(name="Tables", filters="JobType = 'table2'")
    whole = wr.WeavePanelSummaryTable(table_name=TABLE, layout=wr.Layout(x=0, y=0, w=24, h=16))
    blocks += [
        wr.H2(TABLE_SECTION),
        wr.P("SN and SR beside the paper's numbers, published by `srgan dashboard --table`."),
        wr.PanelGrid(runsets=[tables], panels=[whole]),
    ]
    return wr.Report(
        entity=entity, project=project, title=NAME, blocks=blocks, width="fluid",
        description="Spectral regularization against mode collapse.",
    )  # fmt: skip


def described(dashboard: ws.Workspace, pages: wr.Report) -> str:
    """A summary of what would be sent, all of which pydantic builds and validates here."""
    models = [built._to_model() for built in (dashboard, pages)]
    view, text = (model.spec.model_dump_json(by_alias=True, exclude_none=True) for model in models)
    lines = [f"workspace '{dashboard.name}' of {dashboard.entity}/{dashboard.project} ({len(view):,} bytes):"]
    lines += [f"  {name}: {'; '.join(panel.title for panel in panels_of(name))}" for name in SECTIONS]
    lines.append(f"  {TABLE_SECTION}: table {TABLE}")
    grids = sum(isinstance(block, wr.PanelGrid) for block in pages.blocks)
    return "\n".join([*lines, f"report '{pages.title}' ({len(text):,} bytes): {grids} panel grids"])


def _chart(panel: Panel) -> Any:
    """As Weights & Biases' package describes it."""
    keys: list[Any] = list(panel.keys)
    if panel.kind == "pictures":
        return wr.MediaBrowser(title=panel.title, media_keys=keys, mode="gallery", gallery_axis="step", num_columns=1)
    if panel.kind == "curves":
        fields = {"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"}
        return wr.CustomChart(
            query={"summaryTable": {"tableKey": f"{keys[0]}_table"}}, chart_name="wandb/lineseries/v0",
            chart_fields=fields, chart_strings={"title": panel.title, "xname": "k / N"},
        )  # fmt: skip
    if panel.kind == "bars":
        names = [
            key.format(features=features, ema=ema) for key in keys for ema in ("", EMA) for features in ("", "_cls")
        ]
        return wr.BarPlot(title=panel.title, metrics=list(dict.fromkeys(names)))
    return wr.LinePlot(
        title=panel.title,
        x=AXIS,
        y=[] if panel.regex else keys,
        metric_regex=panel.regex,
        range_y=panel.range_y,
        log_y=panel.log_y or None,
        title_x=AXIS,
        smoothing_type="none",
    )
