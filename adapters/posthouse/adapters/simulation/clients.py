"""Simulated clients: what they ask, what they were answered, and that nobody is answered what they did not ask.

A client speaks through a real codec, of the client's side, over a link. It connects when it has something to say, and
again when it has something to say after its link was lost. It may not know the server's gateway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from posthouse.adapters.invariants import Violation
from posthouse.core.errors import METHOD_NOT_FOUND, SERVER_BUSY, RpcError

from .chance import Stream
from .network import Link
from .pending import Asked, PendingCall, notification
from .schedule import Schedule
from .speech import Event, Gone, Message, Replied, Speech

REMEMBERED: Final = 1000
"""How many notifications a client remembers."""

FAULTS: Final = (1002, 1003, 1005, 1007)
"""Close codes that a client which keeps the rules neither gets nor has cause to give. 1005 is a close without a code:
no client of these closes so, and none is to be answered so."""

TOO_BIG: Final = 1009


class Host(Protocol):
    """What a client needs of its world."""

    @property
    def schedule(self) -> Schedule:
        """The clock."""
        ...

    def connect(self, client: Client) -> Link | None:
        """A new link to the server, or None: it does not listen, or lets nobody in."""
        ...

    def takes(self, size: int) -> bool:
        """Does the server take a text of so many bytes, whatever it is?"""
        ...

    def incident(self, id: str) -> BaseException | None:
        """What a handler has raised, by what its caller is told of it."""
        ...


class Client:
    """One client, by its name. `reads` False: it takes nothing from its links; `clogged`: nothing moves on them.

    `notifications` are those that came, as (method, params); `answers` has a function for each method that the server
    may call, of its params, which may raise RpcError; the answer goes out `answer_delay` seconds later. `speak` begins
    a conversation on each new link.
    """

    def __init__(self, name: str, world: Host, stream: Stream, speak: Callable[[Stream, float], Speech]) -> None:
        self.name: Final = name
        self.stream: Final = stream
        self.answers: Final[dict[str, Callable[[Any], Any]]] = {}
        self.notifications: Final[deque[tuple[str, Any]]] = deque(maxlen=REMEMBERED)
        self.answer_delay = 0.0
        self.close_code: int | None = None
        self.connections = 0
        self.link: Link | None = None
        self.speech: Speech | None = None
        self.liar = False
        self._world: Final = world
        self._schedule: Final = world.schedule
        self.speak = speak
        self._asked: Final = Asked(name)
        self._unsaid: Final[deque[bytes]] = deque()
        self._unsent = bytearray()
        self._largest = 0
        self._ticking = False
        self._reads = True
        self.clogged = False
        self._leaving: int | None = None

    def __repr__(self) -> str:
        return f"<client {self.name}: {'connected' if self.link is not None else 'not connected'}>"

    # What it says

    def call(self, method: str, /, *args: Any, timeout_ms: int | None = None, **kwargs: Any) -> PendingCall:
        """Call a method, with parameters by position or by name."""
        request, call = self._request(method, args, kwargs, timeout_ms)
        self.say(msgspec.json.encode(request))
        return call

    def notify(self, method: str, /, *args: Any, **kwargs: Any) -> None:
        """Send a notification."""
        self.say(msgspec.json.encode(notification(method, args, kwargs)))

    def batch(
        self, calls: Sequence[tuple[str, Sequence[Any]]], told: Sequence[tuple[str, Sequence[Any]]] = ()
    ) -> list[PendingCall]:
        """Call several methods in one array, each with parameters by position. `told` are notifications behind them."""
        pairs = [self._request(method, tuple(args), {}, None) for method, args in calls]
        notifications = [notification(method, tuple(args), {}) for method, args in told]
        self.say(msgspec.json.encode([request for request, _ in pairs] + notifications))
        return [call for _, call in pairs]

    def cancel(self, call: PendingCall) -> None:
        """Ask for the end of a call. Its outcome tells whether that came in time."""
        self.notify("$/cancelRequest", id=call.id)

    def say(self, text: bytes) -> None:
        """Send one text, whatever it is. A link is made if there is none."""
        self.connect()
        if self.speech is None:
            return  # nobody listens, and what was to be answered is lost already
        self._largest = max(self._largest, len(text))
        if self.speech.ready:
            self.speech.say(text)
            self._work()
        else:
            self._unsaid.append(text)

    def send(self, data: bytes) -> None:
        """Send bytes, past the codec. What they do to the conversation is this client's own fault."""
        self.connect()
        self.liar = True
        self._give(data)

    def _request(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_ms: int | None
    ) -> tuple[dict[str, Any], PendingCall]:
        request = notification(method, args, kwargs)
        return request, self._asked.make(request, timeout_ms, self._schedule.now)

    @property
    def pending(self) -> list[PendingCall]:
        """The calls that have no outcome."""
        return list(self._asked)

    # Its link

    def connect(self) -> None:
        """Make a link, if there is none."""
        if self.link is not None:
            return
        link = self._world.connect(self)
        if link is None:
            self._lose()
            return
        self.connections += 1
        self.link = link
        self.liar = False
        self.close_code = None
        self._largest = 0
        self._leaving = None
        link.down.reading = self._reads
        link.down.deliver = partial(self._received, link)
        link.down.deliver_eof = partial(self._ended, link)
        link.up.on_room = self._flush
        self.speech = self.speak(self.stream, self._schedule.now)
        self._work()

    @property
    def reads(self) -> bool:
        """Does it take what it is sent?"""
        return self._reads

    @reads.setter
    def reads(self, reads: bool) -> None:
        self._reads = reads
        if self.link is not None:
            self.link.down.reading = reads
            self.link.down.move()

    def close(self, code: int = 1000) -> None:
        """Leave in good order."""
        if self.speech is not None:
            self._leaving = code
            self._work()

    def half_close(self) -> None:
        """Say that nothing more will be said."""
        if self.link is not None:
            self.link.up.end()

    def lost(self, link: Link) -> None:
        """The network, or the other end, has cut this link."""
        if self.link is link:
            self._lose()

    def _received(self, link: Link, data: bytes) -> None:
        if self.link is link and self.speech is not None:
            self.speech.hear(data, self._schedule.now)
            self._work()

    def _ended(self, link: Link) -> None:
        if self.link is link and self.speech is not None:
            self.speech.hear_end(self._schedule.now)
            self._work()
            if self.link is link:
                link.up.end()
                self._lose()

    def _lose(self) -> None:
        """What waits for an answer will have none."""
        self.link = None
        self.speech = None
        self._unsaid.clear()
        self._unsent.clear()
        self._asked.lose(self._schedule.now)

    def _give(self, data: bytes) -> None:
        if self.link is None:
            return
        taken = 0 if self._unsent else self.link.up.write(data)
        self._unsent += data[taken:]

    def _flush(self) -> None:
        if self._unsent and self.link is not None:
            taken = self.link.up.write(bytes(self._unsent[:65536]))
            del self._unsent[:taken]

    # What it hears

    def _work(self) -> None:
        """Do what the codec says."""
        speech, link = self.speech, self.link
        if speech is None:
            return
        for event in speech.events():
            self._on(event)
        if (self._unsaid or self._leaving is not None) and self.speech is speech and speech.ready:
            while self._unsaid and speech.ready:
                speech.say(self._unsaid.popleft())
            if self._leaving is not None:
                speech.close(self._leaving, self._schedule.now)
            for event in speech.events():
                self._on(event)
        if self.link is link and link is not None and speech.over:
            link.up.end()
            if not speech.waits:
                self._leave(link)
        elif not self._ticking and (due := speech.next_timeout()) is not None:
            self._ticking = True
            self._schedule.after(max(due - self._schedule.now, 0.0), self._tick)

    def _leave(self, link: Link) -> None:
        link.down.drop()
        self._lose()

    def _tick(self) -> None:
        self._ticking = False
        if self.speech is not None:
            self.speech.handle_timeout(self._schedule.now)
            self._work()

    def _on(self, event: Event) -> None:
        if type(event) is bytes:
            self._give(event)
        elif isinstance(event, Message):
            self._on_text(event.text)
        elif isinstance(event, Replied):
            self._on_replied(event)
        elif isinstance(event, Gone):
            self.close_code = event.code
            if event.code in FAULTS and not self.liar:
                raise Violation("answering: who keeps the rules of the wire is not closed for them", self.name, event)
            if event.code == TOO_BIG and not self.liar and self._world.takes(self._largest):
                raise Violation("answering: who says nothing large is not closed for its size", self.name, event)

    def _on_replied(self, event: Replied) -> None:
        """A response answers all of its request: what it does not name was refused together with the whole."""
        try:
            message = msgspec.json.decode(event.to)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # it was a lie, and nothing hangs on it
        for entry in message if isinstance(message, list) else (message,):
            call = self._asked.take(entry) if isinstance(entry, dict) else None
            if call is not None:
                failed = RpcError(SERVER_BUSY, data={"status": event.status})
                call.end("error", self._schedule.now, error=failed)

    def _on_text(self, text: bytes) -> None:
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if self.liar:
                return  # it spoke in two framings, and was answered in the other
            raise Violation("answering: what is sent is JSON", self.name, text) from None
        for entry in message if isinstance(message, list) else (message,):
            if "method" not in entry:
                self._on_response(entry)
            elif "id" in entry:
                self._on_request(entry)
            else:
                self.notifications.append((entry["method"], entry.get("params")))

    def _on_response(self, entry: dict[Any, Any]) -> None:
        call = self._asked.take(entry)
        if call is None:
            if not self.liar and entry.get("id", "") is not None:
                raise Violation("answering: who asked is answered, and once", self.name, entry)
            return
        error = entry.get("error")
        if error is None:
            call.end("result", self._schedule.now, value=entry["result"])
        else:
            data = error.get("data")
            failed = RpcError(error["code"], error["message"], data, reserved=True)
            if isinstance(data, dict) and "incident" in data:
                failed.__cause__ = self._world.incident(data["incident"])
            call.end("error", self._schedule.now, error=failed)

    def _on_request(self, entry: dict[str, Any]) -> None:
        answer = self.answers.get(entry["method"])
        response: dict[str, Any] = {"jsonrpc": "2.0", "id": entry["id"]}
        if answer is None:
            response["error"] = {"code": METHOD_NOT_FOUND, "message": "Method not found"}
        else:
            try:
                response["result"] = answer(entry.get("params"))
            except RpcError as error:
                response["error"] = {"code": error.code, "message": error.message, "data": error.data}
        answer = partial(self._answer, self.link, msgspec.json.encode(response))
        if self.answer_delay:
            self._schedule.after(self.answer_delay, answer)
        else:
            answer()

    def _answer(self, link: Link | None, text: bytes) -> None:
        if link is not None and self.link is link:  # on another nobody would know what is answered
            self.say(text)
