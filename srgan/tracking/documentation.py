"""The page of the keys: `python -m srgan.tracking.documentation > docs/reference/keys.md`."""

from collections.abc import Sequence

from srgan.tracking.keys import KEYS, SECTIONS, Key, panels

TEXT = """\
<!-- generated: python -m srgan.tracking.documentation > docs/reference/keys.md -->
# Keys of loggers

What Weights & Biases and other loggers are told ([how to](../how-to/wandb.md)), section by section of the dashboard.
`{layer}` is the layer's name in its net, `{features}` is `_cls` for scores by a classifier trained on the data and
nothing for Inception. Numbers go to every logger, the rest to Weights & Biases.
"""


def documentation() -> str:
    """Markdown: one table of keys per section."""
    parts = [TEXT]
    for section, meaning in SECTIONS.items():
        keys = [key for shown in panels(section).values() for key in shown]
        parts.append(f"## {section}\n\n{meaning}\n\n{_table(keys)}")
    rest = [key for key in KEYS if key.panel is None]
    parts.append(f"## Without a panel of their own\n\n{_table(rest)}")
    return "\n".join(parts)


def _table(keys: Sequence[Key]) -> str:
    lines = ["| key | what it is | values | when | kind | panel |", "|---|---|---|---|---|---|"]
    for key in keys:
        panel = key.panel.title if key.panel else ""
        lines.append(f"| `{key.pattern}` | {key.meaning} | {key.values} | {key.when} | {key.kind} | {panel} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documentation(), end="")
