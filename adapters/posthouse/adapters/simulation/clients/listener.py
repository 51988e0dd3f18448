"""What a simulated client hears, held against what it said: nobody is answered what he did not ask.

Here is what it waits for, and what the server said of itself. It may not know links, nor how anything is sent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.schedule import Schedule
from posthouse.core.values.config import Config
from posthouse.core.values.errors import METHOD_NOT_FOUND, SERVER_BUSY, RpcError

from .pending import Asked, PendingCall, Pings
from .refusals import Refusals
from .speech import Gone, Message, Pong, Replied
from .statuses import asks, status_fits

REMEMBERED: Final = 1000
"""How many notifications a client remembers."""

FAULTS: Final = (1002, 1003, 1005, 1007)
"""Close codes that a client which keeps the rules neither gets nor has cause to give. 1005 is a close without a code:
no client of these closes so, and none is to be answered so."""

TOO_BIG: Final = 1009


class Surroundings(Protocol):
    """What a client must know to judge what it hears."""

    @property
    def schedule(self) -> Schedule:
        """The clock."""
        ...

    @property
    def config(self) -> Config:
        """The server's limits: by them a client that keeps the rules knows what it is refused for."""
        ...

    def takes(self, size: int) -> bool:
        """Does the server take a text of so many bytes, whatever it is?"""
        ...

    def incident(self, id: str) -> BaseException | None:
        """What a handler has raised, by what its caller is told of it."""
        ...


class Listener(ABC):
    """A client, as far as it hears. `liar`: on this link it has not kept the rules, and is owed nothing.

    `notifications` are those that came, as (method, params); `answers` has a function for each method that the server
    may call, of its params, which may raise RpcError. `close_code` is that of the connection that ended last.
    """

    def __init__(self, name: str, world: Surroundings) -> None:
        self.name: Final = name
        self.answers: Final[dict[str, Callable[[Any], Any]]] = {}
        self.notifications: Final[deque[tuple[str, Any]]] = deque(maxlen=REMEMBERED)
        self.close_code: int | None = None
        self.liar = False
        self._schedule: Final = world.schedule
        self._surroundings: Final = world
        self._asked: Final = Asked(name)
        self._pings: Final = Pings(name)
        self._refusals: Final = Refusals(world.config)
        self._largest = 0

    @property
    def calls(self) -> int:
        """How many it has made."""
        return self._asked.made

    @property
    def pending(self) -> list[PendingCall]:
        """The calls, and pings, that have no outcome."""
        return [*self._asked, *self._pings]

    @abstractmethod
    def _respond(self, text: bytes) -> None:
        """Send this response to who asks, when it is time."""

    def _hear(self, event: Message | Pong | Replied | Gone) -> None:
        """The server has said something, or has left."""
        if isinstance(event, Message):
            for entry in several(self._read(event.text)):
                self._on_entry(entry)
        elif isinstance(event, Pong):
            answered = self._pings.answered(event.payload, self._schedule.now)
            if not answered and not self.liar:
                raise Violation("answering: a pong is that of a ping, once and in order", self.name, event)
        elif isinstance(event, Replied):
            self._on_replied(event)
        else:
            self._on_gone(event.code)

    def _on_gone(self, code: int | None) -> None:
        self.close_code = code
        if code in FAULTS and not self.liar:
            raise Violation("answering: who keeps the rules of the wire is not closed for them", self.name, code)
        if code == TOO_BIG and not self.liar and self._surroundings.takes(self._largest):
            raise Violation("answering: who says nothing large is not closed for its size", self.name, code)

    def _on_replied(self, event: Replied) -> None:
        """A response answers all of its request: what it does not name was refused together with the whole."""
        said = decoded(event.to)
        answer = None if event.body is None else self._read(event.body)
        if not self.liar and not status_fits(event.status, asks(said), answer):
            raise Violation("answering: the status of an answer is that of what it says", self.name, event)
        refused = RpcError(SERVER_BUSY, data={"status": event.status})
        for entry in several(answer):
            if is_refusal(entry):
                refused = self._failed(entry["error"])
            else:
                self._on_entry(entry)
        for entry in several(said):
            call = self._asked.take(entry) if isinstance(entry, dict) else None
            if call is not None:
                call.end("error", self._schedule.now, error=refused)

    def _read(self, text: bytes) -> Any:
        """What the server says, or None: it speaks in another framing than this client, which lied about its own."""
        message = decoded(text)
        if message is None and not self.liar:
            raise Violation("answering: what is sent is JSON", self.name, text)
        return message

    def _on_entry(self, entry: dict[str, Any]) -> None:
        if is_refusal(entry):
            self._on_refusal(entry["error"])
        elif "method" not in entry:
            self._on_response(entry)
        elif "id" in entry:
            self._on_request(entry)
        elif entry["method"] != "$/progress" or not self._asked.told(entry.get("params")):
            self.notifications.append((entry["method"], entry.get("params")))

    def _on_response(self, entry: dict[Any, Any]) -> None:
        call = self._asked.take(entry)
        if call is None:
            if not self.liar and entry.get("id", "") is not None:
                raise Violation("answering: who asked is answered, and once", self.name, entry)
        elif "error" in entry:
            call.end("error", self._schedule.now, error=self._failed(entry["error"]))
        else:
            call.end("result", self._schedule.now, value=entry["result"])

    def _on_refusal(self, error: dict[str, Any]) -> None:
        """A text, or an entry of one, is refused without a word about whose it was."""
        calls = self._refusals.take(error["code"])
        if calls is None and not self.liar:
            raise Violation("answering: who is refused has said what is refused so", self.name, error)
        for call in calls or ():
            if self._asked.take({"id": call.id}) is not None:
                call.end("error", self._schedule.now, error=self._failed(error))

    def _failed(self, error: dict[str, Any]) -> RpcError:
        """What an error says, as an exception; what a handler raised is its cause."""
        data = error.get("data")
        failed = RpcError(error["code"], error["message"], data, reserved=True)
        if isinstance(data, dict) and isinstance(data.get("incident"), str):
            failed.__cause__ = self._surroundings.incident(data["incident"])
        return failed

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
        self._respond(msgspec.json.encode(response))


def several(message: Any) -> list[Any]:
    """The entries of a message: of none none, of one that is no batch itself."""
    if message is None:
        return []
    return message if isinstance(message, list) else [message]


def is_refusal(entry: dict[str, Any]) -> bool:
    """Is it an error that names no request?"""
    return "error" in entry and entry.get("id") is None


def decoded(text: bytes) -> Any:
    """The JSON value, or None for what is none."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
