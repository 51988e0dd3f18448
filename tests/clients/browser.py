"""A headless Chromium, driven over its DevTools protocol.

It is the program in the environment variable CHROMIUM, or the first one on PATH that has a usual name.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import ClientConnection, connect

from tests.adapters.loopback import PATIENCE

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

CHROMIUM: Final = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)

MISSING: Final = "there is no Chromium: install it (on Debian: apt-get install chromium), or set CHROMIUM to its path"

OPTIONS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-quic", "--no-proxy-server"),
    *("--remote-debugging-port=0", "about:blank"),
)


class Page:
    """One tab of a browser with a profile of its own: it shares cookies with no other."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._session: str | None = None
        context = self._ask("Target.createBrowserContext")["browserContextId"]
        target = self._ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._ask("Page.enable")

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._socket.send(json.dumps(message if self._session is None else {**message, "sessionId": self._session}))
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv(PATIENCE))
        return message

    def open(self, url: str) -> None:
        """Load a page. Any document of an origin will do."""
        shown = self._ask("Page.navigate", url=url)
        assert "errorText" not in shown, shown
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """Run the body of an async function in the page: what it returns."""
        expression = f"(async () => {{ {script} }})()"
        done = self._ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")


@contextmanager
def browser(folder: Path) -> Iterator[ClientConnection]:
    """A browser with an empty profile in this folder, until the block ends."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *OPTIONS[:-1], f"--user-data-dir={folder}", OPTIONS[-1]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while (found := re.search(r"^DevTools listening on (ws://\S+)$", said, re.MULTILINE)) is None:
                line = process.stderr.readline()
                assert line, said
                said += line
            with connect(found[1], max_size=None) as socket:
                yield socket
                socket.send(json.dumps({"id": 0, "method": "Browser.close"}))
                process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
