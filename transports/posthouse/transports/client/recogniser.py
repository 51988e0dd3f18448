"""A recogniser of response heads: plain heads are read here, and all others by h11.

Nearly every head is plain: HTTP/1.1, lines of visible characters, no transfer coding, one Content-Length of digits
(none in a 204), and no field about the connection. For any other head the result is None: h11
decides whether it is valid. h11 accepts every recognised head and reads it in the same way; the fuzzers check that.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct
from posthouse.transports.fields import VALUE, Fields
from posthouse.transports.http.recogniser import HEADER_LINES, is_length, split_lines

PLAIN_RESPONSE: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: " + VALUE + rb")?+" + HEADER_LINES)
"""RFC 9112 sections 4 and 5. A reason phrase has the characters of a value."""

NO_CONTENT: Final = 204
NOT_MODIFIED: Final = 304


class ResponseHead(Struct, frozen=True, gc=False):
    """A response's head, with names in lower case and values stripped. A body of `length` bytes follows, and then the
    next response."""

    status: int
    headers: Fields
    length: int


def recognise_response(head: bytes) -> ResponseHead | None:
    """Read a whole head, empty line included, if it is plain. Not for the response to a HEAD or to a request with a
    field about the connection: there the same head may mean something else."""
    matched = PLAIN_RESPONSE.fullmatch(head)
    if matched is None:
        return None
    status, lines = int(matched[1]), matched[2]
    length = 0 if status == NO_CONTENT else None
    headers = split_lines(lines)
    for name, value in headers:
        if name == b"content-length":
            if length is not None or not is_length(value):
                return None
            length = int(value)
        elif name in (b"transfer-encoding", b"connection", b"upgrade"):
            return None
    return None if length is None or status == NOT_MODIFIED else ResponseHead(status, headers, length)
