"""`make reproduce-figures`: what it writes, what it says is missing, what it refuses."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure_runs import pictures, write_mini_runs, write_planned, write_small_runs
from PIL import Image

from reproduce.__main__ import main
from reproduce.figures.index import FIGURES, chosen_figures
from reproduce.figures.runs import Sources
from reproduce.figures.training_figures import figure_2
from reproduce.plan.run import IMAGES
from reproduce.plan.table_runs import table_runs
from srgan.utils.files import write_json

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_mini_runs(root)
    return root


def test_every_figure_of_the_list_is_written_from_mini_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "--scale", "mini", "--runs", str(runs)]) == 0
    folder = runs / "figures" / "mini"
    _, *sections = (folder / "index.md").read_text().split("\n## Fig. ")
    labels = [section.partition(":")[0] for section in sections]
    assert labels == [figure.label for figure in FIGURES] == ["2", "4", "5", "6", "7", "8", "11", "12", "15-22"]
    shown = capsys.readouterr().out
    assert "not drawn" not in shown
    files = set()
    for label, section in zip(labels, sections, strict=True):
        assert f"`make reproduce-figures SCALE=mini FIGURES={label.partition('-')[0]}`" in section
        assert "Not drawn" not in section
        captions = re.findall(r"^\[(\S+)\]\(\1\): (.*) Scale mini\. Runs: (.*)\.$", section, re.MULTILINE)
        assert captions
        for name, caption, of_runs in captions:
            files.add(name)
            assert f"![{name}]({name})" in section
            assert name in shown
            pixels = np.asarray(Image.open(folder / name).convert("L"))
            assert pixels.shape[0] > 200
            assert pixels.shape[1] > 400
            assert 0.01 < (pixels < 200).mean() < 0.8, f"{name} is nearly blank"
            assert re.search(r"batch \d+, CH \d+", caption)
            assert all((runs / run / "run.json").exists() for run in of_runs.split(", "))
    assert {path.name for path in folder.glob("*.png")} == files


def test_formats_and_axes_are_switches(runs: Path) -> None:
    options = ["figures", "--scale", "mini", "--runs", str(runs), "--figures", "2"]
    assert main([*options, "--axes", "log", "--formats", "png pdf"]) == 0
    folder = runs / "figures" / "mini"
    content = (folder / "fig02-uncollapsed-log.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content  # fonts are embedded, as TrueType
    assert (folder / "fig02-uncollapsed-log.png").exists()
    assert main(options) == 0
    text = (folder / "index.md").read_text()
    assert text.index("\n## Fig. 2: ") < text.index("\n## Fig. 2 log: ")  # one does not replace the other
    assert "FIGURES=2 AXES=log`\n" in text
    assert (folder / "fig02-uncollapsed-log.png").exists()


def test_a_picture_that_is_no_longer_drawn_is_removed(tmp_path: Path) -> None:
    run = table_runs("mini", ["C_64-32"], ["sn"], [1], tmp_path / "table2" / "mini")[0]
    write_planned(run, collapses=True)
    options = ["figures", "--scale", "mini", "--runs", str(tmp_path), "--figures", "15"]
    assert main(options) == 0
    assert (tmp_path / "figures" / "mini" / "fig15-22-C_64-32.png").exists()
    run.folder.record.unlink()
    assert main(options) == 1
    assert not (tmp_path / "figures" / "mini" / "fig15-22-C_64-32.png").exists()


def test_what_is_missing_is_named_with_the_command_that_makes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["figures", "--scale", "mini", "--runs", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    text = (tmp_path / "figures" / "mini" / "index.md").read_text()
    for command in (
        'make reproduce-table2 SCALE=mini SETTINGS="A_64-128 B_64-64 C_64-32 D_128-256 E_256-32" METHODS=sn SEEDS=1',
        "make reproduce-resume SCALE=mini",
        'make reproduce-sweep SCALE=mini SETTINGS="A_64-128 C_64-32" SEEDS=1',
    ):
        assert command in shown
        assert command in text
    for figure in FIGURES:
        assert not pictures(figure.draw(Sources(tmp_path, "mini"), "linear"))
        assert not pictures(figure.draw(Sources(tmp_path, "paper"), "linear"))
    assert not list(tmp_path.rglob("*.png"))


def test_runs_under_way_and_outdated_ones_are_not_drawn(tmp_path: Path) -> None:
    cut, outdated = table_runs("mini", ["B_64-64", "C_64-32"], ["sn"], [1], tmp_path / "table2" / "mini")
    for run in (cut, outdated):
        write_planned(run)
    record = cut.folder.read_record() or {}
    write_json(cut.folder.record, record | {"status": "running"})
    record = outdated.folder.read_record() or {}
    write_json(outdated.folder.record, record | {"config": record["config"] | {"data.init_args.batch_size": 99}})
    sources = Sources(tmp_path, "mini")
    assert not pictures(figure_2(sources, "linear"))
    gap = sources.gap("table2 sn")
    assert gap
    assert "cut at iteration 0: B_64-64 SN seed 1" in gap
    assert "made with other settings: C_64-32 SN seed 1" in gap


def test_runs_on_images_of_ones_own_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_small_runs(tmp_path, {IMAGES: "cifar10.tar"})
    own = ["figures", "--scale", "small", "--runs", str(tmp_path), "--figures", "6 7"]
    assert main(own) == 1
    assert "made with other settings: C_64-32 SR-d seed 1" in capsys.readouterr().out
    assert main([*own, "--images", "cifar10.tar"]) == 0
    assert {path.name for path in (tmp_path / "figures").rglob("*.png")} == {"fig06-C_64-32.png", "fig07-C_64-32.png"}
    of_other_rows = 'SETTINGS="A_64-128 B_64-64" METHODS=sn SEEDS=1 IMAGES="cifar10.tar"'
    assert of_other_rows in capsys.readouterr().out


def test_a_figure_without_a_run_that_shows_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mini_runs(tmp_path)
    for sn in Sources(tmp_path, "mini").groups["table2 sn"]:
        if sn.folder.path.exists():
            write_json(sn.folder.record, (sn.folder.read_record() or {}) | {"verdicts": {}})
    assert main(["figures", "--scale", "mini", "--runs", str(tmp_path), "--figures", "5"]) == 1
    assert "not drawn: None of the finished runs shows this." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--figures", "2 3"], "found 3"),
        (["--figures", "two"], "expected whole numbers"),
        (["--axes", "loglog"], "expected linear or log"),
        (["--formats", "svg"], "expected png, pdf or several"),
        (["--scale", "mini", "--images", "x.tar"], "IMAGES with SCALE=small alone"),
        (["--scale", "huge"], "expected auto or mini or small or paper"),
    ],
)
def test_wrong_words_are_refused(
    options: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: Any = main(["figures", *options, "--runs", str(tmp_path)])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_number_within_a_range_chooses_it() -> None:
    assert [figure.label for figure in chosen_figures([18, 2])] == ["2", "15-22"]
    assert chosen_figures([]) == list(FIGURES)


def test_figures_and_plans_need_no_torch() -> None:
    code = "import sys, reproduce.__main__, reproduce.figures.index, reproduce.launcher.launcher; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_the_list_in_the_documentation_is_complete() -> None:
    text = (REPOSITORY / "docs" / "figures.md").read_text()
    for figure in FIGURES:
        assert re.search(rf"^\| {figure.label} \| .*`make reproduce-figures FIGURES={figure.numbers[0]}`", text, re.M)
        assert figure.title in text
        assert all(f"make reproduce-{group.split()[0]}" in text for group in figure.groups)
