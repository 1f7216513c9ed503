"""The text of docs/wandb.md, from the keys: `python -m srgan.tracking.documentation > docs/wandb.md`."""

from collections.abc import Sequence

from srgan.tracking.keys import KEYS, SECTIONS, Key, panels

TEXT = """\
<!-- generated: python -m srgan.tracking.documentation > docs/wandb.md -->
# Weights & Biases

The files in a run's folder are the source of truth; loggers are views of them. After every iteration in which a file
grew, its new rows go to all loggers of the run.

```bash
srgan fit -c configs/digits.yaml -c configs/sn.yaml -c configs/wandb.yaml --run runs/digits-sn
WANDB_MODE=offline srgan fit ... -c configs/wandb.yaml --run runs/digits-sn     # no account, no network
wandb leet inspect --summary runs/digits-sn/wandb/offline-run-*                 # look at it
wandb sync runs/digits-sn/wandb/offline-run-*                                   # upload it later
```

Settings: `--trainer.logger.init_args.project NAME`, `entity`, `name`, `group`, `tags`, `job_type`, `mode`.

- **Axis**: `iteration` (generator updates) in every row and every chart, never Lightning's `global_step`.
- **Resumed, online**: the same command goes on in the same run of Weights & Biases, whose id is in `wandb.json`, and
  sends what the server lacks.
- **Resumed, offline**: Weights & Biases cannot go on with a run that was written offline. Each start writes a new one
  with the whole history; upload the newest, or `wandb sync` all and delete the others.
- **Groups**: runs that descend from one another (`--from-checkpoint`: SN, then SR-d from its checkpoint) are one
  group. The configuration of a child has `parent.checkpoint`, `parent.iteration` and `parent.run`, the parent's id.
- **Tables and curves written offline** are staged in `~/.local/share/wandb` (`WANDB_DATA_DIR`): upload from the same
  machine or a shared home.
- **Other loggers** of Lightning (`--trainer.logger CSVLogger`, `TensorBoardLogger`) get the numbers, on the same axis,
  the whole history at every start.

## Dashboard

```bash
pip install "srgan[dashboard]"
make dashboard ENTITY=me PROJECT=srgan        # workspace and report; without a login: what they would hold
make dashboard ENTITY=me PROJECT=srgan TABLE=runs/table2/mini/table2.csv           # ... and Table II as a table
WANDB_MODE=offline srgan dashboard --table runs/table2/mini/table2.csv             # the table alone, to upload later
```

Every call makes a new workspace and a new report and changes none that exist. Sections and panels are those below.
Weights & Biases draws histograms on the page of one run, as a heat map over iterations; the workspace shows many runs,
and of each its `spectra/heat_map`.

## Cost

`make bench ONLY="spectral"` measures what reading the spectra takes ([speed.md](speed.md)), beside an iteration.

## Keys

`{layer}` is the layer's name in its net, `{features}` is `_cls` for scores by a classifier trained on the data and
nothing for Inception. Numbers go to every logger, the rest to Weights & Biases.
"""


def documentation() -> str:
    """Markdown: how to use it, and one table of keys per section."""
    parts = [TEXT]
    for section, meaning in SECTIONS.items():
        keys = [key for shown in panels(section).values() for key in shown]
        parts.append(f"### {section}\n\n{meaning}\n\n{_table(keys)}")
    rest = [key for key in KEYS if key.panel is None]
    parts.append(f"### Without a panel of their own\n\n{_table(rest)}")
    return "\n".join(parts)


def _table(keys: Sequence[Key]) -> str:
    lines = ["| key | what it is | values | when | kind | panel |", "|---|---|---|---|---|---|"]
    for key in keys:
        panel = key.panel.title if key.panel else ""
        lines.append(f"| `{key.pattern}` | {key.meaning} | {key.values} | {key.when} | {key.kind} | {panel} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
