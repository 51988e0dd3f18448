"""Recognisers of HTTP heads: what can be read in one way only is read here, and the rest is left to h11.

Nearly every head is plain: HTTP/1.1, lines of visible characters, no transfer coding; a request with one Host and at
most one Content-Length of digits, a response with exactly one, or none where it is a 204, and nothing said about the
connection. Everything else gives None, which is no verdict: h11 may take it or refuse it. What is recognised h11 takes
too, and reads the same: the fuzzers hold it to that.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from posthouse.transports.fields import TOKEN, VALUE, Fields

MAX_DIGITS: Final = 20
"""Of a Content-Length, as h11 has it."""

_LINES: Final = rb"((?:\r\n" + TOKEN + rb":" + VALUE + rb")*+)\r\n\r\n"

PLAIN_REQUEST: Final = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]++) HTTP/1\.1" + _LINES)
PLAIN_RESPONSE: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: " + VALUE + rb")?+" + _LINES)
"""RFC 9112 sections 3, 4 and 5. A reason phrase has the characters of a value."""

NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304


class RequestHead(Struct, frozen=True, gc=False):
    """A request's head as it stands there, with names in lower case and values stripped. `version` is b"1.1" or
    b"1.0"."""

    method: bytes
    target: bytes
    version: bytes
    headers: Fields


class ResponseHead(Struct, frozen=True, gc=False):
    """A response's head, read in the same way, with `length` bytes of body behind it, and behind them the next
    response."""

    status: int
    headers: Fields
    length: int


def recognise_request(head: bytes) -> RequestHead | None:
    """Read a whole head, empty line included, if it is plain."""
    matched = PLAIN_REQUEST.fullmatch(head)
    if matched is None:
        return None
    method, target, lines = matched.groups()
    hosts = lengths = 0
    headers = _split(lines)
    for name, value in headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            lengths += 1
            if not _is_length(value):
                return None
        elif name == b"transfer-encoding":
            return None
    return RequestHead(method, target, b"1.1", headers) if hosts == 1 and lengths <= 1 else None


def recognise_response(head: bytes) -> ResponseHead | None:
    """Read a whole head, empty line included, if it is plain. Only of a response to a request that may have a body and
    said nothing about the connection itself: to a HEAD it would mean something else."""
    matched = PLAIN_RESPONSE.fullmatch(head)
    if matched is None:
        return None
    status, lines = int(matched[1]), matched[2]
    length = 0 if status == NO_CONTENT else None
    headers = _split(lines)
    for name, value in headers:
        if name == b"content-length":
            if length is not None or not _is_length(value):
                return None
            length = int(value)
        elif name in (b"transfer-encoding", b"connection", b"upgrade"):
            return None
    return None if length is None or status == NOT_MODIFIED else ResponseHead(status, headers, length)


def _split(lines: bytes) -> Fields:
    headers = []
    for line in lines.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    return tuple(headers)


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= MAX_DIGITS
