"""Headless Chromium by WebDriver over plain HTTP, with no more than the report's tests and benchmark need."""

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # there may be no user namespaces where tests run; the page is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_S = 60


class Browser:
    """One tab."""

    def __init__(self, address: str, profile: Path) -> None:
        self._address = address
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = self._ask("/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def see(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """A window so wide and high, in CSS pixels, of a person who likes it light or dark."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Go there and wait until the page is loaded and drawn: before that, keys may go nowhere."""
        self._post("url", url=url)
        self.devtools("Emulation.setFocusEmulationEnabled", enabled=True)
        self.run("await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str, *given: Any) -> Any:
        """What a function body returns; `arguments` hold what was given."""
        return self._post("execute/sync", script=script, args=list(given))

    def press(self, *keys: str) -> None:
        """Keys, one after the other, to whatever has the focus."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def complaints(self) -> list[str]:
        """What the console has said since the last time: errors, warnings, refusals of the page's own policy."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def devtools(self, command: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._post("goog/cdp/execute", cmd=command, params=params)

    def screenshot(self, path: Path, *, top: int = 0, height: int = 900) -> None:
        """The page from `top` on, `height` pixels of it."""
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the session and its processes."""
        self._ask(f"/session/{self._session}", None, "DELETE")

    def _post(self, path: str, **body: Any) -> Any:
        return self._ask(f"/session/{self._session}/{path}", body)

    def _ask(self, path: str, body: Any, method: str = "POST") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, method=method)  # noqa: S310 - our own driver
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - ours
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with a profile folder of its own; driver and browser are gone afterwards."""
    assert DRIVER is not None
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
        try:
            assert driver.stdout is not None
            port = next(line for line in driver.stdout if "started successfully on port" in line).split()[-1].strip(".")
            one = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield one
            finally:
                one.close()
                time.sleep(0.2)  # the driver answers before the browser has let go of its profile
        finally:
            driver.terminate()
