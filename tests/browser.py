"""Chromium without a window, driven as a person would: by keys and presses. What it asked for is known afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.servers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="needs chromium and chromedriver (on Debian: apt install chromium chromium-driver)",
)
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"),
    *("--no-first-run", "--disable-quic", "--disable-sync", "--disable-default-apps"),
    *("--disable-background-networking", "--disable-component-update"),
)
# Noted before the page's own scripts run: what its policy refused, and anything that ran and should not have.
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
window.alert = () => violations.push("alert");
"""


class Page:
    """The playground in a browser."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url

    def open(self) -> Page:
        self.driver.get(self.url)
        return self.wait("body[data-ready]")

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def count(self, selector: str) -> int:
        return len(self.driver.find_elements(By.CSS_SELECTOR, selector))

    def text(self, selector: str) -> str:
        """As it is seen; nothing for what is not there."""
        return next((one.text for one in self.driver.find_elements(By.CSS_SELECTOR, selector)), "")

    def until(self, holds: Callable[[], Any]) -> Page:
        WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05).until(lambda _: holds())
        return self

    def wait(self, selector: str, text: str = "") -> Page:
        """Until something is there, and its text is seen."""
        return self.until(lambda: self.count(selector) and text in self.text(selector))

    def press(self, selector: str) -> Page:
        self.find(selector).click()
        return self

    def choose(self, name: str, value: str) -> Page:
        self.driver.execute_script(  # a person presses its label, which is all that is seen of it
            "arguments[0].click()", self.find(f'input[name="{name}"][value="{value}"]')
        )
        return self

    def write(self, selector: str, text: str) -> Page:
        """In the place of what is there."""
        self.find(selector).clear()
        self.find(selector).send_keys(text)
        return self

    def keys(self, *keys: str) -> Page:
        """To whatever has the focus; those before the last are held."""
        *held, last = keys
        chain = ActionChains(self.driver)
        for key in held:
            chain.key_down(key)
        chain.send_keys(last)
        for key in reversed(held):
            chain.key_up(key)
        chain.perform()
        return self

    def focused(self) -> str:
        """The id of what has the focus, or its name and value where it has none."""
        active = self.driver.switch_to.active_element
        return active.get_attribute("id") or f"{active.get_attribute('name')}={active.get_attribute('value')}"

    def send(self, text: str) -> Page:
        return self.write("#composed", text).press("#send")

    def answered(self, number: int = 1) -> Page:
        """Until so many answers are there, and none is on its way."""
        return self.until(lambda: self.count(".answer") == number and not self.count(".answer.running"))

    def code(self, language: str) -> str:
        self.choose("language", language)
        return self.find("#code").get_attribute("textContent") or ""

    def leaves(self, selector: str) -> list[str]:
        """The lines of a tree that hold a value."""
        return [one.text for one in self.find(selector).find_elements(By.CSS_SELECTOR, ".leaf")]

    def violations(self) -> list[str]:
        found: list[str] = self.driver.execute_script("return violations")
        return found

    def asked_for(self) -> set[str]:
        """Every address that was asked for since the last time, but for those inside the browser."""
        log = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        sent = [one["params"] for one in log if one["method"] == "Network.requestWillBeSent"]
        return {one["request"]["url"] for one in sent if not one["request"]["url"].startswith(("chrome", "data:"))}

    def complaints(self) -> list[str]:
        """What the browser's console says, but for replies that tell of an error: those are meant."""
        found = [entry["message"] for entry in self._log("browser")]
        return [one for one in found if "Failed to load resource: the server responded" not in one]

    def _log(self, kind: str) -> list[Any]:
        """What is new in it."""
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def chromium(folder: Path, *, width: int = 1280, height: int = 800) -> Iterator[webdriver.Chrome]:
    """A browser of its own, which leaves nothing behind."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for option in (*OPTIONS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    quiet = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    service = webdriver.ChromeService(DRIVER, env=quiet)
    driver = webdriver.Chrome(options, service)
    try:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        yield driver
    finally:
        driver.quit()
