"""The page in a real browser: what is drawn is read back as pixels, and what a reader does is done with mouse and keys."""

import base64
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from medrecon.report import html
from medrecon.report.html import write_html
from medrecon.report.viewer_report import Column, MethodImages, Scores, Table, ViewerCase, ViewerReport, Window
from tests.report.browser import Reader

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
ScrollOrigin = pytest.importorskip("selenium.webdriver.common.actions.wheel_input").ScrollOrigin
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser: apt-get install chromium chromium-driver")

HEIGHT, WIDTH, SLICES = 24, 20, 3
EVIL = "<script>document.title='broken'</script><b>x</b>"


def images(seed: int) -> torch.Tensor:
    return torch.rand(SLICES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed)) * 2 - 0.5


TARGET, TV, FBP = images(0), images(1), images(2)


def report() -> ViewerReport:
    methods = (
        MethodImages("tv", TV, scores=Scores("lodopab", 9.5, 0.9, seconds=2.0), facts={"weight": 4.5}),
        MethodImages("fbp", FBP, residual=FBP[:, :10, :10], scores=Scores("lodopab", 30.25, 0.5, seconds=0.5)),
        MethodImages(EVIL, TARGET, scores=Scores("lodopab", math.inf, 1.0)),
    )
    mask = torch.arange(WIDTH) % 2 == 0
    wide = (Window(-10, 10, "wide"),)
    first = ViewerCase(
        *("first.h5", methods, "1/mm"),
        target=TARGET,
        window=Window(0, 1),
        presets=wide,
        pixel=(2.0, 1.0),
        mask=mask,
        facts={"views": 60, EVIL: EVIL},
        notes=(EVIL,),
    )
    second = ViewerCase(EVIL, (MethodImages("sense", images(5)[:1]),), "HU")
    table = Table("All cases", (Column("method"), Column("cases")), (("tv", 10), ("fbp", 9), (EVIL, None)))
    return ViewerReport("Two cases", (first, second), (table,))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("viewer") / "r.html"
    write_html(path, report())
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[webdriver.Chrome]":
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    profile = tmp_path_factory.mktemp("profile")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}", *root):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def reader(browser: "webdriver.Chrome", page: Path) -> Iterator[Reader]:
    """A reader of the page, who finds no complaint in the browser's log when the test is over."""
    reader = Reader(browser, (HEIGHT, WIDTH))
    reader.open(page)
    yield reader
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def grays(values: torch.Tensor, low: float, high: float) -> np.ndarray:
    return np.clip((values.double().numpy() - low) / (high - low) * 255, 0, 255)


def test_pixels_are_the_numbers_through_the_window(reader: Reader) -> None:
    reader.press("i")  # pixels as they are
    for method, stack in (("target", TARGET), ("tv", TV), ("fbp", FBP), (EVIL, TARGET)):
        assert np.abs(reader.gray(method) - grays(stack[1], 0, 1)).max() < 0.51  # rounded to the next gray
    low, high = reader.run("return [...document.querySelectorAll('.bar[data-kind=image] input')]")
    for box, value in ((low, "-0.25"), (high, "1.75")):
        box.clear()
        box.send_keys(value, "\n")
    reader.settle()
    assert reader.window() == (-0.25, 1.75)
    assert np.abs(reader.gray("tv") - grays(TV[1], -0.25, 1.75)).max() < 0.51


def test_error_maps_are_the_differences_on_one_scale(reader: Reader) -> None:
    reader.press("i", "e")
    top = float(reader.run("return document.querySelector('.bar[data-kind=error] input:last-of-type').value"))
    brightness = {name: reader.canvas(name, "error").sum(-1) for name in ("tv", "fbp", EVIL)}
    assert brightness[EVIL].max() <= 4  # the target itself: the darkest color alone
    for name, stack in (("tv", TV), ("fbp", FBP)):
        error = (stack[1] - TARGET[1]).abs().double().numpy()
        order = np.argsort(error.flat)
        assert (np.diff(brightness[name].flat[order]) >= -1).all()  # brighter where the error is larger
        saturated = error > top * 1.01
        assert (brightness[name][saturated] == 252 + 253 + 191).all()
    assert "1 ×" in reader.find(".bar[data-kind=error] .note").text


def test_slices_by_slider_wheel_and_keys(reader: Reader) -> None:
    reader.press("i")
    assert reader.find("#slice-shown").text == "2 of 3"
    reader.find("#slice").send_keys("\ue014")  # to the right
    reader.settle()
    assert reader.find("#slice-shown").text == "3 of 3"
    assert np.abs(reader.gray("fbp") - grays(FBP[2], 0, 1)).max() < 0.51
    reader.press("\ue013", "\ue013", "\ue013")  # up, once more than there are slices
    assert reader.find("#slice-shown").text == "1 of 3"
    frame = reader.find(".frame")
    origin = ScrollOrigin.from_element(frame)
    reader.actions().scroll_from_origin(origin, 0, 60).perform()
    reader.wait(lambda: reader.find("#slice-shown").text == "2 of 3")
    reader.settle()
    assert np.abs(reader.gray("fbp") - grays(FBP[1], 0, 1)).max() < 0.51


def test_flicker_shows_one_after_the_other_in_one_place(reader: Reader) -> None:
    names = ["target", "tv", "fbp", EVIL]
    assert reader.seen() == names
    reader.press("f")
    places, shown = set(), []
    reader.run(
        "document.getElementById('rate').value = 8; document.getElementById('rate').dispatchEvent(new Event('input'))"
    )
    end = time.monotonic() + 60
    while set(shown) != set(names) and time.monotonic() < end:
        [name] = reader.seen()
        shown.append(name)
        places.add(tuple(reader.find(".current .frame").rect.values()))
    assert set(shown) == set(names)
    assert len(places) == 1
    reader.press(" ")
    paused = reader.seen()
    time.sleep(0.4)
    assert reader.seen() == paused
    reader.press("3")
    assert reader.seen() == ["fbp"]
    reader.press("\ue012", "\ue012", "\ue012")  # to the left, around
    assert reader.seen() == [EVIL]
    reader.press("s")
    assert reader.seen() == names


def test_methods_can_be_left_out(reader: Reader) -> None:
    reader.click("#chosen button:nth-child(2)")
    assert reader.seen() == ["target", "fbp", EVIL]
    reader.press("f", "2")
    assert reader.seen() == ["fbp"]


def test_dragging_changes_width_and_level_and_a_double_click_resets(reader: Reader) -> None:
    frame = reader.find(".frame")
    reader.actions().move_to_element(frame).click_and_hold().move_by_offset(60, 0).release().perform()
    reader.settle()
    low, high = reader.window()
    assert high - low > 1.2
    assert (low + high) / 2 == pytest.approx(0.5, abs=0.01)
    reader.actions().move_to_element(frame).click_and_hold().move_by_offset(0, 30).release().perform()
    reader.settle()
    after = reader.window()
    assert after[1] - after[0] == pytest.approx(high - low, rel=0.01)
    assert (after[0] + after[1]) / 2 == pytest.approx(0.6, abs=0.01)
    reader.press("i")
    assert np.abs(reader.gray("tv") - grays(TV[1], *after)).max() < 1.5  # the window is said to four digits
    reader.actions().double_click(frame).perform()
    reader.settle()
    assert reader.window() == (0, 1)
    reader.find("#preset").send_keys("wide")
    reader.settle()
    assert reader.window() == (-10, 10)


def test_zoom_and_place_are_those_of_all_panels(reader: Reader) -> None:
    reader.press("i")
    whole = reader.gray("tv")
    frame = reader.find(".frame")
    keys = webdriver.common.keys.Keys
    origin = ScrollOrigin.from_element(frame)
    reader.actions().key_down(keys.CONTROL).scroll_from_origin(origin, 0, -400).key_up(keys.CONTROL).perform()
    reader.wait(lambda: not np.array_equal(reader.gray("tv"), whole))
    assert reader.find("#slice-shown").text == "2 of 3"
    reader.press(*[keys.SHIFT + keys.ARROW_LEFT] * 20, *[keys.SHIFT + keys.ARROW_UP] * 20)
    for method, stack in (("target", TARGET), ("tv", TV)):
        assert reader.gray(method)[0, 0] == pytest.approx(grays(stack[1], 0, 1)[0, 0], abs=0.51)
        assert len(np.unique(reader.gray(method))) < 60  # a corner, enlarged
    corner = reader.gray("tv")
    reader.actions().key_down(keys.SHIFT).move_to_element(frame).click_and_hold().move_by_offset(
        -50, -50
    ).release().key_up(keys.SHIFT).perform()
    reader.settle()
    assert not np.array_equal(reader.gray("tv"), corner)
    reader.press("0")
    np.testing.assert_array_equal(reader.gray("tv"), whole)


def test_the_value_under_the_pointer_is_said_for_all(reader: Reader) -> None:
    frame = reader.find(".frame")
    box = frame.rect
    x, y = 5, 7
    right, down = ((x + 0.5) / WIDTH - 0.5) * box["width"], ((y + 0.5) / HEIGHT - 0.5) * box["height"]
    reader.actions().move_to_element_with_offset(frame, round(right), round(down)).perform()
    reader.settle()
    said = reader.run("return [...document.querySelectorAll('[data-kind=image] .readout')].map((o) => o.textContent)")
    numbers = [float(text.replace("\u2212", "-")) for text in said]
    wanted = [float(stack[1, y, x]) for stack in (TARGET, TV, FBP, TARGET)]
    assert numbers == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_pixels_that_are_not_square(reader: Reader) -> None:
    box = reader.find(".frame").rect
    assert box["width"] / box["height"] == pytest.approx(WIDTH / (2 * HEIGHT), rel=0.01)


def test_tables_are_sorted_by_their_headings(reader: Reader) -> None:
    psnr = "#scores th:nth-child(3) button"
    assert reader.column(2) == ["9.50", "30.25", "∞"]
    reader.click(psnr)
    assert reader.column(2) == ["9.50", "30.25", "∞"]
    assert reader.find("#scores th:nth-child(3)").get_attribute("aria-sort") == "ascending"
    reader.find(psnr).send_keys("\n")  # by the keyboard
    assert reader.column(2) == ["∞", "30.25", "9.50"]
    assert reader.column(0) == [EVIL, "fbp", "tv"]
    seconds = "#scores th:nth-child(5) button"
    reader.click(seconds)
    assert reader.column(4) == ["0.50", "2.00", ""]
    reader.click(seconds)
    assert reader.column(4) == ["2.00", "0.50", ""]  # what is not known comes last either way


def test_scores_are_said_with_their_protocol(reader: Reader) -> None:
    said = reader.run("return [...document.querySelectorAll('.cell h3 small')].map((e) => e.textContent)")
    assert said == ["", "lodopab 9.50 dB, SSIM 0.900", "lodopab 30.25 dB, SSIM 0.500", "lodopab ∞ dB, SSIM 1.000"]


def test_cases_are_opened_one_after_the_other(reader: Reader) -> None:
    reader.press("n")
    assert reader.seen() == ["sense"]
    assert reader.find("#case").get_attribute("value") == "1"
    assert not reader.find("#slices").is_displayed()
    assert not reader.find("#kinds [data-kind=error]").is_displayed()
    reader.press("n")
    assert len(reader.seen()) == 4
    reader.press("r")
    reader.press("m")
    assert reader.seen() == ["fbp"]  # the one that has residuals


def test_names_are_shown_as_text(reader: Reader) -> None:
    assert reader.driver.title == "Two cases"
    assert reader.run("return document.querySelectorAll('b').length") == 0
    for place in ("#panels", "#facts", "#notes", "#scores", "#tables", "#chosen"):
        assert EVIL in str(reader.run("return document.querySelector(arguments[0]).textContent", place))


def test_all_that_can_be_clicked_is_reached_by_the_keyboard(reader: Reader) -> None:
    script = """
        const all = [...document.querySelectorAll("button, select, input")];
        const seen = all.filter((e) => e.checkVisibility({visibilityProperty: true}));
        const unnamed = seen.filter((e) => !(e.textContent.trim() || e.ariaLabel || e.closest("label")?.textContent.trim()));
        return [seen.filter((e) => e.tabIndex < 0).length, unnamed.length, seen.length];"""
    assert reader.run(script)[:2] == [0, 0]
    assert reader.run(script)[2] > 15
    reader.find("body").send_keys("\ue004")  # tab
    focused = "const s = getComputedStyle(document.activeElement); return [s.outlineStyle, parseFloat(s.outlineWidth)]"
    style, width = reader.run(focused)
    assert (style, width >= 2) == ("solid", True)
    labels = reader.run("return [...document.querySelectorAll('canvas[role=img]')].map((c) => c.ariaLabel)")
    assert "tv, image, slice 2 of 3" in labels
    assert None not in labels
    reader.press("?")
    assert reader.find("#keys").get_attribute("open")
    reader.find("#keys").send_keys("\ue00c")  # escape
    assert not reader.find("#keys").get_attribute("open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_and_light_follow_the_system_and_the_button(reader: Reader, page: Path, scheme: str) -> None:
    reader.open(page, scheme=scheme)
    contrast = """
        const [ink, ground] = ["color", "backgroundColor"].map((name) => getComputedStyle(document.body)[name].match(/\\d+/g));
        return ink.reduce((sum, value) => sum + Number(value), 0) - ground.reduce((sum, value) => sum + Number(value), 0);"""
    sign = 1 if scheme == "dark" else -1
    assert sign * float(reader.run(contrast)) > 450
    reader.click("#theme")
    assert -sign * float(reader.run(contrast)) > 450


@pytest.mark.parametrize("width", [320, 390, 768, 1100, 1920])
def test_no_width_needs_scrolling_sideways(reader: Reader, page: Path, width: int) -> None:
    reader.open(page, width=width, height=844)
    assert reader.run("return innerWidth") == width
    for keys in ("", "e", "f"):
        if keys:
            reader.press(keys)
        assert reader.run("return document.documentElement.scrollWidth") <= width
    assert reader.run("return document.querySelector('.current .frame').getBoundingClientRect().width") > 130


def test_print_shows_all_methods_though_one_flickers(reader: Reader) -> None:
    reader.press("f", "2", "e")
    assert reader.seen() == ["tv"]
    reader.run("""
        addEventListener("beforeprint", () => requestAnimationFrame(() => 0));
        window.printed = null;
        matchMedia("print").addEventListener("change", ({ matches }) => {
          if (!matches) return;
          const shown = [...document.querySelectorAll(".cell")].filter((c) => c.checkVisibility({visibilityProperty: true}));
          const boxes = shown.map((c) => c.getBoundingClientRect());
          window.printed = [shown.length, new Set(boxes.map((b) => `${b.left} ${b.top}`)).size,
            getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector(".toolbar")).display];
        });""")
    pdf = base64.b64decode(reader.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Subtype /Image") >= 7  # four images and three error maps
    assert reader.run("return window.printed") == [4, 4, "rgb(255, 255, 255)", "none"]
    reader.settle()
    assert reader.seen() == ["tv"]


def test_it_says_that_it_is_not_for_diagnosis(reader: Reader) -> None:
    assert reader.find("header .warning").text == "Not for diagnosis"
    assert "Not for diagnosis" in reader.find("footer").text


def test_two_fingers_zoom(reader: Reader) -> None:
    reader.press("i")
    whole = reader.gray("fbp")
    box = reader.find(".frame").rect
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for kind, apart in (("touchStart", 20), ("touchMove", 30), ("touchMove", 60), ("touchEnd", None)):
        points = [] if apart is None else [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        reader.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    reader.settle()
    rows, columns = ((np.arange(n) + 0.5 - n / 2) / 3 + n / 2 for n in (HEIGHT, WIDTH))  # three times as large
    seen = grays(FBP[1], 0, 1)[np.ix_(rows.astype(int), columns.astype(int))]
    assert not np.array_equal(reader.gray("fbp"), whole)
    assert (np.abs(reader.gray("fbp") - seen) < 0.51).mean() > 0.9  # but for pixels that lie on an edge


def test_a_large_page_costs_less_than_two_seconds(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = torch.randn(320, 320, generator=torch.Generator().manual_seed(0)).expand(20, 320, 320)
    packed = list(html._packed(stack[:1])) * 20
    monkeypatch.setattr(html, "_packed", lambda _: packed)  # compressed once, to be quick
    methods = tuple(MethodImages(f"method {number}", stack) for number in range(6))
    write_html(tmp_path / "large.html", ViewerReport("large", (ViewerCase("scan", methods, "HU"),)))
    assert (tmp_path / "large.html").stat().st_size > 30_000_000
    before = reader.seconds_of_the_browser()
    reader.open(tmp_path / "large.html")
    after = reader.seconds_of_the_browser()
    assert 0.01 < after - (before if before < after else 0.0) < 2  # a page may have a process of its own
