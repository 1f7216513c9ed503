"""The panels of the dashboard and the keys that they show; docs/reference/keys.md says what each means. No torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from srgan.collapse import EMA

AXIS = "iteration"
"""The axis of every chart: generator updates. Each logged row holds it."""
PLACEHOLDERS: Mapping[str, str] = {
    "player": r"(?:generator|discriminator)",
    "kind": r"(?:train|test|generated)",
    "features": r"(?:_cls)?",
    "ema": rf"(?:{EMA})?",
}
"""Placeholder of a key, in braces -> the regular expression that it stands for; others are any name."""


@dataclass(frozen=True)
class Panel:
    """One chart of the dashboard, with a title of its own, in a section of the workspace and the report.

    Lines are over iterations; bars show values that a run has once, curves a chart and its table.
    """

    title: str
    section: str
    keys: tuple[str, ...]  # or families of keys, e.g. "spectra/{layer}/tail_mean"
    range_y: tuple[float | None, float | None] = (None, None)
    log_y: bool = False
    kind: Literal["lines", "bars", "pictures", "curves"] = "lines"

    @property
    def regex(self) -> str | None:
        """What its keys match in whole, where one of them is a family."""
        if not any("{" in key for key in self.keys):
            return None
        return "|".join(f"^{key_regex(key)}$" for key in self.keys)


def key_regex(key: str) -> str:
    """What a key, or a family of keys, matches."""
    parts = re.split(r"\{(\w+)\}", key)
    return "".join(PLACEHOLDERS.get(part, "[^/]+") if k % 2 else re.escape(part) for k, part in enumerate(parts))


SPECTRA, LAYERS, COLLAPSE = "Spectra", "Spectra of each layer", "Collapse"
SCORES, FINAL = "Scores", "Final scores"
SAMPLES, LOSSES, OUTPUTS, GRADIENTS = "Samples", "Losses", "Outputs of D", "Gradients"
SECTIONS: Mapping[str, str] = {
    SPECTRA: "The discriminator's spectra, σₖ/σ₁ of each layer's weight. Under spectral normalization alone they may "
    "decay together, and with them the generator's diversity; spectral regularization keeps them up.",
    COLLAPSE: "Spectral collapse: in at least half of the 3 × 3 convolutions the tail mean (under SR-s computed over "
    "the first i values) is below half its largest value so far. Mode collapse: until the end FID stays above 1.5 × "
    "its best, or IS or the modes below 0.75 × theirs. The verdicts are in the summary of each run.",
    SCORES: "Scores during training, by each run's protocol, which is in its configuration. FID_cls and IS_cls come "
    "from a classifier trained on the data: use them only to compare runs of this package.",
    SAMPLES: "The same latents at every iteration and under every method.",
    FINAL: "Scores at the last iteration, with more images, by each run's final protocol.",
    LAYERS: "Each layer of the discriminator separately.",
    LOSSES: "Losses of both networks, and D's accuracy on real and generated batches.",
    OUTPUTS: "D's outputs on fixed images. A gap between train and test means that D has memorized its "
    "training images.",
    GRADIENTS: "L2 norm of the last update's gradient, layer by layer.",
}
"""Section of the dashboard -> what it shows, in the order of the dashboard."""

SCORE_PANELS: Mapping[str, tuple[str, ...]] = {
    "FID": ("FID{features}{ema}",),
    "IS": ("IS{features}{ema}", "IS{features}_std{ema}"),
    "Modes": ("modes{ema}",),
    "Modes, KL divergence": ("modes_kl{ema}",),
    "KID": ("KID{features}{ema}", "KID{features}_std{ema}"),
    "Precision and recall": ("precision{features}{ema}", "recall{features}{ema}"),
    "Density and coverage": ("density{features}{ema}", "coverage{features}{ema}"),
    "Intra-FID": ("FID_intra{features}{ema}",),
}
SHARE = (0.0, 1.0)


# fmt: off
PANELS: tuple[Panel, ...] = (
    Panel("Mean tail of the spectra", SPECTRA, ("spectra/tail_mean",), SHARE),
    Panel("Share of layers that have collapsed", SPECTRA, ("spectra/collapsed_share",), SHARE),
    Panel("Spectra over training, all layers", SPECTRA, ("spectra/heat_map",), kind="pictures"),
    Panel("Spectra at the last evaluation", SPECTRA, ("spectra/curves",), kind="curves"),
    Panel("Tail mean", LAYERS, ("spectra/{layer}/tail_mean",), SHARE),
    Panel("Effective rank", LAYERS, ("spectra/{layer}/effective_rank",)),
    Panel("Median of the spectrum", LAYERS, ("spectra/{layer}/p50",), SHARE),
    Panel("10 % point of the spectrum", LAYERS, ("spectra/{layer}/p10",), SHARE),
    Panel("Largest singular value", LAYERS, ("spectra/{layer}/sigma_1",), log_y=True),
    Panel("Learning rate over scale", LAYERS, ("spectra/{layer}/relative_rate",), log_y=True),
    Panel("Layers that have collapsed", LAYERS, ("spectra/{layer}/collapsed",), SHARE),
    Panel("Warnings so far", COLLAPSE, ("warnings/{warning}",)),
    *(Panel(title, SCORES, tuple(f"scores/{key}" for key in keys)) for title, keys in SCORE_PANELS.items()),
    *(Panel(f"Final: {title}", FINAL, tuple(f"final/{key}" for key in keys), kind="bars")
      for title, keys in SCORE_PANELS.items()),
    Panel("Samples on fixed noise", SAMPLES, ("samples",), kind="pictures"),
    Panel("Loss of D", LOSSES, ("loss/discriminator",)),
    Panel("Penalty of the constraint", LOSSES, ("loss/penalty",)),
    Panel("Loss of G", LOSSES, ("loss/generator",)),
    Panel("Balance k of BEGAN", LOSSES, ("loss/k",), SHARE),
    Panel("Convergence of BEGAN", LOSSES, ("loss/convergence",)),
    Panel("The constraint's own numbers", LOSSES, ("constraint/{number}",)),
    Panel("Accuracy of D", LOSSES, ("accuracy/real", "accuracy/fake"), SHARE),
    Panel("Mean output on real", OUTPUTS, ("logits/real",)),
    Panel("Mean output on generated", OUTPUTS, ("logits/fake",)),
    Panel("Mean output on fixed images", OUTPUTS, ("outputs/{kind}/mean",)),
    Panel("Gradient norms of G", GRADIENTS, ("gradient/generator/{layer}",), log_y=True),
    Panel("Gradient norms of D", GRADIENTS, ("gradient/discriminator/{layer}",), log_y=True),
)
# fmt: on


def panels_of(section: str) -> list[Panel]:
    return [panel for panel in PANELS if panel.section == section]
