"""The dashboard as code: a workspace and a report of Weights & Biases, built from `srgan.loggers.panels`. No torch.

Needs the package wandb-workspaces. Building and validating works without a login and without a network.
"""

from typing import Any

import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from srgan.collapse import EMA
from srgan.loggers.panels import AXIS, COLLAPSE, LAYERS, SCORES, SECTIONS, SPECTRA, Panel, panels_of

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
        runs = wr.Runset(name="Runs")
        blocks += [wr.H2(name), wr.P(meaning), wr.PanelGrid(runsets=[runs], panels=_arranged(shown))]
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


def _arranged(shown: list[Any]) -> list[Any]:
    """Two panels in a row of a report, which is 24 units wide."""
    for place, panel in enumerate(shown):
        panel.layout = wr.Layout(x=12 * (place % 2), y=10 * (place // 2), w=12, h=10)
    return shown
