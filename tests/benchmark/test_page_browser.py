"""The page of a benchmark in a real browser, which the tests of the viewer look at more closely."""

import shutil
import time
from pathlib import Path

import pytest

from medrecon.benchmark import Workers, run_benchmark, write_page

from .settings import CT_DATA, ct

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser: apt-get install chromium chromium-driver"),
]


def test_a_reader_sees_all_methods_the_protocol_and_the_lesion(tmp_path: Path) -> None:
    methods = [{"name": name, "method": {"kind": name}} for name in ("fbp", "sirt")]
    lesion = {"diameter": 70, "edge": 12, "contrast": 0.3}
    done = run_benchmark(ct(methods, lesion=lesion, data=CT_DATA), tmp_path, Workers(0))
    assert write_page(tmp_path / "r.html", done, Workers(0)) == 2
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(service=webdriver.ChromeService(DRIVER), options=options)
    try:
        driver.get((tmp_path / "r.html").as_uri())
        end = time.monotonic() + 120
        while driver.execute_script("return document.body.dataset.state") != "ready":
            assert time.monotonic() < end, "the page did not become ready"
            time.sleep(0.05)
        text = driver.execute_script("return document.body.innerText")
        drawn = driver.execute_script("return document.querySelectorAll('canvas[data-kind=image]').length")
    finally:
        driver.quit()
    assert drawn == 3  # the target and two methods
    for words in (
        "lodopab",
        "fbp",
        "sirt",
        "a lesion was put in",
        "lesion contrast kept",
        "Summary",
        "Not for diagnosis",
    ):
        assert words in text
