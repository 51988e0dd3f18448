"""JSON texts over a blocking stream: what `posthouse call` speaks through, for each kind of address.

The codecs are those of the transports; here they are joined to a stream and to nothing else. A link says one thing and
hears what comes back; what the texts mean is not known here.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlsplit

from msgspec import Struct
from posthouse.adapters.terminal import Failure, Misuse, printable
from posthouse.core.values.config import KIB, MIB, Config
from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Failed, Response
from posthouse.transports.client.websocket import WebSocketClient
from posthouse.transports.codec import Ended, Output, Send, Text
from posthouse.transports.pipes.newline import NewlineFraming

from .streams import Deadline, NoConnection, Stream, open_child, open_tcp, open_unix, tls_context

MAX_ANSWER: Final = 256 * MIB
"""Bytes of an answer that are taken in: the server's own limit counts, this one is against a mad one."""

NORMAL_CLOSURE: Final = 1000

LEAVE_SECONDS: Final = 2.0
"""How long the server has to answer our close frame."""

PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
PATHS: Final = {"http": "/rpc", "https": "/rpc", "ws": "/ws", "wss": "/ws"}

TARGET: Final = re.compile(r"/[!-~]*")

HINTS: Final = {
    403: "the server does not allow this origin: start it with --allow-origin",
    404: "is the path right? Posthouse has /rpc for HTTP and /ws for WebSocket",
    421: "the server does not go by this name: start it with --allow-host",
    426: "there is a WebSocket at this path: say ws:// or wss://",
}

DROPPED: Final = "a proxy on the way has dropped the Upgrade header: have it pass Upgrade and Connection on"
"""What 426 means where a WebSocket was asked for."""

MAX_SAID: Final = 16 * KIB
"""Bytes of an answer that is to say why there is no WebSocket."""


class Options(Struct, frozen=True):
    """How to call: with further HTTP headers, with a PEM file of authorities in place of the system's, or trusting
    every certificate."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    authority: str | None = None
    insecure: bool = False


class Link(Protocol):
    """A way to the server. `lasts`: the server may speak first, and more than once."""

    lasts: bool

    def send(self, text: bytes) -> None:
        """One JSON text."""
        ...

    def receive(self) -> bytes:
        """The next JSON text; empty for an answer that says nothing. Raises Failure when there will be none."""
        ...

    def leave(self) -> None:
        """Say goodbye, where the protocol has a word for it, and see that all arrived that was sent."""
        ...

    def close(self) -> None:
        """The end, in every case. Never raises."""
        ...


class HttpLink:
    """One POST, and its response."""

    lasts = False

    def __init__(self, stream: Stream, config: Config, host: str, target: str, options: Options) -> None:
        self._stream: Final = stream
        self._client: Final = Http1Client(config, host.encode())
        self._target: Final = target.encode()
        given = [name.lower() for name, _ in options.headers]
        usual = () if b"content-type" in given else ((b"Content-Type", b"application/json"),)
        self._headers: Final = (*usual, *options.headers)

    def send(self, text: bytes) -> None:
        """Make the request."""
        self._client.request(b"POST", self._target, self._headers, text)
        for output in self._client.output:
            if isinstance(output, Send):
                self._stream.send(output.data)
        self._client.output.clear()

    def receive(self) -> bytes:
        """The body of the response."""
        answer = _answer(self._client, self._stream, self._stream.receive())
        if isinstance(answer, Failed):
            raise NoConnection(answer.reason)
        return _body(answer)

    def leave(self) -> None:
        """Nothing is owed after the response."""

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def _answer(client: Http1Client, stream: Stream, data: bytes) -> Response | Failed:
    """The answer to what the client asked, of which `data` were read."""
    while True:
        if data:
            client.receive_data(data)
        else:
            client.receive_eof()
        for output in client.output:
            if isinstance(output, Response | Failed):
                return output
        data = stream.receive()


def _body(response: Response) -> bytes:
    if response.status in (200, 204) or b'"jsonrpc"' in response.body:
        return response.body
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    text = f"the server answered {response.status} {phrase}".rstrip() + _said(response)
    raise Failure(text, hint=HINTS.get(response.status, ""))


def _said(response: Response) -> str:
    """What a refusal says in plain text, behind a colon; a page is for browsers."""
    media = (response.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    text = response.body.decode("utf-8", "backslashreplace").strip() if media == b"text/plain" else ""
    return f": {printable(text)}" if text else ""


class Duplex(Protocol):
    """What the client's WebSocket and lines have in common."""

    output: list[Output]

    def receive_data(self, data: bytes, now: float) -> None:
        """Bytes came."""
        ...

    def receive_eof(self, now: float) -> None:
        """No more come."""
        ...

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is wanted."""
        ...

    def handle_timeout(self, now: float) -> None:
        """It is time."""
        ...


class LastingLink:
    """A connection on which both sides speak as they like."""

    lasts = True

    def __init__(self, stream: Stream, codec: Duplex) -> None:
        self._stream: Final = stream
        self._duplex: Final = codec
        self._texts: deque[bytes] = deque()
        self._ended = False

    def receive(self) -> bytes:
        """The next text."""
        while not self._texts:
            if self._ended:
                raise NoConnection("the connection ended before the answer")
            self._step()
        return self._texts.popleft()

    def leave(self) -> None:
        """Nothing: not every protocol has a word for it."""

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()

    def _step(self) -> bytes:
        """Read once, and do what follows. Returns what was read."""
        data = self._stream.receive()
        if data:
            self._duplex.receive_data(data, time.monotonic())
        else:
            self._duplex.receive_eof(time.monotonic())
            self._ended = True
        self._perform()
        return data

    def _perform(self) -> None:
        codec = self._duplex
        while codec.output:
            outputs = codec.output[:]
            codec.output.clear()
            for output in outputs:
                if isinstance(output, Send):
                    self._stream.send(output.data)
                elif isinstance(output, Text):
                    self._texts.append(output.data)
                elif isinstance(output, Ended):
                    self._ended = True
            due = codec.next_timeout()
            if due is not None and due <= time.monotonic():
                codec.handle_timeout(time.monotonic())  # it has handed on a turn's worth: now the rest


class LinesLink(LastingLink):
    """A process that speaks one JSON text per line."""

    def __init__(self, stream: Stream, config: Config) -> None:
        self._lines: Final = NewlineFraming(config)
        super().__init__(stream, self._lines)

    def send(self, text: bytes) -> None:
        """One line."""
        self._stream.send(self._lines.frame(text))


class WebSocketLink(LastingLink):
    """A WebSocket. Raises NoConnection when the server does not open one."""

    def __init__(self, stream: Stream, config: Config, host: str, target: str, options: Options) -> None:
        self._client: Final = WebSocketClient(
            config,
            host=host.encode(),
            target=target.encode(),
            headers=options.headers,
            deflate=False,
            entropy=os.urandom,
            now=time.monotonic(),
        )
        super().__init__(stream, self._client)
        self._perform()
        head = b""
        while self._client.opened is None and not self._ended:
            head += self._step()
        if self._client.rejected is not None:
            raise self._refused(self._client.rejected, head)

    def _refused(self, reason: str, head: bytes) -> NoConnection:
        """What to raise when the answer, which began with `head`, opens no WebSocket."""
        found = re.search(r"status (\d{3})", reason)
        if found is None:
            return NoConnection(f"no WebSocket: {reason}")
        client = Http1Client(Config(max_response_bytes=MAX_SAID), b"")
        client.request(b"GET", b"/")  # what it answers to does not matter: it reads the rest
        try:
            answer = _answer(client, self._stream, head)
        except Failure:
            said = ""  # what it was going to say did not come
        else:
            said = _said(answer) if isinstance(answer, Response) else ""
        status = int(found[1])
        return NoConnection(f"no WebSocket: {reason}{said}", hint=DROPPED if status == 426 else HINTS.get(status, ""))

    def send(self, text: bytes) -> None:
        """One text message."""
        self._client.send(text)
        self._perform()

    def leave(self) -> None:
        """Close with 1000, and wait until the server has answered, so that it has read all before that."""
        self._client.close(NORMAL_CLOSURE, time.monotonic())
        self._stream.deadline = Deadline(LEAVE_SECONDS)
        self._perform()
        try:
            while not self._ended:
                self._step()
        except Failure:
            pass  # it was only a goodbye


def open_link(url: str, options: Options, deadline: Deadline) -> Link:
    """The way to what `url` names. Raises Misuse for what is no such address, NoConnection when nobody is there."""
    config = Config(max_message_bytes=MAX_ANSWER, max_response_bytes=MAX_ANSWER, head_timeout=deadline.seconds)
    scheme, _, rest = url.partition(":")
    if scheme == "stdio":
        if options.headers:
            raise Misuse("--header is for HTTP and WebSocket: a process has no headers")
        return LinesLink(open_child(rest, deadline), config)
    if scheme == "unix":
        path = rest.removeprefix("//")
        if not path:
            raise Misuse("unix: names no socket", hint="such as unix:/run/calculator.sock")
        return HttpLink(open_unix(path, deadline), config, "localhost", "/rpc", options)
    return _open_network(url, config, options, deadline)


def _open_network(url: str, config: Config, options: Options, deadline: Deadline) -> Link:
    try:
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname
        port = parts.port if parts.port is not None else PORTS.get(scheme, 0)
    except ValueError as error:
        raise Misuse(f"{url!r} is no address: {error}") from None
    if scheme not in PORTS or not host:
        hint = "such as http://127.0.0.1:8000, ws://127.0.0.1:8000, unix:/path/to.sock or stdio:'COMMAND'"
        raise Misuse(f"{url!r} is no address that can be called", hint=hint)
    if parts.username is not None:
        raise Misuse("credentials do not belong into an address", hint="send them with --header 'Authorization: ...'")
    target = (parts.path or PATHS[scheme]) + (f"?{parts.query}" if parts.query else "")
    if not url.isascii() or not TARGET.fullmatch(target):
        raise Misuse(f"{url!r} is no address: write it in ASCII (%20, xn--...)")
    secure = scheme in ("https", "wss")
    if not secure and (options.authority is not None or options.insecure):
        raise Misuse("--ca and --insecure are for https:// and wss://")
    tls = tls_context(authority=options.authority, insecure=options.insecure) if secure else None
    stream = open_tcp(host, port, deadline, tls)
    try:
        if scheme in ("http", "https"):
            return HttpLink(stream, config, parts.netloc, target, options)
        return WebSocketLink(stream, config, parts.netloc, target, options)
    except BaseException:
        stream.close()
        raise
