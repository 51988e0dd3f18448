"""An ASGI server on virtual time: it delays events, cuts connections, and may never take what it is sent.

It judges each event of the application when it comes. It does not know what the application does with a call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import anyio
from msgspec import Struct
from posthouse.adapters.invariants import Violation, must
from posthouse.adapters.simulation.chance import Stream

Message = MutableMapping[str, Any]
Application = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]

WRITE_TIMEOUT: Final = 2.0
"""The `write_timeout` of the application. Behind it, it listens for the end of the client."""

TAKEN_WHILE_STUCK: Final = 2
"""Texts that may be taken from a client that takes nothing: they were on their way."""


class Manners(Struct, frozen=True):
    """How one connection behaves. `delays`: seconds from which those are drawn that an event waits, in either
    direction. `stuck`: it takes nothing behind so many events. `raises`: a `send` behind its end raises an OSError, as
    in newer versions of ASGI; otherwise it does nothing. `repeats`: behind its body the end of it comes again."""

    delays: tuple[float, ...] = (0.0,)
    stuck: int | None = None
    raises: bool = False
    repeats: bool = False


class Ends:
    """Both ends of one call of the application. `left`: when the client left; `ended`: when the application returned.
    `sent`: all of its events. `error`: what it raised. `closing`: the application shuts down, and listens for the end
    of its clients."""

    def __init__(self, scope: Message, manners: Manners, stream: Stream, now: Callable[[], float]) -> None:
        self.scope: Final = scope
        self.sent: Final[list[Message]] = []
        self.left: float | None = None
        self.ended: float | None = None
        self.error: Exception | None = None
        self.stuck_since: float | None = None
        self.closing = False
        self._manners: Final = manners
        self._stream: Final = stream
        self._now: Final = now
        self._coming: Final[deque[Message]] = deque()
        self._code = 1006
        self._changed = anyio.Event()
        self._repeats = manners.repeats
        self._last = ""
        self._told = False
        self._sending = False
        self._taken_since = 0
        self.over: Final = anyio.Event()

    @property
    def tells_code(self) -> bool:
        """Can the application hear of the close code? Not if sending fails first."""
        return not self._manners.raises

    async def run(self, app: Application) -> None:
        """Call the application, and keep what comes of it."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:
            self.error = innermost(error)
            if isinstance(self.error, Violation):
                raise self.error from None
        self.ended = self._now()
        self.over.set()

    # The client

    def give(self, event: Message) -> None:
        """An event of the client."""
        self._coming.append(event)
        self._change()

    def leave(self, code: int = 1006) -> None:
        """The client goes. What it has sent and nobody has taken is lost."""
        if self.left is None and self.ended is None:
            self.left, self._code = self._now(), code
            self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _pause(self) -> None:
        """Some time passes, unless the client goes. Without it, nothing waits."""
        seconds = self._stream.pick(self._manners.delays)
        if not seconds:
            return
        with anyio.move_on_after(seconds):
            while self.left is None:
                await self._changed.wait()

    # The application

    async def receive(self) -> Message:
        """The next event of the client."""
        must(not self._told, "hosted: an application that knows of the end waits for nothing")
        while not self._comes() and self.left is None:
            await self._changed.wait()
        await self._pause()
        if self.left is not None:
            self._told = True
            return {"type": f"{self.scope['type']}.disconnect", "code": self._code}
        if self.stuck_since is not None and not self.closing and self._now() < self.stuck_since + WRITE_TIMEOUT:
            self._taken_since += 1
            most = TAKEN_WHILE_STUCK
            must(self._taken_since <= most, "hosted: a client that takes nothing is not read from")
        event = self._coming.popleft()
        if self._repeats and event["type"] == "http.request" and not event.get("more_body"):
            self._coming.append({"type": "http.request", "body": b"", "more_body": False})
            self._repeats = False
        return event

    def _comes(self) -> bool:
        """Is there an event of the client? It can send no message before its WebSocket is accepted."""
        return bool(self._coming) and (self._coming[0]["type"] != "websocket.receive" or bool(self.sent))

    async def send(self, event: Message) -> None:
        """The application sends this."""
        must(not self._told, "hosted: nothing is sent to a client that is known to have gone", event["type"])
        must(not self._sending, "hosted: one event is sent at a time", event["type"])
        self._follows(event)
        self._sending = True
        try:
            if self.left is None and len(self.sent) == self._manners.stuck:
                self.stuck_since = self._now()
                while self.left is None:
                    await self._changed.wait()
            await self._pause()
        finally:
            self._sending = False
        if self.left is None:
            self.sent.append(event)
            self._change()
        elif self._manners.raises:
            raise BrokenPipeError

    def _follows(self, event: Message) -> None:
        """May this event follow those that were sent?"""
        before, self._last = self._last, event["type"]
        must(event["type"] in FOLLOWS.get(before, ()), "hosted: an event follows another one", before, event["type"])
        must(
            event["type"].startswith(self.scope["type"]),
            "hosted: a request and a WebSocket have events of their own",
            event["type"],
        )


def innermost(error: Exception) -> Exception:
    """The first exception of a group."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


FOLLOWS: Final = {
    "": ("http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start"),
    "http.response.start": ("http.response.body",),
    "websocket.http.response.start": ("websocket.http.response.body",),
    "websocket.accept": ("websocket.send", "websocket.close"),
    "websocket.send": ("websocket.send", "websocket.close"),
}
"""The events that may follow each event (ASGI HTTP and WebSocket)."""
