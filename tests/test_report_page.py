"""The report page in a real browser: moving through time, the views and the ways between them, keyboard, widths."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from reporting import COLLAPSE, ODD_NAME, run_folders

from srgan.cli import main
from srgan.metrics.verdicts import tail_mean
from srgan.runs import RunFolder

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright: pip install -e .[dev]"
)
Page, expect = playwright.Page, playwright.expect

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 60_000  # milliseconds, for busy machines
WIDTHS = (360, 800, 1500)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def address(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    page = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", str(runs), "--output", str(page)]) == 0
    return page.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"expected Chromium at {CHROMIUM}, found nothing: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that must neither complain nor ask the network for anything."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("request", lambda request: complaints.append(f"request: {request.url}"))
    yield page
    own = ("request: file:", "request: data:", "request: blob:")
    assert [complaint for complaint in complaints if not complaint.startswith(own)] == []
    context.close()


def run_address(address: str, *keys: str, kind: str = "run") -> str:
    return f"{address}#{kind}={','.join(quote(key, safe='') for key in keys)}"


def open_view(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("body[data-view]", state="attached")


def draw(page: Any, selector: str) -> None:
    """Scrolls to plots, which are drawn when they come near, and waits for them."""
    for plot in page.locator(selector).all():
        plot.scroll_into_view_if_needed()
        expect(plot).to_have_attribute("data-drawn", "yes")


def settle(page: Any) -> None:
    """Until what the slider asked for has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def curves(page: Any) -> list[dict[str, Any]]:
    """The lines of the panels of spectra."""
    found: list[dict[str, Any]] = page.eval_on_selector(
        ".plot.curves", "(node) => node.data.map(({ name, x, y }) => ({ name, x: [...x], y: [...y] }))"
    )
    return found


def spectra(runs: Path, key: str) -> tuple[list[int], dict[str, np.ndarray]]:
    history = RunFolder(runs / key).read_spectra()
    assert history is not None
    wide = {layer.name: history.spectra[layer.name] for layer in history.layers if layer.rank > 1}
    return history.iterations.tolist(), wide


# One run.


def test_the_slider_moves_curves_samples_numbers_and_markers(page: Any, address: str, runs: Path) -> None:
    open_view(page, run_address(address, "pair/collapsed"))
    draw(page, ".plot")
    times, wide = spectra(runs, "pair/collapsed")
    slider, label = page.locator("#time"), page.locator(".timebar output")
    expect(label).to_have_text("iteration 40")  # it opens at the end
    slider.focus()
    for key, index in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("End", len(times) - 1)):
        page.keyboard.press(key)
        settle(page)
        expect(label).to_have_text(f"iteration {times[index]}")
        now = [line for line in curves(page) if line["name"] == "at this iteration"]
        assert len(now) == len(wide)
        for line, spectrum in zip(now, wide.values(), strict=True):
            assert line["y"] == pytest.approx(spectrum[index], abs=5e-4)
            assert line["x"] == pytest.approx((np.arange(spectrum.shape[1]) + 1) / spectrum.shape[1])
        sampled = max(t for t in RunFolder(runs / "pair" / "collapsed").read_samples() if t <= times[index])
        expect(page.locator(".sample figcaption")).to_have_text(f"samples at iteration {sampled}")
        assert page.locator(".sample img").get_attribute("data-iteration") == str(sampled)
        for name, spectrum in wide.items():
            cells = page.locator(f'tr[data-layer="{name}"] td').all_inner_texts()
            assert float(cells[2]) == pytest.approx(float(tail_mean(spectrum[index])), rel=1e-3)
        shown = page.eval_on_selector_all(".marker", "(all) => all.map((marker) => marker.dataset.iteration)")
        assert set(shown) == {str(times[index])}
    assert len(shown) > 2 * len(wide)  # in every heat map, and in the other plots over time
    first = [line for line in curves(page) if line["name"] == "iteration 0"]
    assert first[0]["y"] == pytest.approx(wide["blocks.0.conv1"][0], abs=5e-4)
    assert any(line["name"].startswith("best FID_cls") for line in curves(page))


def test_samples_are_decoded_pictures_that_change(page: Any, address: str) -> None:
    open_view(page, run_address(address, "pair/sn"))
    picture = page.locator(".sample img")
    sources = []
    for frame in page.locator(".film button").all():
        frame.click()
        page.wait_for_selector(f'.sample img[data-iteration="{frame.get_attribute("data-iteration")}"]')
        picture.evaluate("(image) => image.decode()")
        sources.append(picture.get_attribute("src"))
        expect(frame).to_have_attribute("aria-current", "true")
    assert len(set(sources)) == 3
    assert picture.evaluate("(image) => image.naturalWidth") == 8 * 9 - 1


def test_buttons_step_jump_and_play(page: Any, address: str) -> None:
    open_view(page, run_address(address, "pair/collapsed"))
    label = page.locator(".timebar output")
    page.get_by_role("button", name="Previous record").press("Enter")
    expect(label).to_have_text("iteration 35")
    page.get_by_role("button", name="Next record").press("Space")
    expect(label).to_have_text("iteration 40")
    page.locator(".jumps").get_by_role("button", name="spectral collapse").click()
    expect(label).to_have_text(f"iteration {COLLAPSE}")
    page.locator(".jumps").get_by_role("button", name="first").click()
    page.get_by_role("button", name="Play").click()
    expect(label).to_have_text("iteration 40")
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # it stopped at the end


def test_the_switch_makes_spectra_logarithmic(page: Any, address: str, runs: Path) -> None:
    open_view(page, run_address(address, "pair/collapsed"))
    draw(page, ".plot.curves, .plot.heat")
    _, wide = spectra(runs, "pair/collapsed")
    look = "(node) => ({ kind: node._fullLayout.yaxis.type, z: node.data[0].z?.map((row) => [...row]) })"
    expected = wide["blocks.0.conv1"].T
    for name, kind in (("linear", "linear"), ("log", "log"), ("linear", "linear")):
        page.get_by_label(name, exact=True).check()
        settle(page)
        page.wait_for_timeout(300)
        assert page.eval_on_selector(".plot.curves", look)["kind"] == kind
        heat = np.array(page.eval_on_selector(".plot.heat", look)["z"])
        if name == "log":
            assert heat == pytest.approx(np.log10(np.maximum(expected, 1e-4)), abs=0.05)
        else:
            assert heat == pytest.approx(expected, abs=5e-4)


def test_plots_show_the_scores_and_mark_both_verdicts(page: Any, address: str, runs: Path) -> None:
    open_view(page, run_address(address, "pair/collapsed"))
    draw(page, ".plot")
    rows = RunFolder(runs / "pair" / "collapsed").read_scores()
    drawn = page.eval_on_selector_all(
        ".plot:not(.curves):not(.outputs)",
        """(nodes) => nodes.map((node) => ({
          name: node.data[0].name, heat: node.data[0].type === "heatmap",
          x: [...node.data[0].x], y: [...node.data[0].y],
          lines: node.layout.shapes.filter((shape) => shape.line.dash).map((shape) => [shape.x0, shape.line.dash]),
          names: node.layout.annotations.map((note) => note.text),
        }))""",
    )
    fid = next(plot for plot in drawn if plot["name"] == "FID_cls")
    assert fid["x"] == [row["iteration"] for row in rows]
    assert fid["y"] == pytest.approx([row["FID_cls"] for row in rows], rel=1e-3)
    for plot in drawn:
        lines = {tuple(line) for line in plot["lines"]}
        assert lines == {(COLLAPSE, "solid"), (COLLAPSE, "dash")}
        assert set(plot["names"]) >= ({"M", "S"} if plot["heat"] else {"mode collapse", "spectral collapse"})
    assert len(drawn) >= 10
    badges = page.locator("header.view .badges").inner_text()
    assert f"mode collapse at {COLLAPSE}" in badges
    assert f"spectral collapse at {COLLAPSE}" in badges
    expect(page.locator(".warnings li")).to_have_text(
        f"Iteration {COLLAPSE}: spectral collapse. The tail means of 8 of 8 layers <b>fell</b>."
    )


def test_distributions_follow_the_slider(page: Any, address: str, runs: Path) -> None:
    open_view(page, run_address(address, "pair/sn"))
    draw(page, ".plot.outputs")
    read = "(node) => ({ title: node.layout.title.text, y: node.data.map((line) => [...line.y]) })"
    page.locator("#time").focus()
    page.keyboard.press("End")
    settle(page)
    last = page.eval_on_selector(".plot.outputs", read)
    page.keyboard.press("Home")
    settle(page)
    first = page.eval_on_selector(".plot.outputs", read)
    outputs = RunFolder(runs / "pair" / "sn").read_outputs()
    assert outputs is not None
    titles = [f"D outputs at iteration {outputs.iterations[k]}" for k in (0, -1)]
    assert [first["title"], last["title"]] == titles
    assert [sum(line) for line in (*first["y"], *last["y"])] == pytest.approx([1] * 6)
    assert first["y"] != last["y"]


def test_a_legend_hides_a_line_in_all_its_plots(page: Any, address: str) -> None:
    open_view(page, run_address(address, "pair/sn"))
    draw(page, ".three .plot")
    entry = page.locator(".legend button", has_text="blocks.0.conv2").first
    visible = "(nodes) => nodes.map((node) => node.data[1].visible)"
    entry.press("Enter")
    expect(entry).to_have_attribute("aria-pressed", "false")
    assert page.eval_on_selector_all(".three .plot", visible) == [False] * 3
    entry.press("Enter")
    assert page.eval_on_selector_all(".three .plot", visible) == [True] * 3


def test_what_was_not_recorded_is_said(page: Any, address: str) -> None:
    open_view(page, run_address(address, "bare"))
    text = page.locator("main").inner_text()
    for words in ("No spectra were recorded", "No scores were recorded", "gradient norms", "No sample grids"):
        assert words in text
    expect(page.locator(".plot")).to_have_count(0)
    open_view(page, run_address(address, "running"))
    text = page.locator("main").inner_text()
    assert "running at 20 of 20" in text
    assert "so far" in text
    assert "distributions of D’s outputs" in text
    expect(page.locator(".film button")).to_have_count(2)  # the grid that is half written is left out


def test_the_command_is_there_and_can_be_copied(page: Any, address: str, runs: Path) -> None:
    open_view(page, run_address(address, "pair/sr-s"))
    record = RunFolder(runs / "pair" / "sr-s").read_record()
    assert record is not None
    command = page.locator(".command code").inner_text()
    assert command.startswith("srgan fit -c configs/digits.yaml")
    assert f"'{runs / 'pair' / 'sr-s'}'" in command  # quoted: it holds a space
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.get_by_text(re.compile("All .* settings")).click()
    expect(page.locator(".pairs", has_text="model.constraint.class_path")).to_contain_text("SpectralRegularization")


# Several runs.


def test_from_the_overview_to_a_run_to_its_parent_and_back(page: Any, address: str) -> None:
    open_view(page, address)
    expect(page.locator("h1")).to_have_text("Table <II>")
    page.locator(".card h4 a", has_text="sr-d").click()
    expect(page.locator("h1")).to_contain_text("pair/sr-d")
    page.locator(".parent a").click()
    expect(page.locator("h1")).to_contain_text("pair/sn")
    assert page.url.endswith("#run=pair%2Fsn")
    page.go_back()
    expect(page.locator("h1")).to_contain_text("pair/sr-d")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Table <II>")
    page.go_forward()
    expect(page.locator("h1")).to_contain_text("pair/sr-d")
    open_view(page, run_address(address, "no such run"))
    expect(page.locator("main")).to_contain_text("This page holds no run no such run")


def test_the_front_table_marks_collapses_and_leads_to_runs(page: Any, address: str) -> None:
    open_view(page, address)
    table = page.locator(".front")
    expect(table.locator("tbody tr")).to_have_count(30)
    expect(table.locator("td.collapsed").first).to_have_text("MC + SC")
    assert "▾" in table.locator("td.collapsed").first.evaluate("(cell) => getComputedStyle(cell, '::after').content")
    box = page.locator(".box.tall")
    box.evaluate("(node) => node.scrollTo(200, 300)")
    above = table.locator("thead").bounding_box()["y"] - box.bounding_box()["y"]
    assert above == pytest.approx(1, abs=1.5)  # the header stays
    table.locator("a").first.click()
    expect(page.locator("h1")).to_contain_text("pair/sn")


def test_choosing_two_runs_compares_them_with_the_same_limits(page: Any, address: str, runs: Path) -> None:
    open_view(page, address)
    keys = ("pair/collapsed", "pair/sr-s")
    for key in keys:
        page.locator(f'input[data-key="{key}"]').focus()
        page.keyboard.press("Space")
    page.locator(".comparebar a").click()
    expect(page.locator("h1")).to_have_text("collapsed against sr-s")
    draw(page, ".plot")
    expect(page.locator(".sample img")).to_have_count(2)
    limits = page.eval_on_selector_all(
        ".two .plot, .three .plot", "(nodes) => nodes.map((node) => [node.layout.xaxis.range, node.layout.yaxis.range])"
    )
    assert len(limits) == 2
    assert limits[0] == limits[1]
    page.locator("#layer").select_option("blocks.1.conv1")
    draw(page, ".plot.curves, .plot.heat")
    page.locator("#time").focus()
    for key, iteration in (("Home", 0), ("End", 40)):
        page.keyboard.press(key)
        settle(page)
        for name, line in zip(keys, curves(page), strict=True):
            times, wide = spectra(runs, name)
            index = max(k for k, t in enumerate(times) if t <= iteration)  # SR-s ended at 20
            assert line["y"] == pytest.approx(wide["blocks.1.conv1"][index], abs=5e-4)
    captions = page.locator(".sample figcaption").all_inner_texts()
    assert captions == ["samples at iteration 20"] * 2
    page.go_back()
    expect(page.locator(".card")).to_have_count(7)


def test_names_and_texts_of_runs_are_shown_as_they_are(page: Any, address: str) -> None:
    open_view(page, run_address(address, f"odd/{ODD_NAME}", "pair/sn", kind="compare"))
    expect(page.locator("h1")).to_contain_text(ODD_NAME)
    draw(page, ".plot")
    expect(page.locator("h1 b, h3 b, .plot b")).to_have_count(0)
    titles = page.eval_on_selector_all(".plot svg text", "(all) => all.map((text) => text.textContent)")
    assert any(ODD_NAME in title for title in titles)
    open_view(page, address)
    page.locator(".card h4 a", has_text=ODD_NAME).click()
    expect(page.locator("h1")).to_contain_text(f"odd/{ODD_NAME}")
    expect(page.locator("h1 b")).to_have_count(0)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_view_scrolls_sideways(page: Any, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    views = (
        address, run_address(address, "pair/collapsed"), run_address(address, "bare"),
        run_address(address, "pair/sn", "pair/collapsed", "pair/sr-d", kind="compare"),
    )  # fmt: skip
    for view in views:
        open_view(page, view)
        draw(page, ".plot")
        inside = page.evaluate("() => document.documentElement.scrollWidth")
        assert inside <= width, f"{view} is {inside} wide"


def test_plots_fit_again_when_the_window_changes(page: Any, address: str) -> None:
    open_view(page, run_address(address, "pair/sn"))
    draw(page, ".plot.heat")
    page.set_viewport_size({"width": 400, "height": 800})
    heat = page.locator(".plot.heat")
    for _ in range(100):
        width = heat.evaluate("(node) => node._fullLayout.width - node.clientWidth")
        if abs(width) <= 1:
            break
        page.wait_for_timeout(100)
    assert math.isclose(width, 0, abs_tol=1)
    marker = heat.locator(".marker").first.bounding_box()
    plot = heat.bounding_box()
    assert plot["x"] <= marker["x"] <= plot["x"] + plot["width"]


def test_a_page_of_one_run_opens_it(page: Any, runs: Path, tmp_path: Path) -> None:
    output = tmp_path / "one.html"
    assert main(["report", str(runs / "pair" / "sn"), "--output", str(output)]) == 0
    open_view(page, output.as_uri())
    expect(page.locator("h1")).to_contain_text("sn")
    expect(page.locator("#time")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
