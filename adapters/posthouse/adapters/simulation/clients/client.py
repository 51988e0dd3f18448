"""Simulated clients: what they send, over which link, and when they leave. `receiver.py` checks what they receive.

A client uses a real codec of the client's side over a simulated link. It connects when it has something to send, and
again after its link was lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, Protocol

from msgspec.json import encode
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.judges.judge import Judge
from posthouse.adapters.simulation.network import Link
from posthouse.core.values.errors import UsageError

from .judged import JudgedLink
from .pending import PendingCall, checked_pairs, notification, one_kind
from .protocols.http import HttpProtocol
from .protocols.protocol import ClientProtocol, Event
from .protocols.websocket import WebSocketProtocol
from .receiver import Receiver, ReceiverHost


class ClientHost(ReceiverHost, Protocol):
    """What a client needs of its world."""

    def connect(self, client: Client) -> Link | None:
        """A new link to the server, or None if the server refuses it."""
        ...

    def judge(self, client: Client) -> Judge:
        """The judge of a new link of this client."""
        ...


class Client(Receiver):
    """One client. `stream` is its source of choices; `connections` counts the links that it has made.

    `reads` False: it reads nothing from its links. `blocked`: nothing is delivered on them. Its answers to requests of
    the server are sent after `answer_delay` seconds. `new_protocol` opens a connection on each new link.
    """

    def __init__(
        self, name: str, host: ClientHost, stream: Stream, new_protocol: Callable[[Stream, float], ClientProtocol]
    ) -> None:
        super().__init__(name, host)
        self.stream: Final = stream
        self.new_protocol = new_protocol
        self.answer_delay = 0.0
        self.connections = 0
        self.link: Link | None = None
        self.protocol: ClientProtocol | None = None
        self.blocked = False
        self._connect: Final = host.connect
        self._new_judge: Final = host.judge
        self._judged: JudgedLink | None = None  # the link, with its judge
        self._to_send: Final[deque[Callable[[], None]]] = deque()  # until the protocol is ready
        self._unsent = bytearray()  # until the link has room
        self._timer_planned = False
        self._half_closing = False
        self._reads = True
        self._closing: int | None = None

    def __repr__(self) -> str:
        return f"<client {self.name}: {'connected' if self.link is not None else 'not connected'}>"

    # Messages

    def call(
        self,
        method: str,
        /,
        *args: Any,
        timeout_ms: int | None = None,
        idempotency_key: str | None = None,
        traceparent: str | None = None,
        progress_token: str | int | None = None,
        request_id: str | None = None,
        params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> PendingCall:
        """Call a method, with parameters by position or by name.

        A parameter that has the name of an argument of this function goes into `params`.
        """
        request = notification(method, one_kind(args, kwargs, params))
        meta = {
            "timeout_ms": timeout_ms,
            "idempotency_key": idempotency_key,
            "traceparent": traceparent,
            "progress_token": progress_token,
            "request_id": request_id,
        }
        if given := {name: value for name, value in meta.items() if value is not None}:
            request["meta"] = given
        call = self._calls.make(request, self._schedule.now)
        self._send_calls(request, [call])
        return call

    def call_text(self, text: str) -> PendingCall:
        """Send this text in place of a call, whose id stands where the text has `@`. It counts as a call without
        params, with the outcome of the reply."""
        call = self._calls.make({"method": ""}, self._schedule.now)
        self._calls.add([call])
        self._send(text.replace("@", call.id).encode(), [call])
        return call

    def call_sized(self, size: int, method: str, /, **params: Any) -> PendingCall:
        """Call a method with a text of this size in bytes, or larger if the call needs more: spaces fill it."""
        request = notification(method, params)
        call = self._calls.make(request, self._schedule.now)
        text = encode(request)
        self._calls.add([call])
        self._send(text[:-1].ljust(size - 1) + b"}", [call])
        return call

    def notify(self, method: str, /, *args: Any, **kwargs: Any) -> None:
        """Send a notification."""
        self._send(encode(notification(method, one_kind(args, kwargs))), ())

    def batch(
        self, calls: Iterable[tuple[str, Any]], notifications: Iterable[tuple[str, Any]] = ()
    ) -> list[PendingCall]:
        """Send several calls in one array, followed by notifications.

        Each entry is a method and its parameters, a list or a dict. Raises UsageError for anything else.
        """
        requests = [notification(method, params) for method, params in checked_pairs(calls)]
        others = [notification(method, params) for method, params in checked_pairs(notifications)]
        made = [self._calls.make(request, self._schedule.now) for request in requests]
        self._send_calls(requests + others, made)
        return made

    def cancel(self, call: PendingCall) -> None:
        """Ask the server to cancel a call. The outcome of the call shows whether this came in time."""
        self.notify("$/cancelRequest", id=call.id)

    def ask_stats(self) -> None:
        """Ask for the counters of the server. The transport must be HTTP. `on_stats` gets the answer."""
        self._send(b"", ())

    def ping(self) -> PendingCall:
        """Send a ping. It has a result when its pong, or that of a later ping, was received.

        Raises UsageError if the transport is not a WebSocket.
        """
        self.connect()
        protocol = self.protocol
        if not isinstance(protocol, WebSocketProtocol | None):
            raise UsageError(f"{self.name} cannot ping: only a WebSocket has pings")
        ping = self._pings.ping(self._schedule.now)
        if protocol is None:
            self._lose()
        else:
            self._send_when_ready(partial(protocol.ping, ping.id.encode()))
        return ping

    def send_text(self, text: bytes) -> None:
        """Send any text as one message. From then on this client counts as one that broke the protocol, on this link:
        replies are not checked."""
        self._send(text, ())  # perhaps over a new link, if the server closes this one meanwhile
        self.broke_protocol = True

    def send_bytes(self, data: bytes) -> None:
        """Send any bytes, without the codec. From then on this client counts as one that broke the protocol, on this
        link: replies are not checked."""
        self.connect()
        self.broke_protocol = True
        self._write(data)

    def _send_calls(self, message: object, calls: Sequence[PendingCall]) -> None:
        text = encode(message)
        self._calls.add(calls)
        self._send(text, calls)

    def _send(self, text: bytes, calls: Sequence[PendingCall]) -> None:
        self.connect()
        protocol = self.protocol
        if protocol is None:
            return  # the server refuses connections, and the calls are lost already
        self._largest = max(self._largest, len(text))
        if not isinstance(protocol, HttpProtocol):
            self._refusals.sent(text, calls)
        self._send_when_ready(partial(protocol.send, text))

    def _send_when_ready(self, send: Callable[[], None]) -> None:
        if self.protocol is not None and self.protocol.ready:
            send()
            self._process_events()
        else:
            self._to_send.append(send)

    # Links

    def connect(self) -> None:
        """Make a link if there is none."""
        if self.link is not None:
            return
        link = self._connect(self)
        if link is None:
            self._lose()
            return
        self.connections += 1
        self.link = link
        self.broke_protocol = False
        self.close_code = None
        self._largest = 0
        self._half_closing = False
        self._closing = None
        received, received_eof = partial(self._received, link), partial(self._received_eof, link)
        self._judged = JudgedLink(link, self._new_judge(self), received, received_eof)
        link.down.reading = self._reads
        link.up.on_room = self._flush
        self.protocol = self.new_protocol(self.stream, self._schedule.now)
        self._process_events()

    @property
    def reads(self) -> bool:
        """Does the client read from its link?"""
        return self._reads

    @reads.setter
    def reads(self, reads: bool) -> None:
        self._reads = reads
        if self.link is not None:
            self.link.down.reading = reads
            self.link.down.plan_delivery()

    def close(self, code: int = 1000) -> None:
        """Close the connection properly, as soon as everything is sent."""
        if self.protocol is not None:
            self._closing = code
            self._process_events()

    def half_close(self) -> None:
        """End the output, after everything that was sent."""
        self._half_closing = True
        self._flush()

    def connection_lost(self, link: Link) -> None:
        """The network or the server has cut this link."""
        if self.link is link:
            self._lose()

    def _received(self, link: Link, data: bytes) -> None:
        if self.link is link and self.protocol is not None:
            self.protocol.receive(data, self._schedule.now)
            self._process_events()

    def _received_eof(self, link: Link) -> None:
        if self.link is link and self.protocol is not None:
            self.protocol.receive_eof(self._schedule.now)
            self._process_events()
            if self._judged is not None and self.link is link:
                self._judged.end()
                self._lose()

    def _lose(self) -> None:
        """The connection is over: pending calls get no reply."""
        self.link = None
        self.protocol = None
        self._judged = None
        self._to_send.clear()
        self._unsent.clear()
        self._refusals.clear()
        self._calls.lose(self._schedule.now)
        self._pings.lose(self._schedule.now)

    def _write(self, data: bytes) -> None:
        if self._judged is None or self._half_closing:
            return
        taken = 0 if self._unsent else self._judged.write(data)
        self._unsent += data[taken:]

    def _flush(self) -> None:
        if self._judged is None:
            return
        if self._unsent:
            taken = self._judged.write(bytes(self._unsent[:65536]))
            del self._unsent[:taken]
        if self._half_closing and not self._unsent:
            self._judged.end()

    # Events of the protocol

    def _process_events(self) -> None:
        """Process the events of the protocol, then send what waited for it to be ready."""
        protocol, link = self.protocol, self.link
        if protocol is None:
            return
        for event in protocol.events():
            self._process(event)
        if (self._to_send or self._closing is not None) and self.protocol is protocol and protocol.ready:
            while self._to_send and protocol.ready:
                self._to_send.popleft()()
            if self._closing is not None:
                protocol.close(self._closing, self._schedule.now)
            for event in protocol.events():
                self._process(event)
        if self.link is link and link is not None and protocol.closed:
            self.half_close()
            if self._judged is not None and not protocol.server_ends:
                self._judged.leave(waits=self.connections % 2 == 1)
                self._lose()
        elif not self._timer_planned and (due := protocol.next_timeout()) is not None:
            self._timer_planned = True
            self._schedule.after(max(due - self._schedule.now, 0.0), self._handle_timeout)

    def _process(self, event: Event) -> None:
        if isinstance(event, bytes):
            self._write(event)
        else:
            self._on_event(event)

    def _handle_timeout(self) -> None:
        self._timer_planned = False
        if self.protocol is not None:
            self.protocol.handle_timeout(self._schedule.now)
            self._process_events()

    def _respond(self, text: bytes) -> None:
        respond = partial(self._respond_on, self.link, text)
        if self.answer_delay:
            self._schedule.after(self.answer_delay, respond)
        else:
            respond()

    def _respond_on(self, link: Link | None, text: bytes) -> None:
        if link is not None and self.link is link:  # a new connection does not know the request
            self._send(text, ())
