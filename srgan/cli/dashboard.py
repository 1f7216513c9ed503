"""`srgan dashboard`: a Weights & Biases workspace and report for a project of srgan's runs, and Table II as a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from srgan.cli.arguments import user_path
from srgan.loggers.wandb_runs import run_name

if TYPE_CHECKING:  # it takes a second to import
    from pandas import DataFrame

DESCRIPTION = """\
Create a Weights & Biases workspace and report for a project of srgan runs. Without a login, both are built, validated
and summarized only. Each call creates new ones and leaves existing ones alone."""


def main(arguments: Sequence[str]) -> int:
    """Creates both, or shows them without a login."""
    parser = argparse.ArgumentParser(prog="srgan dashboard", description=DESCRIPTION)
    parser.add_argument("--entity", help="user or team that owns the project (default: your account)")
    parser.add_argument("--project", default="srgan", help="project (default: %(default)s)")
    parser.add_argument("--table", type=user_path, metavar="CSV", help="also publish this table2.csv as a table")
    parser.add_argument("--dry-run", action="store_true", help="build, validate and show, but create nothing")
    options = parser.parse_args(arguments)
    import wandb

    from srgan.loggers.wandb_runs import logged_in, wandb_mode
    from srgan.loggers.wandb_workspace import described, report, workspace

    table = read_table(options.table) if options.table else None
    mode = wandb_mode()
    connected = not options.dry_run and mode == "online" and logged_in()
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
        why = "Not logged in (`wandb login`)" if mode == "online" else f"WANDB_MODE is {mode}"
        why = "Dry run" if options.dry_run else why
        print(f"{why}: everything is valid, no workspace and no report were created.")
    return 0


def read_table(path: Path) -> "DataFrame":
    """The rows of a CSV file, each column of one type, None for what is empty; ValueError if it is no table."""
    import pandas

    try:
        table = pandas.read_csv(path)
    except ValueError as error:
        raise ValueError(f"Expected a table2.csv, cannot read '{path}': {error}") from error
    if table.empty:
        raise ValueError(f"Expected a header and rows in '{path}', found no rows. Give it a table2.csv.")
    return table.astype(object).where(table.notna(), None)


def publish_table(table: "DataFrame", path: Path, entity: str | None, project: str) -> str:
    """Logs a table in a run of its own, beside the file if offline; returns where it is."""
    import wandb

    from srgan.loggers.wandb_runs import wandb_mode

    run = wandb.init(
        entity=entity, project=project, job_type="table2", group="table2", name=run_name(path.parent),
        dir=str(path.parent), config={"table": str(path)}, reinit="create_new", mode=cast(Any, wandb_mode()),
    )  # fmt: skip
    run.log({"table2": wandb.Table(dataframe=table)})
    place = str(Path(run.dir).parent) if run.offline else run.url
    run.finish()
    return f"published: {place}"
