"""What a simulated client receives, checked against what it sent: every reply must belong to a call of this client.

This module does not know links, nor how messages are sent.
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
from posthouse.core.values.errors import METHOD_NOT_FOUND, SERVER_BUSY, RpcError, http_status

from .pending import PendingCall, PendingCalls, PendingPings
from .protocols.protocol import Closed, HttpReply, Message, Pong
from .refusals import Refusals

MAX_NOTIFICATIONS: Final = 1000
"""The number of notifications that a client keeps."""

PROTOCOL_ERRORS: Final = (1002, 1003, 1005, 1007)
"""Close codes that a client which keeps the protocol never gets. 1005 means a close without a code: these clients never
close so, and must not be answered so."""

TOO_BIG: Final = 1009
NO_CONTENT: Final = 204
LENGTH_REQUIRED: Final = 411

PLAIN_REFUSALS: Final = (403, 408, 414, 421, 429, 431, 503)
"""The statuses with which a valid request may be refused in plain text: for its time or size, for its origin or host,
and because the server is full or shutting down."""

FOREIGN_REFUSALS: Final = (*PLAIN_REFUSALS, 415)
"""The statuses with which a page that may not call is refused: also for its media type."""

UNREAD: Final = (400, 408, 414, 431)
"""The statuses of requests whose head may not have been read, so that nothing in it is known."""


class ReceiverHost(Protocol):
    """What a client must know of its world to check what it receives."""

    @property
    def schedule(self) -> Schedule:
        """The clock."""
        ...

    @property
    def config(self) -> Config:
        """The limits of the server. They tell a client which of its messages are refused."""
        ...

    def accepts_size(self, size: int) -> bool:
        """Does the server accept every text of this size?"""
        ...

    def incident(self, id: str) -> BaseException | None:
        """The exception of a handler, by the incident id that its caller got."""
        ...


class Receiver(ABC):
    """The receiving side of a client.

    `broke_protocol`: on this link the client sent something invalid or unrequested, so that its replies are not
    checked. `notifications` are those received, as (method, params). `answers` has a function for each method that the
    server may call; it gets the params, returns the result or raises RpcError. `on_notification` has functions that get
    the params of notifications. `on_stats` gets the answers of `/stats`. `close_code` is that of the last connection.
    """

    def __init__(self, name: str, host: ReceiverHost) -> None:
        self.name: Final = name
        self.answers: Final[dict[str, Callable[[Any], Any]]] = {}
        self.on_notification: Final[dict[str, Callable[[Any], object]]] = {}
        self.notifications: Final[deque[tuple[str, Any]]] = deque(maxlen=MAX_NOTIFICATIONS)
        self.on_stats: Callable[[HttpReply], object] | None = None
        self.close_code: int | None = None
        self.broke_protocol = False
        self._schedule: Final = host.schedule
        self._host: Final = host
        self._calls: Final = PendingCalls(name)
        self._pings: Final = PendingPings(f"{name}-ping")
        self._refusals: Final = Refusals(host.config)
        self._largest = 0

    @property
    def calls(self) -> int:
        """The number of calls that were made."""
        return self._calls.made

    @property
    def pending(self) -> list[PendingCall]:
        """The calls and pings without an outcome."""
        return [*self._calls, *self._pings]

    @abstractmethod
    def _respond(self, text: bytes) -> None:
        """Send this response to a request of the server, after the client's delay."""

    def _on_event(self, event: Message | Pong | HttpReply | Closed) -> None:
        if isinstance(event, Message):
            for entry in entries_of(self._decode(event.text)):
                self._on_entry(entry)
        elif isinstance(event, Pong):
            if not self._pings.answered(event.payload, self._schedule.now):
                self._violated("a client got a pong that matches no ping", event)
        elif isinstance(event, HttpReply):
            self._on_http_reply(event)
        else:
            self._on_closed(event.code)

    def _violated(self, sentence: str, seen: object) -> None:
        """Raise Violation, unless the client broke the protocol and may therefore get anything."""
        if not self.broke_protocol:
            raise Violation(f"answering: {sentence}", self.name, seen)

    def _on_closed(self, code: int | None) -> None:
        self.close_code = code
        if code in PROTOCOL_ERRORS:
            self._violated("a client that kept the protocol was closed for breaking it", code)
        if code == TOO_BIG and self._host.accepts_size(self._largest):
            self._violated("a client that sent nothing large was closed for its size", code)

    def _on_http_reply(self, event: HttpReply) -> None:
        """Check the status, and end every call of the request: a call that the reply does not name was refused."""
        if not event.request:
            if self.on_stats is not None and not self.broke_protocol:
                self.on_stats(event)
            return
        request = decoded(event.request)
        reply = None if event.body is None else self._decode(event.body)
        if event.page.foreign:
            if event.status not in FOREIGN_REFUSALS or event.body is not None:
                self._violated("a page that may not call was answered", event)
        elif event.status == LENGTH_REQUIRED and event.page.chunk:
            if self._host.config.allow_chunked:
                self._violated("a chunked request was refused", event)
        elif not status_fits(event.status, request, reply):
            self._violated("the HTTP status does not match the reply", event)
        if not event.named and event.status not in UNREAD:
            self._violated("an HTTP response does not have the X-Request-Id of its request", event)
        refusal = RpcError(SERVER_BUSY, data={"status": event.status})
        for entry in entries_of(reply):
            if is_refusal(entry):
                refusal = self._error(entry["error"])
            else:
                self._on_entry(entry)
        for entry in entries_of(request):
            call = self._calls.take(entry) if isinstance(entry, dict) else None
            if call is not None:
                call.end("error", self._schedule.now, error=refusal)

    def _decode(self, text: bytes) -> Any:
        """The message, or None. A client that broke the protocol may get texts in another framing than its own."""
        message = decoded(text)
        if message is None:
            self._violated("the server sent a text that is not JSON", text)
        return message

    def _on_entry(self, entry: dict[str, Any]) -> None:
        if is_refusal(entry):
            self._on_refusal(entry["error"])
        elif "method" not in entry:
            self._on_response(entry)
        elif "id" in entry:
            self._on_request(entry)
        elif entry["method"] != "$/progress" or not self._calls.add_progress(entry.get("params")):
            self.notifications.append((entry["method"], entry.get("params")))
            if entry["method"] in self.on_notification:
                self.on_notification[entry["method"]](entry.get("params"))

    def _on_response(self, entry: dict[Any, Any]) -> None:
        call = self._calls.take(entry)
        if call is None:
            if entry.get("id", "") is not None:
                self._violated("a client got a reply that matches no call", entry)
        elif "error" in entry:
            call.end("error", self._schedule.now, error=self._error(entry["error"]))
        else:
            call.end("result", self._schedule.now, value=entry["result"])

    def _on_refusal(self, error: dict[str, Any]) -> None:
        """An error without an id: a message, or an entry of a batch, was refused."""
        calls = self._refusals.take(error["code"])
        if calls is None:
            self._violated("a client got an error without an id that no message of its own caused", error)
        for call in calls or ():
            if self._calls.take({"id": call.id}) is not None:
                call.end("error", self._schedule.now, error=self._error(error))

    def _error(self, error: dict[str, Any]) -> RpcError:
        """An error as an exception. Its cause is the exception of the handler, if there was one."""
        data = error.get("data")
        made = RpcError(error["code"], error["message"], data, reserved=True)
        if isinstance(data, dict) and isinstance(data.get("incident"), str):
            made.__cause__ = self._host.incident(data["incident"])
        return made

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


def entries_of(message: Any) -> list[Any]:
    """The entries of a batch; a list of the one message otherwise; an empty list for None."""
    if message is None:
        return []
    return message if isinstance(message, list) else [message]


def is_refusal(entry: dict[str, Any]) -> bool:
    """Is this an error without an id?"""
    return "error" in entry and entry.get("id") is None


def status_fits(status: int, request: Any, reply: Any) -> bool:
    """Is this the right HTTP status for this reply (docs/protocol.md, "HTTP")? `reply` is None if it is not JSON."""
    requests = [entry for entry in entries_of(request) if isinstance(entry, dict) and "method" in entry]
    expects_reply = any("id" in entry for entry in requests)
    if reply is None:
        return status in PLAIN_REFUSALS or (status == NO_CONTENT and not expects_reply)
    if not isinstance(reply, list) and "error" in reply:
        return status == http_status(reply["error"]["code"])
    # A batch of notifications gets only errors without an id.
    refused = isinstance(reply, list) and all(map(is_refusal, reply))
    return (expects_reply or refused) and status == http_status(None)


def decoded(text: bytes) -> Any:
    """The JSON value, or None if the text is not JSON."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
