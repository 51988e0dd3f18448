"""A request or handshake whose head a host has read, and the head that the rules of HTTP judge.

The host has parsed it, so that its lines are well-formed. Its limits may be others: those of this server count, too.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.values.config import Config
from posthouse.transports.fields import Fields
from posthouse.transports.http.head import (
    BAD_HOST,
    BAD_LENGTH,
    HOST,
    LARGE_HEAD,
    LONG_TARGET,
    MALFORMED,
    MANY_HEADERS,
    REPEATED,
    TWO_LENGTHS,
    Head,
)
from posthouse.transports.http.recogniser import is_length, join
from posthouse.transports.paths import Paths
from posthouse.transports.refusal import Refusal

AROUND_FIELD: Final = len(b": \r\n")
AROUND_LINE: Final = len(b"  HTTP/1.1\r\n\r\n")
"""The bytes of a head that are neither names nor values: in each line, and in the first and the last one."""


class HostedRequest(Struct, frozen=True, gc=False):
    """The head of a request, or of a WebSocket's handshake. `path` is that below the place where the host has mounted
    the server, decoded; `full_path` is the whole one, for handlers. `target_bytes` is the size of the target as it was
    sent. `headers` are as the host has read them. `version` is that of HTTP, such as b"1.1" or b"2"."""

    method: bytes
    path: str
    query: bytes
    version: bytes
    headers: Fields
    full_path: str
    target_bytes: int
    websocket: bool = False

    @property
    def framed(self) -> bool:
        """Does its version of HTTP frame bodies by itself? Then no header does (RFC 9113 section 8.1)."""
        return not self.version.startswith(b"1.")


def head_bytes(request: HostedRequest) -> int:
    """The size of the head, as it is sent with HTTP/1.1."""
    size = AROUND_LINE + len(request.method) + request.target_bytes
    for name, value in request.headers:
        size += len(name) + len(value) + AROUND_FIELD
    return size


def read_head(request: HostedRequest, config: Config, paths: Paths) -> Head | Refusal:
    """The head of this request, or its refusal: it is above a limit, or can be read in two ways. The root stands for
    one of the `paths`: a request calls, a WebSocket opens."""
    headers = tuple([(name.lower(), value.strip(b" \t")) for name, value in request.headers])
    if request.target_bytes > config.max_target_bytes:
        return LONG_TARGET
    if len(headers) > config.max_headers:
        return MANY_HEADERS
    if head_bytes(request) > config.max_head_bytes:
        return LARGE_HEAD
    fields = join(headers)
    if fields is None:
        return REPEATED
    host = fields.get(b"host")
    if host is None and request.version == b"1.1":
        # RFC 9112 section 3.2: "A server MUST respond with a 400". Not every host does.
        return MALFORMED
    if host is not None and not HOST.fullmatch(host):
        return BAD_HOST
    digits = fields.get(b"content-length")
    chunked = b"transfer-encoding" in fields
    if digits is not None and not is_length(digits):
        return BAD_LENGTH
    if digits is not None and chunked:
        return TWO_LENGTHS
    if request.framed and digits is None and request.method == b"POST":
        chunked = True  # its length is known at its end
    root = paths.opens if request.websocket else paths.calls
    path = root[0] if request.path in ("", "/") else request.path
    # A path with other characters is none of the server's: how they are written does not matter.
    asked = path if isinstance(path, bytes) else path.encode("ascii", "backslashreplace")
    length = None if digits is None else int(digits)
    return Head(
        request.method, asked, request.query, request.version, host, headers, fields, length, chunked, persistent=True
    )
