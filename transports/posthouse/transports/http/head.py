"""One request head: where it ends, and what it says, if it can be read in one way only.

`HeadScanner` looks at raw bytes as they come and lets only a whole, bounded and clean head through. `parse` reads the
head, with h11 unless it is plain. It refuses heads that h11 accepts but a proxy could read differently (request
smuggling). The result does not depend on how the bytes were cut. This module may not know paths, policies or answers.
"""

from __future__ import annotations

import re
from typing import Final

import h11
from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports.fields import TOKEN, Fields
from posthouse.transports.refusal import Refusal

from .recogniser import RequestHead, join, recognise_request

CLEAN: Final = re.compile(rb"(?:[\t\x20-\x7e\x80-\xff]++|\r\n)*+")
"""The bytes allowed in a head. CR and LF only together: RFC 9112 section 2.2 forbids to generate a bare CR, and others
must not see a line end where this server sees none."""

REQUEST_LINE: Final = re.compile(TOKEN + rb" ([\x21-\x7e]+) HTTP/([0-9]\.[0-9])")
"""RFC 9112 section 3: method SP request-target SP HTTP-version."""

LENGTH_LINE: Final = b"\r\ncontent-length:"
ABSOLUTE: Final = re.compile(rb"https?://([^/?]+)(/[^?]*)?(\?.*)?", re.IGNORECASE)
HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]*)(?::[0-9]*)?")
"""RFC 9110 section 7.2: uri-host [ ":" port ]."""

HEAD_TIMED_OUT: Final = Refusal(408, "The request head took too long.")
BAD_BYTES: Final = Refusal(400, "The request head has an invalid character, or a line that does not end with CR LF.")
BAD_LINE: Final = Refusal(400, "The first line is not an HTTP/1.1 request line.")
BAD_VERSION: Final = Refusal(505, "This server speaks HTTP/1.1 and HTTP/1.0 only.")
LONG_TARGET: Final = Refusal(414, "The request target is too long.")
LARGE_HEAD: Final = Refusal(431, "The request head is too large.")
MANY_HEADERS: Final = Refusal(431, "The request has too many headers.")
FOLDED: Final = Refusal(400, "Header lines must not be folded.")
MALFORMED: Final = Refusal(400, "The request head is malformed.")
UNKNOWN_CODING: Final = Refusal(501, "The only supported transfer coding is chunked, applied once.")
BAD_LENGTH: Final = Refusal(400, "Content-Length must be one number.")
TWO_LENGTHS: Final = Refusal(400, "Content-Length and Transfer-Encoding must not be used together.")
OLD_CODING: Final = Refusal(400, "HTTP/1.0 does not support Transfer-Encoding.")
REPEATED: Final = Refusal(400, "A header that may occur only once is repeated.")
BAD_HOST: Final = Refusal(400, "The Host header is malformed.")
BAD_TARGET: Final = Refusal(400, "The request target is malformed.")
OTHER_HOST: Final = Refusal(400, "The request target and the Host header name different hosts.")
TUNNEL: Final = Refusal(405, "This server is not a proxy.", ((b"Allow", b"GET, HEAD, POST, OPTIONS"),))

CR: Final = ord("\r")


class Head(Struct, frozen=True, gc=False):
    """A request head. Names are lower-case, values stripped.

    `fields` has the values of a repeated header joined by commas (RFC 9110 section 5.3). `length` is Content-Length, or
    None without one. `persistent`: the client can send another request behind this one.
    """

    method: bytes
    path: bytes
    query: bytes
    version: bytes
    host: bytes | None
    headers: Fields
    fields: dict[bytes, bytes]
    length: int | None
    chunked: bool
    persistent: bool

    @property
    def bodiless(self) -> bool:
        """Does the request have no body?"""
        return not self.length and not self.chunked


class HeadScanner:
    """Finds the end of a head, and refuses it at the first byte that is not allowed. `begun`: it has looked at a part
    of the next head."""

    def __init__(self, config: Config) -> None:
        self._max_head: Final = config.max_head_bytes
        self._max_headers: Final = config.max_headers
        self._max_target: Final = config.max_target_bytes
        self.reset()

    def reset(self) -> None:
        """The next head begins."""
        self.begun = False
        self._clean = 0
        self._line_passed = False
        self._skipped = False

    def scan(self, buffer: bytearray) -> int | Refusal | None:
        """Look at the bytes since the last call. Returns the head's length, a refusal, or None if it needs more."""
        self.begun = True
        if not self._skipped and buffer.startswith(b"\r\n"):
            # RFC 9112 section 2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the
            # request-line".
            del buffer[:2]
            self._skipped = True
        limit = self._max_head
        end = buffer.find(b"\r\n\r\n", max(0, self._clean - 3), limit)
        stop = min(len(buffer), limit) if end < 0 else end + 4
        matched = CLEAN.match(buffer, self._clean, stop)
        assert matched is not None
        clean = self._clean = matched.end()
        if not self._line_passed and (line_end := buffer.find(b"\r\n", 0, clean)) >= 0:
            self._line_passed = True
            refusal = self._judge_line(bytes(buffer[:line_end]))
            if refusal is not None:
                return refusal
        if clean < stop and not (clean == stop - 1 and buffer[clean] == CR):
            return BAD_BYTES
        if end >= 0:
            return MANY_HEADERS if buffer.count(b"\r\n", 0, stop) - 2 > self._max_headers else stop
        if stop < limit:
            return None
        return LARGE_HEAD if self._line_passed else self._judge_endless_line(bytes(buffer[:limit]))

    def _judge_line(self, line: bytes) -> Refusal | None:
        matched = REQUEST_LINE.fullmatch(line)
        if matched is None:
            return BAD_LINE
        if len(matched[1]) > self._max_target:
            return LONG_TARGET
        return None if matched[2] in (b"1.1", b"1.0") else BAD_VERSION

    def _judge_endless_line(self, line: bytes) -> Refusal:
        _, _, target = line.partition(b" ")
        return LONG_TARGET if len(target.partition(b" ")[0]) > self._max_target else LARGE_HEAD


def parse(raw: bytes) -> Head | Refusal:
    """Read one whole head that passed the scanner. Returns a refusal if it could be read in two ways."""
    request = recognise_request(raw) or _ask_h11(raw)
    return _place(request) if isinstance(request, RequestHead) else request


def read_plain(raw: bytes, config: Config) -> Head | None:
    """Read one whole head, if it is plain and within the limits: the scanner would let it through. None for any other,
    and for one that is refused."""
    request = recognise_request(raw)
    if request is None or len(request.target) > config.max_target_bytes or len(request.headers) > config.max_headers:
        return None
    head = _place(request)
    return head if isinstance(head, Head) else None


def _ask_h11(raw: bytes) -> RequestHead | Refusal:
    if b"\r\n " in raw or b"\r\n\t" in raw:
        # RFC 9112 section 5.2: a server "MUST either reject the message ... or replace" the obs-fold.
        return FOLDED
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError as error:
        return UNKNOWN_CODING if error.error_status_hint == 501 else MALFORMED
    assert isinstance(request, h11.Request)
    version = request.http_version
    headers = tuple([(name.lower(), value) for name, value in request.headers.raw_items()])
    fields = join(headers)
    if fields is None:
        return REPEATED
    length: int | None = None
    chunked = b"transfer-encoding" in fields
    if b"content-length" in fields:
        # h11 silently merges equal lengths.
        _, *lengths = raw.lower().split(LENGTH_LINE)
        digits = lengths[0].partition(b"\r")[0].strip(b" \t")
        if len(lengths) > 1 or not digits.isdigit():
            return BAD_LENGTH
        if chunked:
            # RFC 9112 section 6.1: "ought to be handled as an error".
            return TWO_LENGTHS
        length = int(digits)
    if chunked and version == b"1.0":
        return OLD_CODING
    return RequestHead(request.method, request.target, version, headers, fields, length, chunked)


def _place(request: RequestHead) -> Head | Refusal:
    """Read the target (RFC 9112 section 3.2), and whether the client can send another request."""
    method, target, version, fields = request.method, request.target, request.version, request.fields
    host = fields.get(b"host")
    if host is not None and not HOST.fullmatch(host):
        return BAD_HOST
    if method == b"CONNECT":
        return TUNNEL
    if b"#" in target:
        return BAD_TARGET
    if target.startswith(b"/") or (target == b"*" and method == b"OPTIONS"):
        path, _, query = target.partition(b"?")
    else:
        placed = _read_absolute(target, host)
        if isinstance(placed, Refusal):
            return placed
        path, query, host = placed
    persistent = version == b"1.1" and (b"connection" not in fields or not _closes(fields[b"connection"]))
    headers, length, chunked = request.headers, request.length, request.chunked
    return Head(method, path, query, version, host, headers, fields, length, chunked, persistent)


def _read_absolute(target: bytes, host: bytes | None) -> tuple[bytes, bytes, bytes] | Refusal:
    """Path, query and host of an absolute target. Its host must be that of the Host header."""
    absolute = ABSOLUTE.fullmatch(target)
    if absolute is None:
        return BAD_TARGET
    authority = absolute[1]
    if host is None:
        host = authority
    # RFC 9112 section 3.2.2: the target wins over a different Host. A proxy may route by the other one, so a request
    # with two hosts is refused.
    if not HOST.fullmatch(authority) or authority.lower() != host.lower():
        return OTHER_HOST
    return absolute[2] or b"/", (absolute[3] or b"")[1:], host


def _closes(connection: bytes) -> bool:
    """Does this Connection header end the connection?"""
    return b"close" in [option.strip() for option in connection.lower().split(b",")]
