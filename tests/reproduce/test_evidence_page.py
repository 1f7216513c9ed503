"""The page of the evidence, its tables and its picture."""

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from invented_evidence import FID, HALF, SIGNALS, STEADY, both, run
from pandas import DataFrame
from PIL import Image
from rich.console import Console

from reproduce.evidence.claims import CONTROLS, SWITCHED, answers
from reproduce.evidence.page import (
    HERO_LAYER,
    HERO_PIXELS,
    contingency,
    method_table,
    run_table,
    save_hero,
    save_picture,
    summary_of,
    with_samples,
    write_pages,
)
from reproduce.evidence.records import read_evidence, with_their_past
from reproduce.experiments.readme import README, evidence, findings
from reproduce.plan.run import EVIDENCE
from reproduce.plan.variants import RATE_CONTROL, SCALE_CONTROL


def test_the_summary_says_what_is_decided() -> None:
    """Of batch 64 five pairs decide; those of other settings are exploratory, whatever they say."""
    batch_64, batch_8 = (answers(both(setting=setting)) for setting in ("C_64-32", "C_8-32"))
    first, second = summary_of("C_64-32", batch_64), summary_of("C_8-32", batch_8)
    assert first.startswith(f"**C_64-32.** {FID}: **supported**. The final FID_cls is better under SR-s")
    assert f"| {HALF} | **supported, by construction** |" in first
    assert second.endswith(f"[Other claims](claims.md#c_8-32): {len(batch_8) - 1} exploratory.\n")
    opposite = [replace(one, method={"SN": "SR-s", "SR-s": "SN"}[one.method]) for one in both()]
    assert f"| {HALF} | **contradicted** |" in summary_of("C_64-32", answers(opposite))


def test_methods_are_set_against_sn_seed_by_seed() -> None:
    recalls = [run(SWITCHED, seed, **STEADY, precision=0.9, recall=recall) for seed, recall in ((2, 0.6), (3, 0.55))]
    table = method_table([*both(), *recalls])
    assert list(table.columns) == [
        "method", "wins against SN", "relative change (geometric mean)", "95 % interval",
        "final FID_cls, seeds 1, 2, 3, 4, 5", "recall",
    ]  # fmt: skip
    assert table.values.tolist() == [
        ["SN", "–", "–", "–", ", ".join(["30.0"] * 5), "–"],
        ["SR-s", "5 of 5", "-67%", "-67% to -67%", ", ".join(["10.0"] * 5), "–"],
        [SWITCHED, "2 of 2", "-67%", "–", "–, 10.0, 10.0, –, –", "–, 0.60, 0.55, –, –"],  # an interval needs three
    ]


def test_the_committed_page_is_read_in_five_minutes_and_its_links_lead_somewhere() -> None:
    text = (EVIDENCE / "evidence.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Summary", "Results", "Methods"]
    assert len(text.split()) <= 1_200
    assert "sigma_1" not in text
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (EVIDENCE / link).exists(), link
    claims = (EVIDENCE / "claims.md").read_text()
    for anchor in re.findall(r"claims\.md#([\w-]+)", text):
        assert anchor in [heading.lower() for heading in re.findall(r"^## (.*)$", claims, re.MULTILINE)]


def test_the_committed_pages_are_made_of_the_committed_data(tmp_path: Path) -> None:
    """`make readme` writes them; pictures go by their samples beside evidence.json."""
    runs = read_evidence(EVIDENCE / "evidence.json")
    assert all((EVIDENCE / one.samples).is_file() for one in runs if one.samples)
    shutil.copytree(EVIDENCE / "samples", tmp_path / "samples")
    write_pages(runs, tmp_path, Console(quiet=True))
    for name in ("evidence.md", "claims.md", "runs.csv"):
        assert (tmp_path / name).read_text() == (EVIDENCE / name).read_text(), name


def test_the_readme_shows_the_evidence_that_is_committed() -> None:
    """`make readme` writes it."""
    table = findings(evidence())
    assert f"\n{table}\n" in README.read_text()
    assert table.splitlines()[2].startswith(
        "| SR-s from the start | **-40%** (95 % interval -50% to -29%) | 5 of 5 seeds"
    )
    with Image.open(EVIDENCE / "hero.png") as picture:
        assert picture.size == HERO_PIXELS


def test_the_picture_of_the_readme_has_an_arrow_for_each_seed_that_both_methods_have(tmp_path: Path) -> None:
    layers = DataFrame({HERO_LAYER: [0.9, 0.8]}, [500, 1000])
    runs = [replace(one, held=layers) for one in both()]
    save_hero(runs, tmp_path / "five.png")
    save_hero(runs[:-1], tmp_path / "four.png")
    assert (tmp_path / "five.png").read_bytes() != (tmp_path / "four.png").read_bytes()
    with pytest.raises(ValueError, match="a seed with runs of SN and SR-s, found none"):
        save_hero([one for one in runs if one.method == "SN"], tmp_path / "none.png")


def test_what_the_scale_control_keeps_is_too_little_to_judge_spectra_by() -> None:
    runs = [replace(one, signals=SIGNALS) for one in both()]
    controls = [run(name, seed, mode_collapse=500, signals=SIGNALS) for seed in range(1, 6) for name in CONTROLS]
    table = run_table(runs + controls)
    first = table[table.seed == 1].set_index("method")["spectral collapse"]
    assert [first[name] for name in ("SN", RATE_CONTROL.label, "SR-s", SCALE_CONTROL.label)] == ["no", "no", "no", ""]


def test_sn_alone_says_how_modes_and_spectra_collapse_together() -> None:
    both_collapse = run(seed=2, mode_collapse=500, spectral_collapse=500)
    assert contingency([run(), both_collapse, run(seed=3, mode_collapse=500), run("SR-s", mode_collapse=500)]) == (
        "Of 3 runs under SN, modes and spectra collapsed in 1, modes only in 1, spectra only in 0, neither in 1."
    )


def test_the_page_joins_a_run_that_went_on_to_its_past(tmp_path: Path) -> None:
    """SN's first gradients are 8 and SR-d's last is 2; SN's best FID makes of SR-d's a collapse."""
    times = {"iteration": [750, 1000]}
    own = run(
        "SR-d", branch=500, precision=0.9, recall=0.002, scores={**times, "FID_cls": [40.0, 50.0], "IS_cls": [2.0] * 2},
        tails={**times, "a": [0.4, 0.4]}, held={**times, "a": [0.4, 0.4]},
        signals={"iteration": [600, 900], "gradient": [3.0, 2.0], "loss": [2.0, 2.0]},
    )  # fmt: skip
    write_pages([run(fid=[20.0, 10.0, 99.0, 99.0], signals=SIGNALS), own], tmp_path, Console(quiet=True))
    line = next(line for line in csv.DictReader((tmp_path / "runs.csv").open()) if line["method"] == "SR-d")
    assert [line[name] for name in ("tail / its maximum", "first half", "gradient left")] == ["0.50", "0.40", "0.25"]
    assert [line[name] for name in ("mode collapse", "spectral collapse", "recall")] == ["1000", "no", "0.002"]
    assert with_their_past([run(processor="y"), own])[1] is own


def test_samples_are_those_of_the_smallest_seed_that_most_methods_have(tmp_path: Path) -> None:
    """They are a row of the picture."""
    Image.new("RGB", (8, 8), "white").save(tmp_path / "white.png")
    white = "white.png"
    kept = [run(method, seed, samples=white) for seed in (5, 4) for method in ("SR-d", "SR-s", "SN")]
    runs = [run(), run("SR-s"), run("SR-s, i = 0.3 N", 3, samples=white), run(seed=3, samples=white), *kept]
    assert [found.key[1:] for found in with_samples(runs)] == [("SN", 4), ("SR-s", 4), ("SR-d", 4)]
    assert with_samples(runs[:3]) == []
    heights = []
    for shown in (runs[:2], runs):
        save_picture([replace(one, signals=SIGNALS) for one in shown], tmp_path / "picture.png")
        with Image.open(tmp_path / "picture.png") as picture:
            heights.append(picture.height)
    assert heights[1] > heights[0]


def test_each_setting_has_a_picture_on_the_page(tmp_path: Path) -> None:
    runs = [replace(one, signals=SIGNALS) for setting in ("C_64-32", "C_16-32") for one in both([1], setting)]
    write_pages(runs, tmp_path, Console(quiet=True))
    pictures = re.findall(r"\]\((\S+\.png)\)", (tmp_path / "evidence.md").read_text())
    assert pictures == ["C_64-32.png", "C_16-32.png"]
    assert all((tmp_path / picture).stat().st_size for picture in pictures)
