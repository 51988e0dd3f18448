"""A good client beside an attack: it calls over HTTP and over a WebSocket all the time, and remembers how it fared."""

from __future__ import annotations

import time
from contextlib import ExitStack
from threading import Event, Thread
from typing import Any, Final

from .peer import Peer, Place

PAUSE: Final = 0.01
"""Seconds between two of its rounds."""

TOO_LATE: Final = 2.0
"""Seconds after which an answer is no good any more: then the client has noticed."""


class GoodClient:
    """Begins when it is entered, and ends when it is left. `worst` is its longest wait in seconds, `fault` what went
    wrong, if anything did."""

    def __init__(self, place: Place) -> None:
        self.worst = 0.0
        self.calls = 0
        self.fault = ""
        self._place: Final = place
        self._enough: Final = Event()
        self._ready: Final = Event()
        self._thread: Final = Thread(target=self._run, daemon=True)

    def __enter__(self) -> GoodClient:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                http = stack.enter_context(Peer(self._place))
                websocket = stack.enter_context(Peer(self._place))
                websocket.upgrade()
                while not (self._enough.is_set() or self.fault):
                    for ask in (http.post, websocket.call):
                        self._time(ask)
                    self._ready.set()
                    self._enough.wait(PAUSE)
        except (OSError, ValueError) as error:
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            self._ready.set()

    def _time(self, ask: Any) -> None:
        begun = time.monotonic()
        answer = ask("connection.ping")
        took = time.monotonic() - begun
        self.calls += 1
        self.worst = max(self.worst, took)
        if "result" not in answer:
            self.fault = f"it was answered {answer}"
        elif took > TOO_LATE:
            self.fault = f"it waited for {took:.1f} s"
