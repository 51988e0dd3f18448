"""How an HTTP client writes its requests: from which page, to which host, with a length or in chunks."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from posthouse.adapters.simulation.chance import Stream
from posthouse.transports.fields import Fields

LENGTH: Final = re.compile(rb"\r\nContent-Length: [0-9]+")
CHUNKED: Final = b"\r\nTransfer-Encoding: chunked"

CHUNK_SIZES: Final = (0, 0, 20, 500)
"""The sizes of chunks, 0 for none. Smaller chunks would take more bytes on the wire than a server allows."""

REQUEST_IDS: Final = (None, None, b"simulated/1", b"simulated/2")
"""Half of the clients give none. The server knows the heads of the others but for the id."""

ASKED: Final = (None, None, None, None, (b"Expect", b"100-continue"), (b"Connection", b"close"))
"""A client may send its body without waiting for 100 (Continue) (RFC 9110 section 10.1.1)."""

OTHER: Final = b"other.example"

JSON: Final = b"application/json"

MEDIA: Final = (JSON, JSON, b"application/json-rpc", b"Application/JSON; charset=UTF-8")
"""Content types that a server takes. It knows the heads with the first one."""


class Credentials(Struct, frozen=True):
    """The credentials in a head: header fields, and subprotocols of a handshake. The cookies that answers set are added
    to the `jar`. `own`: of a browser, the last cookie that an answer to it has set, which it sends in the requests that
    follow. It forgets none: after a log-out, it tries the old one."""

    headers: Fields = ()
    subprotocols: tuple[bytes, ...] = ()
    jar: list[bytes] | None = None
    own: list[bytes] | None = None

    def keep(self, set_cookie: bytes) -> None:
        """An answer has set a cookie."""
        cookie = set_cookie.partition(b";")[0]
        if self.jar is not None and cookie:
            self.jar.append(cookie)
        if self.own is not None and cookie.partition(b"=")[2]:
            self.own[:] = [cookie]

    @property
    def fields(self) -> Fields:
        """The header fields of the next request."""
        return (*self.headers, *((b"Cookie", cookie) for cookie in self.own or ()))


class Page(Struct, frozen=True):
    """The habits of one connection. `origin` None: no page. `chunk`: the size of chunks, 0 for a Content-Length.
    `request_id`: that of every second request, or None. `foreign`: the server must refuse every request. `asks`: a
    header that asks the server for something in every second request. `media`: the Content-Type. `sent`: the
    credentials of every request. `forwarding`: the fields of a proxy, those of one request after the other."""

    host: bytes
    origin: bytes | None = None
    chunk: int = 0
    request_id: bytes | None = None
    foreign: bool = False
    asks: tuple[bytes, bytes] | None = None
    media: bytes = JSON
    sent: Credentials = Credentials()
    forwarding: tuple[Fields, ...] = ((),)

    @property
    def headers(self) -> Fields:
        """The headers of a request, beside those that every client sends."""
        fields = ((b"Content-Type", self.media), (b"Origin", self.origin), (b"X-Request-Id", self.request_id))
        own = tuple((name, value) for name, value in fields if value is not None)
        given = (*own, *self.sent.fields, *self.forwarding[0])
        return given if self.asks is None else (*given, self.asks)

    def of(self, number: int) -> Page:
        """The page of the request with this number on its connection."""
        page = self
        if len(self.forwarding) > 1:
            page = replace(self, forwarding=(self.forwarding[number % len(self.forwarding)],))
        return replace(page, request_id=None, asks=None) if number % 2 else page

    def write(self, request: bytes) -> bytes:
        """A request with a Content-Length, as this client writes it."""
        if not self.chunk:
            return request
        head, _, body = request.partition(b"\r\n\r\n")
        pieces = [body[at : at + self.chunk] for at in range(0, len(body), self.chunk)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return b"%b\r\n\r\n%b0\r\n\r\n" % (LENGTH.sub(CHUNKED, head), chunks)


def draw_page(
    host: bytes, stream: Stream, foreign: int = 0, *, closes: bool = False, origins: tuple[bytes, ...] = ()
) -> Page:
    """Draw the habits of a connection to this host. `foreign` in a thousand are those of a page that may not call.
    `closes`: some ask for the end of the connection, and lose what waits behind the answer. `origins`: those of pages
    that the server allows besides its own."""
    chunk, request_id, asks = (
        stream.pick(CHUNK_SIZES),
        stream.pick(REQUEST_IDS),
        stream.pick(ASKED if closes else ASKED[:-1]),
    )
    if stream.happens(foreign):
        called, origin, media = stream.pick(
            (
                (host, b"http://" + OTHER, JSON),
                (host, b"http://%b:8001" % host, JSON),  # the same host, and another port
                (host, b"null", JSON),
                (OTHER, b"http://" + OTHER, JSON),  # a name that was bound anew to the server's address
                (host, None, b"text/plain"),  # a form may send it to any site
            )
        )
        return Page(called, origin, chunk, request_id, foreign=True, asks=asks, media=media)
    own = stream.pick((None, b"http://" + host, b"https://%b:443" % host, *origins))
    called = stream.pick((host, host, host.upper()))
    return Page(called, own, chunk, request_id, asks=asks, media=stream.pick(MEDIA))
