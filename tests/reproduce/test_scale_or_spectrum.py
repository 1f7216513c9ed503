"""Scale or spectrum: the plan of the six cells, what is kept of a run, the tests by hand, the page."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from invented_evidence import run as invented
from rich.console import Console

from reproduce.__main__ import main
from reproduce.evidence.records import Evidence, evidence_from, joined, read_evidence
from reproduce.experiments.readme import SCALE_PAGE, parts_of_scale_page
from reproduce.experiments.scale import (
    ENDS,
    NARROW,
    SMALL,
    WIDE,
    add_outcomes,
    comparison_table,
    digits_runs,
    label_of,
    outcomes_in,
    registered_default,
    scale_markdown,
    score_of,
    score_table,
    small_runs,
    spread_table,
    timing_table,
)
from reproduce.plan.run import CHANNELS, SEED
from reproduce.plan.variants import CELLS, FRACTION, SCALE
from reproduce.results.generated import put_into
from srgan.cli.main import main as srgan


def outcome(cell: str, seed: int, fid: float, place: str = NARROW, **changes: Any) -> Evidence:
    """A run whose last evaluations are all `fid`."""
    iteration = [2_500, 5_000, 5_500, 6_000] if place == SMALL else [300, 600]
    scores: dict[str, list[float]] = {
        "iteration": [*map(float, iteration)],
        "FID_cls": [99.0, *[fid] * (len(iteration) - 1)],
    }
    fields: dict[str, Any] = {
        "setting": place, "method": label_of(place, cell), "seed": seed, "iterations": iteration[-1], "scores": scores,
        "sigma_1": [2.0, 3.0], "commit": "abc", "processor": "x",
    }  # fmt: skip
    return evidence_from(fields | changes)


def cells(place: str, fids: dict[str, list[float]], first: int = 11) -> list[Evidence]:
    return [outcome(cell, first + k, fid, place) for cell, some in fids.items() for k, fid in enumerate(some)]


def test_six_cells_of_each_seed_on_digits(tmp_path: Path) -> None:
    made = digits_runs([11, 12], tmp_path, {"model.iterations": 300})
    assert {place: len(runs) for place, runs in made.items()} == {NARROW: 12, WIDE: 12}
    seen = set()
    for width, runs in zip((6, 20), made.values(), strict=True):
        for run, (seed, cell) in zip(runs, product((11, 12), CELLS), strict=True):
            assert run.folder.path == tmp_path / "digits" / f"D{width}" / f"{cell}-seed{seed}"
            assert (run.flat[CHANNELS], run.flat[SEED], run.flat["model.iterations"]) == (width, seed, 300)
            assert run.configs[:2] == ("digits", "mini")
            assert run.label == CELLS[cell].label
            compensation = str(run.flat.get("model.constraint.init_args.spectral_map.class_path", "none"))
            if cell == "none-unit":  # SR-s with i = 1
                assert run.flat[FRACTION] * width == pytest.approx(1)
                compensation = "none"
            seen.add((compensation.rpartition(".")[2], run.flat.get(SCALE, "keep")))
    assert seen == set(product(("none", "Static", "Dynamic"), ("keep", "unit")))


def test_the_cells_of_real_images_go_on_from_one_checkpoint(tmp_path: Path) -> None:
    """Three are the campaign's of group C, of which nothing is trained again."""
    runs = dict(zip(CELLS, small_runs([4], tmp_path, {})[SMALL], strict=True))
    folders = {cell: run.folder.path.relative_to(tmp_path).as_posix() for cell, run in runs.items()}
    assert folders == {
        "sn": "table2/small/C_64-32/sn-seed4",
        "none-unit": "scale/small/none-unit-seed4",
        "sr-s-keep": "scale/small/sr-s-keep-seed4",
        "sr-s": "collapse/C_64-32/sr-s-after-sn-seed4",
        "sr-d-keep": "collapse/C_64-32/sr-d-seed4",
        "sr-d-unit": "scale/small/sr-d-unit-seed4",
    }
    sn = runs["sn"]
    assert all(run.after is sn or run.after.folder.path == sn.folder.path for run in runs.values() if run.after)
    assert {run.checkpoint for cell, run in runs.items() if cell != "sn"} == {2_000}
    assert {cell: run.label for cell, run in runs.items()} == {cell: label_of(SMALL, cell) for cell in CELLS}
    assert runs["none-unit"].flat[FRACTION] == 1 / 8
    assert runs["sr-d-unit"].flat[SCALE] == "unit"


def test_a_run_is_read_wherever_it_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real run of a second, read by its folder's name; one that is not far enough is left out."""
    folder = tmp_path / "elsewhere" / "digits" / "D6" / "sr-s-seed11"
    sizes = {
        "data.init_args.image_size": 8, "data.init_args.batch_size": 4, CHANNELS: 6, "model.n_dis": 1,
        "model.networks.init_args.generator_channels": 4, "model.iterations": 40, "scores.every": 20,
        "scores.protocol.num_fake_images": 50, "scores.protocol.num_real_images": 50, "samples.every": 0, SEED: 11,
    }  # fmt: skip
    words = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    assert srgan(["fit", "-c", "digits", "-c", "sr-s", *words, "--run", str(folder)]) == 0
    assert outcomes_in(tmp_path / "elsewhere") == []
    capsys.readouterr()
    options = ["scale", "--existing", str(tmp_path / "elsewhere"), "--runs", str(tmp_path)]
    assert main(options) == 2
    assert "expected runs that are far enough" in capsys.readouterr().err
    monkeypatch.setitem(ENDS, NARROW, (20, 40))
    assert main(options) == 0
    (found,) = read_evidence(tmp_path / "scale" / "scale.json")
    assert found.key == (NARROW, "SR-s", 11)
    assert list(found.scores.index) == [20, 40]
    assert len(found.scores["FID_cls"]) == len(found.scores["modes"]) == 2
    assert found.sigma_1 == [pytest.approx(1, abs=0.2)] * 2  # SR-s brings it to 1
    assert found.recall is None
    assert found.tails.empty
    first, second = found.scores["FID_cls"]
    assert score_of(found) == pytest.approx((first * second) ** 0.5, rel=1e-6)
    (folder / "scores.jsonl").unlink()  # as of a run that has just begun
    assert outcomes_in(tmp_path / "elsewhere") == []
    assert main(["scale", "--scale", "paper", "--runs", str(tmp_path)]) == 2
    assert "Expected SCALE=mini or SCALE=small, found paper" in capsys.readouterr().err


def test_of_two_records_of_a_run_the_longer_one_is_kept(tmp_path: Path) -> None:
    more: dict[str, list[float]] = {"iteration": [5_000, 5_500, 6_000, 6_500, 7_000], "FID_cls": [12.0] * 5}
    short, long = outcome("sn", 4, 10.0, SMALL), outcome("sn", 4, 12.0, SMALL, scores=more)
    assert joined([long], [short]) == joined([short], [long]) == [long]
    again = outcome("sn", 4, 11.0, SMALL)
    assert joined([short], [again]) == [again]
    add_outcomes([short], tmp_path, Console(quiet=True))
    add_outcomes([outcome("sr-s", 5, 9.0, SMALL)], tmp_path, Console(quiet=True))
    assert [one.method for one in read_evidence(tmp_path / "scale.json")] == ["SN", "SR-s after SN"]
    assert "seed" in (tmp_path / "scale.json").read_text().splitlines()[1]


def test_the_evidence_has_three_of_the_cells() -> None:
    """By the geometric mean of 5,000, 5,500 and 6,000."""
    scores = {"iteration": [2_500, 5_000, 5_500, 6_000, 10_000], "FID_cls": [9.0, 10.0, 20.0, 40.0, 99.0]}
    runs = [invented(method, scores=scores) for method in ("SN", "SR-s", "SR-d", "SR-s after SN")]
    found = score_table([*runs, invented("SR-d", setting="C_16-32", scores=scores)], SMALL)
    assert list(found[""]) == ["SN", "SR-s after SN", "SR-d, authors' form"]  # SR-s from the start is none of them
    assert set(found["1"]) == {"20.0"}


def test_scores_are_shown_seed_by_seed() -> None:
    modes: dict[str, list[float]] = {"iteration": [300, 600], "FID_cls": [99.0, 500.0], "modes": [700, 850]}
    found = [*cells(NARROW, {"sn": [1000.0, 4000.0]}), outcome("sr-d-unit", 11, 500.0, scores=modes)]
    table = score_table(found, NARROW)
    assert list(table.columns[:5]) == ["", "11", "12", "geometric mean", "spread"]
    assert table.values.tolist() == [
        ["SN", "1,000", "4,000", "2,000", "× 2.67", "4,000", "2.0, 3.0", "–"],  # exp(ln 4 / sqrt 2)
        ["SR-d, unit scale", "500", "–", "500", "–", "500", "2.0, 3.0", "850"],
    ]
    every = cells(WIDE, {cell: [1000.0, 2000.0] for cell in CELLS})
    assert "FID_cls at 600**. 2 of 10 registered seeds have all six cells.\n" in scale_markdown([*found, *every])
    assert "FID_cls at 600**. 0 of 10 registered seeds have all six cells.\n" in scale_markdown([*found, *every])
    small = [outcome("sr-s", 4, 8.0, SMALL), outcome("sr-s", 5, 9.0, SMALL, recall=0.553, sigma_1=None)]
    table = score_table(small, SMALL)
    (line,) = table.values.tolist()
    assert (table.columns[-1], line[1:3], line[-2:]) == (
        "recall at 10,000, seed by seed", ["8.0", "9.0"], ["2.0, 3.0", "–, 0.55"]
    )  # fmt: skip


def test_tests_are_one_sided_where_a_direction_was_registered() -> None:
    """Ten seeds at half of it, but for one; of a wide D nothing was predicted, in C_64-32 two comparisons alone."""
    kept = [1000.0 * 1.1**k for k in range(10)]
    fids = {"sr-d-keep": kept, "sr-d-unit": [fid / 2 for fid in kept[:9]] + [2 * kept[9]], "sn": kept}
    line, against_sn = comparison_table(cells(NARROW, fids), NARROW).values.tolist()
    assert line[0] == "SR-d, unit scale < SR-d, authors' form"
    assert line[1] == "9 of 10"
    assert line[3:] == ["0.0016", "0.011", "one-sided"]  # t = -4, 9 degrees: 0.0016; 11 / 1024
    assert against_sn[5] == "one-sided"
    assert list(comparison_table(cells(WIDE, fids), WIDE).tests) == ["two-sided"] * 2
    assert comparison_table(cells(WIDE, fids), WIDE)["p, sign test"][0] == "0.021"
    small = comparison_table(cells(SMALL, {cell: some[:5] for cell, some in fids.items()}, first=1), SMALL)
    assert list(small.tests) == ["one-sided", "two-sided, not registered"]
    some = comparison_table(cells(NARROW, {cell: of_cell[:4] for cell, of_cell in fids.items()}), NARROW)
    assert list(some.tests) == ["one-sided, interim: 4 of 10 pairs"] * 2
    others = cells(NARROW, fids, first=31)
    assert comparison_table(others, NARROW).empty  # seeds that were not registered do not judge


def test_the_spread_is_that_of_logs() -> None:
    """SN's logs vary by ln 2 around their mean, the other's by half of it: four times the variance."""
    found = cells(NARROW, {"sn": [100.0, 200.0, 400.0], "sr-s": [100.0, 100 * 2**0.5, 200.0], "none-unit": [1.0, 2.0]})
    assert spread_table(found, NARROW).values.tolist() == [
        ["SR-s", "4.00", "0.4", "200", "400"]
    ]  # F(2, 2): 1 / (1 + F)
    assert spread_table(cells(SMALL, {"sn": [1.0] * 3, "sr-s": [2.0] * 3}, first=1), SMALL).empty


@pytest.mark.parametrize(
    ("ahead", "of_ten", "verdict"),
    [
        (5, 10, "`sr-d` uses unit scale"),
        (4, 10, "`sr-d` keeps the scale"),
        (None, 9, "`sr-d` uses unit scale"),
        (None, 8, "`sr-d` keeps the scale"),
    ],
)
def test_the_registered_rule_chooses_the_default(ahead: int | None, of_ten: int, verdict: str) -> None:
    found = cells(NARROW, {"sr-d-keep": [10.0] * 10, "sr-d-unit": [5.0] * of_ten + [20.0] * (10 - of_ten)})
    if ahead is not None:
        found += cells(SMALL, {"sr-d-keep": [10.0] * 5, "sr-d-unit": [5.0] * ahead + [20.0] * (5 - ahead)}, first=1)
    said = registered_default(found)
    assert said.startswith(f"By the registered rule, {verdict}: ")
    of_c = "" if ahead is None else f"{ahead} of 5 pairs of C_64-32 and "
    assert f" in {of_c}{of_ten} of 10 pairs of digits (6 channels)." in said
    assert said.endswith("The decision is provisional until C_64-32 has five pairs.") == (ahead is None)
    assert registered_default([]) == "By the registered rule, the scale of `sr-d` is not decided yet."


def test_the_page_shows_what_is_committed() -> None:
    """`make readme` writes it."""
    found = parts_of_scale_page()
    assert set(found) == {"null-model", "timing", "scale"}
    assert all(
        f"<!-- {part}: generated by `make readme` -->\n\n{text}\n" in SCALE_PAGE.read_text()
        for part, text in found.items()
    )


def test_a_page_without_its_comments_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    with pytest.raises(ValueError, match=r"<!-- end of scale --> in page\.md, did not find both"):
        put_into(page, "scale", "text")


def test_when_the_harm_comes_is_told_by_running_medians() -> None:
    times = [500, 1_000, 1_500, 2_000, 2_500, 3_000, 5_000, 7_500, 10_000]
    columns = {"iteration": times, "a": [0.5] * 9}
    scores = {"iteration": times, "IS_cls": [2.0] * 9}
    sn = invented(scores={**scores, "FID_cls": [10.0] * 9}, tails=columns, held=columns)
    sr_d = invented("SR-d", scores={**scores, "FID_cls": [10.0] * 6 + [99.0, 30.0, 30.0]}, tails=columns, held=columns)
    lines = timing_table([sn, sr_d]).values.tolist()
    assert [line[:2] for line in lines] == [
        ["2,500", "1.00"], ["3,000", "1.00"], ["5,000", "1.00"], ["7,500", "3.00"], ["10,000", "3.00"]
    ]  # fmt: skip
    assert lines[0][2:] == ["0.500", "0.500"]
    assert scale_markdown([]).startswith("By the registered rule")
