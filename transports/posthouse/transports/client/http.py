"""The client's side of HTTP/1.1 on one connection: one request after the other, each with one response.

This module waits for whole heads within their limit; `responses.py` reads them and the bodies. It may not know sockets,
times or what a body says. The caller decides how long to wait for a response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.codec import Send, Shut
from posthouse.transports.fields import BARE_LF, Fields
from posthouse.transports.http.answers import FIELD_NAME, field_lines

from .recogniser import recognise_response
from .responses import Counted, Failed, Parsed, Reading, Response

TARGET: Final = re.compile(rb"[\x21-\x7e]+")
OURS: Final = (b"host", b"content-length", b"transfer-encoding")
"""The codec writes these itself."""

STEERING: Final = (b"connection", b"upgrade")
"""The response to a request with one of these is always left to h11."""

ClientOutput = Send | Response | Failed | Shut


class Http1Client:
    """The codec of one outgoing connection. `host` is the value of the Host header.

    A response's head is at most `max_head_bytes` long, its body `max_response_bytes`. `output` gets for every `request`
    a `Send` and later one `Response` or `Failed`, and `Shut` when the connection cannot be used any more.
    """

    def __init__(self, config: Config, host: bytes) -> None:
        self.output: list[ClientOutput] = []
        self._config: Final = config
        self._host: Final = host.strip(b" \t")
        self._asked: tuple[bytes, bytes, Fields] = b"", b"", ()  # method, target and headers of the last request
        self._head = bytearray()
        self._reading: Reading | None = None
        self._waiting = False
        self._open = True

    @property
    def reusable(self) -> bool:
        """May the next request be made?"""
        return self._open and not self._waiting

    def request(
        self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]] = (), body: bytes = b""
    ) -> None:
        """Send a request. UsageError while another waits, after the end, or for a request that cannot be written."""
        if not self.reusable:
            raise UsageError("a request was made while another waits for its response, or on a connection that is over")
        if not FIELD_NAME.fullmatch(method) or not TARGET.fullmatch(target):
            raise UsageError(f"{method!r} {target!r} is not valid: a method is a token, a target visible text")
        if method == b"CONNECT":
            raise UsageError("CONNECT is not supported: it asks for a tunnel and has no response")
        fields = [(b"Host", self._host)]
        for name, value in headers:
            if name.lower() in OURS:
                raise UsageError(f"header {name!r} cannot be given: the codec sets it itself")
            fields.append((name, value.strip(b" \t")))
        given = tuple(fields)
        lines = field_lines(given)
        if body or method == b"POST":
            lines += b"Content-Length: %d\r\n" % len(body)
        self._asked = method, target, given
        self._waiting = True
        self.output.append(Send(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, lines, body)))

    def receive_data(self, data: bytes) -> None:
        """Take bytes, cut anywhere."""
        while data and self._open:
            if not self._waiting:
                self._fail("the server sent a response without a request")
            elif self._reading is None or not self._reading.begun:
                data = self._take_head(data)
            else:
                data = self._read(self._reading, data)

    def receive_eof(self) -> None:
        """The server sends no more."""
        if not self._open:
            return
        if self._reading is not None and self._reading.begun:
            failed = self._reading.end()
            if failed is not None:
                self._fail(failed.reason)
            else:
                self._deliver(self._reading)
        elif self._waiting:
            self._fail("the server closed the connection before it answered")
        if self._open:
            self._shut()

    def _take_head(self, data: bytes) -> bytes:
        head = self._head
        begun = len(head)
        head += data
        end = head.find(b"\r\n\r\n", max(0, begun - 3), self._config.max_head_bytes)
        if end < 0:
            if len(head) >= self._config.max_head_bytes:
                self._fail("the head of the server's response is too large")
            return b""
        whole = bytes(head[: end + 4])
        head.clear()
        rest = data[end + 4 - begun :]
        if self._reading is None:
            self._reading = counted = self._recognise(whole)
            if counted is not None:
                return self._read(counted, rest)
            self._reading = Parsed(self._config, *self._asked)
        if BARE_LF.search(whole):
            # h11 reads a bare LF as the end of a line, and two of them as the end of the head. Others may not.
            self._fail("the lines of a head end with CR LF, and those of the server do not")
            return b""
        self._read(self._reading, whole)
        return rest

    def _recognise(self, head: bytes) -> Counted | None:
        method, _, headers = self._asked
        if method == b"HEAD" or any(name.lower() in STEERING for name, _ in headers):
            return None
        plain = recognise_response(head)
        return None if plain is None else Counted(self._config, plain)

    def _read(self, reading: Reading, data: bytes) -> bytes:
        """Read on. Returns the bytes behind the response, if it is whole."""
        rest = reading.feed(data)
        if isinstance(rest, Failed):
            self._fail(rest.reason)
        elif rest is not None:
            self._deliver(reading)
            return rest
        return b""

    def _deliver(self, reading: Reading) -> None:
        self.output.append(reading.response())
        self._reading = None
        self._waiting = False
        if reading.last:
            self._shut()

    def _fail(self, reason: str) -> None:
        if self._waiting:
            self._waiting = False
            self.output.append(Failed(reason))
        self._shut()

    def _shut(self) -> None:
        self._open = False
        self._head.clear()
        self._reading = None
        self.output.append(Shut())

    @property
    def buffered(self) -> int:
        """Bytes of an unfinished response."""
        return len(self._head) + (self._reading.buffered if self._reading is not None else 0)
