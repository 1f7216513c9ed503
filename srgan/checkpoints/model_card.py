"""The model card: what a shared folder says of itself, as the hub shows it."""

from collections.abc import Mapping
from typing import Any

CARD = """\
---
library_name: srgan
pipeline_tag: unconditional-image-generation
tags: [gan, srgan, spectral-regularization]
---

# {constraint} on {data}, {image_size} x {image_size}

Generator and discriminator of a GAN, trained with srgan {srgan} ([spectral regularization](https://arxiv.org/abs/1908.10999),
not super-resolution).

| | |
| --- | --- |
| method | {constraint}: {sentence} |
| data | {data} |
| images | {image_size} x {image_size} pixels{classes} |
| iteration | {iteration:,} of {iterations:,} |
| moving average of the generator | {average} |

## Scores

{scores}

## Load

```python
import srgan

gan = srgan.load("{name}")  # the id of this model on the hub, or its folder
images = gan.generate(16)  # [16, 3, {image_size}, {image_size}] float32 in [-1, 1]
```

`pip install "spectral-regularization-gan[hub]"`. The folder holds tensors and settings, no pickle and no code.

## Settings

```yaml
{settings}
```
"""


def model_card(about: Mapping[str, Any], name: str) -> str:
    """Markdown, from what config.json holds; `name` is the model's id on the hub."""
    import yaml  # of an extra

    settings = about["settings"]
    model, data = settings["model"], settings["data"]
    networks = model["networks"]["init_args"]
    place = data["init_args"].get("path")
    classes = networks.get("num_classes", 0)
    return CARD.format(
        **{key: about[key] for key in ("srgan", "constraint", "sentence", "iteration")},
        name=name,
        data=data["class_path"].rpartition(".")[2] + (f" of {place}" if place else ""),
        image_size=networks["image_size"],
        classes=f", {classes} classes" if classes else "",
        iterations=model["iterations"],
        average=f"decay {model['ema_decay']}; `srgan.load(..., ema=True)`" if model.get("ema_decay") else "none",
        scores=_scores(about["scores"], about["protocol"]),
        settings=yaml.safe_dump(settings, sort_keys=False).strip(),
    )


def _scores(scores: Mapping[str, Any] | None, protocol: Mapping[str, Any] | None) -> str:
    """A table, and how it was measured."""
    if not scores:
        return "None were measured at this iteration."
    rows = [f"| {name} | {value:.6g} |" for name, value in scores.items() if isinstance(value, int | float)]
    how = ", ".join(f"{name} {value}" for name, value in (protocol or {}).items())
    return "\n".join(["| score | value |", "| --- | --- |", *rows, "", f"Protocol: {how}."])
