"""A browser with a page open, and what a reader does with it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from selenium.webdriver import ActionChains, Chrome
    from selenium.webdriver.remote.webelement import WebElement

READY = "return document.body.dataset.state"


class Reader:
    """A browser with the page open, and what one does with it; `shape` is that of the images, in pixels `(y, x)`."""

    def __init__(self, driver: "Chrome", shape: tuple[int, int]) -> None:
        self.driver, self.shape = driver, shape

    def run(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            state = self.run("return [document.body.dataset.state, document.visibilityState, document.title]")
            assert time.monotonic() < end, f"the page did not become what was epochs_since_best for: {state}"
            time.sleep(0.02)

    def settle(self) -> None:
        self.wait(lambda: self.run(READY) == "ready")

    def open(self, path: Path, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features, "media": ""})
        self.driver.get(path.as_uri())
        self.settle()

    def seconds_of_the_browser(self) -> float:
        """The time that the page's process has computed, which what else the machine does leaves alone."""
        self.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        metrics = self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics}["ProcessTime"]

    def find(self, selector: str) -> "WebElement":
        return self.driver.find_element("css selector", selector)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.find("#panels").send_keys(key)
        self.settle()

    def click(self, selector: str) -> None:
        self.find(selector).click()
        self.settle()

    def actions(self) -> "ActionChains":
        from selenium.webdriver import ActionChains  # which a machine may lack

        return ActionChains(self.driver, duration=20)

    def canvas(self, method: str, kind: str = "image") -> np.ndarray:
        """Pixels as they are drawn, one for each of the image: those in the middle of what it covers; `(y, x, rgb)`."""
        script = """
            const canvas = [...document.querySelectorAll("canvas[data-kind]")]
              .find((c) => c.dataset.method === arguments[0] && c.dataset.kind === arguments[1]);
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const [height, width, found] = [arguments[2], arguments[3], []];
            for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
              const row = Math.floor((y + 0.5) * canvas.height / height);
              const at = row * canvas.width + Math.floor((x + 0.5) * canvas.width / width);
              found.push(data[4 * at], data[4 * at + 1], data[4 * at + 2]);
            }
            return found;"""
        found = np.array(self.run(script, method, kind, *self.shape), dtype=int)
        return found.reshape(*self.shape, 3)

    def gray(self, method: str) -> np.ndarray:
        pixels = self.canvas(method)
        assert np.ptp(pixels, axis=-1).max() == 0
        return pixels[..., 0]

    def window(self) -> tuple[float, float]:
        low, high = self.run(
            "return [...document.querySelectorAll('.bar[data-kind=image] input')].map((i) => +i.value)"
        )
        return low, high

    def column(self, index: int) -> list[str]:
        return self.run(
            "return [...document.querySelectorAll('#scores tbody tr')].map((r) => r.cells[arguments[0]].textContent)",
            index,
        )

    def seen(self) -> list[str]:
        """The names of the cells that can be seen."""
        return self.run(
            "return [...document.querySelectorAll('.cell')].filter((c) => c.checkVisibility({visibilityProperty: true}))"
            ".map((c) => c.getAttribute('aria-label'))"
        )
