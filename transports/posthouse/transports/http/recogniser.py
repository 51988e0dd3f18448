"""A recogniser of request heads: plain heads are read here, and all others by h11.

Nearly every head is plain: HTTP/1.1, lines of visible characters, no transfer coding, one Host and at most one
Content-Length of digits. For any other head the result is None: h11 decides whether it is valid. h11 accepts
every recognised head and reads it in the same way; the fuzzers check that.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from posthouse.transports.fields import TOKEN, VALUE, Fields

MAX_DIGITS: Final = 20
"""The most digits of a Content-Length, as in h11."""

HEADER_LINES: Final = rb"((?:\r\n" + TOKEN + rb":" + VALUE + rb")*+)\r\n\r\n"

PLAIN_REQUEST: Final = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]++) HTTP/1\.1" + HEADER_LINES)
"""RFC 9112 sections 3 and 5."""


SINGLE: Final = (
    b"authorization content-encoding content-length content-type expect host idempotency-key origin "
    b"posthouse-timeout-ms traceparent transfer-encoding"
).split()
"""Headers that are not lists: two of them contradict each other."""


class RequestHead(Struct, frozen=True, gc=False):
    """A request's head, with names in lower case and values stripped. `version` is b"1.1" or b"1.0".

    `fields` has the values of a repeated header joined by commas (RFC 9110 section 5.3). `length` is Content-Length, or
    None without one.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: Fields
    fields: dict[bytes, bytes]
    length: int | None
    chunked: bool


def recognise_request(head: bytes) -> RequestHead | None:
    """Read a whole head, empty line included, if it is plain."""
    matched = PLAIN_REQUEST.fullmatch(head)
    if matched is None:
        return None
    method, target, lines = matched.groups()
    headers = split_lines(lines)
    fields = join(headers)
    if fields is None or b"host" not in fields or b"transfer-encoding" in fields:
        return None
    digits = fields.get(b"content-length")
    if digits is None:
        return RequestHead(method, target, b"1.1", headers, fields, None, False)
    return RequestHead(method, target, b"1.1", headers, fields, int(digits), False) if is_length(digits) else None


def join(headers: Fields) -> dict[bytes, bytes] | None:
    """The fields by name. None if a header is repeated that is not a list."""
    fields = dict(headers)
    if len(fields) == len(headers):
        return fields
    fields.clear()
    for name, value in headers:
        if name not in fields:
            fields[name] = value
        elif name in SINGLE:
            return None
        else:
            fields[name] += b", " + value
    return fields


def split_lines(lines: bytes) -> Fields:
    """The fields of header lines. Each line begins with CR LF."""
    headers = []
    for line in lines.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    return tuple(headers)


def is_length(value: bytes) -> bool:
    """Is this a Content-Length that h11 takes?"""
    return value.isdigit() and len(value) <= MAX_DIGITS
