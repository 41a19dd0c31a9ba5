"""Minimal WebDriver client for headless Chromium, for the tests and the benchmark of the report."""

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
    "--no-sandbox",  # user namespaces may be unavailable in test environments; the page is trusted
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT_S = 60


class Browser:
    """One tab of a browser."""

    def __init__(self, address: str, profile: Path) -> None:
        self._address = address
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        capabilities = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = self._request("/session", {"capabilities": {"alwaysMatch": capabilities}})["sessionId"]

    def set_viewport(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Set the size of the window in CSS pixels, and the preferred color scheme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Load a page, and wait until it is rendered: earlier key presses may be lost."""
        self._post("url", url=url)
        self.devtools("Emulation.setFocusEmulationEnabled", enabled=True)
        self.run("await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def run(self, script: str, *args: Any) -> Any:
        """Run the body of a JavaScript function with `arguments`, and return its result."""
        return self._post("execute/sync", script=script, args=list(args))

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, on the focused element."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def console_messages(self) -> list[str]:
        """Return new messages of the console: errors, warnings, violations of the page's policy."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def devtools(self, command: str, **params: Any) -> Any:
        """Run a command of the DevTools protocol."""
        return self._post("goog/cdp/execute", cmd=command, params=params)

    def screenshot(self, path: Path, *, top: int = 0, height: int = 900) -> None:
        """Save an image of the page, starting `top` pixels from its top."""
        width = self.run("return innerWidth")
        clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """End the session and its processes."""
        self._request(f"/session/{self._session}", None, "DELETE")

    def _post(self, path: str, **body: Any) -> Any:
        return self._request(f"/session/{self._session}/{path}", body)

    def _request(self, path: str, body: Any, method: str = "POST") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._address + path, data, method=method)  # noqa: S310 - local driver
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310 - local driver
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start driver and browser with a new profile folder, and stop both at the end."""
    assert DRIVER is not None
    with subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as driver:
        try:
            assert driver.stdout is not None
            port = next(line for line in driver.stdout if "started successfully on port" in line).split()[-1].strip(".")
            session = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                yield session
            finally:
                session.close()
                time.sleep(0.2)  # the driver responds before the browser has released its profile
        finally:
            driver.terminate()
