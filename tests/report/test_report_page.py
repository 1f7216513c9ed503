"""The report page in a real browser: a run, a comparison, the ways between them, keyboard, widths, dark mode."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from reporting import COLLAPSE, ODD_NAME, run_folders, table_page

from srgan.cli.main import main
from srgan.collapse import tail_mean
from srgan.runs.folder import RunFolder

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright: pip install -e .[dev]"
)
expect = playwright.expect

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE = 60_000  # milliseconds, for busy machines


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folders(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def address(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    page = tmp_path_factory.mktemp("page") / "report.html"
    table_page(runs, page)
    return page.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"expected Chromium at {CHROMIUM}, found nothing: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=PATIENCE)
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


def address_of(address: str, *keys: str) -> str:
    return f"{address}#runs={','.join(quote(key, safe='') for key in keys)}"


def open_view(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("body[data-view]", state="attached")


def drawn(page: Any, name: str) -> Any:
    """A plot, scrolled to: plots are drawn when they come near."""
    plot = page.locator(f'.plot[aria-label="{name}"]')
    plot.scroll_into_view_if_needed()
    expect(plot).to_have_attribute("data-drawn", re.compile(r"\d"))
    return plot


def content(plot: Any) -> dict[str, Any]:
    """What plotly holds of a plot."""
    found: dict[str, Any] = plot.evaluate(
        """(node) => ({
          lines: node.data.map(({ name, x, y, z, visible }) => ({ name, visible, x: [...x], y: [...y], z })),
          marks: node.layout.shapes.map((shape) => shape.x0),
          range: node.layout.xaxis.range,
          scale: node._fullLayout.yaxis.type,
        })"""
    )
    return found


def test_one_run_follows_the_slider(page: Any, address: str, runs: Path) -> None:
    open_view(page, address_of(address, "pair/collapsed"))
    folder = RunFolder(runs / "pair" / "collapsed")
    history = folder.read_spectra()
    assert history is not None
    times, spectrum = history.iterations.tolist(), history.spectra["blocks.0.conv1"]
    slider = page.locator("#time")
    expect(page.locator(".timebar output")).to_have_text("iteration 40")  # it opens at the end
    heat = drawn(page, "blocks.0.conv1 over training")
    curve = drawn(page, "blocks.0.conv1 at the slider’s iteration")
    slider.focus()
    for key, index in (("Home", 0), ("ArrowRight", 1), ("End", len(times) - 1)):
        page.keyboard.press(key)
        for plot in (curve, heat):
            expect(plot).to_have_attribute("data-drawn", str(times[index]))
        first, best, now = content(curve)["lines"]
        assert now["y"] == pytest.approx(spectrum[index], rel=5e-3)
        assert first["y"] == pytest.approx(spectrum[0], rel=5e-3)
        assert best["name"] == "at the best FID_cls"
        assert content(heat)["marks"] == [COLLAPSE, COLLAPSE, times[index]]
        sampled = max(t for t in folder.read_samples() if t <= times[index])
        expect(page.locator(".now figcaption")).to_have_text(f"at iteration {sampled}")
        assert page.locator(".now img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 200
        cells = page.locator('tr[data-layer="blocks.0.conv1"] td').all_inner_texts()
        assert float(cells[2]) == pytest.approx(float(tail_mean(spectrum[index])), rel=1e-3)

    page.get_by_label("log", exact=True).check()
    expect(curve).to_have_js_property("_fullLayout.yaxis.type", "log")
    assert np.array(content(heat)["lines"][0]["z"]) == pytest.approx(np.log10(np.maximum(spectrum.T, 1e-4)), abs=0.05)
    page.get_by_label("at the first record").focus()
    page.keyboard.press("Space")
    page.wait_for_function("(node) => node.data[0].visible === false", arg=curve.element_handle())

    fid = content(drawn(page, "FID_cls"))
    rows = folder.read_scores()
    assert fid["lines"][0]["x"] == [row["iteration"] for row in rows]
    assert fid["lines"][0]["y"] == pytest.approx([row["FID_cls"] for row in rows], rel=1e-3)
    assert fid["marks"] == [COLLAPSE, COLLAPSE, 40]
    assert [sum(line["y"]) for line in content(drawn(page, "outputs of D"))["lines"]] == pytest.approx([1] * 3)
    page.locator(".moments").get_by_role("button", name="spectral collapse").press("Enter")
    expect(page.locator(".timebar output")).to_have_text(f"iteration {COLLAPSE}")


def test_chosen_runs_are_compared_and_the_way_back_is_there(page: Any, address: str) -> None:
    open_view(page, address)
    for key in ("pair/collapsed", "pair/sr-s"):
        page.locator(f'input[value="{key}"]').focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare the chosen runs").press("Enter")
    expect(page.locator("h1:visible")).to_have_text("collapsed against sr-s")
    fid = content(drawn(page, "FID_cls"))
    assert [line["name"] for line in fid["lines"]] == ["collapsed", "sr-s"]
    heat_maps = [content(drawn(page, f"blocks.1.conv1 over training, {name}")) for name in ("collapsed", "sr-s")]
    assert heat_maps[0]["range"] == heat_maps[1]["range"] == fid["range"]
    assert len(heat_maps[0]["marks"]) == 1 + len(heat_maps[1]["marks"]) + 1
    captions = page.locator(".now figcaption").all_inner_texts()
    assert captions == ["collapsed at iteration 20", "sr-s at iteration 20"]
    page.locator(".heads a", has_text="sr-s").click()
    expect(page.locator("h1:visible")).to_have_text("pair/sr-s")
    page.go_back()
    expect(page.locator("h1:visible")).to_have_text("collapsed against sr-s")
    page.go_back()
    expect(page.locator("h1:visible")).to_have_text("Table <II>")
    open_view(page, address_of(address, "no such run"))
    expect(page.locator("main")).to_contain_text("This page holds no run no such run")


def test_nothing_scrolls_sideways_on_a_dark_phone(page: Any, address: str) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    page.emulate_media(color_scheme="dark")
    compared = address_of(address, "pair/sn", "pair/collapsed")
    for view in (address, address_of(address, "bare"), compared, address_of(address, "pair/collapsed")):
        open_view(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
    for name in ("blocks.0.conv1 over training", "tail mean", "outputs of D"):
        text = drawn(page, name).locator("text").first
        assert text.evaluate("(node) => getComputedStyle(node).fill") == "rgb(226, 229, 233)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"


def test_a_printed_page_has_all_plots_when_it_is_printed(page: Any, address: str) -> None:
    """Dark on white, also where nobody has scrolled to any of them."""
    page.emulate_media(color_scheme="dark")
    open_view(page, address_of(address, "pair/sn"))
    expect(page.locator("head script")).to_have_count(1)  # plotly, unpacked
    plots = page.locator("#view .plot")
    assert page.locator("#view .plot .main-svg").count() < plots.count()
    page.evaluate(
        """() => addEventListener("beforeprint", () => {  // behind the page's own listener
          const drawn = [...document.querySelectorAll("#view .plot:has(.main-svg)")];
          window.printed = drawn.map((plot) => getComputedStyle(plot.querySelector("text")).fill);
        })"""
    )
    page.pdf()
    assert page.evaluate("window.printed") == ["rgb(31, 35, 40)"] * plots.count()


def test_names_of_runs_are_shown_as_they_are(page: Any, address: str) -> None:
    open_view(page, address_of(address, f"odd/{ODD_NAME}", "pair/sn"))
    expect(page.locator("h1:visible")).to_have_text(f"odd/{ODD_NAME} against pair/sn")
    drawn(page, "FID_cls")
    expect(page.locator(".legend", has_text=ODD_NAME).first).to_be_visible()
    expect(page.locator("#view b:not(.warning b), #view x")).to_have_count(0)


def test_names_of_layers_are_shown_as_they_are(page: Any, runs: Path, tmp_path: Path) -> None:
    """A module may have any name, and a run may come from somebody else."""
    run, name = RunFolder(tmp_path / "run"), "<b>bold</b>.<x>"
    shutil.copytree(runs / "pair" / "sn", run.path)
    layout = run.spectra.layout
    layout.write_text(layout.read_text().replace("blocks.0.conv1", name))
    assert main(["report", str(run.path), "--output", str(tmp_path / "page.html")]) == 0
    open_view(page, (tmp_path / "page.html").as_uri())
    assert name in [line["name"].replace("&lt;", "<") for line in content(drawn(page, "tail mean"))["lines"]]
    for selector in (".legend label", "tr[data-layer]"):
        expect(page.locator(selector, has_text=name).first).to_be_visible()
    expect(page.locator("#view b:not(.warning b), #view x")).to_have_count(0)


def test_a_page_of_one_run_opens_it(page: Any, runs: Path, tmp_path: Path) -> None:
    output = tmp_path / "one.html"
    assert main(["report", str(runs / "pair" / "sn"), "--output", str(output)]) == 0
    open_view(page, output.as_uri())
    expect(page.locator("h1:visible")).to_have_text("sn")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#time")).to_be_visible()
