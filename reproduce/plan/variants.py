"""What can be run of a setting, each declared once: a label, a file of `configs/`, what is changed in it.

Every class path and option of constraints that the experiments know stands here.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

BRANCH = 2_000  # iteration of SN's checkpoint that others start from, fixed before any run: a fifth of the training
RATE = "model.discriminator_optimizer.learning_rate"
CONSTRAINT = "model.constraint.init_args"
SCALE = f"{CONSTRAINT}.scale"
FRACTION = f"{CONSTRAINT}.spectral_map.init_args.fraction"
MODE = f"{CONSTRAINT}.mode"


class Variant(NamedTuple):
    label: str  # in run.json, tables and figures
    config: str  # of its constraint in `configs/`
    settings: Mapping[str, Any | Callable[[int], Any]] = {}  # changed in it, by dotted names; functions of D's channels
    after_sn: bool = False  # whether it starts from SN's checkpoint at `BRANCH`

    def overrides(self, channels: int) -> dict[str, Any]:
        """Settings by dotted names, for a discriminator of so many channels."""
        return {name: value(channels) if callable(value) else value for name, value in self.settings.items()}


def one_value(channels: int) -> float:
    """i / N for i = 1, with which SR-s brings sigma_1 to 1 and compensates nothing."""
    return 1 / channels


SN = Variant("SN", "sn")
SR_S = Variant("SR-s", "sr-s")
SR_D = Variant("SR-d", "sr-d", {SCALE: "keep"})
"""The authors' form, of which the paper has results: it keeps the scale of the raw weights."""
SR_S_AFTER_SN = Variant("SR-s after SN", "sr-s", after_sn=True)
SCALE_CONTROL = Variant("SR-s with i = 1", "sr-s", {FRACTION: one_value})
"""Brings the scale of D's weights to 1 and leaves what D computes as it was."""
RATE_CONTROL = Variant("SN with D's rate doubled", "sn", {RATE: 4e-4})  # doubles D's steps, leaves the weights alone
EQUATION_10 = Variant("SR-d by Eq. 10", "sr-d", {SCALE: "keep", MODE: "reparametrization"}, after_sn=True)
"""The paper's form: the spectrum is compensated in the forward pass, the raw weights are left alone."""
UNIT_SN = Variant("SN at unit scale", "sr-s", {FRACTION: one_value, SCALE: "unit"})
KEPT_SR_S = Variant("SR-s, scale kept", "sr-s", {SCALE: "keep"})
UNIT_SR_D = Variant("SR-d at unit scale", "sr-d", {SCALE: "unit"})
SHOWN_LABELS = {SR_D.label: "SR-d, authors' form", UNIT_SN.label: "SN, unit scale", UNIT_SR_D.label: "SR-d, unit scale"}
"""Label -> what the page on scale calls it: `sr-d` on the command line is SR-d at unit scale."""

COLLAPSE = {  # folder's name -> what `make reproduce-collapse` runs beside SN and SR-s
    "sr-d": SR_D._replace(after_sn=True),
    "sr-s-after-sn": SR_S_AFTER_SN,
    "sr-s-one": SCALE_CONTROL,
    "sn-double": RATE_CONTROL,
    "sr-d-eq-10": EQUATION_10,
}
CELLS = {  # folder's name -> cell of {no, static, dynamic} compensation x {kept, unit} scale
    "sn": SN,
    "none-unit": UNIT_SN,
    "sr-s-keep": KEPT_SR_S,
    "sr-s": SR_S._replace(settings={SCALE: "unit"}),
    "sr-d-keep": SR_D,
    "sr-d-unit": UNIT_SR_D,
}
COLLAPSE_CELLS = {"sn": "sn", "sr-s": "sr-s-after-sn", "sr-d-keep": "sr-d"}
"""Cell -> folder of the run that `make reproduce-collapse` makes of it."""


def at_fraction(fraction: float) -> Variant:
    return Variant(f"SR-s, i = {fraction:g} N", "sr-s", {FRACTION: fraction})
