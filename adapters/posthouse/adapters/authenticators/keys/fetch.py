"""One GET of a document, in the thread that asks: within a time and a size, over TLS, without redirections."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import SHUT_RDWR, socket
from threading import Timer
from typing import Final
from urllib.parse import SplitResult, urlsplit

from posthouse.core.values.errors import UsageError

from .key import Unusable

SECONDS: Final = 5.0
"""The time for the whole request."""

MAX_BYTES: Final = 256 * 1024
"""The largest document."""

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def check_url(url: str) -> SplitResult:
    """The parts of a URL. Raises UsageError unless it may be fetched: over https, or http from this machine."""
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and parts.port != 0  # reading the port checks it
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL: {error}") from None
    if parts.username is not None or parts.fragment or not named or not url.isascii() or not url.isprintable():
        raise UsageError(f"{url!r} is not the URL of a document: write https://HOST/PATH, without credentials")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise UsageError(f"{url!r} is not safe: keys are fetched over https, or over http from this machine")
    return parts


def fetch(url: str, seconds: float = SECONDS) -> bytes:
    """The document at a URL. Raises Unusable."""
    parts = check_url(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    over: list[str] = []
    try:
        with _connection(parts, seconds, over) as connection:
            connection.request("GET", path, headers={"Accept": "application/json"})
            with connection.getresponse() as response:
                body = _body(response)
    except (OSError, HTTPException, ValueError) as error:
        raise Unusable(over[0] if over else f"it cannot be fetched: {error or type(error).__name__}") from None
    if over:
        raise Unusable(over[0])  # a document that was cut may still look like a whole one
    return body


@contextmanager
def _connection(parts: SplitResult, seconds: float, over: list[str]) -> Iterator[HTTPConnection]:
    """A connection that is cut when its time is over, which `over` then says: the timeout of a socket is only that of
    one read."""
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: HTTPConnection = HTTPSConnection(host, parts.port, timeout=seconds, context=context)
    else:
        connection = HTTPConnection(host, parts.port, timeout=seconds)

    connected: list[socket] = []

    def cut() -> None:
        over.append(f"it took more than {seconds:g} seconds")
        for each in connected or [connection.sock]:
            with suppress(OSError, AttributeError):  # it has no socket yet, or no more
                each.shutdown(SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        connection.connect()
        connected.append(connection.sock)  # the connection forgets it when the answer will end with it
        yield connection
    finally:
        timer.cancel()
        connection.close()


def _body(response: HTTPResponse) -> bytes:
    if response.status != 200:
        raise Unusable(f"the answer was {response.status}, not 200")
    body = response.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise Unusable(f"it has more than {MAX_BYTES} bytes")
    if response.length:
        raise Unusable("it ended too early")
    return body
