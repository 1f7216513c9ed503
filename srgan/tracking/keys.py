"""Every key that a run logs, what it means, and the panel that shows it. No torch in here.

The one list of keys: the dashboard is built from it, tests hold what is logged to it, and
`srgan.tracking.documentation` makes docs/reference/keys.md of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

AXIS = "iteration"
"""The axis of every chart: generator updates. Each logged row holds it."""
PLACEHOLDERS: Mapping[str, str] = {
    "layer": r"[^/]+",
    "player": r"(?:generator|discriminator)",
    "kind": r"(?:train|test|generated)",
    "features": r"(?:_cls)?",
    "warning": r"[^/]+",
    "number": r"[^/]+",
}

Kind = Literal["number", "histogram", "picture", "curves", "summary", "table"]


@dataclass(frozen=True)
class Panel:
    """One chart of the dashboard, of one or more keys.

    Attributes:
        title: above the chart; no two panels have the same.
        section: of the workspace and of the report.
        range_y: smallest and largest value on the vertical axis; None: of the data.
        log_y: whether the vertical axis is logarithmic.
        bars: a bar per run, of values that a run has once.
    """

    title: str
    section: str
    range_y: tuple[float | None, float | None] = (None, None)
    log_y: bool = False
    bars: bool = False


@dataclass(frozen=True)
class Key:
    """A key, or a family of keys with a placeholder in braces.

    Attributes:
        pattern: e.g. "spectra/{layer}/tail_mean".
        meaning: in one sentence.
        values: unit or range.
        when: in which iterations it is logged.
        panel: where the dashboard shows it; None: W&B's own place for it.
        kind: "number" goes to every logger, the others to Weights & Biases alone: a histogram, a picture, curves (a
            custom chart and its table), a value of the run's summary, a table.
    """

    pattern: str
    meaning: str
    values: str
    when: str
    panel: Panel | None
    kind: Kind = "number"

    @property
    def regex(self) -> str:
        """What its keys match in whole."""
        parts = re.split(r"\{(\w+)\}", self.pattern)
        return "".join(PLACEHOLDERS[part] if place % 2 else re.escape(part) for place, part in enumerate(parts))

    @property
    def is_family(self) -> bool:
        return "{" in self.pattern

    @property
    def names(self) -> list[str]:
        """Every key of a family that differs in the feature network alone."""
        return sorted({self.pattern.replace("{features}", suffix) for suffix in ("", "_cls")})

    def matches(self, key: str) -> bool:
        return re.fullmatch(self.regex, key) is not None


SPECTRA, LAYERS, COLLAPSE = "Spectra", "Spectra of each layer", "Collapse"
SCORES, FINAL = "Scores", "Final scores"
SAMPLES, LOSSES, OUTPUTS, GRADIENTS = "Samples", "Losses", "Outputs of D", "Gradients"
SECTIONS: Mapping[str, str] = {
    SPECTRA: "The discriminator's spectra, sigma_k / sigma_1 of each layer's weight. Under spectral normalization "
    "alone they may fall together, and with them the generator's diversity; spectral regularization holds them up.",
    COLLAPSE: "Spectral collapse: in half or more of the 3x3 convolutions the tail mean is below half its largest "
    "value so far. Mode collapse: until the end FID stays above 1.5 x its best, or IS or the modes below 0.75 x "
    "theirs. The verdicts are in the summary of each run.",
    SCORES: "By one protocol per run, which is in its configuration. FID_cls and IS_cls come from a classifier "
    "trained on the data: they compare runs of this package with each other, with nothing else.",
    SAMPLES: "The same latents at every iteration and under every method.",
    FINAL: "At the last iteration, of more images, by the final protocol of each run.",
    LAYERS: "Every layer of the discriminator by itself.",
    LOSSES: "Of both players, and on which side of the boundary the discriminator puts a batch.",
    OUTPUTS: "On fixed images: a gap between train and test is a discriminator that learned its images by heart.",
    GRADIENTS: "L2 norm of the last update's gradient, layer by layer.",
}
"""Section of the dashboard -> what it shows, in the order of the dashboard."""

TAILS = Panel("Mean tail of the spectra", SPECTRA, (0, 1))
COLLAPSED_SHARE = Panel("Share of layers that have collapsed", SPECTRA, (0, 1))
HEAT_MAPS = Panel("Spectra over training, all layers", SPECTRA)
CURVES = Panel("Spectra at the last evaluation", SPECTRA)
LAYER_TAILS = Panel("Tail mean", LAYERS, (0, 1))
LAYER_RANKS = Panel("Effective rank", LAYERS)
LAYER_MEDIANS = Panel("Median of the spectrum", LAYERS, (0, 1))
LAYER_TENTHS = Panel("10 % point of the spectrum", LAYERS, (0, 1))
LAYER_SIGMAS = Panel("Largest singular value", LAYERS, log_y=True)
LAYER_COLLAPSED = Panel("Layers that have collapsed", LAYERS, (0, 1))
WARNINGS = Panel("Warnings so far", COLLAPSE)
ACCURACIES = Panel("Accuracy of D", LOSSES, (0, 1))
GENERATOR_GRADIENTS = Panel("Gradient norms of G", GRADIENTS, log_y=True)
DISCRIMINATOR_GRADIENTS = Panel("Gradient norms of D", GRADIENTS, log_y=True)

_SPECTRA, _SCORES, _LOSSES = "every `spectra.every`", "every `scores.every`", "every `losses.every`"
_END = "when the run ends"

_SCORE_MEANINGS: Mapping[str, tuple[str, str, str]] = {
    "FID{features}": ("FID", "Fréchet distance between generated and real features", "0 to inf, lower is better"),
    "IS{features}": ("IS", "Inception score", "1 to the number of classes"),
    "IS{features}_std": ("IS", "its standard deviation over splits, if there are several", "0 to inf"),
    "modes": ("Modes", "modes that occur in the generated images (stacked digits)", "0 to 1,000"),
    "modes_kl": ("Modes, KL divergence", "KL divergence of the modes' shares from uniform", "0 to inf nats"),
    "KID{features}": ("KID", "kernel distance", "about 0 to inf, lower is better"),
    "KID{features}_std": ("KID", "its standard deviation over subsets", "0 to inf"),
    "precision{features}": ("Precision and recall", "share of generated images near real ones", "0 to 1"),
    "recall{features}": ("Precision and recall", "share of real images near generated ones", "0 to 1"),
    "density{features}": ("Density and coverage", "how densely real images surround generated ones", "0 to inf"),
    "coverage{features}": ("Density and coverage", "share of real images with a generated one near", "0 to 1"),
    "FID_intra{features}": ("Intra-FID", "mean FID within classes", "0 to inf, lower is better"),
}


def _score_keys(group: str, when: str, section: str) -> list[Key]:
    prefix = "Final: " if section == FINAL else ""
    panels = {title: Panel(prefix + title, section, bars=section == FINAL) for title, _, _ in _SCORE_MEANINGS.values()}
    return [
        Key(f"{group}/{name}", meaning, values, when, panels[title])
        for name, (title, meaning, values) in _SCORE_MEANINGS.items()
    ]


KEYS: tuple[Key, ...] = (
    Key("spectra/tail_mean", "mean over the 3x3 convolutions of D of their tail means", "0 to 1", _SPECTRA, TAILS),
    Key(
        "spectra/collapsed_share", "share of the 3x3 convolutions that have collapsed; from 0.5 on, D has",
        "0 to 1", _SPECTRA, COLLAPSED_SHARE,
    ),
    Key(
        "spectra/heat_map", "sigma_k / sigma_1 of every layer (colour) over k / N and all iterations so far",
        "0 to 1", _SCORES, HEAT_MAPS, "picture",
    ),
    Key(
        "spectra/curves", "sigma_k / sigma_1 over k / N, a curve per layer, at most 64 points each (its table: "
        "`spectra/curves_table`)", "0 to 1", _SCORES, CURVES, "curves",
    ),
    Key(
        "spectra/{layer}/tail_mean", "mean of sigma_k / sigma_1 over k > N / 4", "0 to 1", _SPECTRA, LAYER_TAILS
    ),
    Key(
        "spectra/{layer}/effective_rank", "exp(entropy of sigma / sum sigma): N for equal values, 1 for a single one",
        "1 to N", _SPECTRA, LAYER_RANKS,
    ),
    Key("spectra/{layer}/p50", "median of sigma_k / sigma_1", "0 to 1", _SPECTRA, LAYER_MEDIANS),
    Key("spectra/{layer}/p10", "a tenth of sigma_k / sigma_1 lies below", "0 to 1", _SPECTRA, LAYER_TENTHS),
    Key("spectra/{layer}/sigma_1", "largest singular value of the raw weight", "0 to inf", _SPECTRA, LAYER_SIGMAS),
    Key(
        "spectra/{layer}/collapsed", "whether the tail mean is below half (`verdicts.tail_mean`) its largest so far; "
        "3x3 convolutions only", "0 or 1", _SPECTRA, LAYER_COLLAPSED,
    ),
    Key(
        "spectra/{layer}/histogram", "singular values in 64 fixed bins of sigma_k / sigma_1; W&B draws them as a heat "
        "map over iterations on the page of the run", "bins on 0 to 1", _SPECTRA, None, "histogram",
    ),
    Key("warnings/{warning}", "how many warnings of this name so far; online each is also an alert with its text",
        "1, 2, ...", "when it is given", WARNINGS),
    *_score_keys("scores", _SCORES, SCORES),
    *_score_keys("final", "at the last iteration, if `scores.final` is set", FINAL),
    Key("samples", "generated images on fixed noise", "a picture", "every `samples.every`",
        Panel("Samples on fixed noise", SAMPLES), "picture"),
    Key("loss/discriminator", "loss of D in its last update, without penalties", "unbounded", _LOSSES,
        Panel("Loss of D", LOSSES)),
    Key("loss/penalty", "what the constraint adds to it", "0 to inf", _LOSSES,
        Panel("Penalty of the constraint", LOSSES)),
    Key("loss/generator", "loss of G", "unbounded", _LOSSES, Panel("Loss of G", LOSSES)),
    Key("loss/k", "BEGAN's balance k_t", "0 to 1", _LOSSES, Panel("Balance k of BEGAN", LOSSES, (0, 1))),
    Key("loss/convergence", "BEGAN's convergence measure M", "0 to inf", _LOSSES,
        Panel("Convergence of BEGAN", LOSSES)),
    Key("constraint/{number}", "what a constraint says of itself: `share_at_bound` (of clipped weights), "
        "`largest_excess` (of a Gram matrix over its target), `largest_raw_row_sum`", "0 to inf", _LOSSES,
        Panel("The constraint's own numbers", LOSSES)),
    Key("accuracy/real", "share of a real batch above the boundary of D; not for the Wasserstein loss", "0 to 1",
        _LOSSES, ACCURACIES),
    Key("accuracy/fake", "share of a generated batch below it", "0 to 1", _LOSSES, ACCURACIES),
    Key("score/real", "mean output of D on a real batch", "unbounded", _LOSSES, Panel("Mean output on real", OUTPUTS)),
    Key("score/fake", "mean output of D on a generated batch", "unbounded", _LOSSES,
        Panel("Mean output on generated", OUTPUTS)),
    Key("outputs/{kind}/mean", "mean output of D on fixed images of a kind: train, test, generated", "unbounded",
        "every `outputs.every`", Panel("Mean output on fixed images", OUTPUTS)),
    Key("outputs/{kind}/histogram", "those outputs, in 64 bins between the smallest and the largest of all kinds",
        "unbounded", "every `outputs.every`", None, "histogram"),
    Key("gradient/generator/{layer}", "L2 norm of the last update's gradient", "0 to inf", "every `gradients.every`",
        GENERATOR_GRADIENTS),
    Key("gradient/discriminator/{layer}", "L2 norm of the last update's gradient", "0 to inf",
        "every `gradients.every`", DISCRIMINATOR_GRADIENTS),
    Key("status", "finished, stopped (the same command goes on), interrupted or failed", "a word", _END, None,
        "summary"),
    Key("mode_collapse", "verdict", "true or false", _END, None, "summary"),
    Key("mode_collapse_iteration", "where it began", "iteration, or absent", _END, None, "summary"),
    Key("spectral_collapse", "verdict", "true or false", _END, None, "summary"),
    Key("spectral_collapse_iteration", "where it began", "iteration, or absent", _END, None, "summary"),
    *(
        Key(f"reported/{name}", "of the evaluation that a table shows: the last, or the best before a collapse",
            values, _END, None, "summary")
        for name, (_, _, values) in _SCORE_MEANINGS.items()
    ),
    Key("reported/iteration", "of that evaluation", "iteration", _END, None, "summary"),
    Key("table2", "the rows of Table II, beside the paper's (`srgan dashboard --table`)", "a table",
        "in a run of its own, job type table2", None, "table"),
)  # fmt: skip


def key_of(name: str) -> Key | None:
    """The entry that a logged key belongs to; None if it is not listed."""
    return next((key for key in KEYS if key.matches(name)), None)


def panels(section: str) -> dict[Panel, list[Key]]:
    """The panels of a section, in order, with their keys."""
    found: dict[Panel, list[Key]] = {}
    for key in KEYS:
        if key.panel is not None and key.panel.section == section:
            found.setdefault(key.panel, []).append(key)
    return found
