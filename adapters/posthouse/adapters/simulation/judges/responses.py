"""HTTP responses, read from the bytes of a server by RFC 9110, RFC 9111 and RFC 9112, and by the promises of
docs/protocol.md.

`read_response` raises ValueError for a head that breaks a rule, whatever was asked.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from .requests import TOKEN

STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\x20-\x7e]*)")
FIELD: Final = re.compile(rb"(%b): ([\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)" % TOKEN)
NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,14}")
MEDIA: Final = (b"application/json", b"text/plain; charset=utf-8")

LISTS: Final = (b"connection", b"www-authenticate")

CONTINUE: Final = 100
SWITCHING: Final = 101
NO_CONTENT: Final = 204

REASONS: Final[dict[int, bytes]] = {
    100: b"Continue",
    101: b"Switching Protocols",
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    411: b"Length Required",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    426: b"Upgrade Required",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}
"""The reason phrase of each status that a server may send (RFC 9110 section 15, RFC 6585)."""

REQUIRED: Final[dict[int, tuple[bytes, ...]]] = {
    401: (b"www-authenticate",),  # RFC 9110 section 15.5.2
    405: (b"allow",),  # RFC 9110 section 15.5.6
    426: (b"upgrade",),  # RFC 9110 section 15.5.22
    429: (b"retry-after",),
    503: (b"retry-after",),
}
"""The fields that a response with this status must have. `Retry-After` is promised by docs/protocol.md."""

PROMISED: Final = {b"cache-control": b"no-store", b"x-content-type-options": b"nosniff"}
"""Fields of every final response."""


class Response(Struct, frozen=True):
    """The head of one response. `length`: that of its body, which is 0 for a status without one. `last`: nothing
    follows it."""

    status: int
    fields: dict[bytes, bytes]
    length: int
    last: bool

    @property
    def interim(self) -> bool:
        """Does the final response still follow?"""
        return self.status < 200

    @property
    def in_json(self) -> bool:
        """Is its body JSON?"""
        return self.fields.get(b"content-type") == MEDIA[0]


def read_response(raw: bytes) -> Response:
    """The response with this head, without its empty line. Raises ValueError with a sentence."""
    first, *lines = raw.split(b"\r\n")
    line = STATUS_LINE.fullmatch(first)
    if line is None:
        raise ValueError("a response has no valid status line")
    fields: dict[bytes, bytes] = {}
    for text in lines:
        field = FIELD.fullmatch(text)
        if field is None:
            raise ValueError("a response has a line that is no field")
        name, value = field[1].lower(), field[2]
        if name in LISTS and name in fields:  # a list may be cut (RFC 9110 section 5.3)
            value = b"%b, %b" % (fields.pop(name), value)
        if name in fields:
            raise ValueError("a response has a field twice")
        fields[name] = value
    status = int(line[1])
    if REASONS.get(status) != line[2]:
        raise ValueError("a response has another reason than its status")
    if status in (CONTINUE, SWITCHING):
        return _read_interim(status, fields)
    if b"transfer-encoding" in fields or b"trailer" in fields:
        raise ValueError("a response is chunked")
    if any(fields.get(name) != value for name, value in PROMISED.items()):
        raise ValueError("a response lacks a field that is promised")
    if b"date" in fields:
        raise ValueError("a response has a Date, which is not promised")
    if any(name not in fields for name in REQUIRED.get(status, ())):
        raise ValueError("a response lacks a field that its status demands")
    if not NUMBER.fullmatch(fields.get(b"retry-after", b"0")):
        raise ValueError("a Retry-After is no number of seconds")
    return Response(status, fields, _length(status, fields), _is_last(status, fields))


def _read_interim(status: int, fields: dict[bytes, bytes]) -> Response:
    if status == CONTINUE and fields:
        raise ValueError("a 100 (Continue) has fields")
    if b"content-length" in fields or b"transfer-encoding" in fields:
        raise ValueError("a response without a body has a length")  # RFC 9110 section 8.6, RFC 9112 section 6.1
    return Response(status, fields, 0, last=False)


def _length(status: int, fields: dict[bytes, bytes]) -> int:
    given, media = fields.get(b"content-length"), fields.get(b"content-type")
    if status == NO_CONTENT:
        # RFC 9110 section 8.6: a server "MUST NOT send a Content-Length header field" with a 204.
        if given is not None or media is not None:
            raise ValueError("a response without a body has a length")
        return 0
    if given is None or not NUMBER.fullmatch(given):
        raise ValueError("a response has no valid Content-Length")
    if media not in MEDIA:
        raise ValueError("a response has no known Content-Type")
    return int(given)


def _is_last(status: int, fields: dict[bytes, bytes]) -> bool:
    options = [option.strip() for option in fields.get(b"connection", b"").lower().split(b",") if option.strip()]
    allowed = [b"close", b"upgrade"] if status == 426 else [b"close"]
    if any(option not in allowed for option in options) or len(set(options)) < len(options):
        raise ValueError("a response has an unknown option in Connection")
    if status == 426 and b"upgrade" not in options:
        # RFC 9110 section 7.8: "A sender of Upgrade MUST also send an Upgrade connection option".
        raise ValueError("a 426 has no option upgrade in Connection")
    return b"close" in options
