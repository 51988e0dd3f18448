"""HTTP answers as bytes: heads are made once per status; only the length and variable fields are added.

They are written without h11. This module may not know why an answer is given, nor what happens to the socket.
"""

from __future__ import annotations

import re
from math import ceil
from typing import Final

from msgspec import Struct
from posthouse.core.identity.cookies import CLEARED
from posthouse.core.jsonrpc.messages import NULL, encode_error
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.errors import ErrorObject, UsageError, http_status
from posthouse.transports.credentials import cookie_field
from posthouse.transports.fields import EXPOSITION, TOKEN, VALUE, Fields
from posthouse.transports.refusal import Refusal

from .challenges import BEARER

REASONS: Final[dict[int, bytes]] = {
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
"""Every status that the server sends (RFC 9110 section 15, RFC 6585)."""

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

FIELD_NAME: Final = re.compile(TOKEN)
FIELD_VALUE: Final = re.compile(VALUE)


def _head(status: int, media: bytes, *, close: bool) -> bytes:
    lines = [
        b"HTTP/1.1 %d %b" % (status, REASONS[status]),
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
    ]
    if close:
        lines.append(b"Connection: close")
    if status != 204:
        # RFC 9110 section 8.6: a server "MUST NOT send a Content-Length header field" in a 204.
        lines += [b"Content-Type: " + media, b"Content-Length: "]
        return b"\r\n".join(lines)
    return b"\r\n".join([*lines, b""])


HEADS: Final[dict[tuple[int, bytes, bool], bytes]] = {
    (status, media, close): _head(status, media, close=close)
    for status in REASONS
    for media in (JSON, TEXT, EXPOSITION)
    for close in (False, True)
}
"""The part of each head before the length (204: before the empty line)."""

RESULT_HEAD: Final = HEADS[200, JSON, False]


class ResponseOptions(Struct, frozen=True, gc=False):
    """How to answer one request. `persistent`: the client can send another one behind it. `bodiless`: it was a HEAD.
    `lines`: header lines that the request asks for: CORS, and its X-Request-Id. `challenge`: those of a 401."""

    persistent: bool
    bodiless: bool
    lines: bytes
    challenge: bytes = BEARER

    def naming(self, request_id: str | None) -> ResponseOptions:
        """The same, and the answer has this X-Request-Id. The same, if that is None."""
        if request_id is None:
            return self
        lines = b"%bX-Request-Id: %b\r\n" % (self.lines, request_id.encode("ascii"))
        return ResponseOptions(self.persistent, self.bodiless, lines, self.challenge)


UNKNOWN: Final = ResponseOptions(persistent=False, bodiless=False, lines=b"")
"""For a request that could not be read."""


class Answer(Struct, frozen=True, gc=False):
    """The contents of an answer. `fields` are header lines made by `field_lines`."""

    status: int
    data: bytes = b""
    media: bytes = JSON
    fields: bytes = b""

    def write(self, options: ResponseOptions, *, close: bool) -> tuple[bytes, bytes]:
        """Its head and its body. The body is not copied."""
        head, lines = HEADS[self.status, self.media, close], self.fields
        if self.status == 204:
            return b"%b%b%b\r\n" % (head, lines, options.lines), b""
        if self.status == 401:
            lines += options.challenge
        written = b"%b%d\r\n%b%b\r\n" % (head, len(self.data), lines, options.lines)
        return written, b"" if options.bodiless else self.data


def exchange_answer(data: bytes | None, code: int | None, retry_after: float | None, fields: Fields = ()) -> Answer:
    """The gateway's answer: a JSON text, or None for an empty answer. `code` is that of its error, or None."""
    lines = field_lines(fields)
    if data is None:
        return Answer(204, fields=lines)
    return Answer(http_status(code), data, fields=retry_line(retry_after) + lines)


def result_answer(data: bytes, options: ResponseOptions) -> bytes:
    """The whole answer with a result, on a socket that stays open. Exchanges have no HEAD: its body is always sent."""
    return b"%b%d\r\n%b\r\n%b" % (RESULT_HEAD, len(data), options.lines, data)


def not_admitted_answer(reason: CloseReason, retry_after_ms: int | None, *, in_json: bool) -> Answer:
    """The refusal of an exchange or an upgrade for this reason: a JSON-RPC error response, or text."""
    data = None if retry_after_ms is None else {"retryable": True, "retry_after_ms": retry_after_ms}
    error = ErrorObject.of(reason.error, data)
    fields = retry_line(error.retry_after)
    if reason.clears_cookie:
        fields += field_lines((cookie_field(CLEARED),))
    return _refused(http_status(error.code), error.message, error if in_json else None, fields)


def refusal_answer(refusal: Refusal) -> Answer:
    """A refusal as an HTTP answer: with its JSON-RPC error if it has one, else with its reason."""
    return _refused(refusal.status, refusal.reason, refusal.error, field_lines(refusal.headers))


def _refused(status: int, reason: str, error: ErrorObject | None, fields: bytes) -> Answer:
    if error is not None:
        return Answer(status, encode_error(NULL, error), JSON, fields)
    return Answer(status, b"%b\n" % reason.encode(), TEXT, fields)


def cors_lines(origin: bytes) -> bytes:
    """Header lines that let a page of this allowed origin read an answer (Fetch, section 3.2.3). Never `*`."""
    return field_lines(
        (
            (b"Access-Control-Allow-Origin", origin),
            (b"Access-Control-Expose-Headers", b"Retry-After, X-Request-Id"),
            (b"Vary", b"Origin"),
        )
    )


def read_fields(head: bytes) -> Fields:
    """The header fields of an answer's head, with names in lower case, for a host that writes heads by itself."""
    lines = [line.partition(b": ") for line in head.split(b"\r\n")[1:-2]]
    return tuple([(name.lower(), value) for name, _, value in lines])


def switching_head(headers: Fields) -> bytes:
    """The 101 that ends HTTP on a socket (RFC 6455 section 4.2.2)."""
    return b"HTTP/1.1 101 Switching Protocols\r\n%b\r\n" % field_lines(headers)


def field_lines(headers: Fields) -> bytes:
    """Headers as lines. Raises UsageError for a header with characters that may not be in it, like a line break."""
    lines = []
    for name, value in headers:
        if not FIELD_NAME.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            raise UsageError(
                f"header {name!r} cannot be sent: its name or its value has a character that none may have"
            )
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


def retry_line(seconds: float | None) -> bytes:
    """Retry-After in whole seconds, rounded up; nothing for None."""
    return b"" if seconds is None else b"Retry-After: %d\r\n" % ceil(seconds)
