"""A real Chromium, and what a hand does in it."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import firstorder

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-dev-shm-usage", "--window-size=1000,1000",
)  # fmt: skip
Point = tuple[float, float]  # of a box, from (0, 0), its top left, to (1, 1)


class Hand:
    """Draw and click in a browser, and read what it then shows."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def draw(self, box: str, strokes: Sequence[Sequence[Point]]) -> None:
        """Draw lines in the box that a CSS selector names."""
        from selenium.webdriver import ActionChains

        canvas = self.browser.find_element("css selector", box)
        width, height = canvas.size["width"] - 4, canvas.size["height"] - 4
        for stroke in strokes:
            hand = ActionChains(self.browser, duration=0)
            for index, (x, y) in enumerate(stroke):
                place = round((x - 0.5) * width), round((y - 0.5) * height)
                hand.move_to_element_with_offset(canvas, *place)
                if index == 0:
                    hand.click_and_hold()
            hand.release().perform()

    def wait(self, ready: Callable[[], Any], seconds: float = 30) -> Any:
        """Return what the function returns, as soon as it is true."""
        stop = time.monotonic() + seconds
        while not (found := ready()):
            assert time.monotonic() < stop, self.text("body")
            time.sleep(0.05)
        return found

    def text(self, selector: str) -> str:
        """Return the text that is seen."""
        return str(self.browser.find_element("css selector", selector).text)

    def chances(self) -> dict[str, float]:
        """Return the probabilities that the bars show."""
        rows = [line.split() for line in self.text("#bars").replace(" %", "").splitlines()]
        words = [word for row in rows for word in row]
        return {name: float(value) for name, value in zip(words[::2], words[1::2], strict=True)}

    def points(self, selector: str, attribute: str) -> list[str]:
        """Return an attribute of each element, all at one moment."""
        script = f"return [...document.querySelectorAll('{selector}')]"
        found = self.browser.execute_script(f"{script}.map((e) => e.getAttribute('{attribute}'))")
        return [str(value) for value in found]

    def requests(self) -> list[str]:
        """Return the addresses that pages have asked for since the last call."""
        messages = [json.loads(line["message"]) for line in self.browser.get_log("performance")]
        return [
            each["message"]["params"]["request"]["url"]
            for each in messages
            if each["message"]["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture(scope="session")
def hand() -> Iterator[Hand]:
    """Return a hand in a Chromium that logs what it asks for."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra browser")
    paths = [shutil.which("chromium"), shutil.which("chromedriver")]
    if None in paths:
        pytest.skip("needs chromium and chromium-driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(paths[1]))
    yield Hand(browser)
    browser.quit()


@pytest.fixture(scope="session")
def sine_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint of sine waves that has hardly been trained."""
    learner = firstorder.train(
        algo=firstorder.Reptile(inner_steps=2, inner_batch_size=5, inner_lr=0.01),
        source=firstorder.Sinusoid(), model=firstorder.MLP, steps=2, ways=1, progress=False,
        evaluation=firstorder.EvaluationSettings(monitor_every=0), compile="never",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("sine") / "sine.ckpt"
    learner.save(path)
    return path
