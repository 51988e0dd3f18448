"""Connections on which both sides may send at any time: a WebSocket, and the lines of a process."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from typing import Final

from posthouse.adapters.terminal import Failure
from posthouse.core.values.config import KIB, Config
from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Response
from posthouse.transports.client.websocket import OpeningRequest, WebSocketClient
from posthouse.transports.codec import Ended, Send, Text
from posthouse.transports.pipes.newline import NewlineFraming

from .http import Options, read_response, refusal_text, status_hint
from .streams import Deadline, NoConnection, Stream

NORMAL_CLOSURE: Final = 1000

CLOSE_SECONDS: Final = 2.0
"""How long to wait for the server's close frame after ours."""

UPGRADE_DROPPED: Final = "a proxy has dropped the Upgrade header: make it forward Upgrade and Connection"
"""The hint for 426 in answer to a request for a WebSocket."""

MAX_REFUSAL: Final = 16 * KIB
"""Read at most this many bytes of a response that refuses a WebSocket."""


class DuplexConnection:
    """A stream and the codec that reads JSON texts from it."""

    duplex = True

    def __init__(self, stream: Stream, codec: WebSocketClient | NewlineFraming) -> None:
        self._stream: Final = stream
        self._codec: Final = codec
        self._texts: deque[bytes] = deque()
        self._ended = False

    def receive(self) -> bytes:
        while not self._texts:
            if self._ended:
                raise NoConnection("the connection ended before the answer")
            self._read()
        return self._texts.popleft()

    def finish(self) -> None:
        """Nothing to do, unless the protocol has a closing handshake."""

    def close(self) -> None:
        self._stream.close()

    def _read(self) -> bytes:
        """Read once, and perform the codec's outputs. Returns the bytes."""
        data = self._stream.receive()
        if data:
            self._codec.receive_data(data, time.monotonic())
        else:
            self._codec.receive_eof(time.monotonic())
            self._ended = True
        self._perform()
        return data

    def _perform(self) -> None:
        codec = self._codec
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
                codec.handle_timeout(time.monotonic())  # the codec stopped after a number of texts: get the rest


class LineConnection(DuplexConnection):
    """One JSON text per line."""

    def __init__(self, stream: Stream, config: Config) -> None:
        self._lines: Final = NewlineFraming(config)
        super().__init__(stream, self._lines)

    def send(self, text: bytes) -> None:
        self._stream.send(self._lines.frame(text))


class WebSocketConnection(DuplexConnection):
    """A WebSocket. Raises NoConnection if the server refuses it."""

    def __init__(self, stream: Stream, config: Config, host: str, target: str, options: Options) -> None:
        request = OpeningRequest(host.encode(), target.encode(), tuple(options.headers), deflate=False)
        self._client: Final = WebSocketClient(config, request, entropy=os.urandom, now=time.monotonic())
        self._options: Final = options
        super().__init__(stream, self._client)
        self._perform()
        head = b""
        while self._client.opened is None and not self._ended:
            head += self._read()
        if self._client.rejected is not None:
            raise self._refused(self._client.rejected, head)

    def _refused(self, reason: str, head: bytes) -> NoConnection:
        """The exception for a response that began with `head` and opens no WebSocket."""
        found = re.search(r"status (\d{3})", reason)
        if found is None:
            return NoConnection(f"no WebSocket: {reason}")
        client = Http1Client(Config(max_response_bytes=MAX_REFUSAL), b"")
        client.request(b"GET", b"/")  # any request will do: this client only reads the response
        try:
            response = read_response(client, self._stream, head)
        except Failure:
            text = ""  # the rest of the response did not arrive
        else:
            text = refusal_text(response) if isinstance(response, Response) else ""
        status = int(found[1])
        hint = UPGRADE_DROPPED if status == 426 else status_hint(status, self._options)
        return NoConnection(f"no WebSocket: {reason}{text}", hint=hint)

    def send(self, text: bytes) -> None:
        self._client.send(text)
        self._perform()

    def finish(self) -> None:
        """Close with 1000, and wait for the server's close frame: then it has read everything before ours."""
        self._client.close(NORMAL_CLOSURE, time.monotonic())
        self._stream.deadline = Deadline(CLOSE_SECONDS)
        self._perform()
        try:
            while not self._ended:
                self._read()
        except Failure:
            pass  # the answer is here already: a missing close frame changes nothing
